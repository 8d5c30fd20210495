"""How often a collection is counted while products are written to it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from gateway.adapters.milvus import counts
from gateway.adapters.milvus.counts import FEW_PRODUCTS, REST, SUMMARY_TTL_S, Counts, State
from gateway.adapters.milvus.layout import Layout
from gateway.adapters.milvus.reading import Reading
from gateway.model import Deadline, FieldSummary, IndexVersion
from vitrine.domain.schema_files import shipped_schema

STATE = State(collection="c", schema="s", products=FEW_PRODUCTS, writes=0)


class Scans:
    """Counting that takes as long as it is told to, by a clock of its own."""

    def __init__(self, takes_s: float) -> None:
        self.now = 0.0
        self.takes_s = takes_s
        self.number = 0

    def clock(self) -> float:
        """Give the time."""
        return self.now

    async def everything(self, _: Reading, names: Sequence[str]) -> tuple[Any, dict[str, int]]:
        """Count all fields."""
        return await self.values(_, names), {"scan": self.number}

    async def values(self, _: Reading, __: Sequence[str], expression: str = "") -> Any:  # noqa: ARG002
        """Count some fields."""
        self.number += 1
        self.now += self.takes_s
        return (FieldSummary(name="colour", values=(str(self.number),)),)


@pytest.fixture
def layout() -> Layout:
    """Give a layout of the schema that ships."""
    schema = shipped_schema()
    version = IndexVersion(collection="c", manifest="m", embedding_dim=2, schema=schema)
    return Layout(version=version, source="", created_with=schema)


def counting(monkeypatch: pytest.MonkeyPatch, *, takes_s: float) -> tuple[Scans, Counts]:
    scans = Scans(takes_s)
    monkeypatch.setattr(counts, "count_everything", scans.everything)
    monkeypatch.setattr(counts, "count_values", scans.values)
    return scans, Counts(None, clock=scans.clock)  # type: ignore[arg-type] # nothing is asked of it


async def test_an_ingest_has_a_collection_counted_a_twentieth_of_the_time(
    monkeypatch: pytest.MonkeyPatch, layout: Layout
) -> None:
    """With a write before every question, summaries and facets together take no more than a tenth, and none is too old."""
    scans, counted = counting(monkeypatch, takes_s=2.0)
    for writes in range(1_000):
        state = replace(STATE, products=STATE.products + writes, writes=writes)
        await counted.summary(layout, state, deadline=Deadline.after(30))
        reading = Reading(connection=None, layout=layout, deadline=Deadline.after(30))  # type: ignore[arg-type]
        await counted.facets(reading, state, filters=None, names=["colour"])
        scans.now += 1.0
    assert scans.number * scans.takes_s <= 0.11 * scans.now
    assert scans.number >= 2 * scans.now / (SUMMARY_TTL_S + REST)


async def test_a_small_collection_is_counted_after_every_write(
    monkeypatch: pytest.MonkeyPatch, layout: Layout
) -> None:
    """Where it costs little, counts are those of the last write; without a write nothing is counted again."""
    scans, counted = counting(monkeypatch, takes_s=0.01)
    for writes in (0, 0, 1, 1, 2):
        state = replace(STATE, products=10, writes=writes)
        summary = await counted.summary(layout, state, deadline=Deadline.after(30))
    assert scans.number == 3
    assert summary.words == {"scan": 3}


@pytest.mark.parametrize("other", [{"collection": "d"}, {"schema": "t"}])
async def test_another_collection_is_counted_at_once(
    monkeypatch: pytest.MonkeyPatch, layout: Layout, other: dict[str, str]
) -> None:
    """Counts of what was in use before are never another's."""
    scans, counted = counting(monkeypatch, takes_s=60.0)
    for state in (STATE, replace(STATE, **other)):  # type: ignore[arg-type] # strings
        await counted.summary(layout, state, deadline=Deadline.after(30))
    assert scans.number == 2
