"""The outermost interceptor: everything that holds for every call of vitrine.v1 happens here, and only here.

It gives the call its request id and its deadline, parses the request, translates every error to a status, and
leaves one log line and one set of measurements. Health and reflection have bounds of their own (standard_calls.py).
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, nullcontext
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.rpc import status_pb2  # type: ignore[import-untyped] # it has no py.typed
from grpc import aio
from grpc_status import rpc_status

from gateway.callers import UNKNOWN
from gateway.context import REQUEST_ID_HEADER, Call, enter_call
from gateway.edge.aborting import let_go, released
from gateway.edge.audit import audit
from gateway.edge.calls import Context, deadline_of, request_id_in, share, share_of
from gateway.edge.decoding import decode
from gateway.edge.door import Door
from gateway.edge.methods import needs
from gateway.edge.reception import Crowd, Reception, closing_requests
from gateway.edge.saturation import RETRY_S, Saturation
from gateway.edge.sending import Patience, made_ahead
from gateway.edge.standard_calls import StandardCalls
from gateway.edge.statuses import abort, internal_status, rich_status
from gateway.errors import DeadlineExceeded, Overloaded, SearchError, ShuttingDown, Unauthenticated
from gateway.logs import log_event
from gateway.metrics import Metrics
from gateway.model import Deadline
from vitrine.process.tracing import UNTRACED, Span, Tracer, read_traceparent
from vitrine.v1 import (
    campaigns_pb2,
    catalogue_pb2,
    data_pb2,
    documents_pb2,
    feedback_pb2,
    moderation_pb2,
    report_pb2,
    search_pb2,
)

_SERVICES: dict[str, ServiceDescriptor] = {
    service.full_name: service
    for module in (
        search_pb2,
        catalogue_pb2,
        documents_pb2,
        feedback_pb2,
        data_pb2,
        report_pb2,
        moderation_pb2,
        campaigns_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
}
_FAULTS = {
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""Statuses that say that this side failed; a span with another one is none that failed."""

_DAY_S = 86_400.0
"""Deadline of a stream of requests: it lasts as long as messages come, and no longer than this."""

_FULL = rich_status(Overloaded("too many searches are being answered", retry_after_s=RETRY_S), "")
_FULL_TRAILERS = rpc_status.to_status(_FULL).trailing_metadata
"""Made once."""

_CHILDREN = 1_024
"""Of a metric by code and caller, that are found without their labels being checked again."""

_NOWHERE = nullcontext()

_logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineRules:
    """How long calls may last, whatever their callers ask."""

    default_s: float
    maximum_s: float
    idle_s: float = 60.0
    """How long a stream of requests may keep its server waiting."""
    earned_s: float = 5.0
    """What each message gives back of that: one that trickles ends as one that is silent does."""
    unread_s: float = 10.0
    """For how long a caller may take nothing of what it is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowding:
    """How many may be here at once, and how much they may bring."""

    calls: Crowd
    """Of vitrine.v1."""
    searches: Saturation
    """Of the methods for searchers, as many as the process has time for."""
    reception: Reception
    standard: StandardCalls
    """Health and reflection, which are counted apart."""


class Edge(aio.ServerInterceptor):
    """Wraps the handlers of vitrine.v1."""

    def __init__(
        self,
        rules: DeadlineRules,
        metrics: Metrics,
        door: Door,
        crowding: Crowding,
        tracer: Tracer = UNTRACED,
    ) -> None:
        self.rules = rules
        self.metrics = metrics
        self.door = door
        self.crowding = crowding
        self.tracer = tracer
        self.closed = False
        self._wrapped: dict[str, Any] = {}

    def close(self) -> None:
        """Refuse every new call from now on; calls in flight go on."""
        self.closed = True

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Return the wrapped handler of a method, and none of one that there is not.

        To gRPC every request is a stream, also those of one message, so that the edge decides when it is received.
        """
        path = handler_call_details.method
        self.crowding.searches.taken += 1
        if (known := self._wrapped.get(path)) is not None:
            return known
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        service_name, _, method_name = path.removeprefix("/").rpartition("/")
        service = _SERVICES.get(service_name)
        if service is None:
            return self.crowding.standard.wrapped(path, handler, self.door.authentication)
        self._wrapped[path] = wrapped = self._wrap(handler, service.methods_by_name[method_name])
        return wrapped

    def _wrap(self, handler: Any, descriptor: MethodDescriptor) -> Any:
        method = _Method(self, handler, descriptor)
        serialise = handler.response_serializer
        if handler.request_streaming and not handler.response_streaming:
            return grpc.stream_unary_rpc_method_handler(
                released(method.stream_unary), response_serializer=serialise
            )
        if handler.request_streaming:
            return grpc.stream_stream_rpc_method_handler(
                released(method.stream_stream), response_serializer=serialise
            )
        if handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(
                released(method.unary_stream), response_serializer=serialise
            )
        return grpc.stream_unary_rpc_method_handler(
            released(method.unary_unary), response_serializer=serialise
        )


