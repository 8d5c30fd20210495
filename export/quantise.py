"""fp32 graphs to int8 for CPUs and to fp16 for GPUs."""

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

from export.parity import Feeds
from export.to_onnx import graph_path
from vitrine.tensors import ENCODERS, MAX_BATCH_SIZE

_QUANTISED = ("Conv", "MatMul", "Gemm")
"""Where the time goes. The rest stays float: layer normalisation and softmax lose more than they save."""


def quantise(graphs: Path, folder: Path, calibration: Mapping[str, Feeds]) -> None:
    """Write every encoder with int8 weights per channel and uint8 activations, as QuantizeLinear/DequantizeLinear.

    Args:
        graphs: the fp32 graphs.
        folder: for the int8 graphs, made where it is missing.
        calibration: inputs of each encoder, by its name; their activations set the scales.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for spec in ENCODERS:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            prepared = Path(scratch) / "prepared.onnx"
            # The exporter wrote every shape; ONNX Runtime's symbolic inference adds nothing to them.
            quant_pre_process(graph_path(graphs, spec.name), prepared, skip_symbolic_shape=True)
            quantize_static(
                prepared,
                graph_path(folder, spec.name),
                _Reader(calibration[spec.name]),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                op_types_to_quantize=list(_QUANTISED),
            )


def halve(graphs: Path, folder: Path) -> None:
    """Write every encoder with fp16 weights and arithmetic; inputs and outputs keep their dtypes.

    The precision is in the graph itself, which is what strongly typed TensorRT and ONNX Runtime's CUDA provider take.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for spec in ENCODERS:
        graph = onnx.load(graph_path(graphs, spec.name))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tells of every weight that fp16 rounds to its smallest number
            halved = convert_float_to_float16(graph, keep_io_types=True)
        onnx.save(halved, graph_path(folder, spec.name))


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # its module carries no types
    """Hands out the rows, a batch at a time."""

    def __init__(self, feeds: Feeds) -> None:
        rows = len(next(iter(feeds.values())))
        starts = range(0, rows, MAX_BATCH_SIZE)
        batches = [{name: feed[s : s + MAX_BATCH_SIZE] for name, feed in feeds.items()} for s in starts]
        self._batches = iter(batches)

    def get_next(self) -> Feeds | None:
        """Give the next batch, None after the last."""
        return next(self._batches, None)
