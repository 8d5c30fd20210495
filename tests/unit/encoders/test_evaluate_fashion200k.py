"""The benchmark runs from end to end on a catalogue in its layout, and on the published data alone beside it."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from catalogue.build import BuildSettings, build_catalogue
from encoders.__main__ import main

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue that is drawn once."""
    root = tmp_path_factory.mktemp("drawn") / "data"
    build_catalogue(root, BuildSettings(products=32, seed=5, layout="fashion200k"), processes=1)
    return root


@pytest.fixture
def data(drawn: Path, tmp_path: Path) -> Path:
    """A copy of it that the test may change."""
    return shutil.copytree(drawn, tmp_path / "data")


def evaluate(data: Path, out: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["fashion200k", "--data", str(data), "--out", str(out), *options])


def test_a_catalogue_in_the_layout_is_measured(data: Path, tmp_path: Path) -> None:
    """Every line of test_queries.txt is a query; what training never saw is found by picture and words."""
    result = evaluate(data, tmp_path / "result.json")
    assert result.exit_code == 0, result.output
    written = json.loads((tmp_path / "result.json").read_text())
    queries = len((data / "test_queries.txt").read_text().splitlines())
    assert written["params"]["data"] == "procedural"
    assert written["params"]["tier"] == "strict"
    assert written["params"]["counts"] == {
        "training_images": 48, "test_images": 24, "test_captions": 8, "queries": queries,
    }  # fmt: skip
    composed = written["results"]["composed"]
    assert composed["strict"]["queries"] == queries
    assert composed["strict"]["R@1"] > composed["text_only"]["R@1"]
    assert composed["strict"]["R@10"] > 90
    beside = written["results"]["beside_it"]
    assert beside["text_to_image"]["queries"] == 8
    assert beside["image_to_another_of_its_caption"]["queries"] == 24


def test_what_is_measured_is_measured_again_only_for_other_data(data: Path, tmp_path: Path) -> None:
    """A second run leaves the result alone; one of fewer queries, or one that is told to, does not."""
    out = tmp_path / "result.json"
    assert evaluate(data, out).exit_code == 0
    written = json.loads(out.read_text())
    out.write_text(json.dumps(written | {"results": {}}))
    assert evaluate(data, out).output == f"{out}: measured already; --again measures anew\n"
    assert json.loads(out.read_text())["results"] == {}
    assert evaluate(data, out, "--again").exit_code == 0
    assert json.loads(out.read_text())["results"] == written["results"]
    queries = data / "test_queries.txt"
    queries.write_text("".join(queries.read_text().splitlines(keepends=True)[:-1]))
    assert evaluate(data, out).exit_code == 0
    measured = json.loads(out.read_text())["params"]["counts"]["queries"]
    assert measured == written["params"]["counts"]["queries"] - 1


def test_other_data_must_have_the_published_counts(data: Path, tmp_path: Path) -> None:
    """What was not built here counts as the published data, and a part of it is refused."""
    (data / "build.json").unlink()
    result = evaluate(data, tmp_path / "result.json")
    assert result.exit_code == 1
    assert result.output == "Error: 48 train images; the benchmark has 172,049\n"
    assert not (tmp_path / "result.json").exists()


@pytest.mark.parametrize(("content", "reason"), [(None, "No such file or directory"), (b"no picture", "")])
def test_a_picture_that_cannot_be_read_is_named(
    data: Path, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    """A missing or damaged picture ends the run with its path."""
    picture = data / (data / "test_queries.txt").read_text().split()[0]
    picture.unlink()
    if content:
        picture.write_bytes(content)
    result = evaluate(data, tmp_path / "result.json")
    assert result.exit_code == 1
    assert result.output.splitlines()[-1].startswith(f"Error: {picture}: {reason}")
