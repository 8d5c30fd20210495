"""The benchmark of GPUs, run on the CPU with small graphs; what only a GPU can show is not shown here."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.gpu.cli import main
from benchmarks.gpu.device import check_provider, describe_device, memory_mib, missing_tensorrt, slug
from benchmarks.gpu.errors import GpuBenchError, NoGpuError
from benchmarks.gpu.measure import bound_of, find_graphs
from benchmarks.gpu.page import draw_gpu, gpu_section
from benchmarks.gpu.peaks import Peaks, read_peaks
from benchmarks.gpu.timing import Setting
from benchmarks.gpu.work import Work, count_work
from benchmarks.plots import drawn_from

SIDE, CHANNELS, WIDTH, WORDS, LENGTH = 8, 3, 4, 10, 5
FLOAT = 4


def weights(name: str, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.ones(shape, np.float32), name)


def written(path: Path, nodes: list[Any], inputs: list[Any], output: Any, known: list[Any]) -> Path:
    graph = helper.make_graph(nodes, "graph", inputs, [output], known)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def image_graph(path: Path) -> Path:
    """Write a convolution over pixels, then a Gemm of its means."""
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", CHANNELS, SIDE, SIDE])
    output = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 2])
    nodes = [
        helper.make_node("Conv", ["pixels", "filter"], ["map"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("ReduceMean", ["map", "axes"], ["mean"], keepdims=0),
        helper.make_node("Gemm", ["mean", "head"], ["embedding"], transB=1),
    ]
    axes = numpy_helper.from_array(np.array([2, 3]), "axes")
    known = [weights("filter", WIDTH, CHANNELS, 3, 3), weights("head", 2, WIDTH), axes]
    return written(path, nodes, [pixels], output, known)


def text_graph(path: Path) -> Path:
    """Write a look-up of tokens, without the columns that are padding in every row, and a product with a matrix."""
    tokens = helper.make_tensor_value_info("token_ids", TensorProto.INT64, ["batch", LENGTH])
    output = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", WIDTH])
    nodes = [
        helper.make_node("ReduceMax", ["token_ids", "rows"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["kept"], to=TensorProto.BOOL),
        helper.make_node("Compress", ["token_ids", "kept"], ["cut"], axis=1),
        helper.make_node("Gather", ["table", "cut"], ["vectors"]),
        helper.make_node("MatMul", ["vectors", "matrix"], ["mixed"]),
        helper.make_node("ReduceMean", ["mixed", "length"], ["embedding"], keepdims=0),
    ]
    rows, length = (numpy_helper.from_array(np.array([n]), name) for n, name in ((0, "rows"), (1, "length")))
    known = [weights("table", WORDS, WIDTH), weights("matrix", WIDTH, WIDTH), rows, length]
    return written(path, nodes, [tokens], output, known)


def texts(*lengths: int) -> dict[str, NDArray[Any]]:
    return {"token_ids": np.array([[1] * n + [0] * (LENGTH - n) for n in lengths])}


def pictures(rows: int) -> dict[str, NDArray[Any]]:
    return {"pixels": np.ones((rows, CHANNELS, SIDE, SIDE), np.float32)}


@pytest.fixture
def graphs(tmp_path: Path) -> Path:
    """Return a folder of one family, in two precisions by name."""
    folder = tmp_path / "graphs" / "family"
    for precision in ("fp32", "fp16"):
        image_graph(folder / precision / "image_encoder.onnx")
        text_graph(folder / precision / "text_encoder.onnx")
    inputs = {
        "image_encoder.pixels": pictures(2)["pixels"],
        "text_encoder.token_ids": texts(2, 4)["token_ids"],
    }
    np.savez(folder / "feeds.npz", **inputs)
    return folder.parent


def test_operations_and_bytes_are_those_of_the_shapes(tmp_path: Path) -> None:
    """Two operations a multiplication; weights once a batch, inputs and outputs once a row."""
    work = count_work(image_graph(tmp_path / "image.onnx"), pictures(1), [1, 16])
    convolution = 2 * SIDE * SIDE * WIDTH * CHANNELS * 9
    head = 2 * WIDTH * 2
    assert work[1].flops == convolution + head
    assert work[16].flops == 16 * (convolution + head)
    held = FLOAT * (WIDTH * CHANNELS * 9 + 2 * WIDTH) + 2 * 8
    row = FLOAT * (CHANNELS * SIDE * SIDE + 2)
    assert work[1].bytes == held + row
    assert work[16].bytes == held + 16 * row


def test_a_batch_of_texts_is_as_long_as_its_longest(tmp_path: Path) -> None:
    """Padding that a graph cuts off is not counted, and of the table only the rows that are looked up."""
    work = count_work(text_graph(tmp_path / "text.onnx"), texts(2, 4, 3), [1, 2, 6])
    product = 2 * WIDTH * WIDTH
    assert [work[n].flops for n in (1, 2, 6)] == [2 * product, 2 * 4 * product, 6 * 4 * product]
    held = FLOAT * WIDTH * WIDTH + 2 * 8
    row = 8 * LENGTH + FLOAT * WIDTH
    assert work[1].bytes == held + row + FLOAT * 2 * WIDTH
    assert work[6].bytes == held + 6 * (row + FLOAT * 4 * WIDTH)


def test_what_is_not_counted_is_refused(tmp_path: Path) -> None:
    """A roofline of too few operations would flatter, so a graph with other products has none."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])
    node = helper.make_node("Einsum", ["x", "m"], ["y"], equation="bi,ij->bj")
    path = written(tmp_path / "einsum.onnx", [node], [value], output, [weights("m", 2, 2)])
    with pytest.raises(GpuBenchError, match="Einsum is not counted"):
        count_work(path, {"x": np.ones((1, 2), np.float32)}, [1])
    broken = tmp_path / "broken.onnx"
    broken.write_text("no graph")
    with pytest.raises(GpuBenchError, match="is no ONNX graph"):
        count_work(broken, {}, [1])


