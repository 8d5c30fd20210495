"""The torch encoders as ONNX graphs: dynamic batch, uint8 pixels in, L2-normalised float32 out.

Names and shapes come from vitrine.tensors. Normalisation of pixels and of embeddings is part of the graphs, and
batch normalisation is folded into the convolutions, so a graph is all that a server needs.
"""

import logging
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from encoders.checkpoint import CheckpointError, Encoders, load_encoders
from export.errors import ExportError
from vitrine.tensors import ENCODERS, MAX_BATCH_SIZE, ModelSpec, TensorSpec

OPSET = 20
"""Inside what ONNX Runtime 1.31 and the parser of TensorRT (opsets 9 to 25 in release 11) read."""

_DTYPES = {"UINT8": torch.uint8, "INT64": torch.int64, "FP32": torch.float32}

# The exporter reports every package that it knows and does not find.
logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)


def graph_path(folder: Path, name: str) -> Path:
    """Say where the graph of an encoder lies."""
    return folder / f"{name}.onnx"


def load_family(weights: Path) -> Encoders:
    """Read the networks of a family.

    Raises:
        ExportError: a file is missing or does not fit.
    """
    try:
        return load_encoders(weights)
    except CheckpointError as error:
        raise ExportError(str(error)) from None


def export_family(encoders: Encoders, folder: Path) -> None:
    """Write `<name>.onnx` for each encoder, making the folder where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = encoders.parts()
    for spec in ENCODERS:
        onnx.save(export_graph(parts[spec.name], spec), graph_path(folder, spec.name))


def export_graph(network: nn.Module, spec: ModelSpec) -> onnx.ModelProto:
    """Give the graph of one network in evaluation mode, checked and free of the exporter's notes."""
    batch = torch.export.Dim("batch", min=1, max=MAX_BATCH_SIZE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates parts that its own exporter still uses
        program = torch.onnx.export(
            network.eval(),
            tuple(_example(tensor) for tensor in spec.inputs),
            dynamo=True,
            opset_version=OPSET,
            input_names=[tensor.name for tensor in spec.inputs],
            output_names=[tensor.name for tensor in spec.outputs],
            dynamic_shapes=tuple({0: batch} for _ in spec.inputs),
            verbose=False,
        )
    assert program is not None  # only the exporter before dynamo gives None
    graph: onnx.ModelProto = program.model_proto
    _strip_notes(graph)
    onnx.checker.check_model(graph, full_check=True)
    return graph


def _example(tensor: TensorSpec) -> Tensor:
    # Two rows: torch.export would take a batch of one for a constant.
    return torch.ones((2, *tensor.shape), dtype=_DTYPES[tensor.dtype])


def _strip_notes(graph: onnx.ModelProto) -> None:
    """Drop the stack traces that the exporter leaves on every node: they tell of this machine and nothing else."""
    body = graph.graph
    for part in (graph, body, *body.node, *body.input, *body.output, *body.value_info, *body.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
