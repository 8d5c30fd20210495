"""A ranker as an ONNX graph, for whoever serves it elsewhere: Triton, or a program of their own."""

from pathlib import Path

import numpy as np

from gateway.retrieval.ranker import LinearRanker

OPSET = 17


def export_onnx(ranker: LinearRanker, path: Path) -> None:
    """Write the graph: features FP32 [n, f] in the ranker's order, nan for what is not known, to value FP32 [n]."""
    import onnx  # noqa: PLC0415 - of the environment that exports; a ranker is trained and served without it
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415

    def constant(name: str, values: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> onnx.TensorProto:
        return numpy_helper.from_array(values.astype(np.float32), name)

    nodes = [
        helper.make_node("Sub", ["features", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "scale"], ["scaled"]),
        helper.make_node("IsNaN", ["scaled"], ["unknown"]),
        helper.make_node("Where", ["unknown", "zero", "scaled"], ["known"]),
        helper.make_node("MatMul", ["known", "weights"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["value"]),
    ]
    graph = helper.make_graph(
        nodes,
        "ranker",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", len(ranker.features)])],
        [helper.make_tensor_value_info("value", TensorProto.FLOAT, ["n"])],
        [
            constant("mean", ranker.mean),
            constant("scale", ranker.scale),
            constant("weights", ranker.weights),
            constant("zero", np.zeros(1)),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    helper.set_model_props(model, {"features": ",".join(ranker.features)})
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())
