"""The classifier of moderation, put into a repository: its pixels are prepared in the graph."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.errors import ExportError
from export.model_config import read_config
from export.nudity import add_classifier, largest_difference, with_preprocessing
from vitrine.tensors import NUDITY


def classifier() -> onnx.ModelProto:
    """A graph with the tensors of the package's, whose second score is the mean of what is blue, less what is red."""
    weights = np.array([[0, 1], [0, 0], [0, -1]], np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["input:0"], ["means"], axes=[1, 2], keepdims=0),
            helper.make_node("MatMul", ["means", "weights"], ["outputs"]),
        ],
        "classifier",
        [helper.make_tensor_value_info("input:0", TensorProto.FLOAT, ["n", 224, 224, 3])],
        [helper.make_tensor_value_info("outputs", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)])
    model.ir_version = 4
    return model


@pytest.mark.parametrize("side", [224, 64])
def test_pixels_of_any_size_are_prepared_as_the_network_wants_them(side: int) -> None:
    """Blue first, less the means, at 224 x 224: each row by itself."""
    pixels = np.random.default_rng(3).integers(0, 256, (3, side, side, 3), np.uint8)
    session = onnxruntime.InferenceSession(with_preprocessing(classifier()).SerializeToString())
    (scores,) = session.run(["nudity"], {"pixels": pixels})
    red, _, blue = pixels.astype(np.float64).mean((1, 2)).T
    assert scores.shape == (3, 1)
    assert scores[:, 0] == pytest.approx((blue - 104) - (red - 123), abs=0.05 if side == 224 else 2)


def test_a_repository_gets_a_model_of_its_own(tmp_path: Path) -> None:
    """With the configuration of its target, beside what was published; where nothing was, it says what to do."""
    source = tmp_path / "source.onnx"
    onnx.save(classifier(), source)
    with pytest.raises(ExportError, match="python -m export publish"):
        add_classifier(tmp_path, "local", source)
    (tmp_path / "manifest.json").write_text("{}")
    for target, backend, files in (
        ("onnxruntime", "onnxruntime", {"model.onnx"}),
        ("local", "python", {"model.onnx", "model.py"}),
    ):
        folder = add_classifier(tmp_path, target, source)  # type: ignore[arg-type] # a literal in a loop
        config = read_config(folder / "config.pbtxt")
        assert (config.name, config.backend) == (NUDITY.name, backend)
        assert {each.name for each in (folder / "1").iterdir()} >= files
        named = [(each.name, tuple(each.dims)) for each in (*config.input, *config.output)]
        assert named == [(each.name, each.shape) for each in (*NUDITY.inputs, *NUDITY.outputs)]
    with pytest.raises(ExportError, match=r"requirements/nudity\.txt"):
        add_classifier(tmp_path, "local")


def test_other_scores_than_the_packages_are_seen() -> None:
    """By value, on the same pixels: none for what is published, and much for a graph whose colours are in another order."""
    own = classifier()
    assert largest_difference(with_preprocessing(own), own) < 0.01  # of means of up to 255
    turned = classifier()
    turned.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(np.array([[0, -1], [0, 0], [0, 1]], np.float32), "weights")
    )
    assert largest_difference(with_preprocessing(turned), own) > 1
