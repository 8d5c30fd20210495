"""Live load: searches, turns, writes and deletes at a steady rate, whether or not earlier ones were answered."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from tests.chaos.material import Material, Question
from tests.chaos.oracle import Asked, ExactIndex, Held
from vitrine.client import VitrineClient, VitrineError
from vitrine.domain.messages import product_message
from vitrine.domain.schema_files import shipped_schema
from vitrine.v1 import catalogue_pb2, search_pb2

OK: Final = "OK"
SEARCH, REWRITTEN, CONVERSE, UPSERT, DELETE = "search", "rewritten", "converse", "upsert", "delete"
KINDS = (SEARCH,) * 6 + (REWRITTEN,) * 2 + (CONVERSE, UPSERT)
"""What one request after the other is; every fifth write is a delete."""

DEADLINE_S = 1.5
"""Of a search or turn, where nothing else is said."""
WRITE_DEADLINE_S = 10.0
_TICK_S = 0.01
_DELETE_EVERY = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One request."""

    kind: str
    status: str
    begun: float
    ended: float
    deadline_s: float
    degraded: tuple[str, ...] = ()
    question: int = -1
    hits: tuple[tuple[str, float], ...] = ()


@dataclass
class Load:
    """Sends requests, and keeps how each went."""

    client: VitrineClient
    material: Material
    index: ExactIndex
    rate: float
    seed: int = 0
    deadline_s: float = DEADLINE_S
    """Of a search or turn."""
    samples: list[Sample] = field(default_factory=list)
    lags: list[tuple[float, float]] = field(default_factory=list)
    """When the client itself ran late, and by how much: moment and seconds."""
    _serial: "itertools.count[int]" = field(default_factory=itertools.count)
    _written: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send until the block is left, and wait for the last answers."""
        stop = asyncio.Event()
        tasks = [asyncio.create_task(self._send_all(stop)), asyncio.create_task(self._watch_lag(stop))]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*tasks)

    def since(self, moment: float) -> list[Sample]:
        """Return the samples that began since."""
        return [each for each in self.samples if each.begun >= moment]

    def lag(self, begun: float, ended: float) -> float:
        """Return how late the client's own loop was at most between two moments."""
        return max((late for at, late in self.lags if begun - 0.1 <= at <= ended + 0.1), default=0.0)

    async def _send_all(self, stop: asyncio.Event) -> None:
        rng = Random(self.seed)
        under_way: set[asyncio.Task[None]] = set()
        begun = time.monotonic()
        for number in itertools.count():
            await asyncio.sleep(max(0.0, begun + number / self.rate - time.monotonic()))
            if stop.is_set():
                break
            task = asyncio.create_task(self._one(KINDS[number % len(KINDS)], rng))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        if under_way:
            await asyncio.gather(*under_way)

    async def _watch_lag(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            begun = time.monotonic()
            await asyncio.sleep(_TICK_S)
            late = time.monotonic() - begun - _TICK_S
            if late > _TICK_S:
                self.lags.append((time.monotonic(), late))

    async def _one(self, kind: str, rng: Random) -> None:
        match kind:
            case "search":
                await self._search(rng.randrange(len(self.material.questions)))
            case "rewritten":
                request = rng.choice(self.material.rewritten)
                await self._timed(
                    Sample(kind=kind, status=OK, begun=0, ended=0, deadline_s=self.deadline_s),
                    lambda: self._searched(request),
                )
            case "converse":
                await self._converse(rng)
            case _:
                number = next(self._serial)
                if number % _DELETE_EVERY == _DELETE_EVERY - 1 and self._written:
                    await self._delete(self._written.pop(rng.randrange(len(self._written))))
                else:
                    await self._upsert(f"chaos-{self.seed}-{number:05}", rng)

    async def _timed(self, sample: Sample, call: Callable[[], Awaitable[Sample]]) -> Sample:
        """Make a call, and keep how it went; `call` gives the fields that only its answer knows."""
        begun = time.monotonic()
        status = OK
        try:
            sample = await call()
        except VitrineError as error:
            status = error.code.name
        sample = replace(sample, status=status, begun=begun, ended=time.monotonic())
        self.samples.append(sample)
        return sample

    async def _search(self, number: int) -> None:
        question: Question = self.material.questions[number]
        sample = Sample(kind=SEARCH, status=OK, begun=0, ended=0, deadline_s=self.deadline_s, question=number)

        async def call() -> Sample:
            return replace(await self._searched(question.request), kind=SEARCH, question=number)

        await self._timed(sample, call)

    async def _searched(self, request: search_pb2.SearchRequest) -> Sample:
        answer = await self.client.search(request, timeout_s=self.deadline_s)
        return Sample(
            kind=REWRITTEN,
            status=OK,
            begun=0,
            ended=0,
            deadline_s=self.deadline_s,
            degraded=tuple(answer.degraded),
            hits=tuple((hit.product_id, hit.score) for hit in answer.hits),
        )

    async def _converse(self, rng: Random) -> None:
        request = rng.choice(self.material.rewritten)
        sample = Sample(kind=CONVERSE, status=OK, begun=0, ended=0, deadline_s=self.deadline_s)

        async def call() -> Sample:
            session = ""
            turn = search_pb2.ConverseRequest(text=request.text, limit=request.limit, session_id=session)
            async for _ in self.client.converse(turn, timeout_s=self.deadline_s):
                pass
            return sample

        await self._timed(sample, call)

    async def _upsert(self, id_: str, rng: Random) -> None:
        content = rng.choice(self.material.contents)
        product = replace(content.product, id=id_)
        held = Held(product=product, vectors=content.vectors, sent=time.monotonic())
        self.index.held[id_] = held
        sample = Sample(kind=UPSERT, status=OK, begun=0, ended=0, deadline_s=WRITE_DEADLINE_S)

        async def inputs() -> AsyncIterator[catalogue_pb2.ProductInput]:
            yield catalogue_pb2.ProductInput(
                product=product_message(product, shipped_schema()), image=content.picture
            )

        async def call() -> Sample:
            written = 0
            async for answer in self.client.upsert(inputs(), timeout_s=WRITE_DEADLINE_S):
                written = answer.written
            assert written == 1, f"a stream of one product ended OK with {written} written"
            return sample

        if (await self._timed(sample, call)).status == OK:
            held.acknowledged = time.monotonic()
            self._written.append(id_)

    async def _delete(self, id_: str) -> None:
        held = self.index.held[id_]
        # A rebuild may have left it out already: what may be gone stays so.
        held.delete_sent = min(held.delete_sent, time.monotonic())
        request = catalogue_pb2.DeleteProductsRequest(product_ids=[id_])
        sample = Sample(kind=DELETE, status=OK, begun=0, ended=0, deadline_s=WRITE_DEADLINE_S)

        async def call() -> Sample:
            await self.client.delete(request, timeout_s=WRITE_DEADLINE_S)
            return sample

        if (await self._timed(sample, call)).status == OK:
            held.delete_acknowledged = min(held.delete_acknowledged, time.monotonic())


def wrong_answers(samples: Sequence[Sample], material: Material, index: ExactIndex) -> list[str]:
    """Return what is wrong with the answers to searches, each held against the exact index of its time."""
    wrong = []
    for sample in samples:
        if sample.kind != SEARCH or sample.status != OK:
            continue
        question = material.questions[sample.question]
        asked = Asked(
            vector=question.vector,
            text_weight=question.request.weights.text,
            image_weight=question.request.weights.image,
            filters=question.filters,
            limit=question.request.limit,
            begun=sample.begun,
            ended=sample.ended,
        )
        if said := index.wrong(asked, sample.hits):
            wrong.append(f"question {sample.question}: {said}")
    return wrong
