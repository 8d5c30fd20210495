"""Calls that are ended with an error, without what they held."""

import traceback
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from grpc import aio

T = TypeVar("T")

Behaviour = Callable[[Any, aio.ServicerContext[Any, Any]], Awaitable[T]]


def released(behaviour: Behaviour[T]) -> Behaviour[T]:
    """Return the behaviour, which lets go of everything when it aborts its call.

    gRPC keeps the exception of an aborted call with the call. Through its traceback that exception keeps every frame it passed,
    the request among them, and the call itself: a cycle, which lasts until Python's collector comes by. With pictures of 8 MB
    that was gigabytes.
    """

    async def call(stream: Any, context: aio.ServicerContext[Any, Any]) -> T:
        answering = behaviour(stream, context)
        del stream, context
        try:
            return await answering
        except aio.AbortError as aborted:
            aborted.__context__ = None
            raise aborted.with_traceback(None) from None

    return call


def let_go(error: BaseException) -> None:
    """Empty the frames that an error came through: what they held is not needed to tell it, which may take a while."""
    seen: BaseException | None = error
    while seen is not None:
        traceback.clear_frames(seen.__traceback__)
        seen = seen.__cause__ or seen.__context__