def test_the_roofline_is_the_longer_of_computing_and_moving() -> None:
    """Either bounds; without a peak there is no bound, and fp32 takes TF32 on tensor cores alone."""
    peaks = Peaks(tflops={"fp32": 1.0, "tf32": 4.0}, gb_s=1000.0, source="told")
    work = Work(flops=8e12, bytes=1e12)
    assert bound_of(work, "fp32", peaks, tensor_cores=False) == {"seconds": 8.0, "by": "compute"}
    assert bound_of(work, "fp32", peaks, tensor_cores=True) == {"seconds": 2.0, "by": "compute"}
    assert bound_of(Work(flops=8e12, bytes=9e12), "fp32", peaks, tensor_cores=False) == {
        "seconds": 9.0,
        "by": "memory",
    }
    assert bound_of(work, "fp16", peaks, tensor_cores=True) is None
    assert bound_of(work, "fp32", Peaks(tflops={"fp32": 1.0}), tensor_cores=False) is None


def test_published_peaks_have_a_source_and_give_way_to_what_is_told() -> None:
    """An unknown GPU has none, and nothing is guessed for it."""
    known = read_peaks("NVIDIA H200", told={}, bandwidth=None)
    assert (known.tflops["fp16"], known.gb_s) == (989.4, 4800)
    assert "NVIDIA" in known.source
    told = read_peaks("NVIDIA H200", told={"fp16": 1.5}, bandwidth=10.0)
    assert (told.tflops["fp16"], told.tflops["tf32"], told.gb_s) == (1.5, 494.7, 10.0)
    assert told.source.endswith("told on the command line")
    assert read_peaks("NVIDIA Nothing", told={}, bandwidth=None) == Peaks()


def test_without_a_gpu_it_says_what_it_would_need(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One line with the driver and the packages, and a status that is no success."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for command in (["check"], ["measure"], ["measure", "--provider", "tensorrt"]):
        result = CliRunner().invoke(main, command)
        assert result.exit_code == NoGpuError.exit_code == 3
        (line,) = result.output.splitlines()
        assert all(word in line for word in ("nvidia-smi was not found", "driver 580", "onnxruntime-gpu"))


def nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, answers: dict[str, str]) -> None:
    """Put a program on the path that answers as nvidia-smi does."""
    program = folder / "nvidia-smi"
    lines = [f"#!{sys.executable}", "import sys", f"answers = {answers!r}", "asked = sys.argv[1]"]
    lines.append("print(next((said for known, said in answers.items() if asked.startswith(known)), ''))")
    program.write_text("\n".join(lines))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_a_driver_without_a_gpu_or_a_runtime_without_cuda_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """nvidia-smi's own words stand in the line; an ONNX Runtime for CPUs is named with what is needed instead."""
    nvidia_smi(tmp_path, monkeypatch, {"-L": "No devices were found"})
    with pytest.raises(NoGpuError, match="says 'No devices were found'"):
        check_provider("cuda")
    nvidia_smi(tmp_path, monkeypatch, {"-L": "GPU 0: NVIDIA H200"})
    with pytest.raises(NoGpuError, match=r"has no CUDAExecutionProvider; needed is .*requirements\.txt"):
        check_provider("cuda")
    assert "libnvinfer" in missing_tensorrt()


