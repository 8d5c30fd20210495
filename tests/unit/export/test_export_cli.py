"""The commands speak plainly and load torch only to export."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from export.cli import main
from export.repository import Publication, publish


def test_an_error_is_one_plain_line(tmp_path: Path) -> None:
    """A missing family ends with its file and no traceback."""
    result = CliRunner().invoke(main, ["publish", "--weights", str(tmp_path), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert result.output.splitlines() == [f"Error: {tmp_path}/card.json: missing; `make train` writes it"]


def test_plans_cannot_be_built_here(weights: Path, tmp_path: Path) -> None:
    """Without TensorRT and a GPU the command says where to run it."""
    options = ["--weights", str(weights), "--graphs", str(tmp_path), "--plans", str(tmp_path / "plans")]
    result = CliRunner().invoke(main, ["tensorrt", *options])
    assert result.exit_code == 1
    assert "plans must be built on the GPU that will serve them" in result.output
    assert not (tmp_path / "plans").exists()


def test_nothing_to_do_is_said_without_loading_torch(weights: Path, tmp_path: Path, exporter: Any) -> None:
    """A repository that is up to date costs no import of torch or ONNX Runtime."""
    out = tmp_path / "repository"
    publish(Publication(target="local", weights=weights, out=out), exporter)
    script = (
        "import sys\n"
        "from export.cli import main\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
        "assert not {'torch', 'onnxruntime'} & sys.modules.keys()\n"
    )
    options = ["publish", "--weights", str(weights), "--out", str(out)]
    second = subprocess.run(
        [sys.executable, "-c", script, *options], capture_output=True, text=True, timeout=60, check=False
    )
    assert second.stderr == ""
    assert second.stdout == f"{out} is up to date\n"


@pytest.mark.slow
def test_exported_graphs_can_be_verified(weights: Path, graphs: Path) -> None:
    """`verify` prints the figures that `onnx` wrote beside the graphs."""
    verified = CliRunner().invoke(main, ["verify", "--weights", str(weights), "--graphs", str(graphs)])
    assert verified.exit_code == 0
    report = json.loads((graphs / "report.json").read_text())
    assert json.loads(verified.output) == report["parity"]
    assert report["precision"] == "fp32"
