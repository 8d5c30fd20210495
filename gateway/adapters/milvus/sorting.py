"""Products in the order of a field.

Up to MAX_POOL products are looked up by their vectors and ordered here. Where more fulfil the conditions and the
field is a number, the interval of its values that holds the first ones is found by counting: they are the first of
all products, not of the nearest.
"""

import struct
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.adapters.milvus.expression import (
    conjunction,
    filter_expression,
    number_missing,
)
from gateway.adapters.milvus.layout import VALUES
from gateway.adapters.milvus.ranking import Candidate, Query, Ranking, rank
from gateway.adapters.milvus.reading import Reading
from gateway.model import Sort
from vitrine.domain.filters import Equals, Range
from vitrine.domain.schema import NUMBER_KINDS, Field
from vitrine.domain.values import fold


async def rank_sorted(
    reading: Reading,
    query: Query,
    *,
    expression: str,
    filtered: bool,
    sort: Sort,
    limit: int,
    max_pool: int,
) -> Ranking:
    """Return the first products in the order of the field, and whether every product took part in the order."""
    owner = reading.layout.field(sort.field)
    if filtered and owner.kind in NUMBER_KINDS and await reading.count(expression) > max_pool:
        search = _NumberSearch(
            reading=reading,
            query=query,
            expression=expression,
            owner=owner,
            sort=sort,
            limit=limit,
            max_pool=max_pool,
        )
        return Ranking(candidates=await search.first(), complete=True)
    pool = await rank(reading, query, expression=expression, limit=max_pool, columns=[VALUES])
    return Ranking(candidates=_ordered(pool.candidates, sort)[:limit], complete=pool.complete)


@dataclass(frozen=True, slots=True, kw_only=True)
class _NumberSearch:
    """Finds the first products by a number among more than a pool holds."""

    reading: Reading
    query: Query
    expression: str
    owner: Field
    sort: Sort
    limit: int
    max_pool: int

    async def first(self) -> list[Candidate]:
        """Return the first `limit` products."""
        below, tie = await narrow(
            self._count_up_to, limit=self.limit, most=self._most, guesses=await self._guesses()
        )
        leading = [] if below is None else await self._rank(self._up_to(below), self._most)
        found = _ordered(leading, self.sort)[: self.limit]
        if len(found) < self.limit:
            # All others share one value, or have none: their scores decide.
            rest = number_missing(self.owner, self.reading.layout) if tie is None else self._equal_to(tie)
            found += await self._rank(rest, self.limit - len(found))
        return found

    @property
    def _most(self) -> int:
        """Return how many products are ordered: a few more counts are cheaper than a thousand vectors."""
        return max(self.limit, min(self.max_pool, 8 * self.limit + 64))

    async def _guesses(self) -> list[float]:
        """Return keys between which the last one of the first products probably lies: the nearest products' own."""
        nearest = await self.reading.search(
            self.query.vector, expression=self.expression, rows=self.max_pool, columns=[VALUES]
        )
        keys = sorted(
            self._key(number)
            for row in nearest.rows
            if isinstance(number := row[VALUES].get(self.owner.name), float)
        )
        return [keys[min(self.limit, len(keys)) - 1], _before(keys[0])] if keys else []

    async def _count_up_to(self, key: float) -> int:
        return await self.reading.count(conjunction(self.expression, self._up_to(key)))

    async def _rank(self, condition: str, limit: int) -> list[Candidate]:
        ranking = await rank(
            self.reading,
            self.query,
            expression=conjunction(self.expression, condition),
            limit=limit,
            columns=[VALUES],
        )
        return list(ranking.candidates)

    def _key(self, number: float) -> float:
        return -number if self.sort.descending else number

    def _up_to(self, key: float) -> str:
        name = self.owner.name
        interval = Range(field=name, minimum=-key) if self.sort.descending else Range(field=name, maximum=key)
        return filter_expression(interval, self.reading.layout)

    def _equal_to(self, key: float) -> str:
        return filter_expression(Equals(self.owner.name, self._key(key)), self.reading.layout)


async def narrow(
    count_up_to: Callable[[float], Awaitable[int]], *, limit: int, most: int, guesses: Sequence[float]
) -> tuple[float | None, float | None]:
    """Find a key up to which there are at least `limit` products, or all, and at most `most`.

    Every call halves the doubles that are left, so that there are some 64 calls at most.

    Returns:
        The key and None; or, where more than `most` products share one key, the greatest key below it, None where
        there is none, and it.
    """
    lowest, high = _ordinal(-sys.float_info.max) - 1, _ordinal(sys.float_info.max)
    if await count_up_to(_number(high)) <= most:
        return _number(high), None
    low = lowest  # up to here there are fewer than `limit`, up to `high` more than `most`
    probes = iter(map(_ordinal, guesses))
    while high - low > 1:
        probe = next(probes, (low + high) // 2)
        if not low < probe < high:
            continue
        count = await count_up_to(_number(probe))
        if limit <= count <= most:
            return _number(probe), None
        low, high = (probe, high) if count < limit else (low, probe)
    return None if low == lowest else _number(low), _number(high)


def _ordered(candidates: Sequence[Candidate], sort: Sort) -> list[Candidate]:
    """Order products by the field, then by score, then by id; those without a value last."""
    by_place = sorted(candidates, key=lambda each: each.place)
    present = [each for each in by_place if _sort_value(each, sort) is not None]
    missing = [each for each in by_place if _sort_value(each, sort) is None]
    present.sort(key=lambda each: _sort_value(each, sort), reverse=sort.descending)
    return present + missing


def _sort_value(candidate: Candidate, sort: Sort) -> Any:
    value = candidate.row[VALUES].get(sort.field)
    return fold(value) if isinstance(value, str) else value


def _before(number: float) -> float:
    return _number(_ordinal(number) - 1)


def _ordinal(number: float) -> int:
    """Return the place of a double among all doubles, so that there is a middle between any two."""
    (bits,) = struct.unpack("<q", struct.pack("<d", number))
    return int(bits) if bits >= 0 else -(int(bits) & 0x7FFF_FFFF_FFFF_FFFF)


def _number(ordinal: int) -> float:
    """Undo `_ordinal`."""
    bits = ordinal if ordinal >= 0 else -ordinal | -0x8000_0000_0000_0000
    (number,) = struct.unpack("<d", struct.pack("<q", bits))
    return float(number)
