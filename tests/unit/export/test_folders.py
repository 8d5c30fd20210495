"""A folder is written all at once or not at all, and what is not ours is never replaced."""

import errno
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from export.cli import main
from export.errors import ExportError
from export.folders import fresh_folder
from export.repository import Publication, publish


def ours(folder: Path) -> bool:
    return (folder / "marker").exists()


def write(out: Path, content: str) -> None:
    with fresh_folder(out, marker="marker", ours=ours) as fresh:
        (fresh / "marker").write_text(content)


def write_half(out: Path) -> None:
    with fresh_folder(out, marker="marker", ours=ours) as fresh:
        (fresh / "marker").write_text("half")
        assert (out / "marker").read_text() == "old"
        raise KeyError


def test_the_new_takes_the_place_of_the_old(tmp_path: Path) -> None:
    """Parents are made where they are missing, and nothing is left beside."""
    out = tmp_path / "deep" / "out"
    for content in ("old", "new"):
        write(out, content)
        assert (out / "marker").read_text() == content
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_until_the_end_the_old_is_whole(tmp_path: Path) -> None:
    """A block that fails leaves what was there."""
    out = tmp_path / "out"
    write(out, "old")
    with pytest.raises(KeyError):
        write_half(out)
    assert (out / "marker").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    """The system's reason is in the message, beside the folder."""
    with (
        pytest.raises(ExportError, match=r"out: cannot be written: .*No space left on device"),
        fresh_folder(tmp_path / "out", marker="marker", ours=ours),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["onnx", "quantize"])
def test_graphs_never_replace_what_is_not_ours(
    weights: Path, graphs: Path, tmp_path: Path, command: str
) -> None:
    """A folder that holds something else is refused before anything is made."""
    (tmp_path / "holiday.jpg").write_bytes(b"precious")
    folders = {
        "onnx": ["--graphs", str(tmp_path)],
        "quantize": ["--graphs", str(graphs), "--out", str(tmp_path)],
    }
    result = CliRunner().invoke(main, [command, "--weights", str(weights), *folders[command]])
    assert result.exit_code == 1
    assert result.output == (
        f"Error: {tmp_path}: is not empty and holds no report.json of ours; choose another folder\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


PUBLISH_BIG_GRAPHS = """
import resource, sys
from pathlib import Path
from export.choice import uniform
from export.errors import ExportError
from export.repository import Graphs, Publication, publish

def big(folder):
    folder.mkdir()
    for name in ("image_encoder", "text_encoder", "fusion_encoder"):
        (folder / f"{name}.onnx").write_bytes(bytes(1_000_000))
    return Graphs(folder=folder, choice=uniform("fp32"), parity={})

resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))
try:
    publish(Publication(target="onnxruntime", weights=Path(sys.argv[1]), out=Path(sys.argv[2])), big)
except ExportError as error:
    sys.exit(str(error))
"""


def test_a_disk_that_fills_leaves_the_old_repository(weights: Path, tmp_path: Path, exporter: Any) -> None:
    """Where files may grow no further, publishing ends with the reason; what was served is whole and alone."""
    out = tmp_path / "repository"
    publish(Publication(target="local", weights=weights, out=out), exporter)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    result = subprocess.run(
        [sys.executable, "-c", PUBLISH_BIG_GRAPHS, str(weights), str(out)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stderr == f"{out}: cannot be written: [Errno 27] File too large\n"
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["repository"]
