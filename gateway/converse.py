"""One turn of a conversation: what was understood, then the hits, then a sentence.

    turn + history -> rewriter -> Understanding, checked -> Query -> SearchPipeline -> hits

Without a rewriter in time the turn is searched as it stands and the answer says that it was degraded.
"""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from gateway.errors import SessionStoreError
from gateway.metrics import Metrics
from gateway.model import Deadline, Route
from gateway.query import Query, SearchResult
from gateway.rewriting import PART as REWRITE
from gateway.rewriting import Rewriting
from gateway.search import SearchPipeline
from gateway.sessions import LoggedTurn, Session, SessionStore, image_id
from gateway.understanding import InvalidRewrite, Understanding, both, must_and_wish
from gateway.wire import product_message, rewrite_message
from vitrine.v1 import rewrite_pb2

MAX_SHOWN = 20
"""Products of a turn that the conversation remembers."""

SESSION = "session"
"""In `degraded`: no session could begin, and the turn will not be remembered."""


async def _no_picture(_: str) -> bytes:
    return b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What came before the turn."""

    history: tuple[rewrite_pb2.Turn, ...] = ()
    """Oldest first."""
    picture: Callable[[str], Awaitable[bytes]] = _no_picture
    """Gives an earlier picture by its id; empty where it is remembered no more."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A sentence for the shopper; empty when nobody wrote one."""

    text: str


TurnEvent = Understanding | SearchResult | Reply


class Conversations:
    """Answers turns and keeps the sessions that they belong to."""

    def __init__(
        self, pipeline: SearchPipeline, rewriting: Rewriting, sessions: SessionStore, metrics: Metrics
    ) -> None:
        self._pipeline = pipeline
        self._rewriting = rewriting
        self._sessions = sessions
        self._metrics = metrics

    @asynccontextmanager
    async def session(self, session_id: str, user_id: str, deadline: Deadline) -> AsyncIterator[Session]:
        """Hold the session for a turn, a new one where the id is empty; its other turns wait.

        While no session can begin, the turn is answered without one: in a session without an id.

        Raises:
            NotFound, PermissionDenied: the session is not there, or another user's.
            Overloaded: too many turns of it wait already, or the wait was too long.
            SessionStoreError: the session cannot be had now.
        """
        async with AsyncExitStack() as held:
            try:
                session = await held.enter_async_context(self._sessions.hold(session_id, user_id, deadline))
            except SessionStoreError:
                if session_id:
                    raise
                self._metrics.degraded.labels(SESSION, "unavailable").inc()
                session = Session(id="", user_id=user_id)
            yield session

    async def turn_in_session(
        self, query: Query, session: Session, deadline: Deadline
    ) -> AsyncIterator[TurnEvent]:
        """Answer a turn of a session that is held, and remember it once it is answered."""
        before = Conversation(
            history=tuple(logged.turn for logged in session.turns),
            picture=functools.partial(self._sessions.picture, session),
        )
        turn = rewrite_pb2.Turn(
            text=query.text,
            image_id=image_id(query.image) if query.image else "",
            product_id=query.product_id,
        )
        async for event in self.turn(query, before, deadline):
            if isinstance(event, Understanding):
                turn.rewrite.CopyFrom(rewrite_message(event))
            elif isinstance(event, SearchResult):
                turn.shown.extend(product_message(hit.product) for hit in event.hits[:MAX_SHOWN])
            yield event if session.id else _without_session(event)
        if session.id:
            await self._sessions.record(session, LoggedTurn(turn=turn), query.image)

    async def turn(self, query: Query, before: Conversation, deadline: Deadline) -> AsyncIterator[TurnEvent]:
        """Answer a turn after what came before it."""
        understanding = await self._understand(query, before, deadline)
        degraded: tuple[str, ...] = ()
        planned: Query | None = query
        if understanding is not None:
            try:
                picture = await _referred_picture(understanding, query, before)
                planned = plan(understanding, query, before, picture=picture)
            except InvalidRewrite:
                self._rewriting.refuse()
                understanding = None
        if understanding is None:
            # A turn without words needs no reading, and without a rewriter none was promised.
            degraded = (REWRITE,) if query.text and self._rewriting.offered else ()
            understanding = as_given(query)
        yield understanding
        if planned is not None:
            result = await self._pipeline.search(replace(planned, rewrite=False), deadline)
            yield replace(result, degraded=result.degraded + degraded)
        yield Reply(understanding.reply)

    async def _understand(
        self, query: Query, before: Conversation, deadline: Deadline
    ) -> Understanding | None:
        if not query.text or not self._rewriting.offered:
            return None
        return await self._rewriting.read(
            rewrite_pb2.RewriteRequest(
                text=query.text,
                has_image=bool(query.image),
                product_id=query.product_id,
                history=before.history,
                locale=query.locale,
            ),
            deadline=deadline,
        )


async def _referred_picture(understanding: Understanding, query: Query, before: Conversation) -> bytes:
    """Give the picture that the turn speaks of: an earlier one, or else its own; empty for none."""
    sent = {turn.image_id for turn in before.history} - {""}
    for reference in understanding.references[:1]:
        if reference in sent and (picture := await before.picture(reference)):
            return picture
    return query.image


def _without_session(event: TurnEvent) -> TurnEvent:
    """Say that the turn will not be remembered."""
    return replace(event, degraded=(*event.degraded, SESSION)) if isinstance(event, SearchResult) else event


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
    pictures = {turn.image_id for turn in before.history}
    if not reference or reference in pictures:
        raise InvalidRewrite("references")
    return reference
