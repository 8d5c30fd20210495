"""The record of a stack: what runs, since when, and why not. The supervisor writes it; every command reads it."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from stack.processes import Identity


class Phase(StrEnum):
    """Where the whole stack is."""

    STARTING = "starting"
    UP = "up"
    STOPPING = "stopping"
    FAILED = "failed"


class State(StrEnum):
    """Where one service is."""

    WAITING = "waiting"
    """For the services before it."""
    STARTING = "starting"
    READY = "ready"
    UNWELL = "unwell"
    """It runs, and its last probe failed."""
    BACKOFF = "backoff"
    """It died and will be started again."""
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRecord:
    """One service."""

    name: str
    address: str
    state: State = State.WAITING
    process: Identity | None = None
    since: float = 0.0
    """When it came into its state, in seconds of the epoch."""
    restarts: int = 0
    reason: str = ""
    """Why it is not ready."""
    last_failure: str = ""
    """Why it was last restarted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackRecord:
    """The whole stack."""

    supervisor: Identity
    phase: Phase
    fingerprint: str
    """Of the settings and the model repository it was started with."""
    services: tuple[ServiceRecord, ...]
    failure: str = ""
    """The service that could not be started, when the phase is FAILED."""


def write(path: Path, record: StackRecord) -> None:
    """Replace the record in one step, so that a reader never sees half of it."""
    draft = path.with_suffix(".draft")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(asdict(record), indent=1))
    draft.replace(path)


def read(path: Path) -> StackRecord | None:
    """Return the record; None when there is none that can be read."""
    try:
        document = json.loads(path.read_text())
        services = tuple(
            ServiceRecord(
                **{
                    **each,
                    "state": State(each["state"]),
                    "process": Identity(**each["process"]) if each["process"] else None,
                }
            )
            for each in document.pop("services")
        )
        supervisor, phase = Identity(**document.pop("supervisor")), Phase(document.pop("phase"))
        return StackRecord(supervisor=supervisor, phase=phase, services=services, **document)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
