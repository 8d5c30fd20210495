"""How often a decider is right, and how fast it is."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import cycle, islice
from typing import Any

import numpy as np
from tqdm import tqdm

from rewriter.engines.port import Engine, EngineError
from rewriter.linking.linker import Linker
from rewriter.quality.turns import Case, Expected, Opinion
from rewriter.replies.answers import SOURCE
from vitrine.v1 import rewrite_pb2

TIMEOUT_S = 30.0
"""For the accuracy of a slow endpoint; the latencies say how slow it is."""

_WORST = 8
CONCURRENCIES = (1, 8, 32)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a decider made of a case."""

    case: Case
    rewrite: rewrite_pb2.Rewrite | None
    failure: str = ""

    @property
    def routed(self) -> bool:
        """Whether the route is right."""
        return self.rewrite is not None and Expected.of(self.rewrite).route == self.case.expected.route

    @property
    def exact(self) -> bool:
        """Whether everything is."""
        return self.rewrite is not None and self.case.expected.matches(Expected.of(self.rewrite))

    def agrees(self, part: str) -> bool:
        """Whether that part of the opinion is right: "intent", "sentiment" or "remarks"."""
        given = Opinion.of(self.rewrite) if self.rewrite is not None else None
        return given is not None and getattr(given, part) == getattr(self.case.opinion, part)


async def embedded(linker: Linker, requests: Sequence[rewrite_pb2.RewriteRequest]) -> None:
    """Have the values and the words of all turns embedded, as they are where a catalogue was in use for a while."""
    for _ in range(2):
        for request in requests:
            await linker.link(request, timeout_s=TIMEOUT_S)
        await linker.settle()


async def read_cases(engine: Engine, cases: Sequence[Case], *, title: str, at_once: int) -> list[Reading]:
    """Let the decider read every case, several at once."""
    places = asyncio.Semaphore(at_once)

    async def read(case: Case) -> Reading:
        async with places:
            try:
                rewrite = await engine.rewrite(case.request, timeout_s=TIMEOUT_S)
            except EngineError as error:
                return Reading(case, None, error.failure.value)
            finally:
                bar.update()
            return Reading(case, rewrite)

    with tqdm(total=len(cases), desc=title, leave=False) as bar:
        return await asyncio.gather(*map(read, cases))


def score(readings: Sequence[Reading], *, unread: bool = False) -> dict[str, Any]:
    """Return the shares of right routes and of wholly right rewrites, and the kinds that fail most; no turn of those unread."""
    total = Counter(reading.case.kind for reading in readings)
    wrong = Counter(reading.case.kind for reading in readings if not reading.exact)
    return {
        "cases": len(readings),
        "route": _share(sum(reading.routed for reading in readings), len(readings)),
        "exact": _share(sum(reading.exact for reading in readings), len(readings)),
        "opinions": _opinions(readings),
        "failures": dict(Counter(reading.failure for reading in readings if reading.failure)),
        "worst": {kind: f"{count} of {total[kind]}" for kind, count in wrong.most_common(_WORST)},
        "examples": [_example(reading) for reading in readings if not (unread or reading.exact)][:_WORST],
    }


def _example(reading: Reading) -> dict[str, Any]:
    """Return a turn that was read wrongly, and how."""
    expected = reading.case.expected
    given = Expected.of(reading.rewrite) if reading.rewrite is not None else None
    return {
        "said": reading.case.request.text,
        "expected": _described(expected),
        "read": reading.failure if given is None else _described(given),
    }


def _described(expected: Expected) -> str:
    parts = (
        expected.route,
        expected.query,
        "; ".join(sorted(expected.conditions)),
        " ".join(expected.references),
        expected.sort,
    )
    return " | ".join(parts)


async def shares_of(readings: Sequence[Reading], linker: Linker) -> dict[str, float]:
    """Return which share of turns rules and the model decided, and in which share words had to be linked to values.

    Words that are said exactly as the catalogue or a language file has them need no link.
    """
    decided = Counter(_decider(reading) for reading in readings)
    linked = [await linker.link(reading.case.request, timeout_s=TIMEOUT_S) for reading in readings]
    return {
        **{name: _share(count, len(readings)) for name, count in sorted(decided.items())},
        "linked": _share(sum(each.has_links for each in linked), len(readings)),
    }


def _decider(reading: Reading) -> str:
    """Return what decided a turn: a model, the rules, or the rules where the model was unsure or failed."""
    if reading.rewrite is None:
        return "nothing"
    if reading.rewrite.failure:
        return "rules in its stead"
    return "rules" if reading.rewrite.source == SOURCE else "model"


def _opinions(readings: Sequence[Reading]) -> dict[str, float]:
    """Return the shares of turns whose intent, sentiment and remarks are right, among those that say what is."""
    known = [reading for reading in readings if reading.case.opinion is not None]
    parts = [field.name for field in fields(Opinion)] if known else []
    return {part: _share(sum(reading.agrees(part) for reading in known), len(known)) for part in parts}


async def time_engine(engine: Engine, cases: Sequence[Case], *, requests: int) -> list[dict[str, float]]:
    """Return latencies and throughput of a closed loop, per number of concurrent callers."""
    results = []
    for callers in CONCURRENCIES:
        waiting = islice(cycle(cases), requests)
        latencies: list[float] = []

        async def call(latencies: list[float] = latencies, waiting: Any = waiting) -> None:
            for case in waiting:
                began = time.perf_counter()
                await engine.rewrite(case.request, timeout_s=TIMEOUT_S)
                latencies.append(time.perf_counter() - began)

        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(call() for _ in range(callers)))
        wall, used = time.perf_counter() - began, time.process_time() - cpu
        p50, p95 = np.percentile(latencies, (50, 95)) * 1e3
        results.append(
            {
                "concurrent": callers,
                "p50_ms": round(float(p50), 2),
                "p95_ms": round(float(p95), 2),
                "per_second": round(requests / wall, 1),
                "cpu_ms": round(used / requests * 1e3, 2),
            }
        )
    return results


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
