"""From what a turn was understood to ask for to the query that is searched."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from gateway.conversation.sessions import LoggedTurn
from gateway.model import Intent
from gateway.retrieval.query import Query
from gateway.understanding.validation import INTENTS, InvalidRewrite, Understanding
from gateway.understanding.validation import ROUTES as ROUTES_OF_REWRITES
from vitrine.domain import limits
from vitrine.domain.filters import both, hard_and_soft
from vitrine.domain.routes import ROUTES, Route
from vitrine.domain.schema import Schema
from vitrine.v1 import rewrite_pb2


async def _no_picture(_: str) -> bytes:
    return b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What came before the turn."""

    turns: tuple[LoggedTurn, ...] = ()
    """Oldest first."""
    picture: Callable[[str], Awaitable[bytes]] = _no_picture
    """Gives an earlier picture by its id; empty where it is remembered no more."""
    session_id: str = ""
    """Empty where the caller keeps the conversation."""


async def referred_picture(understanding: Understanding, query: Query, before: Conversation) -> bytes:
    """Return the image that the turn refers to: an earlier one if referenced, else its own; b"" if none."""
    reference = _reference(understanding, before)
    if reference in _pictures(before) and (picture := await before.picture(reference)):
        return picture
    return query.image


def as_given(query: Query) -> Understanding:
    """Return the understanding of a turn that nobody reads: what it says by itself."""
    changes_reference = query.route in (Route.COMPOSED, Route.REFINE)
    return Understanding(
        route=query.route,
        query="" if changes_reference else query.text,
        modification=query.text if changes_reference else "",
        filters=query.filters,
        sort=query.sort,
        references=(query.product_id,) if query.product_id else (),
    )


def plan(
    understanding: Understanding, query: Query, before: Conversation, schema: Schema, *, picture: bytes = b""
) -> Query | None:
    """Return the query that the understanding asks for, or None when it asks for no search.

    The caller's own filter always holds besides. `picture` is the one that the understanding refers to.

    Raises:
        InvalidRewrite: the route lacks the words or the reference that it needs.
    """
    needs = ROUTES[understanding.route]
    if not needs.searches:
        return None
    hard, soft = hard_and_soft(understanding.filters, schema)
    planned = replace(
        query,
        text=_words(understanding, query),
        image=b"",
        product_id="",
        filters=both(query.filters, hard),
        soft_filters=soft,
        # An order that the caller asks for goes before one that the words were read as.
        sort=query.sort or understanding.sort,
        source=understanding.source,
        intent=_intent(understanding, query, before),
    )
    if needs.image:
        if not picture:
            raise InvalidRewrite("references")
        planned = replace(planned, image=picture)
    elif needs.product:
        planned = replace(planned, product_id=_product(understanding, query, before))
    if planned.route is not understanding.route:
        raise InvalidRewrite("route")
    return _continued(planned, before) if understanding.more else planned


def presumed(query: Query) -> Query:
    """Return a query whose words may be read, as it stands: who searches wants to find something, until that is read."""
    return query if query.intent is not Intent.OTHER else replace(query, intent=Intent.BUY)


def _intent(understanding: Understanding, query: Query, before: Conversation) -> Intent:
    """Return why the shopper asks: what the caller says, or what was read; of a next page, what its first one was read as."""
    read = understanding.intent
    if understanding.more:
        first, _ = _search_before(before)
        read = INTENTS.get(first.rewrite.intent, Intent.OTHER)
    said = query.intent if query.intent is not Intent.OTHER else read
    return said if said is not Intent.OTHER else Intent.BUY


def _continued(query: Query, before: Conversation) -> Query:
    """Return the query as the next page of the search before this turn."""
    first, last = _search_before(before)
    return replace(
        query,
        offset=min(max(0, last.position), limits.MAX_POSITION - 1),
        typed=first.text or query.text,
    )


def _reference(understanding: Understanding, before: Conversation) -> str:
    """Return what the turn refers to; its next page refers to what the search before was made of."""
    if understanding.references:
        return understanding.references[0]
    first, _ = _search_before(before) if understanding.more else (rewrite_pb2.Turn(), None)
    return first.image_id or first.product_id


def _search_before(before: Conversation) -> tuple[rewrite_pb2.Turn, rewrite_pb2.Turn]:
    """Return the turns of the last search's first page and of its last page so far; empty ones without a search."""
    searches = [logged.turn for logged in before.turns if _searched(logged)] or [rewrite_pb2.Turn()]
    first = next((turn for turn in reversed(searches) if not turn.rewrite.more), searches[0])
    return first, searches[-1]


def _searched(logged: LoggedTurn) -> bool:
    route = ROUTES_OF_REWRITES.get(logged.turn.rewrite.route)
    return route is not None and ROUTES[route].searches


def _words(understanding: Understanding, query: Query) -> str:
    match understanding.route:
        case Route.TEXT:
            return understanding.query or query.text
        case Route.COMPOSED | Route.REFINE:
            return understanding.modification or understanding.query or query.text
        case _:
            return ""


def _product(understanding: Understanding, query: Query, before: Conversation) -> str:
    reference = _reference(understanding, before) or query.product_id
    if not reference or reference in _pictures(before):
        raise InvalidRewrite("references")
    return reference


def _pictures(before: Conversation) -> set[str]:
    """Return the ids of the pictures that were sent."""
    return {logged.turn.image_id for logged in before.turns} - {""}
