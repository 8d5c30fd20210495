"""What NVIDIA's own parser and builder say of a graph is told in their words, whatever becomes of their process."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

from export.choice import uniform
from export.cli import main
from export.errors import ExportError
from export.tensorrt_check import Subject, Tried, describe, summary, try_graphs
from export.tensorrt_rtx import Outcome, check_installed, try_graph
from export.to_onnx import graph_path
from vitrine.tensors import ENCODERS

WIDTH = 16


def write_graph(
    path: Path, nodes: Sequence[onnx.NodeProto], *constants: onnx.TensorProto, external: bool = False
) -> Path:
    """Write a graph from `x` to `y`, each of any number of rows."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", WIDTH]) for name in ("x", "y"))
    graph = helper.make_graph(nodes, "graph", [x], [y], constants)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ours", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.save(model, path, save_as_external_data=external, location=f"{path.name}.data", size_threshold=0)
    return path


def weights(name: str = "w") -> onnx.TensorProto:
    return numpy_helper.from_array(np.eye(WIDTH, dtype=np.float32), name)


PRODUCT = helper.make_node("MatMul", ["x", "w"], ["y"], "a_product")


@pytest.mark.slow
@pytest.mark.parametrize("external", [False, True])
def test_a_graph_is_built_for_each_gpu(external: bool, tensorrt_rtx: Path, tmp_path: Path) -> None:  # noqa: FBT001
    """A plan for each, weights beside the graph or in it; Turing's refusal of fp32 is the builder's own."""
    graph = write_graph(tmp_path / "graph.onnx", [PRODUCT], weights(), external=external)
    turing, ampere, blackwell = try_graph(graph, tensorrt_rtx, ("75", "86", "120"))
    assert (turing.capability, turing.plan_bytes) == ("75", 0)
    assert "'a_product' for Turing (SM75): FP32 GEMM is not supported" in turing.refused
    for outcome in (ampere, blackwell):
        assert outcome.refused == ""
        assert outcome.plan_bytes > 4 * WIDTH * WIDTH


@pytest.mark.slow
def test_what_the_parser_refuses_is_refused_once_in_its_words(tensorrt_rtx: Path, tmp_path: Path) -> None:
    """An operator that it does not know, bytes that are no graph, none, and no file; the lack of a GPU is no reason."""
    unknown = write_graph(
        tmp_path / "unknown.onnx", [helper.make_node("Nope", ["x"], ["y"], "a_node", domain="ours")]
    )
    garbage, empty = tmp_path / "garbage.onnx", tmp_path / "empty.onnx"
    garbage.write_bytes(b"no graph")
    empty.touch()
    for graph, words in (
        (unknown, "with name: a_node and operator: Nope"),
        (garbage, "Failed to parse the ONNX model"),
        (empty, "it has no output"),
        (tmp_path / "missing.onnx", "Input file cannot be found"),
    ):
        (outcome,) = try_graph(graph, tensorrt_rtx, ("86", "120"))
        assert outcome.capability == ""
        assert words in outcome.refused
        assert "CUDA driver" not in outcome.refused


@pytest.mark.slow
def test_int8_is_taken_where_biases_are_floats_and_zero_points_zero(
    tensorrt_rtx: Path, tmp_path: Path
) -> None:
    """What keeps the graphs for CPUs from a GPU: a bias in int32, and a zero point that is not zero."""
    found = {}
    for name, bias, zero_point in (
        ("for a GPU", np.float32, 0),
        ("int32 bias", np.int32, 0),
        ("zero point", np.float32, 3),
    ):
        nodes = [
            helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
            helper.make_node("MatMul", ["d", "w"], ["p"]),
            helper.make_node("Add", ["p", "b"], ["y"]),
        ]
        constants = [
            weights(),
            numpy_helper.from_array(np.float32(0.1), "scale"),
            numpy_helper.from_array(np.int8(zero_point), "zero"),
        ]
        if bias is np.int32:
            nodes.insert(0, helper.make_node("DequantizeLinear", ["b8", "scale"], ["b"]))
            constants.append(numpy_helper.from_array(np.ones(WIDTH, np.int32), "b8"))
        else:
            constants.append(numpy_helper.from_array(np.ones(WIDTH, np.float32), "b"))
        graph = write_graph(tmp_path / f"{name}.onnx", nodes, *constants)
        found[name] = try_graph(graph, tensorrt_rtx, ("86",))[0].refused
    assert found["for a GPU"] == ""
    assert "Int32" in found["int32 bias"]
    assert "Non-zero zero point is not supported" in found["zero point"]


@pytest.mark.slow
def test_what_takes_too_long_is_refused_for_that(tensorrt_rtx: Path, tmp_path: Path) -> None:
    """The work on a graph ends at its limit, and every GPU that is left is named."""
    graph = write_graph(tmp_path / "graph.onnx", [PRODUCT], weights())
    outcomes = try_graph(graph, tensorrt_rtx, ("86", "120"), timeout_s=0.001)
    assert [(each.capability, each.refused) for each in outcomes] == [
        ("86", "not built within 0.001 s"),
        ("120", "not built within 0.001 s"),
    ]


def test_a_process_that_ends_before_its_time_is_a_refusal(tmp_path: Path) -> None:
    """Libraries that are not there, as a crash would: its last words stand for each GPU."""
    (outcome,) = try_graph(tmp_path / "graph.onnx", tmp_path, ("86",))
    assert outcome.refused.startswith("its process ended: exit 1; ")
    assert outcome.plan_bytes == 0


