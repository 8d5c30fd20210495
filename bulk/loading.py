"""Parts into the index that is built: in order, each product once, by the one who holds the lease."""

import asyncio
import json
import logging
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from bulk.errors import BulkError
from bulk.parts import BadRow, Part, decode_part
from bulk.work import Work, part_name
from gateway.errors import DeadlineExceeded, VectorIndexError
from gateway.indexing.idset import IdSet
from gateway.logs import log_event
from gateway.model import IndexVersion, StoredDigests, StoredProduct

BAD_ROWS = "bad-rows.jsonl"

_logger = logging.getLogger(__name__)

_LEAST_ROWS = 1_000
"""Rows before which a share means little; the whole is held against it at the end."""
_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Before each further try of a part that the index did not take: a server that is short of CPU or memory refuses, or
answers too late, and takes it a little later. Writing a part twice is writing it once: its rows have keys."""
_PARTS_AT_ONCE = 8
"""Parts that are being written, each by one call: a server answers a call when its clock has ticked, however many rows it has."""


@dataclass(slots=True)
class Tally:
    """What became of the rows so far."""

    products: int = 0
    """In the index, or in the one that is built."""
    resumed: int = 0
    """Of them: embedded by a run before this one."""
    bad: int = 0
    cut: int = 0
    lost_pictures: int = 0

    @property
    def rows(self) -> int:
        """Return how many rows there were."""
        return self.products + self.bad

    def add(self, part: Part, products: int, bad: Sequence[BadRow]) -> None:
        """Count a part of which that many products are in the index."""
        self.products += products
        self.bad += sum(each.rows for each in bad)
        self.cut += part.cut
        self.lost_pictures += part.lost_pictures


class Target(Protocol):
    """What takes the products: a build, or files that Milvus takes in."""

    @property
    def version(self) -> IndexVersion:
        """Return the identity of the collection."""
        ...

    async def digests(self, ids: Sequence[str], *, fresh: bool = False) -> dict[str, StoredDigests]:
        """As `gateway.ports.CollectionWriter` says."""
        ...

    async def upsert(self, products: Sequence[StoredProduct], *, replaces: bool = True) -> None:
        """As `gateway.ports.CollectionWriter` says."""
        ...


class Loader:
    """Writes parts, and keeps the ids of what was written."""

    def __init__(
        self,
        build: Target,
        work: Work,
        *,
        most_bad: float,
        done: frozenset[int] = frozenset(),
        progress: Callable[[Tally], None] = lambda _: None,
        pauses_s: Sequence[float] = _PAUSES_S,
    ) -> None:
        """Write into the build; `most_bad` is the share of rows that may be bad, `done` the parts of earlier runs."""
        self.kept = IdSet()
        self.tally = Tally()
        self._build = build
        self._work = work
        self._most_bad = most_bad
        self._done = done
        self._progress = progress
        self._pauses_s = pauses_s
        self._listed = tempfile.TemporaryFile()  # noqa: SIM115 - closed when all is listed

    async def load(self, numbers: AsyncIterator[int]) -> None:
        """Write the parts in the order of their numbers, and list the bad rows of all of them.

        Raises:
            BulkError: more rows than the share are bad.
            Aborted: the lease was lost.
            DependencyError, DeadlineExceeded: the index failed, again and again.
        """
        writing: deque[asyncio.Task[None]] = deque()
        try:
            async for number in numbers:
                part = await asyncio.to_thread(self._read, number)
                writing.append(asyncio.create_task(self._take(part, resumed=number in self._done)))
                if len(writing) >= _PARTS_AT_ONCE:
                    await writing.popleft()
                self._check(at_least=_LEAST_ROWS)
                self._progress(self.tally)
            await asyncio.gather(*writing)
        finally:
            for task in writing:
                task.cancel()
            await asyncio.gather(*writing, return_exceptions=True)
            await asyncio.to_thread(self._list_bad_rows)
        self._check(at_least=1)

    def _take(self, part: Part, *, resumed: bool) -> Coroutine[Any, Any, None]:
        """Count a part, and return what writes it."""
        products, repeated = self._new(part.products)
        bad = (*part.bad, *repeated)
        self._listed.writelines(map(_line, bad))
        self.tally.add(part, len(products), bad)
        self.tally.resumed += len(products) if resumed else 0
        return self._write(products, resumed=resumed)

    async def _write(self, products: Sequence[StoredProduct], *, resumed: bool) -> None:
        for pause_s in self._pauses_s:
            try:
                return await self._write_once(products, resumed=resumed)
            except (VectorIndexError, DeadlineExceeded) as error:
                log_event(_logger, logging.WARNING, "part_refused", error=str(error), again_in_s=pause_s)
            await asyncio.sleep(pause_s)
        return await self._write_once(products, resumed=resumed)

    async def _write_once(self, products: Sequence[StoredProduct], *, resumed: bool) -> None:
        if resumed:  # by a run that may have written them too
            held = await self._build.digests([each.id for each in products])
            products = [
                each for each in products if each.id not in held or held[each.id].digest != each.digest
            ]
        if products:
            # Of one source: none of them has changed its pictures.
            await self._build.upsert(products, replaces=False)
            # Whoever writes faster than a server takes in holds up every read that waits for it, the lease's own too.
            await self._build.digests([products[-1].id], fresh=True)

    def _read(self, number: int) -> Part:
        name = part_name(number)
        try:
            return decode_part(self._work.read(name), self._build.version)
        except (FileNotFoundError, ValueError) as error:
            raise BulkError(
                f"{self._work.location}/{name}: cannot be read: delete it and run again"
            ) from error

    def _new(self, products: Sequence[StoredProduct]) -> tuple[list[StoredProduct], list[BadRow]]:
        """Part the products from those whose id an earlier row has."""
        new, repeated = [], []
        for each in products:
            if each.id in self.kept:
                repeated.append(BadRow(where=f"product {each.id}", field="id", reason="was there before"))
            else:
                self.kept.add(each.id)
                new.append(each)
        return new, repeated

    def _check(self, *, at_least: int) -> None:
        tally = self.tally
        if tally.rows >= at_least and tally.bad > self._most_bad * tally.rows:
            raise BulkError(
                f"{tally.bad:,} of {tally.rows:,} rows are bad, over {self._most_bad:.2%}: the index in use stays; they are in"
                f" {self._work.location}/{BAD_ROWS}, and --bad-rows lets more pass"
            )

    def _list_bad_rows(self) -> None:
        with self._listed as listed:
            listed.seek(0)
            self._work.write(BAD_ROWS, listed.read())


def _line(bad: BadRow) -> bytes:
    return f"{json.dumps(asdict(bad))}\n".encode()
