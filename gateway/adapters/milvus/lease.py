"""One writer at a time: claims in the ledger, of which the one that stands alone holds the lease.

Milvus compares nothing before it writes. But a read at the consistency Strong sees every write that had ended before
it, and that suffices: whoever wants the lease writes a claim of its own, then reads all claims. Only who sees none but
its own holds the lease; of two who see each other at most one stays. (docs/decisions/0023 has the proof.)

A claim is alive while its beat changes. No clock is compared with another's: a claim is dead where one process, by its
own monotonic clock, saw its beat unchanged for the length of the claim's lease, and its holder, by its own, lets go earlier.
"""

import asyncio
import json
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, fields, replace
from secrets import token_hex
from typing import Any

from gateway.adapters.milvus.ledger import MilvusLedger
from gateway.errors import Aborted, DeadlineExceeded, FailedPrecondition, VectorIndexError
from gateway.logs import log_event
from gateway.model import Deadline

LEASE_S = 20.0
"""A claim whose beat did not change for so long is dead, unless it says another length itself."""

REBUILD = "rebuild"
FIRST_USE = "first use"
SCHEMA = "change of the schema"
RESTORE = "restoring of the index before"

_BEATS = 5
"""In the time of a lease."""
_MARGIN = 0.2
"""Share of the lease that a holder leaves unused: others begin to count when they see a beat, and never before it."""
_POLL_S = 0.2
_ROUNDS = 10

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a writer wants or does."""

    kind: str
    token: int = 0
    """0: it wants the lease and does not hold it yet."""
    changes: str = ""
    swapping: bool = False
    lease_s: float = LEASE_S
    """For how long it is alive after a beat."""

    def told(self) -> str:
        """Return it as the ledger keeps it: without what is usual."""
        usual = asdict(Claim(kind=""))
        return json.dumps({name: value for name, value in asdict(self).items() if value != usual[name]})


def read_claim(text: str) -> Claim:
    """Read what `told` wrote; what a later version says besides is left out."""
    told = json.loads(text)
    return Claim(**{name: value for name, value in told.items() if name in _CLAIM_FIELDS})


_CLAIM_FIELDS = frozenset(field.name for field in fields(Claim))


@dataclass(frozen=True, slots=True)
class _Seen:
    beat: int
    at: float
    """When this process saw that beat first."""
    moved: bool
    """Whether it saw another beat before: somebody is there."""


class Claims:
    """The claims under one prefix of the ledger, as this process sees them."""

    def __init__(self, ledger: MilvusLedger, *, prefix: str, lease_s: float = LEASE_S) -> None:
        self.lease_s = lease_s
        self._ledger = ledger
        self._prefix = prefix
        self._seen: dict[str, _Seen] = {}
        self._own: set[str] = set()

    async def read(self, *, timeout_s: float) -> dict[str, Claim]:
        """Return the claims that are not dead, by owner; those that are dead are removed first."""
        deadline = Deadline.after(timeout_s)
        asked = time.monotonic()
        rows = await self._ledger.read_all(self._prefix, timeout_s=timeout_s)
        answered = time.monotonic()
        claims: dict[str, Claim] = {}
        seen: dict[str, _Seen] = {}
        for key, (beat, value) in rows.items():
            owner = key.removeprefix(self._prefix)
            before = self._seen.get(owner)
            if before is None or before.beat != beat:
                before = _Seen(beat, answered, moved=before is not None)
            claim = read_claim(value)
            if asked - before.at >= claim.lease_s:
                log_event(_logger, logging.WARNING, "lease_broken", owner=owner, claim=value)
                await self._ledger.forget(key, timeout_s=deadline.remaining_s())
                continue
            seen[owner] = before
            claims[owner] = claim
        self._seen = seen
        return claims

    async def acquire(
        self, kind: str, *, wait_s: float, floor: Callable[[], Awaitable[int]], timeout_s: float
    ) -> "Lease":
        """Hold the lease; wait for the end of what is short, and for the death of who is gone.

        `floor` gives a number which the token exceeds where none was given yet.

        Raises:
            FailedPrecondition: a rebuild is under way, or another change has not ended in the time.
        """
        waiting = Deadline.after(wait_s)
        while True:
            others = await self.read(timeout_s=timeout_s)
            if not others and (lease := await self.try_once(kind, timeout_s=timeout_s)) is not None:
                async with _released_unless_done(lease):
                    lease.keep()
                    await lease.renew(token=await self._next_token(floor, timeout_s))
                return lease
            busy = [self._told(owner, claim) for owner, claim in others.items()]
            if any(rebuilding for rebuilding in busy) or not waiting.remaining_s():
                names = ", ".join(sorted({claim.kind for claim in others.values()})) or "writer"
                raise FailedPrecondition(f"another {names} is under way: wait for its end")
            await asyncio.sleep(_POLL_S * (0.5 + random.random()))  # noqa: S311 - no secret

    async def try_once(self, kind: str, *, timeout_s: float) -> "Lease | None":
        """Claim the lease; None, and no claim left, where somebody else wants or holds it."""
        owner = token_hex(8)
        claim = Claim(kind=kind, lease_s=self.lease_s)
        lease = Lease(self, self._ledger, key=f"{self._prefix}{owner}", owner=owner, claim=claim)
        self._own.add(owner)
        async with _released_unless_done(lease):
            await lease.claim_it(timeout_s=timeout_s)
            for _ in range(_ROUNDS):
                others = await self.read(timeout_s=timeout_s)
                if others.pop(owner, None) is None:
                    break
                if not others:
                    return lease
                if any(claim.token or other < owner for other, claim in others.items()):
                    break
                await asyncio.sleep(_POLL_S)
        await lease.release()
        return None

    def given_back(self, owner: str) -> None:
        """Count the owner no longer among this process's own."""
        self._own.discard(owner)

    def _told(self, owner: str, claim: Claim) -> bool:
        """Whether it is known of a rebuild that whoever does it is alive."""
        alive = owner in self._own or (owner in self._seen and self._seen[owner].moved)
        return claim.kind == REBUILD and claim.token > 0 and alive

    async def _next_token(self, floor: Callable[[], Awaitable[int]], timeout_s: float) -> int:
        key = f"{self._prefix.rstrip('/')}-token"
        last = await self._ledger.read(key, timeout_s=timeout_s)
        token = (int(last) if last is not None else await floor()) + 1
        await self._ledger.put(key, token, str(token), timeout_s=timeout_s)
        return token


