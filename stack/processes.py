"""Processes by identity: a pid alone may be recycled, a pid with its start time never means another process.

Linux only: it reads /proc and signals through pidfds.
"""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the kernel's fixed place, not a temporary file of ours


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, now and for ever."""

    pid: int
    ticks: int
    """Its start, in clock ticks since boot: field 22 of /proc/PID/stat, which no clock adjustment moves."""


@dataclass(frozen=True, slots=True)
class _Stat:
    name: str
    state: str
    parent: int
    session: int
    ticks: int


def identify(pid: int) -> Identity | None:
    """Return the identity of a process; None when there is none, or only its corpse."""
    stat = _stat(pid)
    return Identity(pid, stat.ticks) if stat and stat.state != "Z" else None


def is_alive(identity: Identity) -> bool:
    """Whether exactly this process runs."""
    return identify(identity.pid) == identity


def send(identity: Identity, number: signal.Signals) -> bool:
    """Signal exactly this process; False when it is gone.

    The pidfd is opened before the identity is checked, so the process cannot change in between.
    """
    try:
        handle = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return False
    try:
        if not is_alive(identity):
            return False
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def marked(variable: str, value: str) -> list[Identity]:
    """Return the processes, this one aside, whose environment holds the variable with the value."""
    wanted = f"{variable}={value}".encode()
    found = []
    for pid in _pids():
        if pid == os.getpid():
            continue
        identity = identify(pid)
        if identity and wanted in _environment(pid) and is_alive(identity):
            found.append(identity)
    return found


def in_session(leader: int, candidates: list[Identity]) -> list[Identity]:
    """Return those candidates that belong to the session which the leader began."""
    return [each for each in candidates if (stat := _stat(each.pid)) and stat.session == leader]


def dead_children(parent: int) -> list[str]:
    """Name the children that died and that their parent has not buried."""
    stats = (stat for pid in _pids() if (stat := _stat(pid)))
    return [stat.name for stat in stats if stat.parent == parent and stat.state == "Z"]


def unlink_shared_memory(prefix: str) -> list[str]:
    """Delete the shared memory whose name begins with the prefix; give the names."""
    found = sorted(SHARED_MEMORY.glob(f"{prefix}*"))
    for path in found:
        path.unlink(missing_ok=True)
    return [path.name for path in found]


def describe_exit(code: int) -> str:
    """Describe how a process ended; a negative code is a signal, as in subprocess."""
    if code >= 0:
        return f"exited with {code}"
    return f"killed by {signal.Signals(-code).name}"


def _pids() -> list[int]:
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]


def _stat(pid: int) -> _Stat | None:
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name stands in parentheses and may itself hold spaces and parentheses.
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return _Stat(
        name=head.partition("(")[2],
        state=fields[0],
        parent=int(fields[1]),
        session=int(fields[3]),
        ticks=int(fields[19]),
    )


def _environment(pid: int) -> list[bytes]:
    try:
        return (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:  # gone, or another user's
        return []
