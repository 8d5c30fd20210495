"""Folders that are written all at once or not at all."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from export.errors import ExportError


@contextmanager
def fresh_folder(out: Path, *, marker: str, ours: Callable[[Path], bool]) -> Iterator[Path]:
    """Open a new folder, which takes the place of `out` when the block ends well; until then `out` stays whole.

    What a killed block leaves behind is a folder beside `out` that starts with a dot. Beside the new folder there is
    room for what goes with the block.

    Args:
        out: missing, empty, or ours.
        marker: the file by which a folder of ours is known; named in the refusal of another.
        ours: tells whether we wrote the folder.

    Raises:
        ExportError: `out` holds something that we did not write, or cannot be written, as on a full disk.
    """
    try:
        if out.exists() and any(out.iterdir()) and not ours(out):
            raise ExportError(f"{out}: is not empty and holds no {marker} of ours; choose another folder")
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
            fresh = Path(scratch) / "fresh"
            fresh.mkdir()
            yield fresh
            _replace(out, fresh, Path(scratch) / "before")
    except OSError as error:
        raise ExportError(f"{out}: cannot be written: {error}") from error


def _replace(out: Path, fresh: Path, before: Path) -> None:
    if out.exists():
        out.rename(before)
    try:
        fresh.rename(out)
    except OSError:
        if before.exists():
            before.rename(out)
        raise


def data_path(graph: Path) -> Path:
    """Return where the weights of a graph lie that are not in its file."""
    return graph.with_name(f"{graph.name}.data")


def copy_graph(graph: Path, out: Path) -> None:
    """Copy a graph, and the file of its weights where it has one, whose name stands in the graph and stays.

    The weights are not linked: ONNX refuses a file of weights that has several names.
    """
    shutil.copyfile(graph, out)
    data = data_path(graph)
    if data.exists():
        shutil.copyfile(data, out.with_name(data.name))
