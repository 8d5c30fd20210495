"""Calls that are ended with an error, without what they held."""

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
    """Unlink the frames that an error came through: what they hold is not needed to tell it, which may take a while.

    The frames themselves are left alone. Calls that shared a piece of work share its error, and one of them may have caught
    it and gone on.
    """
    chain: list[BaseException | None] = [error]
    seen: set[int] = set()
    while chain:
        each = chain.pop()
        if each is None or id(each) in seen:  # errors may lead to each other in a ring
            continue
        seen.add(id(each))
        chain += (each.__cause__, each.__context__)
        link, each.__traceback__ = each.__traceback__, None
        while link is not None:
            following, link.tb_next = link.tb_next, None
            link = following
