"""The services of gRPC itself, health and reflection: `Check` is open, all else is for callers who are known."""

import inspect
from typing import Any

import grpc
from grpc import aio

from gateway.edge.authentication import Authentication
from gateway.edge.statuses import abort, rich_status
from gateway.errors import Unauthenticated

OPEN = "/grpc.health.v1.Health/Check"
"""Probes and balancers ask it, who have nothing to show."""

_Context = aio.ServicerContext[Any, Any]


def guarded(method: str, handler: Any, authentication: Authentication) -> Any:
    """Return the handler of a standard method with the question who calls before it."""
    if method == OPEN:
        return handler
    inner = handler.stream_stream or handler.unary_stream
    if inner is None:  # neither Watch nor reflection: none that there is today
        return grpc.stream_stream_rpc_method_handler(_refuse)

    async def behaviour(request: Any, context: _Context) -> None:
        try:
            authentication.caller_of(context)
        except Unauthenticated as error:
            await abort(context, error.code, rich_status(error, ""))
        answers = inner(request, context)
        if not inspect.isasyncgen(answers):
            await answers
            return
        async for answer in answers:
            await context.write(answer)

    make = (
        grpc.stream_stream_rpc_method_handler
        if handler.request_streaming
        else grpc.unary_stream_rpc_method_handler
    )
    return make(behaviour, handler.request_deserializer, handler.response_serializer)


async def _refuse(requests: Any, context: _Context) -> None:
    del requests
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "")
