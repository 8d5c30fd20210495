"""Whether TensorRT's parser knows every operator of a graph, with the type of tensor that it is given.

The list is the parser's own documentation, of the release that tensorrt_operators.json names; later releases know
more. That an operator is listed does not promise a plan: the GPU that serves has the last word.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from export.errors import ExportError
from export.to_onnx import graph_path
from vitrine.tensors import ENCODERS

_LIST = Path(__file__).with_name("tensorrt_operators.json")
_TYPES: dict[int, str] = {
    TensorProto.FLOAT: "FP32",
    TensorProto.FLOAT16: "FP16",
    TensorProto.BFLOAT16: "BF16",
    TensorProto.INT32: "INT32",
    TensorProto.INT64: "INT64",
    TensorProto.INT8: "INT8",
    TensorProto.UINT8: "UINT8",
    TensorProto.BOOL: "BOOL",
}


def check_operators(graphs: Path) -> list[str]:
    """Hold every graph of a folder against the list; give a line for each.

    Raises:
        ExportError: a graph is missing or corrupt, or TensorRT would refuse some of it; names every operator.
    """
    known = json.loads(_LIST.read_text(encoding="utf-8"))
    lines = []
    for spec in ENCODERS:
        path = graph_path(graphs, spec.name)
        graph = read_graph(path)
        if complaints := sorted(set(_complaints(graph, known))):
            raise ExportError(f"{path}: TensorRT {known['tensorrt']} refuses {'; '.join(complaints)}")
        operators = {node.op_type for node in graph.graph.node}
        lines.append(
            f"{path}: {len(graph.graph.node)} nodes of {len(operators)} operators, all in the list of "
            f"TensorRT {known['tensorrt']}"
        )
    return lines


def read_graph(path: Path) -> onnx.ModelProto:
    """Read a graph with the type of every tensor.

    Raises:
        ExportError: it is missing or corrupt.
    """
    try:
        return onnx.shape_inference.infer_shapes(onnx.load(path))
    except FileNotFoundError:
        raise ExportError(f"{path}: missing; `python -m export onnx` writes it") from None
    except (DecodeError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"{path}: no ONNX graph: {error}") from None


def _complaints(graph: onnx.ModelProto, known: dict[str, object]) -> Iterator[str]:
    opsets = {entry.domain: entry.version for entry in graph.opset_import}
    if not int(str(known["lowest_opset"])) <= opsets[""] <= int(str(known["highest_opset"])):
        yield f"opset {opsets['']}"
    supported = known["types"]
    assert isinstance(supported, dict)
    types = _types(graph.graph)
    for node in graph.graph.node:
        operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        # The first input carries the data; the condition of a Where does not.
        data = next(iter(node.input[1:] if operator == "Where" else node.input), "")
        if operator not in supported:
            yield operator
        elif data and types.get(data, "an unknown type") not in supported[operator]:
            yield f"{operator} of {types.get(data, 'an unknown type')}"


def _types(graph: onnx.GraphProto) -> dict[str, str]:
    values = [
        (value.name, value.type.tensor_type.elem_type)
        for value in (*graph.input, *graph.value_info, *graph.output)
    ]
    values += [(tensor.name, tensor.data_type) for tensor in graph.initializer]
    return {name: _TYPES.get(number, "an unknown type") for name, number in values}