def test_what_nvidia_smi_says_describes_the_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Name, driver and memory as it prints them; what it prints otherwise is an error."""
    line = "NVIDIA H200, 580.65.06, 9.0, 143771 MiB, 1980 MHz, 3201 MHz, 700.00 W"
    nvidia_smi(tmp_path, monkeypatch, {"--query-gpu=name": line, "--query-gpu=memory.used": "512"})
    assert describe_device("cuda")["driver_version"] == "580.65.06"
    assert memory_mib("cuda") == 512
    assert describe_device("cpu") == {}
    assert memory_mib("cpu") > 0
    nvidia_smi(tmp_path, monkeypatch, {})
    with pytest.raises(GpuBenchError, match="nvidia-smi says"):
        describe_device("cuda")
    assert slug("NVIDIA H100 80GB HBM3") == "nvidia-h100-80gb-hbm3"


def test_each_provider_comes_with_what_it_falls_back_to(tmp_path: Path) -> None:
    """TensorRT leaves what it does not take to CUDA, and builds fp16 where the graph is."""
    names = [
        [
            each if isinstance(each, str) else each[0]
            for each in Setting(provider=p, precision="fp16").providers()
        ]
        for p in ("cpu", "cuda", "tensorrt")
    ]
    assert names[0] == ["CPUExecutionProvider"]
    assert names[1] == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert names[2] == ["TensorrtExecutionProvider", *names[1]]
    (_, options), *_ = Setting(provider="tensorrt", precision="fp16", cache=tmp_path).providers()
    assert options["trt_fp16_enable"] == "True"
    assert options["trt_engine_cache_path"] == str(tmp_path)


def test_the_whole_program_runs_on_a_cpu(graphs: Path, tmp_path: Path) -> None:
    """Every graph has a row with its rates, nodes and share of the roofline, and the page and the picture show them."""
    out = tmp_path / "gpu-trial.json"
    command = [
        "measure",
        "--graphs",
        str(graphs),
        "--provider",
        "cpu",
        "--batch",
        "4",
        "--batch",
        "1",
        "--out",
        str(out),
    ]
    command += [
        "--seconds",
        "0.01",
        "--repeats",
        "2",
        "--peak",
        "fp32=0.5",
        "--bandwidth",
        "20",
        "--threads",
        "1",
    ]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    document = json.loads(out.read_text())
    assert document["params"]["peaks"] == {
        "tflops": {"fp32": 0.5}, "gb_s": 20.0, "source": "told on the command line",
    }  # fmt: skip
    assert document["environment"]["packages"]["onnxruntime"]
    rows = document["results"]
    assert len(rows) == 4
    for row in rows:
        assert row["nodes"].keys() == {"CPUExecutionProvider"}
        one, four = row["batches"]
        assert (one["batch"], four["batch"]) == (1, 4)
        assert one["device"]["runs"] >= 20
        assert all(
            len(one[where][figure]) == 3
            for where in ("device", "host")
            for figure in ("rows_per_s", "p99_ms")
        )
        if row["precision"] == "fp16":
            assert one["roofline"] is None
        else:
            roofline = four["roofline"]
            assert roofline["share"][0] == pytest.approx(
                four["device"]["rows_per_s"][0] / roofline["rows_per_s"], rel=1e-3
            )
    text = "\n".join(gpu_section({out.name: document}, Path("docs")))
    assert "and no figure of a GPU" in text
    assert text.count("| family | ") == 5  # the header and four graphs
    assert "](pictures/gpu-trial.png)" in text
    draw_gpu(document, tmp_path / "drawn.png", source="digest")
    assert drawn_from(tmp_path / "drawn.png") == "digest"


def test_graphs_without_inputs_are_named(graphs: Path, tmp_path: Path) -> None:
    """The way out is said where a folder holds none; a CPU is not measured beside a GPU."""
    with pytest.raises(GpuBenchError, match="python -m export benchmark-graphs"):
        find_graphs(tmp_path / "nothing")
    shutil.copyfile(graphs / "family/fp32/text_encoder.onnx", graphs / "family/fp32/other.onnx")
    with pytest.raises(GpuBenchError, match="holds no inputs of other"):
        find_graphs(graphs)
    both = CliRunner().invoke(main, ["measure", "--provider", "cpu", "--provider", "cuda"])
    assert both.exit_code == 1
    assert "measured by itself" in both.output
