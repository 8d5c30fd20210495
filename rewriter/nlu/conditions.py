"""Typed conditions: made from a reading, and carried from one turn to the next."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from catalogue.product import TEXT_FIELDS
from rewriter.limits import MAX_FILTER_DEPTH, MAX_FILTER_VALUES
from rewriter.nlu.prices import PriceRange
from rewriter.nlu.reading import Reading
from rewriter.nlu.tagging import Tag
from vitrine.v1 import query_pb2

Filter = query_pb2.Filter

_MAX_CONDITIONS = 16
"""Conditions that a conversation may pile up; the oldest give way."""

_MAX_VALUES = 32
"""Values that one condition of a turn names."""


def conditions_of(reading: Reading, price: PriceRange | None = None, *, category: str = "") -> list[Filter]:
    """Give the conditions that the turn itself sets; a category is added where the turn names none."""
    wanted = _values_by_field(reading.wanted)
    if reading.category or category:
        wanted.setdefault("category", [reading.category or category])
    conditions = [one_of(field, values) for field, values in wanted.items()]
    excluded = _values_by_field(reading.unwanted)
    conditions += [Filter(negation=one_of(field, values)) for field, values in excluded.items()]
    if price is not None:
        conditions.append(price.to_filter())
    return conditions


def one_of(field: str, values: Sequence[str]) -> Filter:
    """Give the condition that the field holds one of the values."""
    texts = [query_pb2.FieldValue(text=value) for value in values]
    if len(texts) == 1:
        return Filter(equals=query_pb2.Equals(field=field, value=texts[0]))
    return Filter(one_of=query_pb2.OneOf(field=field, values=texts))


def merge(earlier: Iterable[Filter], new: Sequence[Filter]) -> list[Filter]:
    """Carry conditions on: a new one replaces those on its field, an exclusion joins them.

    Beyond the limits of a filter the oldest conditions give way.
    """
    settled = {field for condition in new if not _is_negation(condition) for field in fields_of(condition)}
    excluded = {pair for condition in new if _is_negation(condition) for pair in _pairs_of(condition)}
    kept = [
        condition
        for condition in earlier
        if not fields_of(condition) <= settled
        and not (_pairs_of(condition) and _pairs_of(condition) <= excluded)
    ]
    merged = [*kept, *new][-_MAX_CONDITIONS:]
    while sum(len(_pairs_of(condition)) for condition in merged) > MAX_FILTER_VALUES:
        del merged[0]
    return merged


def lifted(conditions: Iterable[Filter], allowed: Collection[tuple[str, str]]) -> list[Filter]:
    """Take back the exclusions of those values, each a field with a text."""
    return [
        condition
        for condition in conditions
        if not (_is_negation(condition) and _pairs_of(condition) and _pairs_of(condition) <= {*allowed})
    ]


def joined(conditions: Sequence[Filter]) -> Filter | None:
    """Give the filter that every condition makes together; None for none."""
    if len(conditions) <= 1:
        return conditions[0] if conditions else None
    return Filter(all_of=query_pb2.FilterList(filters=conditions))


def split(rewrite_filter: Filter, values: Mapping[str, Collection[str]]) -> list[Filter]:
    """Give the conditions of an earlier turn's filter that still hold values of the facets and stay in the limits."""
    parts = (
        rewrite_filter.all_of.filters if rewrite_filter.WhichOneof("node") == "all_of" else [rewrite_filter]
    )
    return [part for part in parts if is_known(part, values, depth=MAX_FILTER_DEPTH - 1)]


def fields_of(condition: Filter) -> set[str]:
    """Give the fields that a condition names."""
    return {leaf.field for leaf in _leaves(condition, MAX_FILTER_DEPTH) if not isinstance(leaf, Filter)}


def is_known(
    condition: Filter, values: Mapping[str, Collection[str]], *, depth: int = MAX_FILTER_DEPTH
) -> bool:
    """Say whether a condition is well formed, within the limits, and names nothing that the facets lack."""
    count = 0
    for leaf in _leaves(condition, depth):
        if isinstance(leaf, query_pb2.Range):
            if leaf.field != "price" or not _is_interval(leaf):
                return False
            continue
        if isinstance(leaf, Filter) or not _holds_known(leaf, values.get(leaf.field, ())):
            return False
        count += len(_texts(leaf))
    return count <= MAX_FILTER_VALUES


def price_of(conditions: Iterable[Filter]) -> query_pb2.Range | None:
    """Give the price's interval among the conditions; None for none."""
    ranges = (condition.range for condition in conditions if condition.WhichOneof("node") == "range")
    return next(ranges, None)


def _values_by_field(tags: Iterable[Tag]) -> dict[str, list[str]]:
    """Group the values of facets by field, each once, as many as a condition takes."""
    grouped: dict[str, list[str]] = {}
    for tag in tags:
        values = grouped.setdefault(tag.slot, []) if tag.slot in TEXT_FIELDS else []
        if tag.meaning.value not in values and len(values) < _MAX_VALUES:
            values.append(tag.meaning.value)
    return grouped


def _pairs_of(condition: Filter) -> set[tuple[str, str]]:
    """Give each field with each text that the condition names for it."""
    leaves = _leaves(condition, MAX_FILTER_DEPTH)
    named = (leaf for leaf in leaves if isinstance(leaf, query_pb2.Equals | query_pb2.OneOf))
    return {(leaf.field, text.text) for leaf in named for text in _texts(leaf)}


def _texts(leaf: query_pb2.Equals | query_pb2.OneOf) -> Sequence[query_pb2.FieldValue]:
    return [leaf.value] if isinstance(leaf, query_pb2.Equals) else leaf.values


def _holds_known(leaf: query_pb2.Equals | query_pb2.OneOf, known: Collection[str]) -> bool:
    """Say whether the condition has values, and each is a text that the facet lists."""
    texts = _texts(leaf)
    return bool(texts) and all(text.WhichOneof("kind") == "text" and text.text in known for text in texts)


def _is_interval(interval: query_pb2.Range) -> bool:
    """Say whether the bounds are finite and in order, and there is one at least."""
    bounds = [getattr(interval, name) for name in ("minimum", "maximum") if interval.HasField(name)]
    return bool(bounds) and all(map(math.isfinite, bounds)) and bounds[0] <= bounds[-1]


def _is_negation(condition: Filter) -> bool:
    return condition.WhichOneof("node") == "negation"


def _leaves(
    node: Filter, depth: int
) -> Iterator[query_pb2.Equals | query_pb2.OneOf | query_pb2.Range | Filter]:
    """Give the conditions at the tree's ends; a node without content, or one too deep, is given as it is."""
    kind = node.WhichOneof("node")
    if kind in {"equals", "one_of", "range"}:
        yield getattr(node, kind)
        return
    parts = [node.negation] if kind == "negation" else list(getattr(node, kind).filters) if kind else []
    if depth <= 1 or not parts:
        yield node
        return
    for part in parts:
        yield from _leaves(part, depth - 1)
