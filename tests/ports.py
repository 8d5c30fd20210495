"""Ports for what a test starts, which no other test and no program of the machine takes in the meantime.

A port that the kernel draws (bind to port 0, close) is free for anybody again until the process that is to listen on it
has started, seconds later on a busy machine; other tests draw from the same range all the time. These ports lie below
that range, which begins at 32768, and between those of the stacks (17,700 on, and 26,700 on). Each is this process's
until it ends.
"""

import fcntl
import os
import socket
import tempfile
from pathlib import Path
from typing import IO

FIRST, END = 20_000, 26_000

_held: list[IO[str]] = []


def free_port() -> int:
    """Return a port of loopback that nobody listens on, another one each time."""
    folder = Path(tempfile.gettempdir()) / f"vitrine-{os.getuid()}-test-ports"
    folder.mkdir(exist_ok=True)
    # Each process begins elsewhere, so that few meet.
    begin = FIRST + os.getpid() * 97 % (END - FIRST)
    for port in (*range(begin, END), *range(FIRST, begin)):
        if _is_free(port) and (held := _hold(folder / str(port))) is not None:
            _held.append(held)
            return port
    raise RuntimeError(f"no free port from {FIRST} to {END}")


def free_address() -> str:
    """Return such a port with its host."""
    return f"127.0.0.1:{free_port()}"


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # What is closed and only waits for late packets is in nobody's way: servers set this too.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def _hold(path: Path) -> IO[str] | None:
    """Lock a file until this process ends; None where another process, or this one, has it."""
    held = path.open("a")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.close()
        return None
    return held
