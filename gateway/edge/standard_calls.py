"""The calls of health and reflection: few at once, small, and none for ever, whatever the calls of vitrine.v1 do.

They are counted apart from those, so that `Check` answers while searches take every place, and searches while somebody
watches health a thousand times.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import grpc
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from grpc import aio
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from gateway.edge.aborting import let_go, released
from gateway.edge.authentication import Authentication
from gateway.edge.decoding import decode
from gateway.edge.reception import Crowd, Reception
from gateway.edge.statuses import abort, rich_status
from gateway.errors import DeadlineExceeded, InvalidQuery, SearchError

MAX_CHECKS, MAX_WATCHES, MAX_REFLECTIONS = 64, 64, 4
"""Calls at once, of each kind."""
CHECK_S = 5.0
REFLECTION_S = 60.0
MAX_REFLECTED = 1_000
"""Questions of one stream."""

_CHECK = "/grpc.health.v1.Health/Check"
_WATCH = "/grpc.health.v1.Health/Watch"
_REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
_INPUTS: Mapping[str, Any] = {
    _CHECK: health_pb2.HealthCheckRequest.DESCRIPTOR,
    _WATCH: health_pb2.HealthCheckRequest.DESCRIPTOR,
    _REFLECTION: reflection_pb2.ServerReflectionRequest.DESCRIPTOR,
}

_Context = aio.ServicerContext[Any, Any]


class StandardCalls:
    """Wraps the handlers of services that are gRPC's own."""

    def __init__(self, reception: Reception, *, watch_s: float) -> None:
        self._reception = reception
        self._rules: Mapping[str, tuple[Crowd, float]] = {
            _CHECK: (Crowd("health checks at once", MAX_CHECKS), CHECK_S),
            _WATCH: (Crowd("watchers of health at once", MAX_WATCHES), watch_s),
            _REFLECTION: (Crowd("streams of reflection at once", MAX_REFLECTIONS), REFLECTION_S),
        }

    @property
    def here(self) -> int:
        """Calls under way."""
        return sum(crowd.here for crowd, _ in self._rules.values())

    def wrapped(self, method: str, handler: Any, authentication: Authentication) -> Any:
        """Return the handler within its bounds; None for a method that this module does not know.

        `Check` is open, since probes and balancers have nothing to show; the others are for callers who are known.
        """
        if method not in self._rules:
            return None
        crowd, longest_s = self._rules[method]
        parse = _parser(handler.request_deserializer, _INPUTS[method])

        async def behaviour(stream: AsyncIterator[bytes], context: _Context) -> None:
            try:
                if method != _CHECK:
                    authentication.caller_of(context)
                with crowd.entered():
                    async with asyncio.timeout(longest_s):
                        await self._answer(handler, stream, context, parse)
            except SearchError as error:
                await abort(context, error.code, rich_status(error, ""))
            except TimeoutError as error:
                let_go(error)
                await context.abort(DeadlineExceeded.code, f"a call lasts {longest_s:g} s at most")

        return grpc.stream_stream_rpc_method_handler(
            released(behaviour), response_serializer=handler.response_serializer
        )

    async def _answer(
        self, handler: Any, stream: AsyncIterator[bytes], context: _Context, parse: Callable[[bytes], Message]
    ) -> None:
        if handler.request_streaming:
            await _write_all(handler.stream_stream(_parsed(stream, parse), context), context)
            return
        async with self._reception.message(stream, parse, share=str(context.peer())) as request:
            pass  # it is small
        if handler.response_streaming:
            await _write_all(handler.unary_stream(request, context), context)
        else:
            await context.write(await handler.unary_unary(request, context))


async def _parsed(stream: AsyncIterator[bytes], parse: Callable[[bytes], Message]) -> AsyncIterator[Message]:
    """Yield the questions of a stream; it may be silent between them, so it takes no place of those who send."""
    count = 0
    async for data in stream:
        count += 1
        if count > MAX_REFLECTED:
            raise InvalidQuery("request", f"at most {MAX_REFLECTED:,} questions of one stream")
        yield parse(data)


def _parser(parse: Callable[[bytes], Message], descriptor: Descriptor) -> Callable[[bytes], Message]:
    return lambda data: decode(data, parse, descriptor)


async def _write_all(answers: Any, context: _Context) -> None:
    """Send what a handler yields; one that writes by itself is awaited."""
    if not inspect.isasyncgen(answers):
        await answers
        return
    async for answer in answers:
        await context.write(answer)
