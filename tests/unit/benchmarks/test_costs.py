import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from benchmarks import levers
from benchmarks.costs import levers_section, stages_section, sweep_section
from benchmarks.features import features_section, workload_figures
from benchmarks.infer import query_inputs
from benchmarks.processes import BARE_SERVER
from benchmarks.serving import ServingError
from benchmarks.stages import Measured
from benchmarks.sweep import Variant, write_variant
from vitrine.repository import published_files
from vitrine.v1.search_pb2 import SearchRequest

ROOT = Path(__file__).parents[3]


def test_ratios_are_of_the_same_repeat() -> None:
    """One client is held against batches of one, many clients against the cheapest batch of each repeat."""
    measured = Measured("text")
    measured.raw = {1: [1.0, 2.0, 4.0], 8: [0.5, 1.0, 2.0], 32: [0.75, 0.8, 2.5]}
    measured.ensemble = {1: [2.0, 4.0, 10.0], 32: [1.0, 1.2, 4.0]}
    measured.search = {1: [10.0, 10.0, 10.0], 8: [5.0, 8.0, 2.0]}
    row = measured.result()
    assert row["ratios"] == {
        "ensemble, 1 clients": [2.0, 2.0, 2.5],
        "ensemble, 32 clients": [2.0, 1.5, 2.0],
        "search, 1 clients": [5.0, 2.5, 10.0],
        "search, 8 clients": [10.0, 1.0, 10.0],
    }
    second = {
        "model": "embed_text",
        "clients": 16,
        "ours": [{"answers_per_s": 1000.0, "p50_ms": 10.0, "p95_ms": 20.0, "p99_ms": 30.0}],
        "perf_analyzer": [{"answers_per_s": 1010.0, "p50_ms": 11.0, "p95_ms": 21.0, "p99_ms": 31.0}],
    }
    params = {"clients": [1, 32], "searchers": [1, 8], "repeats": 3, "perf_analyzer": second}
    row = {
        key: {str(name): each for name, each in value.items()} if isinstance(value, dict) else value
        for key, value in row.items()
    }
    document = {"environment": {"cores": 2}, "params": params, "results": [row]}
    text = "\n".join(stages_section({"stages-small.json": document}))
    assert "### Small" in text
    assert "| text | 2 | 0.8 | 4 | 1.2 | 10 | 5 | 2 (2-2.5) | 2 (1.5-2) | 5 (2.5-10) | 10 (1-10) |" in text
    assert "| perf_analyzer | 1010 | 11 | 21 | 31 |" in text


def test_an_inference_carries_what_the_query_has() -> None:
    """Words and pictures go as bytes with their length before them, a reference as floats."""
    composed = query_inputs("embed_composed", SearchRequest(text="in red", image=b"jpeg"), 4)
    assert {tensor.name: tensor.datatype for tensor in composed.inputs} == {"image": "BYTES", "text": "BYTES"}
    assert sorted(composed.raw_input_contents) == sorted(
        struct.pack("<I", len(data)) + data for data in (b"in red", b"jpeg")
    )
    refined = query_inputs("embed_refined", SearchRequest(product_id="p", text="in red"), 4)
    reference = next(n for n, tensor in enumerate(refined.inputs) if tensor.name == "reference_embedding")
    assert list(refined.inputs[reference].shape) == [1, 4]
    assert np.frombuffer(refined.raw_input_contents[reference], np.float32).shape == (4,)


def test_a_variant_differs_in_its_setting_and_in_nothing_else(tmp_path: Path) -> None:
    """The copy has the setting in the models it is for, and a manifest by which its files prove themselves."""
    source = tmp_path / "source"
    shutil.copytree(ROOT / "model_repository", source)
    shutil.copytree(source / "text_encoder", source / "text_encoder" / "1", dirs_exist_ok=True)
    shutil.copyfile(source / "onnx_encoder.py", source / "text_encoder" / "1" / "model.py")
    files = {path.relative_to(source).as_posix(): "" for path in published_files(source)}
    (source / "manifest.json").write_text(json.dumps({"files": files}))
    variant = Variant(
        name="v", models=("text_encoder",), delay_us=7, preferred=(4, 8), instances=3, threads=True
    )
    write_variant(source, tmp_path / "copy", variant)
    config = text_format.Parse(
        (tmp_path / "copy/text_encoder/config.pbtxt").read_text(), model_config_pb2.ModelConfig()
    )
    assert config.dynamic_batching.max_queue_delay_microseconds == 7
    assert list(config.dynamic_batching.preferred_batch_size) == [4, 8]
    assert config.instance_group[0].count == 3
    changed = json.loads((tmp_path / "copy/manifest.json").read_text())["files"]
    assert {name for name, digest in changed.items() if digest} == {
        "text_encoder/config.pbtxt",
        "text_encoder/1/model.py",
    }
    code = (tmp_path / "copy/text_encoder/1/model.py").read_text()
    assert "intra_op_num_threads = 2" in code