@asynccontextmanager
async def _released_unless_done(lease: "Lease") -> AsyncIterator[None]:
    """Release the lease where the block fails."""
    done = False
    try:
        yield
        done = True
    finally:
        if not done:
            await lease.release()


class Lease:
    """A claim that stood alone, kept alive by beats until it is released or lost."""

    def __init__(self, claims: Claims, ledger: MilvusLedger, *, key: str, owner: str, claim: Claim) -> None:
        self.claim = claim
        self._claims = claims
        self._ledger = ledger
        self._key = key
        self._owner = owner
        self._beat = 0
        self._ends_at = 0.0
        self._lost = False
        self._turn = asyncio.Lock()
        self._beating: asyncio.Task[None] | None = None

    @property
    def remaining_s(self) -> float:
        """Seconds for which it holds without another beat; 0 where it was lost."""
        return 0.0 if self._lost else max(0.0, self._ends_at - time.monotonic())

    async def claim_it(self, *, timeout_s: float) -> None:
        """Write the claim."""
        await self._ledger.make(timeout_s=timeout_s)
        await self._put(self.claim, timeout_s)

    def keep(self) -> None:
        """Keep it alive from here on: it stands alone."""
        self._beating = asyncio.create_task(self._beats())

    def check(self) -> None:
        """Raise Aborted where it was lost, or may have been."""
        if not self.remaining_s:
            self._lost = True
            raise Aborted(
                "index", f"the {self.claim.kind} lost its lease and another writer may go on: begin again"
            )

    async def renew(self, **changes: Any) -> None:
        """Beat, and say what has changed of the claim; raises Aborted where it was lost."""
        async with self._turn:
            await self.verify()
            claim = replace(self.claim, **changes)
            self._beat += 1
            await self._put(claim, self.remaining_s)
            self.claim = claim

    async def verify(self) -> None:
        """Raise Aborted unless the claim is still there, and no holder after it."""
        self.check()
        claims = await self._claims.read(timeout_s=self.remaining_s)
        mine = claims.pop(self._owner, None)
        if mine is None or any(other.token > self.claim.token for other in claims.values()):
            self._lost = True
        self.check()

    async def release(self) -> None:
        """Give it back; where the ledger does not answer, it dies by itself."""
        self._lost = True
        self._claims.given_back(self._owner)
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
            self._beating = None
        try:
            await asyncio.shield(self._ledger.forget(self._key, timeout_s=self._claims.lease_s))
        except (VectorIndexError, DeadlineExceeded) as error:
            log_event(_logger, logging.WARNING, "lease_left", claim=asdict(self.claim), error=str(error))

    async def _put(self, claim: Claim, timeout_s: float) -> None:
        began = time.monotonic()
        await self._ledger.put(self._key, self._beat, claim.told(), timeout_s=timeout_s)
        # From before the write: nobody can have seen this beat earlier.
        self._ends_at = began + claim.lease_s * (1 - _MARGIN)

    async def _beats(self) -> None:
        while True:
            await asyncio.sleep(min(self._claims.lease_s, LEASE_S) / _BEATS)
            try:
                await self.renew()
            except (VectorIndexError, DeadlineExceeded):
                continue  # tried again until its time is over
            except Aborted as error:
                log_event(_logger, logging.ERROR, "lease_lost", claim=asdict(self.claim), error=str(error))
                return
