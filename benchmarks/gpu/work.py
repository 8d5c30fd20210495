"""What a graph has to compute and to move, counted from the graph itself.

Operations are those of matrix products and convolutions, two for each multiplication with its addition; the rest is not
counted. Bytes are what has to cross the memory at least once: weights, inputs and outputs. Of a table that is looked up in, only
the rows that are looked up count. What a device makes in between and writes to its memory comes on top, so that the roofline
is above what any program reaches.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import inliner

from benchmarks.gpu.errors import GpuBenchError

Feeds = Mapping[str, NDArray[Any]]
"""A graph's inputs by name, rows first."""

_OPERATIONS_PER_PRODUCT = 2
_Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Of one execution."""

    flops: float
    bytes: float


def count_work(path: Path, feeds: Feeds, batches: Sequence[int]) -> dict[int, Work]:
    """Count the work of a graph at each batch, from the shapes that ONNX Runtime sees with one row and with two.

    A graph may cut the padding of its texts off, so that all rows of a batch cost what the longest one does.

    Args:
        path: the graph.
        feeds: rows that batches are made of: a larger batch has them several times.
        batches: rows of an execution.

    Raises:
        GpuBenchError: the graph cannot be read, or multiplies matrices in a way that is not counted here.
    """
    counted = _Counter(_read(path), feeds)
    one, two = counted.at([0]), counted.at([0, 0])
    fixed = Work(flops=2 * one.flops - two.flops, bytes=2 * one.bytes - two.bytes)
    rows = [one, *(counted.at([n]) for n in range(1, _rows_to_count(feeds, max(batches))))]
    return {
        batch: Work(
            flops=fixed.flops + batch * max(row.flops - fixed.flops for row in rows[:batch]),
            bytes=fixed.bytes + batch * max(row.bytes - fixed.bytes for row in rows[:batch]),
        )
        for batch in batches
    }


def _rows_to_count(feeds: Feeds, batch: int) -> int:
    """Return how many rows may differ in their work: texts, which are tokens, may; all others are of one size."""
    texts = any(rows.dtype == np.int64 for rows in feeds.values())
    return min(batch, len(next(iter(feeds.values())))) if texts else 1


def _read(path: Path) -> onnx.ModelProto:
    try:
        graph: onnx.ModelProto = inliner.inline_local_functions(onnx.load(path))
    except (OSError, DecodeError) as error:
        raise GpuBenchError(f"{path}: is no ONNX graph: {error}") from error
    unknown = {node.op_type for node in _every_node(graph.graph)} & _NOT_COUNTED
    inner = {node.op_type for node in _inner_nodes(graph.graph)} & _COUNTED.keys()
    if unknown or inner:
        names = ", ".join(sorted(unknown | inner))
        raise GpuBenchError(f"{path}: the work of {names} is not counted here, so it has no roofline")
    return graph


class _Counter:
    """Counts executions of one graph, without optimisation, on the CPU."""

    def __init__(self, graph: onnx.ModelProto, feeds: Feeds) -> None:
        self._body = graph.graph
        self._feeds = feeds
        self._weights = {each.name: tuple(each.dims) for each in self._body.initializer}
        self._looked_up = _tables(self._body)
        self._session = _open(_with_outputs(graph, feeds))

    def at(self, rows: Sequence[int]) -> Work:
        """Return the work of these rows."""
        feeds = {name: each[list(rows)] for name, each in self._feeds.items()}
        names = [each.name for each in self._session.get_outputs()]
        values = dict(zip(names, self._session.run(names, feeds), strict=True)) | feeds
        shapes = {name: value.shape for name, value in values.items()} | self._weights
        flops = sum(
            _OPERATIONS_PER_PRODUCT * _COUNTED[node.op_type](node, shapes)
            for node in self._body.node
            if node.op_type in _COUNTED
        )
        ends = [*feeds, *(each.name for each in self._body.output), *chain(*self._looked_up.values())]
        moved = self._weights_read() + sum(values[name].nbytes for name in ends)
        return Work(flops=float(flops), bytes=float(moved))

    def _weights_read(self) -> int:
        return sum(
            prod(each.dims) * onnx.helper.tensor_dtype_to_np_dtype(each.data_type).itemsize
            for each in self._body.initializer
            if each.name not in self._looked_up
        )


def _with_outputs(graph: onnx.ModelProto, feeds: Feeds) -> onnx.ModelProto:
    """Return the graph with every tensor that counting asks for among its outputs."""
    body = graph.graph
    wanted = {
        name
        for node in body.node
        if node.op_type in _COUNTED or node.op_type == "Gather"
        for name in (*node.input, *node.output)
    }
    known = (
        {each.name for each in body.initializer} | {each.name for each in body.output} | feeds.keys() | {""}
    )
    asked = onnx.ModelProto()
    asked.CopyFrom(graph)
    asked.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(wanted - known))
    return asked


def _open(graph: onnx.ModelProto) -> Any:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _tables(body: onnx.GraphProto) -> dict[str, list[str]]:
    """Return the weights that are looked up in by their first axis and used for nothing else, with what the look-ups give."""
    weights = {each.name for each in body.initializer}
    looked_up: dict[str, list[str]] = {}
    other: set[str] = set()
    for node in body.node:
        by_row = node.op_type == "Gather" and all(a.name != "axis" or a.i == 0 for a in node.attribute)
        for place, name in enumerate(node.input):
            if by_row and place == 0 and name in weights:
                looked_up.setdefault(name, []).append(node.output[0])
            else:
                other.add(name)
    return {name: outputs for name, outputs in looked_up.items() if name not in other}


def _matrix_product(node: onnx.NodeProto, shapes: Mapping[str, _Shape]) -> int:
    return prod(_output(node, shapes)) * shapes[node.input[0]][-1]


def _general_product(node: onnx.NodeProto, shapes: Mapping[str, _Shape]) -> int:
    transposed = any(each.name == "transA" and each.i for each in node.attribute)
    return prod(_output(node, shapes)) * shapes[node.input[0]][0 if transposed else 1]


def _convolution(node: onnx.NodeProto, shapes: Mapping[str, _Shape]) -> int:
    # A filter is (outputs, inputs of its group, height, width).
    return prod(_output(node, shapes)) * prod(shapes[node.input[1]][1:])


def _output(node: onnx.NodeProto, shapes: Mapping[str, _Shape]) -> _Shape:
    return shapes[node.output[0]]


_COUNTED: dict[str, Callable[[onnx.NodeProto, Mapping[str, _Shape]], int]] = {
    "MatMul": _matrix_product,
    "Gemm": _general_product,
    "Conv": _convolution,
}
"""Multiplications of a node, by its kind."""

_NOT_COUNTED = {
    "Attention", "ConvInteger", "ConvTranspose", "DeformConv", "Einsum", "GRU", "LSTM", "MatMulInteger", "QLinearConv",
    "QLinearMatMul", "RNN",
}  # fmt: skip
"""Kinds that multiply matrices as well, and that our exporter does not write."""


def _every_node(body: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    yield from body.node
    yield from _inner_nodes(body)


def _inner_nodes(body: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of branches and loops: how often they run is not in the graph."""
    for node in body.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _every_node(attribute.g)
