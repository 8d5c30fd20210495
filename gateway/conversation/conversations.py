"""The turns of a session: held one at a time, and remembered once they are answered."""

import functools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from gateway.background import running
from gateway.callers import LOCAL
from gateway.context import find_call
from gateway.conversation.history import History
from gateway.conversation.planning import Conversation
from gateway.conversation.sessions import LoggedTurn, Owner, Session, SessionStore, image_id
from gateway.conversation.turns import TurnEvent, Turns
from gateway.errors import SessionStoreError
from gateway.metrics import Metrics
from gateway.model import Deadline
from gateway.retrieval.query import Query, SearchResult
from gateway.understanding.validation import Understanding, rewrite_message
from vitrine.domain import limits
from vitrine.domain.messages import product_message
from vitrine.domain.product import Product
from vitrine.domain.schema import Kind, Role, Schema
from vitrine.v1 import query_pb2, rewrite_pb2

SESSION = "session"
"""In `degraded`: no session could begin, and the turn will not be remembered."""

_MAX_ATTRIBUTE_LENGTH = 64
"""Characters of an attribute that a session remembers; the rewriter reads no longer ones."""


class Conversations:
    """Answers turns and keeps the sessions that they belong to."""

    def __init__(self, turns: Turns, history: History, sessions: SessionStore, metrics: Metrics) -> None:
        self._turns = turns
        self._history = history
        self._sessions = sessions
        self._metrics = metrics

    @asynccontextmanager
    async def session(self, session_id: str, user_id: str, deadline: Deadline) -> AsyncIterator[Session]:
        """Hold the session of the caller's user for a turn, a new one where the id is empty; its other turns wait.

        While no session can begin, the turn is answered without one: in a session without an id.

        Raises:
            NotFound, PermissionDenied: the session is not there, or another user's or caller's.
            Overloaded: too many turns of it wait already, or the wait was too long.
            SessionStoreError: the session cannot be had now.
        """
        call = find_call()
        caller = call.caller if call is not None else LOCAL
        owner = Owner(user_id, caller.name, caller.quotas.session_bytes)
        async with AsyncExitStack() as held:
            try:
                session = await held.enter_async_context(self._sessions.hold(session_id, owner, deadline))
            except SessionStoreError:
                if session_id:
                    raise
                self._metrics.degraded.labels(SESSION, "unavailable").inc()
                session = Session(id="", owner=owner)
            yield session

    async def turn(self, query: Query, session: Session, deadline: Deadline) -> AsyncIterator[TurnEvent]:
        """Answer a turn of a session that is held, and remember it once it is answered."""
        before = Conversation(
            turns=tuple(session.turns),
            picture=functools.partial(self._sessions.picture, session),
            session_id=session.id,
        )
        turn = rewrite_pb2.Turn(
            text=query.text,
            image_id=image_id(query.image) if query.image else "",
            product_id=query.product_id,
        )
        # Beside the answer: the search of the words as they stand makes the same embedding, and it is made once.
        async with running(self._history.vector(query.text, deadline)) as vector:
            async for event in self._turns.turn(query, before, deadline):
                _log(turn, event)
                yield event if session.id else _without_session(event)
            if session.id:
                logged = LoggedTurn(turn=turn, vector=await self._history.soon(vector))
                await self._sessions.record(session, logged, query.image)


def remembered(product: Product, schema: Schema) -> query_pb2.Product:
    """Return what a conversation remembers of a product: all but its long texts and long attributes."""
    long = {each.name for each in schema if each.kind is Kind.TEXT and each.role is not Role.TITLE}
    return product_message(
        replace(
            product,
            values={name: value for name, value in product.values.items() if name not in long},
            attributes={
                name: value
                for name, value in product.attributes.items()
                if len(value) <= _MAX_ATTRIBUTE_LENGTH
            },
        ),
        schema,
    )


def _log(turn: rewrite_pb2.Turn, event: TurnEvent) -> None:
    """Note in a turn what became of it."""
    if isinstance(event, Understanding):
        turn.rewrite.CopyFrom(rewrite_message(event))
    elif isinstance(event, SearchResult):
        schema = event.versions.schema
        turn.shown.extend(remembered(hit.product.product, schema) for hit in event.hits[: limits.MAX_SHOWN])
        turn.position = event.searched.offset + (len(event.hits) if event.organic is None else event.organic)


def _without_session(event: TurnEvent) -> TurnEvent:
    """Note in an answer that the turn will not be remembered."""
    return replace(event, degraded=(*event.degraded, SESSION)) if isinstance(event, SearchResult) else event
