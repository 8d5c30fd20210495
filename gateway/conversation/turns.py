"""One turn of a conversation: what was understood, then the hits or what answers instead, then a sentence.

    turn + recalled turns --+-- rewriter, within its budget --> Understanding, checked --> Query --> SearchPipeline --+
                            |                                                     +--> Comparison, Facts             +--> one of them
                            +-- the turn as it stands, at once --> SearchPipeline ------------------------------------+

Without a rewriter in time the turn is searched as it stands and the answer says that it was degraded.
"""

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from gateway.api.responses import product_message, rewrite_message
from gateway.background import running
from gateway.conversation.catalogue_qa import Fact, facts_about
from gateway.conversation.comparison import MAX_PRODUCTS, Comparison, compare
from gateway.conversation.exclusions import dislikes
from gateway.conversation.history import PART as RECALL
from gateway.conversation.history import Recall
from gateway.conversation.planning import Conversation, as_given, plan, referred_picture
from gateway.conversation.sessions import LoggedTurn, Session, SessionStore, image_id
from gateway.errors import SearchError, SessionStoreError
from gateway.metrics import Metrics
from gateway.model import Deadline, Intent, Not, Route
from gateway.retrieval.pipeline import SearchPipeline
from gateway.retrieval.query import Query, SearchResult
from gateway.understanding.facets import FacetCache
from gateway.understanding.rewriting import PART as REWRITE
from gateway.understanding.rewriting import Rewriting
from gateway.understanding.validation import InvalidRewrite, Understanding, without
from vitrine.v1 import rewrite_pb2

MAX_SHOWN = 20
"""Products of a turn that the conversation remembers."""

SESSION = "session"
"""In `degraded`: no session could begin, and the turn will not be remembered."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A sentence for the shopper; empty when nobody wrote one."""

    text: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the index knows of a question's words."""

    facts: tuple[Fact, ...]


TurnEvent = Understanding | SearchResult | Comparison | Facts | Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """How a turn was read, and the query that it amounts to; None where it searches nothing."""

    understanding: Understanding
    query: Query | None
    degraded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Helpers:
    """What turns are answered with."""

    pipeline: SearchPipeline
    rewriting: Rewriting
    recall: Recall
    facets: FacetCache
    sessions: SessionStore
    metrics: Metrics
    head_start_s: float
    """Of the rewriter before the turn is searched as it stands."""


