"""The port to what reads turns, and what stands in when an engine fails."""

import hashlib
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Protocol

from vitrine.v1 import rewrite_pb2

_ROOMS = ("engines", "nlu", "replies")


class Engine(Protocol):
    """Reads a turn in the light of the conversation."""

    @property
    def version(self) -> str:
        """Name what reads the turns, and which of its versions."""
        ...

    async def rewrite(self, request: rewrite_pb2.RewriteRequest, *, timeout_s: float) -> rewrite_pb2.Rewrite:
        """Give what the turn needs, within the time.

        Raises:
            EngineError: no valid rewrite came in time; says why.
        """
        ...


@cache
def rules_version() -> str:
    """Give the digest of the code that reads turns: under one digest, one turn is read one way."""
    state = hashlib.blake2b(digest_size=6)
    for path in sorted(path for room in _ROOMS for path in (Path(__file__).parents[1] / room).rglob("*.py")):
        state.update(path.read_bytes())
    return state.hexdigest()


class Failure(Enum):
    """Why an engine gave no rewrite."""

    BUSY = "busy"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    STATUS = "status"
    TOO_LONG = "too long"
    NOT_JSON = "not json"
    SCHEMA = "schema"
    INVALID = "invalid"
    UNSURE = "unsure"


class EngineError(Exception):
    """An engine gave no rewrite that may be used; the detail is for the log and never holds the shopper's words."""

    def __init__(self, failure: Failure, detail: str = "") -> None:
        super().__init__(f"{failure.value}: {detail}" if detail else failure.value)
        self.failure = failure
        self.detail = detail
