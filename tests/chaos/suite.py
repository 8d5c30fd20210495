"""Runs faults under live load, one after the other, and judges what was seen."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tests.chaos.faults import Fault
from tests.chaos.load import OK, Load, Sample, wrong_answers
from tests.chaos.service import REDIS, Resources, Service
from vitrine.client import VitrineClient, VitrineError

LATE_S = 0.05
"""An answer may come so long after its deadline."""
MAX_RECOVERY_S = 5.0
GIVE_UP_S = 240.0
"""The wait for full service after a fault."""
CALM_S = 2.0
"""Full service: so long without a failure."""
READ_S = 10.0
_EVERY = 10
"""One in so many of the products that were there before the load is asked for; searches see the others."""

OUTAGE = frozenset(
    {OK, "UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "FAILED_PRECONDITION"}
)
"""How calls may end while something is broken."""

UNHARMED = {
    "rewriter": frozenset({"search", "rewritten", "converse", "upsert", "delete"}),
    REDIS: frozenset({"search", "rewritten", "upsert", "delete"}),
    "disk": frozenset({"search", "rewritten", "converse"}),
    "clock": frozenset({"search", "rewritten", "converse", "upsert", "delete"}),
    "index": frozenset({"search", "rewritten", "converse"}),
    "ingest": frozenset({"search", "rewritten", "converse", "upsert", "delete"}),
}
"""What goes on by target: the rewriter degrades answers and fails none; of Redis only conversations know."""

MAY_RESTART = {
    "python model": {"triton"},
    "model file": {"triton"},
    "clock": {"triton"},
    "clock set back": {"triton"},
}
"""What a fault may have the supervisor start anew, where that is another process than the target."""

GROWTH = Resources(rss_mb=150.0, descriptors=40, threads=16, processes=0)
"""What a process may hold more after a fault than before all of them: pools and caches fill up once, and
an index that was replaced is kept for a while."""
SERVER_GROWTH = replace(GROWTH, rss_mb=500.0, descriptors=120, threads=64)
"""The same of the real Milvus: Go keeps every thread that a blocked call ever needed, and etcd, RocksDB and the segments that
the load wrote live in its process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What is required; the short form leaves times to the long one, since a busy machine breaks them."""

    late_s: float = LATE_S
    recovery_s: float = MAX_RECOVERY_S
    unharmed: float = 1.0
    """Share of the calls that a fault must not harm that end well."""
    growth: Mapping[str, Resources] = field(default_factory=dict)
    """Of processes that may hold more than GROWTH, by name."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What was seen of one fault."""

    target: str
    fault: str
    calls: int
    statuses: dict[str, int]
    wrong: list[str]
    lost: list[str]
    latest_ms: float
    """The longest that an answer came after its deadline, less the client's own lag; negative: before."""
    served_late_ms: float
    """The same by the gateway's own clock, for searches and turns."""
    recovery_s: float
    degraded: int
    outage_s: float
    """From the first failure to the last."""
    growth: dict[str, dict[str, float]]
    restarted: list[str]
    """Processes that the supervisor started anew."""
    breaches: list[str]


async def run_faults(
    service: Service, load: Load, faults: Sequence[Fault], bounds: Bounds, say: Callable[[str], None]
) -> list[Outcome]:
    """Run them under one load that never pauses."""
    outcomes = []
    async with load.running():
        await asyncio.sleep(2 * CALM_S)
        await _calm(load, time.monotonic())
        before = service.resources()
        for fault in faults:
            outcome = await _run(service, load, fault, bounds, before)
            outcomes.append(outcome)
            say(
                f"{fault.target:14}{fault.name:14}{outcome.calls:6} calls  recovery {outcome.recovery_s:5.2f} s"
                f"  latest {outcome.latest_ms:8.1f} ms  {outcome.statuses}  {'; '.join(outcome.breaches) or 'holds'}"
            )
    return outcomes


