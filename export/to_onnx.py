"""The torch encoders as ONNX graphs: dynamic batch, uint8 pixels in, L2-normalised float32 out.

Names and shapes come from vitrine.tensors. Normalisation of pixels and of embeddings is part of the graphs, and
batch normalisation is folded into the convolutions, so a graph is all that a server needs.
"""

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from encoders.checkpoint import load_encoders
from encoders.families import FAMILY, PAIR, CheckpointError, Family
from encoders.pair.checkpoint import load_pair
from encoders.pair.networks import PairTextEncoder
from export.errors import ExportError
from export.large import HalvedNetwork, weights_bytes
from export.manifest import open_family
from export.model_config import Precision
from export.padding import trim_padding
from vitrine.tensors import ENCODERS, MAX_BATCH_SIZE, ModelSpec, TensorSpec, sized

OPSET = 20
"""Inside what ONNX Runtime 1.31 and the parser of TensorRT (opsets 9 to 25 in release 11) read."""

LARGEST_GRAPH = 2**31 - 1
"""Bytes that one ONNX file holds, weights included: the limit of its format. What is over it has its weights beside it."""

_DTYPES = {"UINT8": torch.uint8, "INT64": torch.int64, "FP32": torch.float32}

# The exporter reports every package that it knows and does not find.
logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """A family with its torch modules, by the names of their models."""

    family: Family
    parts: Mapping[str, nn.Module]

    def specs(self) -> tuple[ModelSpec, ...]:
        """Return the encoders' tensors with the dims of this family."""
        return tuple(sized(spec, self.family.dimensions) for spec in ENCODERS)


def graph_path(folder: Path, name: str) -> Path:
    """Return where the graph of an encoder lies."""
    return folder / f"{name}.onnx"


def load_family(weights: Path) -> Networks:
    """Read the networks of a family.

    Raises:
        ExportError: a file is missing or does not fit.
    """
    family = open_family(weights)
    try:
        return Networks(family=family, parts=_read_parts(family))
    except CheckpointError as error:
        raise ExportError(str(error)) from None


def export_family(
    networks: Networks, folder: Path, *, large: Precision = "fp16", largest: int = LARGEST_GRAPH
) -> dict[str, Precision]:
    """Write `<name>.onnx` for each encoder, making the folder where it is missing, and return their precisions.

    Args:
        networks: what is exported.
        folder: where to write.
        large: precision of those whose weights in fp32 exceed `largest`: fp16, or fp32. What exceeds it even so has
            its weights in `<name>.onnx.data`.
        largest: bytes of weights that one file holds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    precisions: dict[str, Precision] = {}
    for spec in networks.specs():
        network = networks.parts[spec.name]
        precisions[spec.name] = large if weights_bytes(network) > largest else "fp32"
        if precisions[spec.name] == "fp16":
            network = HalvedNetwork(network)
        path = graph_path(folder, spec.name)
        if weights_bytes(network) > largest:
            _write_with_data(network, spec, path)
        else:
            onnx.save(export_graph(network, spec), path)
    return precisions


def export_graph(network: nn.Module, spec: ModelSpec) -> onnx.ModelProto:
    """Return the graph of one network in evaluation mode, checked and free of the exporter's notes."""
    graph: onnx.ModelProto = _traced(network, spec).model_proto
    _strip_notes(graph)
    _measure_after_cast(graph)
    if isinstance(network, PairTextEncoder):
        (tokens,) = spec.inputs
        _fix_length(graph, tokens)
        trim_padding(graph, tokens.name, network.padding)
    onnx.checker.check_model(graph, full_check=True)
    return graph


def _write_with_data(network: nn.Module, spec: ModelSpec, path: Path) -> None:
    """Write a graph as `export_graph` makes it, with its weights in a file beside it."""
    _traced(network, spec).save(path, external_data=True)
    graph = onnx.load(path, load_external_data=False)
    _strip_notes(graph)
    _measure_after_cast(graph)
    onnx.save(graph, path)
    onnx.checker.check_model(str(path), full_check=True)


def _traced(network: nn.Module, spec: ModelSpec) -> Any:
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
            dynamic_shapes=_shapes(network, spec, batch),
            verbose=False,
        )
    assert program is not None  # only the exporter before dynamo gives None
    return program


def _shapes(network: nn.Module, spec: ModelSpec, batch: Any) -> Any:
    if isinstance(network, PairTextEncoder):  # whose padding is cut off
        (tokens,) = spec.inputs
        return ({0: batch, 1: torch.export.Dim("length", min=2, max=tokens.shape[0])},)
    shapes = tuple({0: batch} for _ in spec.inputs)
    return (shapes,) if isinstance(network, HalvedNetwork) else shapes  # whose forward takes them as one


def _read_parts(family: Family) -> Mapping[str, nn.Module]:
    if family.name == FAMILY:
        return load_encoders(family.folder).parts()
    if family.name == PAIR:
        return load_pair(family.folder).parts()
    # Imported here because transformers takes seconds, and our own weights do without.
    if family.name == "paper":
        from encoders.paper.loading import load_paper  # noqa: PLC0415

        return load_paper(family)
    from encoders.pretrained import load_pretrained  # noqa: PLC0415

    return load_pretrained(family)


def _example(tensor: TensorSpec) -> Tensor:
    # Two rows: torch.export would take a batch of one for a constant.
    return torch.ones((2, *tensor.shape), dtype=_DTYPES[tensor.dtype])


def _fix_length(graph: onnx.ModelProto, tokens: TensorSpec) -> None:
    """Say that texts come in the family's length, which the trace left open."""
    (given,) = graph.graph.input
    given.type.tensor_type.shape.dim[1].dim_value = tokens.shape[0]


def _measure_after_cast(graph: onnx.ModelProto) -> None:
    """Take the shape of a tensor of bytes after its cast: TensorRT takes bytes as an input and casts them, no more."""
    nodes = graph.graph.node
    casts = {node.input[0]: node for node in nodes if node.op_type == "Cast"}
    inputs = {value.name for value in graph.graph.input}
    measured = [node for node in nodes if node.op_type == "Shape" and node.input[0] in inputs & casts.keys()]
    for node in measured:
        cast = casts[node.input[0]]
        nodes.remove(cast)
        nodes.insert(0, cast)
        node.input[0] = cast.output[0]


def _strip_notes(graph: onnx.ModelProto) -> None:
    """Drop the stack traces that the exporter leaves on every node: they tell of this machine and nothing else."""
    body = graph.graph
    for part in (graph, body, *body.node, *body.input, *body.output, *body.value_info, *body.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