def test_a_variant_that_differs_is_bold() -> None:
    """What lies beyond the noise stands out; the rest is shown with its spread all the same."""
    same, other = {"ratio": [1.0, 0.9, 1.1], "seen": False}, {"ratio": [0.5, 0.45, 0.55], "seen": True}
    changes = {"text, 16": {"answers_per_s": same, "p50_ms": same, "cpu_ms": other}}
    document = {
        "environment": {"cores": 2},
        "params": {"repeats": 5},
        "results": [{"variant": "delay 0", "changes": changes}],
    }
    text = "\n".join(sweep_section({"sweep-small.json": document}))
    assert "| delay 0 | 1.00 (0.90-1.10) | 1.00 (0.90-1.10) | **0.50 (0.45-0.55)** |" in text


def test_a_lever_is_the_median_of_its_pairs() -> None:
    """A change of the same size in every pair is seen, one that goes either way is not; several commits are told by their number."""
    seen = levers.paired_figures([2.0, 4.0, 3.0, 2.0, 1.0], [1.01, 2.0, 1.49, 1.0, 0.5])
    assert seen == {"before_ms": 2.0, "after_ms": 1.01, "ratio": [0.5, 0.5, 0.5], "seen": True}
    unseen = levers.paired_figures([1.0, 1.0, 1.0, 1.0], [0.5, 2.0, 0.8, 1.3])
    assert not unseen["seen"]
    commits = [{"name": name, "subject": f"did {name}"} for name in "abc"]
    results = [
        {
            "before": commits[i],
            "after": commits[j],
            "commits": j - i,
            "workload": "text",
            "gateway": figure,
            "whole": unseen,
        }
        for i, j, figure in ((0, 1, seen), (1, 2, unseen), (0, 2, seen))
    ]
    params = {"pairs": 5, "clients": 8, "seconds": 1.0}
    text = "\n".join(
        levers_section(
            {"gateway-levers.json": {"environment": {"cores": 2}, "params": params, "results": results}}
        )
    )
    assert "| a | b, did b | text | 2 to 1.01 | **0.50 (0.50-0.50)** | 1 to 1.05 | 1.05 (0.80-1.30) |" in text
    assert "| b | c, did c | text | 1 to 1.05 | 1.05 (0.80-1.30) |" in text
    assert "| a | c, 2 commits | text |" in text


def test_a_commit_is_named_and_an_unknown_one_refused() -> None:
    """The working tree is a revision too."""
    assert levers.describe(".").subject == "the working tree"
    with pytest.raises(ServingError, match="no-such-revision"):
        levers.describe("no-such-revision")


def test_a_feature_is_set_against_the_gateway_without_any() -> None:
    """Each variant's CPU is over that of the one without features and over the bare server's, of the same rounds."""
    costs = {"none": [1.0, 2.0, 4.0, 2.0], "events": [1.1, 2.2, 4.4, 2.2], "all": [1.2, 2.4, 4.8, 2.4]}
    costs |= {"campaigns": costs["none"], "moderation": costs["none"], BARE_SERVER: [0.5, 1.0, 2.0, 1.0]}
    row = workload_figures("text", costs)
    assert (row["none_ms"], row["bare_ms"]) == (2.0, 1.0)
    assert [row["over_none"][name]["ratio"][0] for name in ("events", "campaigns", "all")] == [1.1, 1.0, 1.2]
    assert [row["over_bare"][name]["ratio"][0] for name in ("none", "all")] == [2.0, 2.4]
    document = {
        "environment": {"cores": 2},
        "params": {"pairs": 4, "seconds": 1.0, "clients": 16},
        "results": [row],
    }
    assert "| text | 1 | 2 |" in "\n".join(features_section("gateway-features.json", document))
