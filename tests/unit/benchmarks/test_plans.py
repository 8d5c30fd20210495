"""What became of every graph before NVIDIA's parser and builder is shown a row a graph, and refusals in their words."""

import json
from pathlib import Path
from typing import Any

from benchmarks.plans import NONE_YET, RESULT, sections


def tried(precision: str, capability: str, **more: Any) -> dict[str, Any]:
    """Return a row of the result file: built, unless it says otherwise."""
    row = {
        "family": "small", "weights": "committed", "encoder": "text_encoder", "precision": precision,
        "graph_bytes": 1_500_000, "capability": capability, "plan_bytes": 3_900_000, "seconds": 0.42, "refused": "",
        "warnings": [], "excuse": "",
    }  # fmt: skip
    return row | more


def write(folder: Path, rows: list[dict[str, Any]]) -> None:
    environment = {
        "processor": "A processor", "cores": 2, "commit": "c1", "tensorrt_rtx": "1.7", "load_average_1_min": 1.5,
    }  # fmt: skip
    document = {"environment": environment, "params": {"largest_batch": 32}, "results": rows}
    (folder / RESULT).write_text(json.dumps(document))


def test_nothing_is_said_of_what_was_not_tried(tmp_path: Path) -> None:
    """Without a result file the section says so."""
    assert sections(tmp_path) == {"plans": NONE_YET}


def test_a_graph_has_a_row_and_a_kind_of_refusal_another(tmp_path: Path) -> None:
    """The GPUs that a graph was built for, with the range of sizes and times; refusals by kind, the unexpected in bold."""
    turing = {"plan_bytes": 0, "refused": "a|b", "excuse": "no fp32 for Turing"}
    int8 = {"plan_bytes": 0, "refused": "Int32", "excuse": ""}
    rows = [
        tried("fp32", "75", **turing),
        tried("fp32", "86"),
        tried("fp32", "120", plan_bytes=4_000_000, seconds=1.26),
        tried("int8", "", **int8),
    ]
    write(tmp_path, rows)
    lines = sections(tmp_path)["plans"]
    assert lines[2] == (
        "2 plans for batches of 1 to 32, and 2 refusals, of which 1 was not expected. Seconds are of CPU, for one plan."
    )
    assert lines[6] == "| small | committed | text encoder | fp32 | 1.50 | 86 120 | 3.90-4.00 | 0.4-1.3 |"
    assert lines[7] == "| small | committed | text encoder | int8 | 1.50 | none | - | - |"
    assert lines[-2:] == [
        "| fp32 | SM75 | no fp32 for Turing | 1 | `a\\|b` |",
        "| int8 | all | **not expected** | 1 | `Int32` |",
    ]


def test_nothing_refused_is_said_so(tmp_path: Path) -> None:
    """A check in which all was built has no table of refusals."""
    write(tmp_path, [tried("fp16", "86")])
    assert sections(tmp_path)["plans"][-1] == "None was refused."


def test_a_warning_is_shown_once_with_its_graphs(tmp_path: Path) -> None:
    """The words, and every graph that they were said of."""
    said = ["Running layernorm in FP16"]
    again = tried("fp16", "120", warnings=said)
    rows = [tried("fp16", "86", warnings=said), again, tried("fp16", "86", family="paper", warnings=said)]
    write(tmp_path, rows)
    assert sections(tmp_path)["plans"][-1] == (
        "| `Running layernorm in FP16` | small text fp16, paper text fp16 |"
    )