class _Method:
    """One method's handler with the edge around it; requests reach it as bytes."""

    def __init__(self, edge: Edge, handler: Any, descriptor: MethodDescriptor) -> None:
        self._edge = edge
        self._handler = handler
        self._name = descriptor.name
        self._needs = needs(descriptor.full_name)
        self._full_name = f"{descriptor.containing_service.full_name}/{descriptor.name}"
        self._input = descriptor.input_type
        lost = edge.metrics.slow_readers.labels(descriptor.name)
        self._shed = edge.metrics.shed.labels("door", "saturated")
        # Finding a labelled child costs more than counting; codes and callers are few.
        self._ended = lru_cache(_CHILDREN)(partial(edge.metrics.requests.labels, descriptor.name))
        self._ended_of = lru_cache(_CHILDREN)(edge.metrics.caller_requests.labels)
        self._turned_away = self._ended(Overloaded.code.name)
        self._in_flight = edge.metrics.in_flight.labels(descriptor.name)
        self._seconds = edge.metrics.request_seconds.labels(descriptor.name)
        self._patience = Patience(edge.rules.unread_s, on_lost=lost.inc)

    async def unary_unary(self, stream: AsyncIterator[bytes], context: Context) -> Message:
        work = partial(self._answer_one, stream, context)
        return await self._answer(context, self._unary_deadline(context), work)

    async def unary_stream(self, stream: AsyncIterator[bytes], context: Context) -> None:
        work = partial(self._stream_of_one, stream, context)
        await self._answer(context, self._unary_deadline(context), work)

    async def stream_stream(self, stream: AsyncIterator[bytes], context: Context) -> None:
        deadline = deadline_of(context, default_s=_DAY_S, maximum_s=_DAY_S)
        await self._answer(context, deadline, partial(self._stream_of_stream, stream, context))

    async def stream_unary(self, stream: AsyncIterator[bytes], context: Context) -> Message:
        longest_s = self._edge.rules.maximum_s
        deadline = deadline_of(context, default_s=longest_s, maximum_s=longest_s)
        return await self._answer(context, deadline, partial(self._answer_stream, stream, context))

    async def _answer_one(self, stream: AsyncIterator[bytes], context: Context) -> Message:
        reception = self._edge.crowding.reception
        data = await reception.receive(stream, share(context))
        with reception.budget.held(len(data)):
            request = self._parse(data)
            del data  # the message has its own copy, and lasts as long as the call
            answering = self._handler.unary_unary(request, context)
            del request  # it is the handler's, which lets go of it
            response: Message = await answering
            return response

    async def _stream_of_one(self, stream: AsyncIterator[bytes], context: Context) -> None:
        async with (
            self._edge.crowding.reception.message(stream, self._parse, share=share(context)) as request,
            made_ahead(self._handler.unary_stream(request, context)) as responses,
        ):
            async for response in responses:
                await self._patience.write(context, response)

    async def _stream_of_stream(self, stream: AsyncIterator[bytes], context: Context) -> None:
        async with (
            closing_requests(stream) as requests,
            aclosing(self._handler.stream_stream(self._parsed(requests, context), context)) as responses,
        ):
            async for response in responses:
                await self._patience.write(context, response)

    async def _answer_stream(self, stream: AsyncIterator[bytes], context: Context) -> Message:
        async with (
            closing_requests(stream) as requests,
            aclosing(self._parsed(requests, context)) as messages,
        ):
            response: Message = await self._handler.stream_unary(messages, context)
            return response

    def _unary_deadline(self, context: Context) -> Deadline:
        return deadline_of(
            context, default_s=self._edge.rules.default_s, maximum_s=self._edge.rules.maximum_s
        )

    async def _answer(
        self, context: Context, deadline: Deadline, work: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        """Return what the work returns, as the work of a call; its errors become statuses."""
        if self._needs.for_searchers and self._is_full_for(context):
            await self._turn_away(context)
        metadata = context.invocation_metadata() or ()
        call = Call(
            method=self._name,
            request_id=request_id_in(metadata),
            deadline=deadline,
            caller=UNKNOWN,
            peer=context.peer(),
        )
        enter_call(call)
        context.set_trailing_metadata(((REQUEST_ID_HEADER, call.request_id),))
        code = grpc.StatusCode.OK
        with self._edge.tracer.served(self._full_name, read_traceparent(metadata)) as span:
            started = self._begin()
            try:
                answer = await self._let_in(context, call, work)
                self._patience.end_soon()
            except SearchError as error:
                code = error.code
                let_go(error)
                await self._abort(context, code, rich_status(error, call.request_id))
            except TimeoutError as error:
                code = DeadlineExceeded.code
                let_go(error)
                late = DeadlineExceeded("the deadline has passed")
                await self._abort(context, code, rich_status(late, call.request_id))
            except asyncio.CancelledError:
                # The caller has gone, or its deadline took the call away before ours did.
                code = grpc.StatusCode.CANCELLED if deadline.remaining_s() else DeadlineExceeded.code
                raise
            except Exception:  # noqa: BLE001 - the one translator: what nobody foresaw becomes INTERNAL
                code = grpc.StatusCode.INTERNAL
                log_event(_logger, logging.ERROR, "call_failed", failed=True)
                await self._abort(context, code, internal_status(call.request_id))
            finally:
                self._end(call, span, code, time.perf_counter() - started)
        return answer

    async def _let_in(self, context: Context, call: Call, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """Do the work for its caller, within the bounds on how many are here and until the deadline."""
        if self._edge.closed:
            raise ShuttingDown
        door, crowding = self._edge.door, self._edge.crowding
        call.caller = caller = door.caller(context)
        door.check(caller, self._needs)
        with (
            crowding.calls.entered(),
            crowding.searches.entered(share(context)) if self._needs.for_searchers else _NOWHERE,
            door.counted(caller, self._needs),
        ):
            async with asyncio.timeout(call.deadline.remaining_s()):
                return await work()

    def _is_full_for(self, context: Context) -> bool:
        searches = self._edge.crowding.searches
        if searches.inside < searches.limit:
            return False
        try:
            return searches.is_full_for(share_of(self._edge.door.caller(context), context))
        except Unauthenticated:
            return False  # that is said to them first

    async def _turn_away(self, context: Context) -> None:
        """Refuse with the least work: what a refusal costs is taken from those who are answered."""
        self._edge.crowding.searches.refused()
        self._shed.inc()
        self._turned_away.inc()
        await context.abort(
            Overloaded.code,
            _FULL.message,
            (*_FULL_TRAILERS, (REQUEST_ID_HEADER, request_id_in(context.invocation_metadata() or ()))),
        )

    async def _abort(self, context: Context, code: grpc.StatusCode, status: status_pb2.Status) -> NoReturn:
        self._patience.end_soon()
        await abort(context, code, status)

    def _begin(self) -> float:
        """Count a call that begins; return when that was."""
        self._in_flight.inc()
        self._edge.crowding.searches.under_way += 1
        return time.perf_counter()

    def _end(self, call: Call, span: Span, code: grpc.StatusCode, seconds: float) -> None:
        """Measure a call that has ended, and leave its line in the log."""
        name = code.name
        self._in_flight.dec()
        self._edge.crowding.searches.under_way -= 1
        self._ended(name).inc()
        self._seconds.observe(seconds)
        span.end(
            {
                "rpc.system": "grpc",
                "rpc.grpc.status_code": code.value[0],
                "vitrine.request_id": call.request_id,
            },
            fault=name if code in _FAULTS else "",
        )
        log_event(_logger, logging.INFO, "call", code=name, ms=round(seconds * 1e3, 2), **call.notes)
        self._ended_of(call.caller.name, name).inc()
        if self._needs.writes:
            audit(call, code=name)

    def _parse(self, data: bytes) -> Message:
        return decode(data, self._handler.request_deserializer, self._input)

    async def _parsed(self, stream: AsyncIterator[bytes], context: Context) -> AsyncGenerator[Message, None]:
        """Yield the messages; a caller who is known no more, or who keeps the stream waiting, ends it."""
        rules, messages = self._edge.rules, aiter(stream)
        patience_s = rules.idle_s
        while True:
            began = time.monotonic()
            try:
                async with asyncio.timeout(patience_s):
                    data = await anext(messages)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise DeadlineExceeded(
                    f"the stream kept waiting for {rules.idle_s:g} s, to which each message adds {rules.earned_s:g} s"
                ) from None
            patience_s = min(rules.idle_s, patience_s - (time.monotonic() - began) + rules.earned_s)
            self._edge.door.check(self._edge.door.caller(context), self._needs)
            yield self._parse(data)