class Conversations:
    """Answers turns and keeps the sessions that they belong to."""

    def __init__(self, helpers: Helpers) -> None:
        self._with = helpers

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
                session = await held.enter_async_context(
                    self._with.sessions.hold(session_id, user_id, deadline)
                )
            except SessionStoreError:
                if session_id:
                    raise
                self._with.metrics.degraded.labels(SESSION, "unavailable").inc()
                session = Session(id="", user_id=user_id)
            yield session

    async def turn_in_session(
        self, query: Query, session: Session, deadline: Deadline
    ) -> AsyncIterator[TurnEvent]:
        """Answer a turn of a session that is held, and remember it once it is answered."""
        before = Conversation(
            turns=tuple(session.turns), picture=functools.partial(self._with.sessions.picture, session)
        )
        turn = rewrite_pb2.Turn(
            text=query.text,
            image_id=image_id(query.image) if query.image else "",
            product_id=query.product_id,
        )
        # Beside the answer: the search of the words as they stand makes the same embedding, and it is made once.
        async with running(self._with.recall.vector(query.text, deadline)) as vector:
            async for event in self.turn(query, before, deadline):
                if isinstance(event, Understanding):
                    turn.rewrite.CopyFrom(rewrite_message(event))
                elif isinstance(event, SearchResult):
                    turn.shown.extend(product_message(hit.product) for hit in event.hits[:MAX_SHOWN])
                yield event if session.id else _without_session(event)
            if session.id:
                logged = LoggedTurn(turn=turn, vector=await self._with.recall.soon(vector))
                await self._with.sessions.record(session, logged, query.image)

    async def turn(self, query: Query, before: Conversation, deadline: Deadline) -> AsyncIterator[TurnEvent]:
        """Answer a turn after what came before it."""
        as_it_stands = _without_dislikes(query, before, None)
        async with AsyncExitStack() as beside:
            reads = self._read(query, as_it_stands, before=before, deadline=deadline)
            read = await beside.enter_async_context(running(reads))
            await asyncio.wait([read], timeout=self._with.head_start_s)
            raw = None
            if not read.done():
                search = self._with.pipeline.search(as_it_stands, deadline)
                raw = await beside.enter_async_context(running(search))
            reading = await read
            yield reading.understanding
            if reading.query is None:
                async for event in self._answers(reading.understanding, query, deadline):
                    yield event
            else:
                yield await self._found(reading, as_it_stands, raw, deadline=deadline)
            yield Reply(reading.understanding.reply)

    async def _found(
        self,
        reading: _Reading,
        as_it_stands: Query,
        raw: asyncio.Task[SearchResult] | None,
        *,
        deadline: Deadline,
    ) -> SearchResult:
        """Search what was understood; where that is nothing new, or fails, the turn as it stands is the answer."""
        assert reading.query is not None, "there is something to search"
        degraded = reading.degraded
        if replace(reading.query, source=as_it_stands.source) != as_it_stands:
            try:
                result = await self._with.pipeline.search(reading.query, deadline)
                return replace(result, degraded=result.degraded + degraded)
            except SearchError:
                # The shopper's own words may still be answerable, and must not suffer.
                degraded += (REWRITE,)
        result = await (raw or self._with.pipeline.search(as_it_stands, deadline))
        return replace(result, degraded=result.degraded + degraded)

    async def _read(
        self, query: Query, as_it_stands: Query, *, before: Conversation, deadline: Deadline
    ) -> _Reading:
        """Read a turn with the rewriter; as it stands, where it has no words or nobody reads it in time."""
        unread = _Reading(understanding=as_given(query), query=as_it_stands)
        # A turn without words needs no reading, and without a rewriter none was promised.
        if not query.text or not self._with.rewriting.offered:
            return unread
        recalled = await self._with.recall.recall(query.text, before.turns, deadline)
        if recalled.degraded:
            self._with.metrics.degraded.labels(RECALL, "late").inc()
        request = rewrite_pb2.RewriteRequest(
            text=query.text,
            has_image=bool(query.image),
            product_id=query.product_id,
            history=recalled.turns,
            locale=query.locale,
        )
        understanding = await self._with.rewriting.read(request, deadline=deadline)
        if understanding is None:
            return replace(unread, degraded=(REWRITE,))
        try:
            picture = await referred_picture(understanding, query, before)
            planned = plan(understanding, query, before, picture=picture)
        except InvalidRewrite:
            self._with.rewriting.refuse(request)
            return replace(unread, degraded=(REWRITE,))
        return _Reading(
            understanding=understanding,
            query=None if planned is None else _without_dislikes(planned, before, understanding),
            degraded=(RECALL,) if recalled.degraded else (),
        )

    async def _answers(
        self, understanding: Understanding, query: Query, deadline: Deadline
    ) -> AsyncIterator[TurnEvent]:
        """Answer what searches nothing from the index: products side by side, or what it knows of the words."""
        consults = understanding.route is Route.CHAT and understanding.intent is Intent.CONSULT
        if understanding.references and (consults or understanding.route is Route.COMPARE):
            ids = tuple(dict.fromkeys(understanding.references))[:MAX_PRODUCTS]
            if comparison := compare(await self._with.pipeline.products(ids, deadline)):
                yield comparison
        elif consults:
            fields = await self._with.facets.fields(timeout_s=deadline.remaining_s())
            count = functools.partial(self._with.pipeline.count, deadline=deadline)
            if facts := await facts_about(query.text, fields, count):
                yield Facts(facts)


def _without_dislikes(query: Query, before: Conversation, understanding: Understanding | None) -> Query:
    """Leave out of a search what the shopper found fault with up to this turn; the rewriter reads no more of it."""
    readings = [logged.turn.rewrite for logged in before.turns]
    if understanding is not None:
        readings.append(rewrite_message(understanding))
    disliked = dislikes(readings)
    wishes = without(query.wishes, [Not(each) for each in disliked])
    return replace(query, disliked=disliked, wishes=wishes, rewrite=False)


def _without_session(event: TurnEvent) -> TurnEvent:
    """Say that the turn will not be remembered."""
    return replace(event, degraded=(*event.degraded, SESSION)) if isinstance(event, SearchResult) else event
