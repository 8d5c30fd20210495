"""The port to what reads turns, and what stands in when an engine fails."""

from enum import Enum
from typing import Protocol

from vitrine.v1 import rewrite_pb2


class Engine(Protocol):
    """Reads a turn in the light of the conversation."""

    async def rewrite(self, request: rewrite_pb2.RewriteRequest, *, timeout_s: float) -> rewrite_pb2.Rewrite:
        """Give what the turn needs, within the time.

        Raises:
            EngineError: no valid rewrite came in time; says why.
        """
        ...


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
