"""The command from data to a result file, with the small encoders on made-up pictures."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper
from PIL import Image

from encoders.__main__ import main
from encoders.families import read_family
from encoders.photographs.embedder import RememberingEmbedder, digest_of_weights, open_embedder
from encoders.photographs.gallery import Failure
from encoders.photographs.measure import CUSTOMERS, GROCERIES, PRODUCTS, kind_of, measure, read_data
from encoders.photographs.products import DataError
from encoders.photographs.runs import merge_runs
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


def test_a_fusion_that_reads_text_is_given_the_texts_embedding() -> None:
    """The family `pair` holds its table of words once."""
    family, embedder = open_embedder(WEIGHTS)
    given = []

    def fusion(references: np.ndarray, words: np.ndarray) -> np.ndarray:
        given.append(words)
        return references

    reading = replace(
        embedder, networks={**embedder.networks, "fusion_encoder": fusion}, fusion_reads_text=True
    )
    references = np.eye(2, family.dimensions.embedding_dim, dtype=np.float32)
    assert reading.compose(references, ["red", "blue"]).tolist() == references.tolist()
    assert np.array_equal(given[0], embedder.texts(["red", "blue"]))


@pytest.mark.parametrize("published", [False, True])
def test_graphs_are_run_in_place_of_the_networks(tmp_path: Path, *, published: bool) -> None:
    """A folder of graphs, or a repository of models; the digest is another one."""
    for name, fill in (("image_encoder", 0.0), ("text_encoder", 1.0), ("fusion_encoder", 2.0)):
        path = tmp_path / name / "1" / "model.onnx" if published else tmp_path / f"{name}.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(_constant_graph(fill, inputs=2 if name == "fusion_encoder" else 1), path)
    family, embedder = open_embedder(WEIGHTS, graphs=tmp_path)
    images = embedder.images([solid("red")])
    assert [images[0, 0], embedder.texts(["red"])[0, 0], embedder.compose(images, ["red"])[0, 0]] == [
        0.0,
        1.0,
        2.0,
    ]
    assert digest_of_weights(family, graphs=tmp_path) != digest_of_weights(family)


def _constant_graph(fill: float, *, inputs: int) -> onnx.ModelProto:
    """Return a graph that answers one number whatever it is given."""
    word = TensorProto.INT64 if fill else TensorProto.UINT8
    kinds = [TensorProto.FLOAT, TensorProto.INT64] if inputs == 2 else [word]
    return helper.make_model(
        helper.make_graph(
            [
                helper.make_node(
                    "Constant", [], ["y"], value=helper.make_tensor("v", TensorProto.FLOAT, [1, 1], [fill])
                )
            ],
            "g",
            [helper.make_tensor_value_info(f"x{place}", kind, None) for place, kind in enumerate(kinds)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])],
        ),
        ir_version=8,
        opset_imports=[helper.make_opsetid("", 17)],
    )


def test_several_trainings_give_mean_and_range() -> None:
    runs = [
        {"t": {"asked": "q", "ways": {"w": {"R@1": [value, error], "queries": 3, "n": [None, None]}}}}
        for value, error in ((30.0, 1.0), (36.0, 2.0))
    ]
    assert merge_runs(runs[:1]) == runs[0]
    assert merge_runs(runs) == {
        "t": {
            "asked": "q",
            "ways": {"w": {"R@1": [33.0, 1.5, 30.0, 36.0], "queries": 3, "n": [None, None]}},
        }
    }


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
        assert sheet.size == (1176, 356)
        colours = [sheet.convert("RGB").getpixel((210 + 64 + column * 138, 64)) for column in range(4)]
    assert np.allclose(colours, [(255, 0, 0), (0, 0, 255), (0, 128, 0), (255, 255, 255)], atol=12)
