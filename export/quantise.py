"""fp32 graphs to int8 for CPUs and to fp16 for GPUs."""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.calibrate import (
    CalibrationMethod,
    TensorData,
    TensorsData,
    create_calibrator,
    save_tensors_data,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

from export.choice import Ranges
from export.errors import ExportError
from export.parity import REFUSALS, Feeds
from vitrine.tensors import MAX_BATCH_SIZE

_QUANTISED = ("Conv", "MatMul", "Gemm")
"""Where the time goes. The rest stays float: layer normalisation and softmax lose more than they save."""


def calibrate(graph: Path, feeds: Feeds) -> Ranges:
    """Return the ranges of an fp32 graph's tensors on these inputs; int8 takes its scales from them."""
    with _prepared(graph) as prepared:
        augmented = prepared.with_name("augmented.onnx")
        calibrator = create_calibrator(prepared, list(_QUANTISED), augmented_model_path=str(augmented))
        calibrator.collect_data(_Reader(feeds))
        found = calibrator.compute_data()
    return {name: (float(seen.lowest.min()), float(seen.highest.max())) for name, seen in found.items()}


def quantise(graph: Path, out: Path, ranges: Ranges, *, pointwise: bool = False) -> None:
    """Write a graph with int8 weights per channel and uint8 activations, as QuantizeLinear/DequantizeLinear.

    Weights keep to seven bits: two products with an unsigned byte then fit into the 16 bits in which processors
    without VNNI add them up, so every processor gives the same embeddings.

    Args:
        graph: the fp32 graph.
        out: the file to write.
        ranges: of the graph, as `calibrate` gives them.
        pointwise: leave everything but convolutions of one place as it is.

    Raises:
        ExportError: the ranges are of another graph.
    """
    with _prepared(graph) as prepared:
        known = prepared.with_name("ranges.json")
        save_tensors_data(_tensors_data(ranges), known)
        try:
            quantize_static(
                prepared,
                out,
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                op_types_to_quantize=["Conv"] if pointwise else list(_QUANTISED),
                nodes_to_quantize=_pointwise(prepared) if pointwise else None,
                calibration_cache_path=known,
            )
        except ValueError as error:
            raise ExportError(f"{graph}: calibrated as another graph: {error}") from None


def halve(graph: Path, out: Path) -> None:
    """Write a graph with fp16 weights and arithmetic; inputs and outputs keep their dtypes.

    The precision is in the graph itself, which is what strongly typed TensorRT and ONNX Runtime's CUDA provider take.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tells of every weight that fp16 rounds to its smallest number
        halved = convert_float_to_float16(onnx.load(graph), keep_io_types=True)
    onnx.save(halved, out)


def _pointwise(graph: Path) -> list[str]:
    """Return the names of the convolutions whose kernel is one place."""
    body = onnx.load(graph).graph
    kernels = {tensor.name: tensor.dims[2:] for tensor in body.initializer}
    return [
        node.name
        for node in body.node
        if node.op_type == "Conv" and set(kernels.get(node.input[1], [0])) == {1}
    ]


@contextmanager
def _prepared(graph: Path) -> Iterator[Path]:
    """Prepare the graph as quantisation wants it, in a folder of its own; ExportError where it or the folder is bad."""
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "prepared.onnx"
        try:
            # The exporter wrote every shape; ONNX Runtime's symbolic inference adds nothing to them.
            quant_pre_process(graph, prepared, skip_symbolic_shape=True)
        except REFUSALS as error:
            raise ExportError(f"{graph}: cannot be prepared in {scratch}: {error}") from None
        yield prepared


def _tensors_data(ranges: Ranges) -> TensorsData:
    data = {
        name: TensorData(lowest=np.array(low, np.float32), highest=np.array(high, np.float32))
        for name, (low, high) in ranges.items()
    }
    return TensorsData(CalibrationMethod.MinMax, data)


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # its module carries no types
    """Hands out the rows, a batch at a time."""

    def __init__(self, feeds: Feeds) -> None:
        rows = len(next(iter(feeds.values())))
        starts = range(0, rows, MAX_BATCH_SIZE)
        batches = [{name: feed[s : s + MAX_BATCH_SIZE] for name, feed in feeds.items()} for s in starts]
        self._batches = iter(batches)

    def get_next(self) -> Feeds | None:
        """Return the next batch, None after the last."""
        return next(self._batches, None)
