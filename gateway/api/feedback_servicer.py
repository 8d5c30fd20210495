"""vitrine.v1.FeedbackService: takes what shoppers did."""

import time
from collections.abc import AsyncIterator
from typing import Any

from grpc import aio

from gateway.context import current_call, time_for_hop
from gateway.errors import InvalidQuery, Overloaded, as_invalid_query
from gateway.events import Event, EventKind, Outcome
from gateway.feedback.intake import Intake, Refused, Tally, event_time, off
from gateway.feedback.pseudonyms import Keyring
from gateway.model import Deadline
from vitrine.domain import limits
from vitrine.domain.product import check_id, check_identifier
from vitrine.v1 import feedback_pb2, feedback_pb2_grpc

MAX_STREAMS = 16
"""Streams of events at once, each with one message in memory."""
_RETRY_S = 0.5

_Context = aio.ServicerContext[Any, Any]
_KINDS = {kind.value: kind for kind in EventKind}


class FeedbackServicer(feedback_pb2_grpc.FeedbackServiceServicer):
    """Answers FeedbackService; without an intake it takes nothing."""

    def __init__(self, intake: Intake | None, *, margin_s: float) -> None:
        self._intake = intake
        self._margin_s = margin_s
        self._streams = 0

    async def Record(  # noqa: N802 - gRPC's name
        self, request_iterator: AsyncIterator[feedback_pb2.RecordRequest], context: _Context
    ) -> feedback_pb2.RecordResponse:
        """Record a stream of events; each message is durable before the next one is read.

        Raises:
            FailedPrecondition: no events are taken here.
            InvalidQuery: a message, or the stream, has more events than it may.
            Overloaded: too many streams at once.
        """
        del context
        if self._intake is None:
            raise off()
        if self._streams >= MAX_STREAMS:
            raise Overloaded(f"at most {MAX_STREAMS} streams of events at once", retry_after_s=_RETRY_S)
        self._streams += 1
        try:
            return await self._record(request_iterator, self._intake)
        finally:
            self._streams -= 1

    async def _record(
        self, requests: AsyncIterator[feedback_pb2.RecordRequest], intake: Intake
    ) -> feedback_pb2.RecordResponse:
        tally, received = Tally(), 0
        async for request in requests:
            received += len(request.events)
            if received > limits.MAX_STREAM_EVENTS:
                raise InvalidQuery(
                    "events", f"at most {limits.MAX_STREAM_EVENTS:,} in one stream: begin another"
                )
            keyring = await intake.keyring(self._deadline())
            events = _read_events(request, keyring, tally)
            await intake.record(events, tally, self._deadline())
        response = _response(tally)
        current_call().notes.update(
            recorded=response.recorded,
            duplicates=response.duplicates,
            capped=response.capped,
            rejected=response.rejected,
        )
        return response

    def _deadline(self) -> Deadline:
        return Deadline.after(time_for_hop(current_call().deadline, margin_s=self._margin_s))


def _read_events(request: feedback_pb2.RecordRequest, keyring: Keyring, tally: Tally) -> list[Event]:
    """Return the events of a message that hold to the limits, the refusals counted."""
    events = []
    for message in request.events:
        try:
            events.append(_read_event(message, keyring))
        except InvalidQuery as error:
            told = message.id[: limits.MAX_EVENT_ID_LENGTH]
            tally.refuse(Refused(id=told, field=error.field, reason=error.reason))
    return events


def _read_event(message: feedback_pb2.Event, keyring: Keyring) -> Event:
    if message.kind not in _KINDS:
        raise InvalidQuery("kind", f"{message.kind} is no kind of event")
    kind = _KINDS[message.kind]
    with as_invalid_query():
        if not message.id:
            raise InvalidQuery("id", "must not be empty")
        check_identifier("id", message.id, limit=limits.MAX_EVENT_ID_LENGTH)
        check_id("product_id", message.product_id)
        check_identifier("session_id", message.session_id, limit=limits.MAX_SESSION_ID_LENGTH)
        check_identifier("user_id", message.user_id, limit=limits.MAX_USER_ID_LENGTH)
    if not 0 <= message.position <= limits.MAX_POSITION:
        raise InvalidQuery("position", f"must be from 0 to {limits.MAX_POSITION:,}, got {message.position}")
    if not message.HasField("time"):
        raise InvalidQuery("time", "must say when it happened")
    if message.personalise and not message.user_id:
        raise InvalidQuery("user_id", "must not be empty where the shopper agreed to be known again")
    at_ms = event_time(message.time.seconds, message.time.nanos)
    request_id = _answer(message, kind, keyring)
    known = message.personalise
    return Event(
        id=message.id,
        kind=kind,
        product_id=message.product_id,
        at_ms=at_ms,
        request_id=request_id,
        position=message.position,
        shopper=keyring.pseudonym("shopper", message.user_id) if known else "",
        session=keyring.pseudonym("session", message.session_id) if known and message.session_id else "",
    )


def _answer(message: feedback_pb2.Event, kind: EventKind, keyring: Keyring) -> str:
    """Return the request whose answer showed the product; empty where the event names none and needs none."""
    if not message.answer_token:
        if kind is EventKind.IMPRESSION or not message.personalise:
            raise InvalidQuery("answer_token", "must name the answer that showed the product")
        return ""
    if len(message.answer_token) > limits.MAX_ANSWER_TOKEN_LENGTH:
        raise InvalidQuery("answer_token", f"at most {limits.MAX_ANSWER_TOKEN_LENGTH} characters")
    read = keyring.read_token(message.answer_token)
    if read is None or time.time() - read[1] > limits.MAX_EVENT_AGE_DAYS * 86_400:
        raise InvalidQuery("answer_token", f"names no answer of the last {limits.MAX_EVENT_AGE_DAYS} days")
    return read[0]


def _response(tally: Tally) -> feedback_pb2.RecordResponse:
    return feedback_pb2.RecordResponse(
        recorded=tally.outcomes[Outcome.RECORDED],
        duplicates=tally.outcomes[Outcome.DUPLICATE],
        capped=tally.outcomes[Outcome.CAPPED],
        rejected=tally.refused,
        errors=[
            feedback_pb2.EventError(id=each.id, field=each.field, reason=each.reason)
            for each in tally.first_refused
        ],
    )
