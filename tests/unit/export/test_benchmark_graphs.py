"""What `make bench-gpu` measures is what is served: the graphs in two precisions, with inputs of the catalogue."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from benchmarks.gpu.measure import find_graphs
from benchmarks.gpu.work import count_work
from encoders.testing import IMAGE_SIZE, TEXT_LENGTH, write_checkpoint
from export.benchmark_graphs import FEEDS_FILE
from export.cli import main
from vitrine.tensors import ENCODERS, MAX_BATCH_SIZE


@pytest.mark.slow
def test_a_family_is_written_in_two_precisions_with_inputs(tmp_path: Path) -> None:
    """The benchmark finds each graph with its inputs and can count its work; what is written already stays."""
    weights, out = tmp_path / "clip", tmp_path / "graphs"
    weights.mkdir()
    write_checkpoint(weights, "clip")
    command = ["benchmark-graphs", "--weights", str(weights), "--out", str(out)]
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = find_graphs(out)
    assert {(graph.encoder, graph.precision) for graph in found} == {
        (spec.name, precision) for spec in ENCODERS for precision in ("fp32", "fp16")
    }
    for graph in found:
        assert all(len(rows) == MAX_BATCH_SIZE for rows in graph.feeds.values())
        assert count_work(graph.path, graph.feeds, [1])[1].flops > 0
        kinds = {each.data_type for each in onnx.load(graph.path).graph.initializer}
        assert (onnx.TensorProto.FLOAT16 in kinds) == (graph.precision == "fp16")
    with np.load(out / "clip" / FEEDS_FILE) as feeds:
        assert feeds["image_encoder.pixels"].shape[1:] == (IMAGE_SIZE, IMAGE_SIZE, 3)
        assert feeds["text_encoder.token_ids"].shape[1:] == (TEXT_LENGTH,)
    before = (out / "clip" / FEEDS_FILE).stat().st_mtime_ns
    CliRunner().invoke(main, command, catch_exceptions=False)
    assert (out / "clip" / FEEDS_FILE).stat().st_mtime_ns == before
