"""The command from data to a result file, with the small encoders on made-up pictures."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image

from encoders.__main__ import main
from encoders.families import read_family
from encoders.photographs.embedder import RememberingEmbedder, digest_of_weights, open_embedder
from encoders.photographs.gallery import Failure
from encoders.photographs.measure import CUSTOMERS, GROCERIES, PRODUCTS, kind_of, measure, read_data
from encoders.photographs.products import DataError
from encoders.photographs.sheets import draw_sheet
from tests.unit.encoders.photographs.conftest import Known, Make, solid

WEIGHTS = Path("encoders/weights/small")


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


def _row(name: str, split: str, colour: str, **more: object) -> dict[str, object]:
    return {"id": name, "split": split, "image": {"bytes": solid(colour), "path": None}, **more}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with a shop of two colours and photographs of two classes."""
    folder = tmp_path / "data"
    folder.mkdir()
    shop = [
        _row(
            f"{split}-{colour}-{n}",
            split,
            colour,
            title=f"{colour} mug {'abcde'[n]}",
            base_colour=colour,
            type="Mugs",
        )
        for split in ("val", "test")
        for colour in ("red", "blue")
        for n in range(5)
    ]
    photos = [
        _row(f"{split}-{label}", split, colour, label=label)
        for split in ("train", "val", "test")
        for label, colour in (("hat", "red"), ("skirt", "blue"))
    ]
    _write(folder / "shop.parquet", shop)
    _write(folder / "photos.parquet", photos)
    return folder


def _run(data: Path, tmp_path: Path, *more: str) -> str:
    places = ["--data", str(data), "--out", str(tmp_path / "r.json"), "--work", str(tmp_path / "work")]
    result = CliRunner().invoke(main, ["photographs", *places, "--weights", str(WEIGHTS), *more])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_run_writes_figures_that_a_second_run_leaves_alone(data: Path, tmp_path: Path) -> None:
    """The result names data and weights; other data are measured anew."""
    _run(data, tmp_path)
    result = json.loads((tmp_path / "r.json").read_text())
    assert result["params"]["photographs"] == {"photos": 6, "shop": 20}
    assert set(result["params"]["data"]) == {"photos", "shop"}
    measured = result["results"]
    assert measured["title to picture"]["ways"]["encoders"]["queries"] == 10
    assert measured["composed: replace one colour with another"]["ways"]["fusion"]["queries"] == 10
    assert measured["customers' photographs"]["ways"]["nearest prototype, labels seen"]["right"] == [
        100.0,
        0.0,
    ]
    assert measured["languages: words"] == {
        "asked": "Left out: the vocabulary has no word for the colours and articles of this data.",
        "ways": {},
    }
    assert "measured already" in _run(data, tmp_path)
    _write(data / "photos.parquet", [_row("a", "test", "red", label="hat")])
    assert "measured already" not in _run(data, tmp_path)
    assert (
        "Left out"
        in json.loads((tmp_path / "r.json").read_text())["results"]["customers' photographs"]["asked"]
    )


def test_pictures_are_embedded_once(tmp_path: Path) -> None:
    known = Known({b"a": [1.0, 0.0], b"b": [0.0, 1.0]})
    remembering = RememberingEmbedder(known, tmp_path, "w")
    for _ in range(2):
        assert remembering.images([b"a", b"b"]).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert known.calls == 1
    assert remembering.images([b"b", b"a"]).tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert known.calls == 2


def test_a_family_is_fed_as_serving_feeds_it() -> None:
    """Unit vectors; a text is what it is alone in a batch; the digest names the weights."""
    family, embedder = open_embedder(WEIGHTS)
    images = embedder.images([solid("red"), solid("blue")])
    texts = embedder.texts(["red dress", "blue dress"])
    composed = embedder.compose(images, ["replace red with blue", "make it red"])
    assert np.allclose(np.linalg.norm(np.concatenate([images, texts, composed]), axis=1), 1, atol=1e-5)
    assert np.allclose(embedder.texts(["blue dress"])[0], texts[1], atol=1e-5)
    assert digest_of_weights(family) == digest_of_weights(read_family(WEIGHTS))


def test_a_damaged_picture_is_named() -> None:
    _, embedder = open_embedder(WEIGHTS)
    with pytest.raises(DataError, match=r"the picture with SHA-256 \w{12}... is truncated or damaged"):
        embedder.images([solid("red")[:-30]])


def test_what_a_set_is_shows_in_its_rows(make: Make) -> None:
    assert kind_of([make("a", title="Mug")]) == PRODUCTS
    assert kind_of([make("a", label="hat")]) == CUSTOMERS
    assert kind_of([make("a", title="Mug", fine="Mug"), make("b", fine="Mug")]) == GROCERIES
    with pytest.raises(DataError, match="no title and no column `label`"):
        kind_of([make("a")])


def test_bad_input_is_one_line(tmp_path: Path, data: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        read_data([tmp_path / "nowhere.parquet"])
    arguments = ["photographs", "--data", str(data), "--weights", str(tmp_path)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    result = CliRunner().invoke(main, [*arguments[:3], "--graphs", str(tmp_path)])
    assert "image_encoder.onnx: missing; `python -m export onnx` writes it" in result.output


def test_a_split_without_photographs_is_said(tmp_path: Path) -> None:
    _write(tmp_path / "shop.parquet", [_row("a", "train", "red", title="Mug")])
    read = read_data([tmp_path / "shop.parquet"])
    results = measure(read, Known({solid("red"): [1.0]}), tmp_path / "sheets")
    assert results["title to picture"]["asked"] == "Left out: shop has no photographs in the split test."


def test_a_sheet_shows_what_was_asked_wanted_and_found(tmp_path: Path) -> None:
    failure = Failure(
        asked="make it blue",
        reference=solid("red"),
        wanted=solid("blue"),
        found=((solid("green"), "found", False),),
    )
    draw_sheet([failure, failure], tmp_path / "sheets" / "s.jpg")
    with Image.open(tmp_path / "sheets" / "s.jpg") as sheet:
        assert sheet.size == (1176, 344)
        colours = [sheet.convert("RGB").getpixel((210 + 64 + column * 138, 64)) for column in range(4)]
    assert np.allclose(colours, [(255, 0, 0), (0, 0, 255), (0, 128, 0), (255, 255, 255)], atol=12)
