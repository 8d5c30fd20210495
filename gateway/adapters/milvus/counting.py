"""The values of fields, counted over the rows of products."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.adapters.milvus.expression import boolean_key, conjunction, decode_text
from gateway.adapters.milvus.layout import PRODUCTS, VALUES, WORDS
from gateway.adapters.milvus.reading import Reading
from gateway.model import FieldSummary
from vitrine.domain import limits
from vitrine.domain.values import fold

MAX_WORDS = 100_000
"""Distinct tokens that are counted."""


async def count_values(
    reading: Reading, names: Sequence[str], *, expression: str = ""
) -> tuple[FieldSummary, ...]:
    """Count the values of fields over every product that fulfils the expression."""
    fields = [FieldCounter(name) for name in names]
    async for page in reading.scan(conjunction(PRODUCTS, expression), [VALUES]):
        _add_page(fields, page)
    return tuple(each.summary() for each in fields)


async def count_everything(
    reading: Reading, names: Sequence[str]
) -> tuple[tuple[FieldSummary, ...], Mapping[str, int]]:
    """Count the values of fields and the tokens over every product."""
    fields = [FieldCounter(name) for name in names]
    words = BoundedCounter(MAX_WORDS)
    async for page in reading.scan(PRODUCTS, [VALUES, WORDS]):
        _add_page(fields, page)
        for row in page:
            words.add(row[WORDS]["tokens"])
    counted = {decode_text(token): count for token, count in words.counts.items()}
    return tuple(each.summary(whole=True) for each in fields), counted


class BoundedCounter:
    """Counts texts; once it knows `capacity` of them it counts those alone."""

    def __init__(self, capacity: int) -> None:
        self.counts = Counter[str]()
        self._capacity = capacity

    def add(self, texts: Iterable[str]) -> None:
        """Count each of the texts once."""
        for text in texts:
            if text in self.counts or len(self.counts) < self._capacity:
                self.counts[text] += 1


class FieldCounter:
    """Counts one field; the memory that it takes is bounded, whatever a catalogue writes.

    Keywords are counted by their folded form and shown in their most frequent spelling.
    """

    def __init__(self, name: str, *, capacity: int = limits.MAX_COUNTED_VALUES) -> None:
        self.name = name
        self._values = BoundedCounter(capacity)
        self._spellings = BoundedCounter(capacity)
        self._products = 0
        self._numbers: tuple[float, float] | None = None

    def add(self, value: Any) -> None:
        """Count the value of one product, as `values` keeps it; None counts nothing."""
        if value is None:
            return
        self._products += 1
        match value:
            case bool():
                self._add_keywords([boolean_key(value)])
            case str():
                self._add_keywords([value])
            case list():
                self._add_keywords(value)
            case _:
                lowest, highest = self._numbers or (value, value)
                self._numbers = min(lowest, value), max(highest, value)

    def summary(self, *, whole: bool = False) -> FieldSummary:
        """Return what was counted: values by frequency, then as they are written; also those that are not listed, if `whole`."""
        shown = self._most_frequent_spellings()
        counted = sorted(
            ((shown[folded], count) for folded, count in self._values.counts.items() if folded in shown),
            key=lambda pair: (-pair[1], pair[0]),
        )
        listed = counted[: limits.MAX_FACET_VALUES]
        minimum, maximum = self._numbers or (None, None)
        return FieldSummary(
            name=self.name,
            values=tuple(value for value, _ in listed),
            counts=tuple(count for _, count in listed),
            more_values=len(counted) > len(listed),
            rest=tuple(value for value, _ in counted[len(listed) :]) if whole else (),
            minimum=minimum,
            maximum=maximum,
            products=self._products,
        )

    def _add_keywords(self, keywords: list[str]) -> None:
        self._spellings.add(keywords)
        self._values.add({fold(keyword) for keyword in keywords})

    def _most_frequent_spellings(self) -> dict[str, str]:
        """Return the spelling in which each value is shown, by its folded form."""
        counts = self._spellings.counts
        # The last one stays: the most frequent, and of several the first by its text.
        ranked = sorted(sorted(counts, reverse=True), key=counts.__getitem__)
        return {fold(spelling): spelling for spelling in ranked}


def _add_page(fields: Iterable[FieldCounter], page: Sequence[Mapping[str, Any]]) -> None:
    for row in page:
        for each in fields:
            each.add(row[VALUES].get(each.name))
