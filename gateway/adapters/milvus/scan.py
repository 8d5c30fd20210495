"""Whole collections, page by page in the order of their keys, and what their typed fields hold."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

from catalogue.product import NUMBER_FIELDS, TEXT_FIELDS
from gateway.adapters.milvus.connection import MilvusConnection
from gateway.adapters.milvus.expression import decode_text
from gateway.adapters.milvus.schema import ID
from gateway.model import Deadline, FieldSummary

PAGE_ROWS = 1_000

MAX_FACET_VALUES = 256
"""Values of one field in a summary."""

_MAX_DISTINCT = 100_000
"""Values of one field that are counted; the memory of a summary ends there, whatever a catalogue writes."""


async def scan(
    connection: MilvusConnection, collection: str, fields: Sequence[str], *, deadline: Deadline
) -> AsyncIterator[list[dict[str, Any]]]:
    """Give every row once: pages of PAGE_ROWS with the fields and the key, ascending by key."""
    last = ""
    while True:
        page = await connection.call(
            "query",
            collection,
            # A key is stored encoded: it needs no encoding again.
            filter=f'{ID} > "{last}"',
            output_fields=[ID, *fields],
            limit=PAGE_ROWS,
            iterator="True",  # makes the server order the whole answer by key before it cuts it
            timeout_s=deadline.remaining_s(),
        )
        if page:
            yield list(page)
            last = page[-1][ID]
        if len(page) < PAGE_ROWS:
            return


async def summarise(
    connection: MilvusConnection, collection: str, *, deadline: Deadline
) -> tuple[FieldSummary, ...]:
    """Say what the typed fields hold: texts by frequency, then by value; the range of numbers."""
    counters = {field: Counter[str]() for field in TEXT_FIELDS}
    ranges = {field: (float("inf"), float("-inf")) for field in NUMBER_FIELDS}
    async for page in scan(connection, collection, (*TEXT_FIELDS, *NUMBER_FIELDS), deadline=deadline):
        for field, counter in counters.items():
            _count(counter, [row[field] for row in page])
        for field, (lowest, highest) in ranges.items():
            numbers = [row[field] for row in page]
            ranges[field] = min(lowest, *numbers), max(highest, *numbers)
    return (
        *(FieldSummary(name=field, values=_most_frequent(counter)) for field, counter in counters.items()),
        *(
            FieldSummary(name=field, minimum=lowest, maximum=highest)
            if lowest <= highest
            else FieldSummary(name=field)
            for field, (lowest, highest) in ranges.items()
        ),
    )


def _count(counter: Counter[str], values: list[str]) -> None:
    if len(counter) >= _MAX_DISTINCT:
        values = [value for value in values if value in counter]
    counter.update(value for value in values if value)


def _most_frequent(counter: Counter[str]) -> tuple[str, ...]:
    ranked = sorted(counter.items(), key=lambda item: (-item[1], item[0]))
    return tuple(decode_text(value) for value, _ in ranked[:MAX_FACET_VALUES])