def test_packages_that_are_missing_or_do_not_load_are_named(tmp_path: Path) -> None:
    """One line says which command installs them, or why they do not load."""
    with pytest.raises(ExportError, match="TensorRT-RTX is not there; `make tensorrt-check` installs it"):
        check_installed(tmp_path / "none")
    (tmp_path / "tensorrt_rtx_cu12_bindings-1.7.1.116.dist-info").mkdir()
    libraries = tmp_path / "onnxruntime_ep_nv_tensorrt_rtx"
    libraries.mkdir()
    (libraries / "libtensorrt_rtx.so.1").write_bytes(b"no library")
    with pytest.raises(ExportError, match=r"does not load: exit 1; .*libtensorrt_rtx\.so\.1"):
        check_installed(tmp_path)


@pytest.mark.slow
def test_the_command_builds_a_family_and_writes_what_became_of_it(
    weights: Path, tensorrt_rtx: Path, tmp_path: Path
) -> None:
    """A line a plan, the counts at the end, and a result file with the environment."""
    out = tmp_path / "results" / "check.json"
    options = ["--weights", str(weights), "--packages", str(tensorrt_rtx), "--capability", "86"]
    result = CliRunner().invoke(main, ["tensorrt-check", *options, "--out", str(out)])
    assert result.exit_code == 0
    *lines, written, counts = result.output.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        f"{weights.name} (given) {encoder} {precision} SM86"
        for encoder in ("image_encoder", "text_encoder", "fusion_encoder")
        for precision in ("fp32", "fp16")
    ]
    assert written == f"written to {out}"
    assert counts.endswith("6 plans built; refused as expected: 0; refused and should not have been: 0")
    report = json.loads(out.read_text())
    assert report["environment"]["tensorrt_rtx"] == check_installed(tensorrt_rtx)
    assert {each["capability"] for each in report["results"]} == {"86"}
    assert min(each["plan_bytes"] for each in report["results"]) > 0


@pytest.mark.slow
def test_weights_beside_a_graph_are_read_and_count_in_its_size(
    weights: Path, graphs: Path, tensorrt_rtx: Path, tmp_path: Path
) -> None:
    """What is too large for one file is built as it is, and in fp16."""
    for spec in ENCODERS:
        beside = {"save_as_external_data": True, "location": f"{spec.name}.onnx.data", "size_threshold": 100}
        onnx.save(onnx.load(graph_path(graphs, spec.name)), graph_path(tmp_path, spec.name), **beside)
    precisions = uniform("fp32").precisions
    subject = Subject(family="large", weights="given", folder=weights)
    seen = list(
        try_graphs(
            subject, tmp_path, packages=tensorrt_rtx, capabilities=("86",), precisions=precisions, ranges={}
        )
    )
    assert [(each.precision, each.outcome.refused) for each in seen] == [("fp32", ""), ("fp16", "")] * 3
    for each in seen[::2]:
        graph = tmp_path / f"{each.encoder}.onnx"
        assert each.graph_bytes == graph.stat().st_size + Path(f"{graph}.data").stat().st_size


def test_the_command_without_packages_is_one_plain_line(tmp_path: Path) -> None:
    """It says what installs them, and exits 1."""
    result = CliRunner().invoke(main, ["tensorrt-check", "--packages", str(tmp_path)])
    assert result.exit_code == 1
    assert result.output == (
        f"Error: {tmp_path}: TensorRT-RTX is not there; `make tensorrt-check` installs it\n"
    )


def tried(**outcome: object) -> Tried:
    subject = Subject(family="small", weights="committed", folder=Path("weights"))
    precision = outcome.pop("precision", "fp32")
    return Tried(
        subject=subject,
        encoder="text_encoder",
        precision=precision,
        graph_bytes=1000,
        outcome=Outcome(**outcome),
    )


def test_a_refusal_is_a_failure_unless_it_is_known() -> None:
    """int8, and fp32 for Turing for the one reason that is known; another reason, or another GPU, fails the check."""
    gemm = "Cannot compile 'node' for Turing (SM75): FP32 GEMM is not supported."
    built = tried(capability="86", plan_bytes=2_500_000, seconds=0.26)
    known = [tried(capability="75", refused=gemm), tried(precision="int8", capability="", refused="Int32")]
    unknown = [
        tried(capability="86", refused=gemm),
        tried(capability="75", refused="another"),
        tried(precision="fp16", capability="75", refused=gemm),
    ]
    assert [each.failed() for each in (built, *known, *unknown)] == [False] * 3 + [True] * 3
    assert built.line() == "small (committed) text_encoder fp32 SM86: built, 2.50 MB in 0.3 s of CPU"
    assert known[0].line().endswith(f"SM75: refused, as expected (fp32 is not compiled for Turing): {gemm}")
    assert known[1].line() == (
        "small (committed) text_encoder int8: refused, as expected (int8 graphs are for CPUs): Int32"
    )
    assert unknown[1].line() == "small (committed) text_encoder fp32 SM75: REFUSED: another"
    assert summary([built, *known, *unknown]) == (
        "1 plans built; refused as expected: 2; refused and should not have been: 3"
    )
    rows = describe([*known, *unknown], version="1.7", capabilities=["75", "86"])["results"]
    assert [bool(row["excuse"]) for row in rows] == [True, True, False, False, False]
