"""Files that are exchanged under a running process: Kubernetes and certificate managers put new ones in their places."""

from pathlib import Path

Stamp = tuple[tuple[int, int, int] | None, ...]
"""Of some files, what changes with them; None for one that is not there."""


def stamp(*paths: Path) -> Stamp:
    """Return what changes when one of the files is written or replaced, also behind a link."""
    return tuple(_stamp(path) for path in paths)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
