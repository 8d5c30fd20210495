"""Becomes the Milvus Lite server: `python -m stack.milvus_process DATABASE ADDRESS`.

The vendor's own launcher guards a database with a POSIX record lock, but keeps the server as its child.
Here the server's process holds that lock itself: it survives exec and ends with the process, however it ends.
Without it a second server would open the same file in silence.
"""

import fcntl
import importlib.util
import os
import sys
from pathlib import Path


def binary() -> Path:
    """Return the server's program; its libraries lie beside it."""
    spec = importlib.util.find_spec("milvus_lite")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("milvus-lite is not installed; the way out: make setup")
    return Path(spec.submodule_search_locations[0]) / "lib" / "milvus"


def main() -> None:
    """Lock the database, then become the server."""
    database, address = Path(sys.argv[1]), sys.argv[2]
    program = binary()
    lock = os.open(database.parent / f".{database.name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(lock, True)
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit(f"{database} is open in another process") from None
    environment = {**os.environ, "LD_LIBRARY_PATH": str(program.parent)}
    os.execve(program, [str(program), str(database), address, "ERROR"], environment)  # noqa: S606 - no shell wanted


if __name__ == "__main__":
    main()
