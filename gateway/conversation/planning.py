"""From what a turn was understood to ask for to the query that is searched."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from gateway.conversation.sessions import LoggedTurn
from gateway.model import Route
from gateway.retrieval.query import Query
from gateway.understanding.validation import InvalidRewrite, Understanding, both, must_and_wish


async def _no_picture(_: str) -> bytes:
    return b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What came before the turn."""

    turns: tuple[LoggedTurn, ...] = ()
    """Oldest first."""
    picture: Callable[[str], Awaitable[bytes]] = _no_picture
    """Gives an earlier picture by its id; empty where it is remembered no more."""


async def referred_picture(understanding: Understanding, query: Query, before: Conversation) -> bytes:
    """Give the picture that the turn speaks of: an earlier one, or else its own; empty for none."""
    sent = _pictures(before)
    for reference in understanding.references[:1]:
        if reference in sent and (picture := await before.picture(reference)):
            return picture
    return query.image


def as_given(query: Query) -> Understanding:
    """Understand a turn as what it says by itself."""
    changes_reference = query.route in (Route.COMPOSED, Route.REFINE)
    return Understanding(
        route=query.route,
        query="" if changes_reference else query.text,
        modification=query.text if changes_reference else "",
        filters=query.filters,
        references=(query.product_id,) if query.product_id else (),
    )


def plan(
    understanding: Understanding, query: Query, before: Conversation, *, picture: bytes = b""
) -> Query | None:
    """Give the query that the understanding asks for, or None when it asks for no search.

    The caller's own filter always holds besides. `picture` is the one that the understanding refers to.

    Raises:
        InvalidRewrite: the route lacks the words or the reference that it needs.
    """
    if understanding.route in (Route.COMPARE, Route.CHAT):
        return None
    must, wishes = must_and_wish(understanding.filters)
    planned = replace(
        query,
        text=_words(understanding, query),
        image=b"",
        product_id="",
        filters=both(query.filters, must),
        wishes=wishes,
        sort=understanding.sort,
        source=understanding.source,
    )
    if understanding.route in (Route.IMAGE, Route.COMPOSED):
        if not picture:
            raise InvalidRewrite("references")
        planned = replace(planned, image=picture)
    elif understanding.route in (Route.REFINE, Route.SIMILAR):
        planned = replace(planned, product_id=_product(understanding, query, before))
    if planned.route is not understanding.route:
        raise InvalidRewrite("route")
    return planned


def _words(understanding: Understanding, query: Query) -> str:
    match understanding.route:
        case Route.TEXT:
            return understanding.query or query.text
        case Route.COMPOSED | Route.REFINE:
            return understanding.modification or understanding.query or query.text
        case _:
            return ""


def _product(understanding: Understanding, query: Query, before: Conversation) -> str:
    reference = understanding.references[0] if understanding.references else query.product_id
    if not reference or reference in _pictures(before):
        raise InvalidRewrite("references")
    return reference


def _pictures(before: Conversation) -> set[str]:
    """Give the ids of the pictures that were sent."""
    return {logged.turn.image_id for logged in before.turns} - {""}
