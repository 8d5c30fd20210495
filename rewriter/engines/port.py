"""The port to what reads turns, and what stands in when an engine fails."""

import hashlib
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Protocol

from vitrine.domain import limits
from vitrine.v1 import rewrite_pb2

_REWRITER = Path(__file__).parents[1]
_READING = (
    "engines",
    "linking",
    "nlu",
    "replies",
    "languages",
    "things",
    "answer_schema.py",
    "checks.py",
    "catalogues.py",
    "synonyms.py",
    "prompt.toml",
)
"""What readings depend on in the rewriter; the domain is the rest of it."""
_SUFFIXES = frozenset({".py", ".toml"})


class Engine(Protocol):
    """Reads a turn in the light of the conversation."""

    @property
    def version(self) -> str:
        """Return what reads the turns, and which of its versions."""
        ...

    async def rewrite(self, request: rewrite_pb2.RewriteRequest, *, timeout_s: float) -> rewrite_pb2.Rewrite:
        """Return what the turn needs, within the time.

        Raises:
            EngineError: no valid rewrite came in time; says why.
        """
        ...


class Phraser(Protocol):
    """Puts a reply into other words."""

    async def phrase(self, request: rewrite_pb2.PhraseRequest, *, timeout_s: float) -> str:
        """Return the reply, within the time.

        Raises:
            EngineError: none came in time that may be shown; says why.
        """
        ...


@cache
def rules_version() -> str:
    """Return the digest of the code and the data that read turns: under one digest, one turn is read one way."""
    state = hashlib.blake2b(digest_size=6)
    for path in _sources():
        state.update(path.name.encode() + path.read_bytes())
    return state.hexdigest()


def _sources() -> list[Path]:
    """Return the files that readings depend on, in order."""
    rooms = [*(_REWRITER / name for name in _READING), Path(limits.__file__).parent]
    files = (path for room in rooms for path in (room.rglob("*") if room.is_dir() else [room]))
    return sorted(path for path in files if path.suffix in _SUFFIXES)


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
