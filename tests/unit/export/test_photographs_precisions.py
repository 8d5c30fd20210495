"""`python -m export precisions`: every precision of the image encoder measured on a shop's photographs."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto
from PIL import Image

from export.cli import main
from export.quantise import calibrate, quantise
from export.to_onnx import graph_path
from vitrine.tensors import IMAGE_SIZE

pytestmark = pytest.mark.slow


def shop(folder: Path, *, title: str = "thing no. {}") -> Path:
    """Write a catalogue of 48 products, a third of them to be searched for."""
    folder.mkdir()
    rows = ["id,title,category,colour,image,split"]
    source = np.random.default_rng(0)
    for number in range(48):
        pixels = source.integers(0, 256, (IMAGE_SIZE, IMAGE_SIZE, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.jpg")
        split = "train" if number % 3 else "val"
        rows.append(f"{number},{title.format(number)},thing,red,{number}.jpg,{split}")
    (folder / "products.csv").write_text("\n".join(rows) + "\n")
    return folder


def measured(weights: Path, graphs: Path, data: Path, out: Path) -> str:
    options = ["--weights", str(weights), "--graphs", str(graphs), "--data", str(data), "--out", str(out)]
    return CliRunner().invoke(main, ["precisions", *options]).output


def test_each_precision_has_its_recall_and_its_cost(weights: Path, graphs: Path, tmp_path: Path) -> None:
    """fp32 loses nothing to itself, the others are near it and smaller, and what is served passes."""
    out = tmp_path / "result.json"
    assert "the fastest that passes" in measured(weights, graphs, shop(tmp_path / "shop"), out)
    result = json.loads(out.read_text())
    assert (result["params"]["photographs"], result["params"]["calibrated_on"]) == (16, 32)
    figures = result["results"]["precisions"]
    assert list(figures) == ["fp32", "int8", "int8, pointwise", "fp16"]
    assert figures["fp32"]["lost"] == {"R@1": 0, "R@10": 0}
    assert figures["fp32"]["passes"]
    for each in figures.values():
        assert each["cosine_mean"] > 0.98
        assert each["megabytes"] <= figures["fp32"]["megabytes"]
        assert [case["batch"] for case in each["timing"]] == [1, 8, 32]
    assert figures[result["results"]["served"]]["passes"]


def test_pointwise_leaves_the_other_convolutions_as_they_are(graphs: Path, tmp_path: Path) -> None:
    """Only kernels of one place hold int8."""
    graph, out = graph_path(graphs, "image_encoder"), tmp_path / "out.onnx"
    pixels = np.random.default_rng(0).integers(0, 256, (8, IMAGE_SIZE, IMAGE_SIZE, 3)).astype(np.uint8)
    quantise(graph, out, calibrate(graph, {"pixels": pixels}), pointwise=True)
    kinds = {
        (tensor.data_type, tuple(tensor.dims[2:]))
        for tensor in onnx.load(out).graph.initializer
        if len(tensor.dims) == 4
    }
    assert (TensorProto.INT8, (1, 1)) in kinds
    assert {kernel for kind, kernel in kinds if kind == TensorProto.INT8} == {(1, 1)}
    assert any(kind == TensorProto.FLOAT and kernel != (1, 1) for kind, kernel in kinds)


def test_data_without_titles_is_one_plain_line(weights: Path, graphs: Path, tmp_path: Path) -> None:
    """What cannot be searched for is said, and nothing is written."""
    out = tmp_path / "result.json"
    said = measured(weights, graphs, shop(tmp_path / "shop", title=""), out)
    assert "no product of the split val has a title" in said
    assert not out.exists()
