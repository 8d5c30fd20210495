"""Graphs of texts that compute no more positions than the longest text of their batch has.

A tokenizer fills every text up to the length of its family, and a query has a few words. Where padding changes no
embedding, the graph cuts the columns off that hold nothing else before it looks a word up. TensorRT knows no shape
that the data tell: for its plans the cut is taken out again.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_NAME = "trim_padding"
_KEPT = f"{_NAME}_kept"


def trim_padding(graph: onnx.ModelProto, tokens: str, padding: int) -> None:
    """Cut the columns of padding off an input of token ids, in place.

    Args:
        graph: computes texts of any length from two tokens up.
        tokens: name of its int64 input (n, length), its length fixed.
        padding: the id that fills texts up.
    """
    body = graph.graph
    (given,) = (value for value in body.input if value.name == tokens)
    length = given.type.tensor_type.shape.dim[1].dim_value
    for node in body.node:
        node.input[:] = [_KEPT if name == tokens else name for name in node.input]
    constants = {
        "padding": np.array(padding, np.int64),
        "places": np.arange(1, length + 1, dtype=np.int64),
        "rows": np.array([0], np.int64),
        "columns": np.array([1], np.int64),
        "none": np.array([0], np.int64),
        "least": np.array([2], np.int64),
    }
    body.initializer.extend(numpy_helper.from_array(value, _inner(name)) for name, value in constants.items())
    steps: list[tuple[str, tuple[str, ...], str, dict[str, Any]]] = [
        ("Equal", (tokens, _inner("padding")), "empty", {}),
        ("Not", (_inner("empty"),), "filled", {}),
        ("Cast", (_inner("filled"),), "numbers", {"to": TensorProto.INT64}),
        ("ReduceMax", (_inner("numbers"), _inner("rows")), "used", {"keepdims": 0}),
        ("Mul", (_inner("used"), _inner("places")), "ends", {}),
        ("ReduceMax", (_inner("ends"), _inner("none")), "longest", {"keepdims": 1}),
        ("Max", (_inner("longest"), _inner("least")), "end", {}),
        ("Slice", (tokens, _inner("none"), _inner("end"), _inner("columns")), "kept", {}),
    ]
    nodes = [
        helper.make_node(operator, inputs, [_inner(output)], name=_inner(output), **attributes)
        for operator, inputs, output, attributes in steps
    ]
    for place, node in enumerate(nodes):
        body.node.insert(place, node)


def keep_padding(graph: Path, folder: Path) -> Path:
    """Return a graph without the cut: a copy in the folder, or the graph itself where it has none."""
    model = onnx.load(graph, load_external_data=False)
    nodes = model.graph.node
    cut = next((node for node in nodes if node.output[:] == [_KEPT]), None)
    if cut is None:
        return graph
    tokens = cut.input[0]
    for node in [node for node in nodes if node.name.startswith(_NAME)]:
        nodes.remove(node)
    for node in nodes:
        node.input[:] = [tokens if name == _KEPT else name for name in node.input]
    out = folder / graph.name
    onnx.save(model, out)
    return out


def _inner(name: str) -> str:
    return f"{_NAME}_{name}"
