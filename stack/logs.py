"""One log file a process, each with a bound.

Children write to their files themselves, so that they outlive the supervisor; it only keeps the files short.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

MAX_BYTES = 16 << 20
"""A file that grew past this is moved to NAME.log.1; so a process keeps at most twice as much."""

TAIL_BYTES = 1 << 16


def open_for_child(path: Path) -> BinaryIO:
    """Open a log for appending, which stays right when the file is cut short under the writer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("ab", buffering=0)


def rotate(path: Path) -> None:
    """Set the log of an earlier run aside."""
    if path.exists() and path.stat().st_size:
        path.replace(_older(path))


def bound(path: Path, max_bytes: int = MAX_BYTES) -> None:
    """Cut a log that grew too long: its content moves aside, the writer goes on at the beginning.

    What is written between the copy and the cut is lost; that is the price of needing nothing from the writer.
    """
    if path.exists() and path.stat().st_size > max_bytes:
        shutil.copyfile(path, _older(path))
        with path.open("r+b") as file:
            file.truncate(0)


def tail(path: Path, lines: int) -> list[str]:
    """Return the last lines, fewer when they are long: at most the last 64 KiB are read."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        return file.read().decode(errors="replace").splitlines()[-lines:]


def last_line(path: Path) -> str:
    """Return the last line that says something; empty when there is none."""
    return next((line.strip() for line in reversed(tail(path, 20)) if line.strip()), "")


def follow(
    paths: list[Path], *, interval_s: float = 0.2, sleep: Callable[[float], None] = time.sleep
) -> Iterator[tuple[Path, str]]:
    """Yield every line that is written from now on, with its file, until the caller stops."""
    offsets = {path: path.stat().st_size if path.exists() else 0 for path in paths}
    while True:
        for path in paths:
            for line in _new_lines(path, offsets):
                yield path, line
        sleep(interval_s)


def _new_lines(path: Path, offsets: dict[Path, int]) -> list[str]:
    """Return the whole lines past the offset and move it."""
    if not path.exists():
        return []
    if path.stat().st_size < offsets[path]:  # cut or rotated
        offsets[path] = 0
    with path.open("rb") as file:
        file.seek(offsets[path])
        data = file.read(TAIL_BYTES)
    whole, newline, _ = data.rpartition(b"\n")
    offsets[path] += len(whole) + len(newline)
    return whole.decode(errors="replace").splitlines() if newline else []


def _older(path: Path) -> Path:
    return path.with_name(f"{path.name}.1")
