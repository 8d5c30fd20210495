"""What is said after a search: how many products fit what was understood, what was left out and why, and a next step."""

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.conversation.replies.wording import Wording, quote
from gateway.model import FieldSummary
from gateway.retrieval.query import Query, SearchResult
from gateway.retrieval.relaxing import EXCLUSIONS, SOFT_FILTERS
from gateway.retrieval.stages import POOL
from gateway.understanding.rewriting import PART as REWRITE
from vitrine.domain.filters import (
    Equals,
    Filter,
    OneOf,
    Range,
    Says,
    both,
    conjuncts,
    matches,
    names,
    without,
)
from vitrine.domain.routes import ANYTHING, Route
from vitrine.domain.values import fold, shown

MANY = 30
"""Products from which on a shopper is told how to narrow the search down."""

_NARROWING = 3
"""Fields by which that can be done."""


_LIKE = {
    Route.IMAGE: ("like-picture", False),
    Route.COMPOSED: ("like-picture-changed", True),
    Route.SIMILAR: ("like-product", False),
    Route.REFINE: ("like-product-changed", True),
}
"""The message of what a search starts from, and whether words change it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """An answered search, and what a reply says of it."""

    result: SearchResult
    asked: Query
    """Before anything was left out of it."""
    found: int | None = None
    """Products that satisfy the conditions of the search; None where nobody counted them in time."""
    title: str = ""
    """Of the product that the search starts from; empty where it is not known."""
    fields: tuple[FieldSummary, ...] = ()
    """What the catalogue holds."""

    @property
    def conditions(self) -> Filter | None:
        """Return what the hits satisfy, but for what was excluded."""
        searched = self.result.searched
        return both(searched.filters, searched.soft_filters)


def count_of(result: SearchResult) -> int | None:
    """Return how many products satisfy the conditions where the hits themselves tell; None where the index has to."""
    searched = result.searched
    if result.more or searched.offset:
        return None
    conditions = searched.conditions
    return sum(conditions is None or matches(conditions, hit.product.product) for hit in result.hits)


def sentences(searched: Searched, wording: Wording) -> Iterator[str]:
    """Yield the sentences of a reply."""
    for part in (_likeness, _found, _nearness, _left_out, _order, _next_step):
        yield from part(searched, wording)


def _found(searched: Searched, wording: Wording) -> Iterator[str]:
    result, say = searched.result, wording.language.say
    offset, conditions = result.searched.offset, wording.conditions([searched.conditions])
    if not result.hits:
        if offset:
            yield say("page-end")
        elif conditions:
            yield say("none", conditions=conditions)
            yield from _extremes(searched, wording)
        else:
            yield say("none-at-all")
    elif offset:
        first, last = offset + 1, offset + len(result.hits)
        if searched.found is not None and searched.found >= last:
            yield say("page-of", first=first, last=last, count=searched.found)
        else:
            yield say("page", first=first, last=last)
    elif conditions and searched.found:
        yield say("found", count=searched.found, conditions=conditions)
    elif conditions and searched.found is None:
        yield say("found-some", conditions=conditions)


def _extremes(searched: Searched, wording: Wording) -> Iterator[str]:
    """Yield where the catalogue's numbers end, if a condition lies beyond that."""
    known = {field.name: field for field in searched.fields}
    for part in conjuncts(searched.conditions):
        field = known.get(part.field) if isinstance(part, Range) else None
        if not isinstance(part, Range) or field is None or field.minimum is None or field.maximum is None:
            continue
        label = wording.label(part.field)
        if part.maximum is not None and part.maximum <= field.minimum:
            yield wording.language.say(
                "lowest", label=label, number=wording.number(part.field, field.minimum)
            )
        elif part.minimum is not None and part.minimum >= field.maximum:
            yield wording.language.say(
                "highest", label=label, number=wording.number(part.field, field.maximum)
            )


def _likeness(searched: Searched, wording: Wording) -> Iterator[str]:
    """Yield which picture or product the hits are like."""
    query, say = searched.result.searched, wording.language.say
    if query.route not in _LIKE or not searched.result.hits or query.offset:
        return
    name, changed = _LIKE[query.route]
    # The encoder's "replace long-sleeve with sleeveless" is no sentence of the shopper's.
    yield say(name, change=quote(query.typed or query.text)) if changed else say(name)
    if searched.title:
        yield say("reference", title=quote(searched.title))


def _nearness(searched: Searched, wording: Wording) -> Iterator[str]:
    """Yield which words the hits are nearest to, if the conditions do not say all of them."""
    result, query = searched.result, searched.result.searched
    by_words = query.route is Route.TEXT and query.sort is None and not query.offset
    # A single product that satisfies conditions was found by these, however far from the words it is.
    several = len(result.hits) > (searched.conditions is not None)
    if by_words and several and query.text != ANYTHING and _says_more(query.text, searched.conditions):
        yield wording.language.say("nearest", words=quote(query.text))


def _says_more(text: str, conditions: Filter | None) -> bool:
    """Return whether the words of a search say anything that its conditions do not."""
    said = fold(" ".join(_values(conditions)))
    return any(word.removesuffix("es").removesuffix("s") not in said for word in fold(text).split())


def _values(conditions: Filter | None) -> Iterator[str]:
    for part in conjuncts(conditions):
        if isinstance(part, Equals):
            yield shown(part.value)
        elif isinstance(part, OneOf):
            yield from map(str, part.values)


def _left_out(searched: Searched, wording: Wording) -> Iterator[str]:
    result, say = searched.result, wording.language.say
    kept = [*conjuncts(result.searched.soft_filters)]
    relaxed = wording.conditions([without(searched.asked.soft_filters, kept)])
    if SOFT_FILTERS in result.degraded and relaxed:
        yield say("relaxed", conditions=relaxed)
    given_up = EXCLUSIONS in result.degraded
    excluded = searched.asked.excluded if given_up else result.searched.excluded
    words = [quote(each.forms[0]) for each in excluded if isinstance(each, Says)]
    values = [each for each in excluded if isinstance(each, Equals)]
    if values:
        yield say("not-excluded" if given_up else "excluded", conditions=wording.conditions(values))
    if words:
        listed = wording.language.listed(words, style="or")
        yield say("words-not-excluded" if given_up else "words-excluded", words=listed)
    if REWRITE in result.degraded and searched.asked.text:
        yield say("as-said")


def _order(searched: Searched, wording: Wording) -> Iterator[str]:
    result, sort = searched.result, searched.result.searched.sort
    if sort is None or not result.hits:
        return
    name = "sorted-down" if sort.descending else "sorted-up"
    yield wording.language.say(name, label=wording.label(sort.field))
    if POOL in result.degraded:
        yield wording.language.say("sorted-nearest")


def _next_step(searched: Searched, wording: Wording) -> Iterator[str]:
    result, say = searched.result, wording.language.say
    conditions = [*conjuncts(searched.conditions)]
    if not result.hits:
        if not result.searched.offset:
            yield say("next-wider" if len(conditions) > 1 else "next-words")
        return
    if not result.more:
        return
    named = {name for condition in conditions for name in names(condition)}
    open_fields = [name for name in result.versions.schema.facets if name not in named]
    if open_fields and not result.searched.offset and (searched.found or 0) >= MANY:
        yield say("next-narrow", fields=wording.fields(open_fields[:_NARROWING]))
    else:
        yield say("next-more")
