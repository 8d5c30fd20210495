"""Saturation of the process itself: how many searches may be in the house while others wait outside.

gRPC's asyncio server takes one call out of its core at each turn of the event loop. Once the process has no time left, calls
wait there, in order, before any code of ours sees them: at three times the capacity every call that was taken had waited
nearly its whole deadline, and most of the work was done for callers who had gone. So the row that the core holds
is looked at, and bounds how many searches may be in the house. The others are refused at the door, before anything is
read, which costs a tenth of an answer and lets the row grow short again.

The sign is a standing wait, the least of several looks, as in CoDel (Nichols and Jacobson, 2012): a burst that is soon taken
in is none. The limit follows the rule of gateway/retrieval/admission.py.
"""

import asyncio
import json
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Container
from typing import Any, NoReturn

# The core counts its calls and tells them nowhere else; grpcio-channelz reads them here as well.
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from gateway.logs import log_event
from gateway.retrieval.admission import AimdLimit

RETRY_S = 0.5
"""After which those come back who are refused."""

_LOOK_S = 0.05
_ONSET, _LOOKS = 10, 4
_WAIT_S = 0.05
"""Where calls wait longer than this before they are taken, at so many looks in a row, the process has no time left: more of
them before the first refusal, for a burst is taken in meanwhile, than while there are refusals."""
_TELL_S = 1.0
"""Between two lines in the log."""
_CROWD = 24
"""Searches inside and waiting together that are no crowd, however slow they are: so few clients, each with one call
under way, wait for nothing but each other's answers, and refusing one of them makes no other's wait end sooner by much."""
_LEAST = 8
"""Searches that are let in however long the row is."""
_RESERVE = 2
"""Those who have nothing in the house exceed the limit by this part of it at most: one caller's crowd keeps nobody out."""

_logger = logging.getLogger(__name__)


class Saturation:
    """Lets searches in while calls do not wait outside; all listeners share one."""

    def __init__(self, *, maximum: int) -> None:
        self._rule = AimdLimit(maximum=maximum, minimum=min(_LEAST, maximum))
        self._inside: Counter[str] = Counter()
        self._waits: deque[float] = deque(maxlen=_ONSET)
        self._refused = 0
        self.limit = maximum
        self.inside = 0
        self.taken = 0
        """Calls that gRPC has handed over, of every kind."""
        self.under_way = 0
        """Calls of vitrine.v1 among them that have not ended."""

    def is_full_for(self, share: str) -> bool:
        """Return whether a search must be refused; `share` says whose it is."""
        if self.inside < self.limit:
            return False
        return bool(self._inside[share]) or self.inside >= self.limit + self.limit // _RESERVE

    def refused(self) -> None:
        """Count a search that was refused; they are logged together, for a line each would cost as much as the refusal."""
        self._refused += 1

    def entered(self, share: str) -> "_Inside":
        """Return what counts a search as inside while a block runs."""
        return _Inside(self, share)

    def enter(self, share: str) -> None:
        """Count one more inside."""
        self.inside += 1
        self._inside[share] += 1

    def leave(self, share: str) -> None:
        """Count one less."""
        self.inside -= 1
        self._inside[share] -= 1
        if not self._inside[share]:
            del self._inside[share]

    async def watch(self, waiting: Callable[[], int]) -> NoReturn:
        """Look how many wait outside, and move the limit by it, for as long as anything is served."""
        taken, at = self.taken, time.perf_counter()
        told = at
        while True:
            await asyncio.sleep(_LOOK_S)
            now = time.perf_counter()
            # Nobody waits where nobody came and nobody is here; to ask the core is the largest part of an idle process's time.
            idle = self.taken == taken and not self.under_way
            self.learn(
                0.0 if idle else self.wait_s(waiting(), pace_s=(now - at) / max(1, self.taken - taken))
            )
            taken, at = self.taken, now
            if self._refused and now - told >= _TELL_S:
                told = now
                log_event(_logger, logging.WARNING, "saturated", refused=self._refused, limit=self.limit)
                self._refused = 0

    def wait_s(self, row: int, *, pace_s: float) -> float:
        """Return how long a call that comes now waits outside, in seconds, behind a row of which one is taken each `pace_s`.

        It is 0 where those are so few that nobody would be helped by a refusal.
        """
        return row * pace_s if self.inside + row >= _CROWD else 0.0

    def learn(self, wait_s: float) -> None:
        """Move the limit by how long a call that comes now waits outside, in seconds."""
        self._waits.append(wait_s)
        looks = _ONSET if self.limit == self._rule.maximum else _LOOKS
        late = len(self._waits) == _ONSET and min([*self._waits][-looks:]) > _WAIT_S
        # What is inside made it late, not the limit, which may not have been reached for hours.
        limit = min(self.limit, max(self.inside, _LEAST)) if late else self.limit
        self.limit = self._rule.after(limit, in_flight=self.inside, overloaded=late)


class _Inside:
    """A search that is inside while a block runs."""

    __slots__ = ("_saturation", "_share")

    def __init__(self, saturation: Saturation, share: str) -> None:
        self._saturation = saturation
        self._share = share

    def __enter__(self) -> None:
        self._saturation.enter(self._share)

    def __exit__(self, *_: object) -> None:
        self._saturation.leave(self._share)


def open_servers() -> set[str]:
    """Return the core's ids of the servers of this process."""
    return {server["ref"]["serverId"] for server in _servers()}


def open_calls(servers: Container[str]) -> int:
    """Return how many calls these servers have received and not ended, handed over or not."""
    return sum(
        int(calls.get("callsStarted", 0))
        - int(calls.get("callsSucceeded", 0))
        - int(calls.get("callsFailed", 0))
        for calls in (server["data"] for server in _servers() if server["ref"]["serverId"] in servers)
    )


def _servers() -> list[dict[str, Any]]:
    servers: list[dict[str, Any]] = json.loads(cygrpc.channelz_get_servers(0)).get("server", [])
    return servers
