"""Shows what is up, since when, and why not: as a table for people, as JSON for programs."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from stack.processes import is_alive
from stack.record import Phase, ServiceRecord, StackRecord, State

STYLES = {State.READY: "green", State.FAILED: "red", State.BACKOFF: "red", State.UNWELL: "yellow"}

WIDTH_OF_A_PIPE = 200
"""Columns of a line that no terminal cuts: a process stays on a line of its own, whatever its address."""

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def is_up(current: StackRecord | None) -> bool:
    """Whether the stack is supervised and every service is ready."""
    return (
        current is not None
        and is_alive(current.supervisor)
        and current.phase is Phase.UP
        and all(_seen(each).state is State.READY for each in current.services)
    )


def document(current: StackRecord | None) -> dict[str, Any]:
    """Return the status for programs."""
    if current is None:
        return {"up": False, "phase": "down", "supervisor": None, "services": []}
    return {
        "up": is_up(current),
        "phase": current.phase if is_alive(current.supervisor) else "unsupervised",
        "supervisor": current.supervisor.pid if is_alive(current.supervisor) else None,
        "failure": current.failure,
        "services": [_service_document(_seen(each)) for each in current.services],
    }


def table(current: StackRecord) -> Table:
    """Return the status for people; on a narrow terminal the address alone is broken, into several lines."""
    view = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("process", "state", "pid", "since", "restarts"):
        view.add_column(title, no_wrap=True)
    view.add_column("address", overflow="fold")
    for service in map(_seen, current.services):
        pid = str(service.process.pid) if service.process else "-"
        state = Text(service.state, style=STYLES.get(service.state, ""))
        cells = (service.name, state, pid, ago(service.since), str(service.restarts), _short(service.address))
        view.add_row(*cells)
    return view


def _short(address: str) -> str:
    """Shorten the path of a socket below the current folder."""
    return address.replace(f"unix:{Path.cwd()}/", "unix:", 1)


def reasons(current: StackRecord) -> list[str]:
    """Return a line for each service that has something to explain."""
    explained = ((service.name, why_not(service)) for service in map(_seen, current.services))
    return [f"{name}: {reason}" for name, reason in explained if reason]


def why_not(service: ServiceRecord) -> str:
    """Return why a service is not ready; for one that is, why it was last restarted."""
    if service.reason or not service.last_failure:
        return service.reason
    return f"restarted: {service.last_failure}"


def ago(since: float, now: float | None = None) -> str:
    """Return how long ago a moment was, in its two largest units."""
    if not since:
        return "-"
    rest = max(0, int((time.time() if now is None else now) - since))
    parts: list[tuple[int, str]] = []
    for name, size in _UNITS:
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append((count, name))
    return " ".join(f"{count} {name}" for count, name in parts[:2] if count) or "0 s"


def headline(current: StackRecord | None) -> str:
    """Describe the whole stack in a line."""
    if current is None:
        return "the stack is down"
    if not is_alive(current.supervisor):
        return f"the stack is {_unsupervised(current)}" + (f": {current.failure}" if current.failure else "")
    return f"the stack is {current.phase}, supervised by pid {current.supervisor.pid}"


def _unsupervised(current: StackRecord) -> str:
    return str(Phase.FAILED) if current.phase is Phase.FAILED else "without its supervisor, which was killed"


def _seen(service: ServiceRecord) -> ServiceRecord:
    """Hold what the record says against the process table."""
    if service.process and not is_alive(service.process):
        return ServiceRecord(
            name=service.name,
            address=service.address,
            state=State.STOPPED,
            since=service.since,
            restarts=service.restarts,
            reason="the process is gone",
        )
    return service


def _service_document(service: ServiceRecord) -> dict[str, Any]:
    fields = asdict(service)
    fields.pop("process")
    return {**fields, "pid": service.process.pid if service.process else None}