def document(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Return the results of a result file."""
    return [asdict(each) for each in outcomes]


async def _run(
    service: Service, load: Load, fault: Fault, bounds: Bounds, before: dict[str, Resources]
) -> Outcome:
    begun = time.monotonic()
    list(service.calls())
    pids = service.pids()
    await asyncio.to_thread(fault.begin, service)
    await asyncio.sleep(fault.seconds)
    await asyncio.to_thread(fault.end, service)
    ended = time.monotonic()
    calm = await _calm(load, ended)
    lost = await _lost(load)
    samples = load.since(begun)
    growth = _growth(before, service.resources(), fault)
    outcome = Outcome(
        target=fault.target,
        fault=fault.name,
        calls=len(samples),
        statuses=dict(Counter(each.status for each in samples)),
        wrong=await asyncio.to_thread(wrong_answers, samples, load.material, load.index),
        lost=lost,
        latest_ms=round(max(_late(each, load) for each in samples) * 1e3, 1),
        served_late_ms=_served_late_ms(service, load),
        recovery_s=round(calm - ended, 2),
        degraded=sum(bool(each.degraded) for each in samples),
        outage_s=_outage(samples),
        growth=growth,
        restarted=[name for name, pid in service.pids().items() if pid != pids[name]],
        breaches=[],
    )
    outcome.breaches = list(_breaches(outcome, samples, bounds))
    return outcome


async def _calm(load: Load, ended: float) -> float:
    """Wait for full service; return the moment of the last failure after the fault, or its end."""
    while True:
        failed = [each.ended for each in load.since(ended - 10.0) if each.status != OK and each.ended > ended]
        last = max(failed, default=ended)
        now = time.monotonic()
        if now - last >= CALM_S or now - ended > GIVE_UP_S:
            return last
        await asyncio.sleep(0.1)


async def _lost(load: Load) -> list[str]:
    """Ask for everything that the load wrote or deleted and was told so, and for some of what was there before."""
    at = time.monotonic()
    ids = [
        id_
        for id_, held in load.index.held.items()
        if (held.acknowledged <= at or held.delete_acknowledged <= at) and held.sent > 0
    ]
    ids += [id_ for id_, held in load.index.held.items() if held.sent <= 0][::_EVERY]
    held = dict(zip(ids, await asyncio.gather(*(_is_there(load.client, id_) for id_ in ids)), strict=True))
    return load.index.lost(held, at, time.monotonic())


_READS = asyncio.Semaphore(8)


async def _is_there(client: VitrineClient, id_: str) -> bool:
    until = time.monotonic() + GIVE_UP_S
    async with _READS:
        while True:
            try:
                await client.get_product(id_, timeout_s=READ_S)
            except VitrineError as error:
                if error.code.name == "NOT_FOUND":
                    return False
                # Only what the index says counts; a busy machine may take its time to say it.
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(error.retry_after_s or 0.1)
            else:
                return True


def _late(sample: Sample, load: Load) -> float:
    due = sample.begun + sample.deadline_s
    return sample.ended - due - (load.lag(due, sample.ended) if sample.ended > due else 0.0)


def _served_late_ms(service: Service, load: Load) -> float:
    took = [ms for method, _, ms in service.calls() if method in {"Search", "Converse"}]
    return round(max(took, default=0.0) - load.deadline_s * 1e3, 1)


def _outage(samples: Sequence[Sample]) -> float:
    failed = [each.ended for each in samples if each.status != OK]
    return round(max(failed) - min(failed), 2) if failed else 0.0


def _growth(
    before: dict[str, Resources], after: dict[str, Resources], fault: Fault
) -> dict[str, dict[str, float]]:
    """Return what the processes hold more; one that was started anew is compared all the same."""
    del fault
    return {
        name: {key: round(value - asdict(before[name])[key], 1) for key, value in asdict(after[name]).items()}
        for name in before
        if name in after
    }


def _breaches(outcome: Outcome, samples: Sequence[Sample], bounds: Bounds) -> Iterator[str]:
    if outcome.wrong:
        yield f"{len(outcome.wrong)} wrong answers, the first: {outcome.wrong[0]}"
    if outcome.lost:
        yield f"{len(outcome.lost)} lost, the first: {outcome.lost[0]}"
    if other := {status for status in outcome.statuses if status not in OUTAGE}:
        yield f"statuses of no fault: {', '.join(sorted(other))}"
    yield from (
        f"{said} {late:.0f} ms after its deadline"
        for said, late in (
            ("an answer came", outcome.latest_ms),
            ("the gateway ended a call", outcome.served_late_ms),
        )
        if late > bounds.late_s * 1e3
    )
    if outcome.recovery_s > bounds.recovery_s:
        yield f"full service came {outcome.recovery_s:.1f} s after the end"
    if others := set(outcome.restarted) - MAY_RESTART.get(outcome.target, {outcome.target}):
        yield f"had to be started anew: {', '.join(sorted(others))}"
    yield from _harmed(outcome.target, samples, bounds)
    yield from (
        f"{name} holds {value:g} {key} more than before"
        for name, grown in outcome.growth.items()
        for key, value in grown.items()
        if value > getattr(bounds.growth.get(name, GROWTH), key)
    )


def _harmed(target: str, samples: Sequence[Sample], bounds: Bounds) -> Iterator[str]:
    unharmed = [each for each in samples if each.kind in UNHARMED.get(target, ())]
    failed = [each for each in unharmed if each.status != OK]
    if len(failed) > len(unharmed) * (1 - bounds.unharmed):
        kinds = dict(Counter(f"{each.kind} {each.status}" for each in failed))
        yield f"{len(failed)} of {len(unharmed)} calls that need no {target} failed: {kinds}"
