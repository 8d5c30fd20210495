"""The outermost interceptor: everything that holds for every call of vitrine.v1 happens here, and only here.

It gives the call its request id and its deadline, parses the request, translates every error to a status, and
leaves one log line and one set of measurements. Health and reflection pass untouched.
"""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.rpc import status_pb2  # type: ignore[import-untyped] # it has no py.typed
from grpc import aio
from grpc_status import rpc_status

from gateway.context import REQUEST_ID_HEADER, Call, enter_call
from gateway.edge.decoding import decode
from gateway.edge.sending import Patience, made_ahead
from gateway.edge.statuses import internal_status, rich_status
from gateway.errors import DeadlineExceeded, SearchError, ShuttingDown
from gateway.logs import log_event
from gateway.metrics import Metrics
from gateway.model import Deadline
from vitrine.v1 import catalogue_pb2, search_pb2

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_SERVICES: dict[str, ServiceDescriptor] = {
    service.full_name: service
    for module in (search_pb2, catalogue_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
}
_DAY_S = 86_400.0
"""Deadline of a stream of requests: it lasts as long as messages come, and no longer than this."""

_logger = logging.getLogger(__name__)

_Context = aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineRules:
    """How long calls may last, whatever their callers ask."""

    default_s: float
    maximum_s: float
    idle_s: float = 60.0
    """Between two messages of a stream of requests."""
    unread_s: float = 10.0
    """For how long a caller may take nothing of what it is sent."""


class Edge(aio.ServerInterceptor):
    """Wraps the handlers of vitrine.v1."""

    def __init__(self, rules: DeadlineRules, metrics: Metrics) -> None:
        self.rules = rules
        self.metrics = metrics
        self.closed = False

    def close(self) -> None:
        """Refuse every new call from now on; calls in flight go on."""
        self.closed = True

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Return the wrapped handler of a method of ours, and any other as it is."""
        handler = await continuation(handler_call_details)
        _, service_name, method_name = handler_call_details.method.split("/")
        service = _SERVICES.get(service_name)
        if handler is None or service is None:
            return handler
        method = _Method(self, handler, service.methods_by_name[method_name])
        serialise = handler.response_serializer
        if handler.request_streaming:
            return grpc.stream_stream_rpc_method_handler(method.stream_stream, response_serializer=serialise)
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(method.unary_stream, response_serializer=serialise)
        return grpc.unary_unary_rpc_method_handler(method.unary_unary, response_serializer=serialise)


class _Method:
    """One method's handler with the edge around it; requests reach it as bytes."""

    def __init__(self, edge: Edge, handler: Any, descriptor: MethodDescriptor) -> None:
        self._edge = edge
        self._handler = handler
        self._name = descriptor.name
        self._input = descriptor.input_type
        lost = edge.metrics.slow_readers.labels(descriptor.name)
        self._patience = Patience(edge.rules.unread_s, on_lost=lost.inc)

    async def unary_unary(self, data: bytes, context: _Context) -> Message:
        async with self._answering(context, self._unary_deadline(context)):
            response: Message = await self._handler.unary_unary(self._parse(data), context)
            return response

    async def unary_stream(self, data: bytes, context: _Context) -> None:
        async with (
            self._answering(context, self._unary_deadline(context)),
            made_ahead(self._handler.unary_stream(self._parse(data), context)) as responses,
        ):
            async for response in responses:
                await self._patience.write(context, response)

    async def stream_stream(self, stream: AsyncIterator[bytes], context: _Context) -> None:
        async with (
            self._answering(context, _deadline(context, default_s=_DAY_S, maximum_s=_DAY_S)),
            aclosing(self._handler.stream_stream(self._parsed(stream), context)) as responses,
        ):
            async for response in responses:
                await self._patience.write(context, response)

    def _unary_deadline(self, context: _Context) -> Deadline:
        return _deadline(context, default_s=self._edge.rules.default_s, maximum_s=self._edge.rules.maximum_s)

    @asynccontextmanager
    async def _answering(self, context: _Context, deadline: Deadline) -> AsyncIterator[None]:
        call = Call(
            method=self._name, request_id=_request_id(context), deadline=deadline, peer=context.peer()
        )
        enter_call(call)
        context.set_trailing_metadata(((REQUEST_ID_HEADER, call.request_id),))
        code = grpc.StatusCode.OK
        with self._measured(call, lambda: code):
            try:
                if self._edge.closed:
                    raise ShuttingDown  # noqa: TRY301 - told like every other error
                async with asyncio.timeout(deadline.remaining_s()):
                    yield
                self._patience.end_soon()
            except SearchError as error:
                code = error.code
                await self._abort(context, code, rich_status(error, call.request_id))
            except TimeoutError:
                code = DeadlineExceeded.code
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

    async def _abort(self, context: _Context, code: grpc.StatusCode, status: status_pb2.Status) -> None:
        """End the call with the status, its details and the request's id in the trailers."""
        self._patience.end_soon()
        trailers = rpc_status.to_status(status).trailing_metadata
        request_id = (
            (REQUEST_ID_HEADER, value)
            for key, value in context.trailing_metadata()
            if key == REQUEST_ID_HEADER
        )
        await context.abort(code, status.message, (*trailers, *request_id))

    @contextmanager
    def _measured(self, call: Call, code: Callable[[], grpc.StatusCode]) -> Iterator[None]:
        started = time.perf_counter()
        in_flight = self._edge.metrics.in_flight.labels(call.method)
        in_flight.inc()
        try:
            yield
        finally:
            seconds = time.perf_counter() - started
            in_flight.dec()
            self._edge.metrics.requests.labels(call.method, code().name).inc()
            self._edge.metrics.request_seconds.labels(call.method).observe(seconds)
            log_event(
                _logger, logging.INFO, "call", code=code().name, ms=round(seconds * 1e3, 2), **call.notes
            )

    def _parse(self, data: bytes) -> Message:
        return decode(data, self._handler.request_deserializer, self._input)

    async def _parsed(self, stream: AsyncIterator[bytes]) -> AsyncIterator[Message]:
        messages = aiter(stream)
        while True:
            try:
                async with asyncio.timeout(self._edge.rules.idle_s):
                    data = await anext(messages)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise DeadlineExceeded(f"no message for {self._edge.rules.idle_s:g} s") from None
            yield self._parse(data)


def _deadline(context: _Context, *, default_s: float, maximum_s: float) -> Deadline:
    remaining_s: float | None = context.time_remaining()
    return Deadline.after(min(default_s if remaining_s is None else remaining_s, maximum_s))


def _request_id(context: _Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID_HEADER and isinstance(value, str) and _REQUEST_ID.fullmatch(value):
            return value
    return uuid.uuid4().hex
