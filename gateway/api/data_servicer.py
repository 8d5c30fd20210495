"""vitrine.v1.DataService: tells and erases what is kept of one shopper."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from grpc import aio

from gateway.context import current_call, time_for_hop
from gateway.conversation.sessions import SessionStore
from gateway.errors import InvalidQuery, as_invalid_query
from gateway.events import Event
from gateway.feedback.pseudonyms import Keys
from gateway.model import Deadline
from gateway.ports import EventStore
from vitrine.domain import limits
from vitrine.domain.product import check_identifier
from vitrine.v1 import data_pb2, data_pb2_grpc

MAX_EXPORTED = 100_000
"""Events that one export tells, the latest ones."""

_Context = aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEvents:
    """The events of shoppers, and how they are found."""

    store: EventStore
    keys: Keys
    forget: Callable[[Sequence[str]], None]
    """Forgets what was learnt of shoppers, by their pseudonyms."""


class DataServicer(data_pb2_grpc.DataServiceServicer):
    """Answers DataService; without events there are conversations alone."""

    def __init__(self, sessions: SessionStore, events: KeptEvents | None, *, margin_s: float) -> None:
        self._sessions = sessions
        self._events = events
        self._margin_s = margin_s

    async def Export(  # noqa: N802 - gRPC's name
        self, request: data_pb2.ExportRequest, context: _Context
    ) -> AsyncIterator[data_pb2.ExportResponse]:
        """Return a shopper's events and conversations."""
        del context
        _check(request.user_id)
        events = await self._of(request.user_id)
        for first in range(0, len(events), limits.MAX_EVENTS):
            some = events[first : first + limits.MAX_EVENTS]
            yield data_pb2.ExportResponse(events=map(_event_message, some))
        sessions = await self._sessions.of_user(request.user_id, self._deadline())
        for session in sessions:
            yield data_pb2.ExportResponse(
                conversation=data_pb2.KeptConversation(
                    session_id=session.id,
                    turns=[logged.turn for logged in session.turns],
                    pictures=len(session.pictures),
                )
            )
        current_call().notes.update(events=len(events), conversations=len(sessions))

    async def Erase(  # noqa: N802
        self, request: data_pb2.EraseRequest, context: _Context
    ) -> data_pb2.EraseResponse:
        """Erase a shopper's events, what was learnt of them, and their conversations."""
        del context
        _check(request.user_id)
        events = 0
        if (kept := self._events) is not None:
            keyring = await kept.keys.refresh(timeout_s=self._deadline().remaining_s())
            pseudonyms = keyring.pseudonyms("shopper", request.user_id)
            events = await kept.store.erase(
                pseudonyms, before_ms=int(time.time() * 1e3), timeout_s=self._deadline().remaining_s()
            )
            kept.forget(pseudonyms)
        conversations = await self._sessions.erase(request.user_id, self._deadline())
        current_call().notes.update(events=events, conversations=conversations)
        return data_pb2.EraseResponse(events=events, conversations=conversations)

    async def _of(self, user_id: str) -> list[Event]:
        if (kept := self._events) is None:
            return []
        keyring = await kept.keys.refresh(timeout_s=self._deadline().remaining_s())
        return await kept.store.of_shoppers(
            keyring.pseudonyms("shopper", user_id),
            limit=MAX_EXPORTED,
            timeout_s=self._deadline().remaining_s(),
        )

    def _deadline(self) -> Deadline:
        return Deadline.after(time_for_hop(current_call().deadline, margin_s=self._margin_s))


def _check(user_id: str) -> None:
    if not user_id:
        raise InvalidQuery("user_id", "must not be empty")
    with as_invalid_query():
        check_identifier("user_id", user_id, limit=limits.MAX_USER_ID_LENGTH)


def _event_message(event: Event) -> data_pb2.KeptEvent:
    message = data_pb2.KeptEvent(
        id=event.id,
        product_id=event.product_id,
        request_id=event.request_id,
        position=event.position,
    )
    message.kind = event.kind.value  # type: ignore[assignment] # the numbers are the proto's
    message.time.FromMilliseconds(event.at_ms)
    return message
