"""Answers to callers who may not read them: what waits for a reader is bounded, and so is how long it does.

A caller decides by HTTP/2's flow control when it takes what it is sent. Nothing of the service waits for that: an
answer is made in full beside its sending, and a reader who takes nothing for a while is cut off, its stream reset.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from google.protobuf.message import Message
from grpc import aio

from gateway.background import running

MAX_AHEAD = 16
"""Answers of one stream that may wait for its reader; a turn has fewer, so that it always ends without one."""


_HANDLING = "_handle_exceptions"
"""What grpc.aio names the coroutine that a handler runs in."""

_calls: "WeakKeyDictionary[asyncio.Task[Any], asyncio.Task[Any]]" = WeakKeyDictionary()
"""By the task that a handler runs in, the task of gRPC that ends with the call itself."""

_unsent: "WeakSet[asyncio.Task[Any]]" = WeakSet()
"""Tasks of calls that ended while an answer waited to be taken."""


@contextmanager
def known_calls() -> Iterator[None]:
    """Know, until the block is left, which task of gRPC ends with each call: cancelling it resets the call's stream.

    grpc.aio has no other way for a server to end a call whose answer its caller does not take: the status waits behind
    the answer, and the call counts as concurrent until its connection ends.
    """
    loop = asyncio.get_running_loop()

    def create(
        loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        task = asyncio.Task(coroutine, loop=loop, **options)
        if getattr(coroutine, "__name__", "") == _HANDLING and (call := asyncio.current_task()) is not None:
            _calls[task] = call
        return task

    before = loop.get_task_factory()
    loop.set_task_factory(create)  # type: ignore[arg-type] # typeshed wants a wider coroutine
    try:
        yield
    finally:
        loop.set_task_factory(before)


@asynccontextmanager
async def made_ahead(responses: AsyncGenerator[Message, None]) -> AsyncIterator[AsyncIterator[Message]]:
    """Make the answers beside the block, which takes them in order; raises where they are taken what making them raised."""
    made: asyncio.Queue[Message | None] = asyncio.Queue()
    room = asyncio.Semaphore(MAX_AHEAD)

    async def make() -> None:
        async with aclosing(responses):
            async for response in responses:
                await room.acquire()
                made.put_nowait(response)

    async def take() -> AsyncIterator[Message]:
        while (response := await made.get()) is not None:
            yield response
            room.release()
        await making

    async with running(make()) as making:
        making.add_done_callback(lambda _: made.put_nowait(None))
        yield take()


class Patience:
    """How long a reader may take nothing."""

    def __init__(self, seconds: float, on_lost: Callable[[], None]) -> None:
        self._seconds = seconds
        self._on_lost = on_lost

    async def write(self, context: "aio.ServicerContext[Any, Any]", response: Message) -> None:
        """Send one answer; where the caller does not take it in time, the call is cut off: CancelledError."""
        try:
            async with asyncio.timeout(self._seconds):
                await context.write(response)
        except TimeoutError:
            self._cut_off(_this_task())
            raise asyncio.CancelledError from None
        except asyncio.CancelledError:
            _unsent.add(_this_task())
            raise

    def end_soon(self) -> None:
        """Cut this call off if what is sent last is not taken in time: gRPC itself would wait for ever.

        Raises:
            CancelledError: an answer waits to be taken already, and no status can be sent behind it.
        """
        task = _this_task()
        if task in _unsent:
            self._cut_off(task)
            raise asyncio.CancelledError
        call = _calls.get(task, task)
        timer = asyncio.get_running_loop().call_later(self._seconds, self._cut_off, task)
        call.add_done_callback(lambda _: timer.cancel())

    def _cut_off(self, task: "asyncio.Task[Any]") -> None:
        self._on_lost()
        task.cancel()
        if task in _calls:
            _calls[task].cancel()


def _this_task() -> "asyncio.Task[Any]":
    task = asyncio.current_task()
    assert task is not None, "calls are tasks"
    return task
