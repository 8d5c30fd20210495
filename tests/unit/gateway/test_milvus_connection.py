"""Calls to Milvus: bounds, deadlines, errors."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import numpy as np
import pytest
from grpc.aio import AioRpcError, Metadata
from pymilvus import MilvusException
from pymilvus.grpc_gen import common_pb2, milvus_pb2, schema_pb2

from gateway.adapters.milvus.clients import Clients
from gateway.adapters.milvus.connection import MilvusConnection, MilvusError
from gateway.adapters.milvus.importing import can_import
from gateway.adapters.milvus.searching import Asked, SearchChannel
from gateway.errors import DeadlineExceeded, VectorIndexError

ASKED = Asked("shop", expression="", rows=1, columns=())
VECTOR = np.zeros(4, np.float32)


class Client:
    """Does what it is told when it is searched."""

    def __init__(self, work: Callable[[], Awaitable[Any]], closed: asyncio.Event | None = None) -> None:
        self._work = work
        self._closed = closed
        self.under_way = 0
        self.most_under_way = 0

    async def search(self, *_: object, **__: object) -> Any:
        """Count, and do it."""
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self._work()
        finally:
            self.under_way -= 1

    def unary_unary(self, method: str, **_: object) -> Callable[..., Awaitable[Any]]:
        """As a channel does, whose every call is a search."""
        assert method.startswith("/milvus.proto.milvus.MilvusService/")
        return self.search

    async def close(self) -> None:
        """Tell that it was closed."""
        assert self.under_way == 0
        if self._closed is not None:
            self._closed.set()


def connection(client: Client, *, max_concurrency: int = 4) -> MilvusConnection:
    searches = SearchChannel(client.unary_unary, token=lambda: "")
    clients = Clients(lambda _: client, token=lambda: "", files=())  # type: ignore[arg-type,return-value,unused-ignore]
    return MilvusConnection(clients, searches, max_concurrency=max_concurrency)


def failing(error: BaseException) -> Client:
    async def work() -> None:
        raise error

    return Client(work)


async def test_no_more_calls_are_under_way_than_the_bound() -> None:
    """Callers wait here, not in Milvus's invisible queue."""
    client = Client(lambda: asyncio.sleep(0.01, result="answer"))
    bounded = connection(client, max_concurrency=3)
    answers = await asyncio.gather(*(bounded.call("search", timeout_s=60) for _ in range(20)))
    assert answers == ["answer"] * 20
    assert client.most_under_way == 3


async def test_a_client_of_a_token_before_is_closed_after_its_last_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A call that is under way when the token is exchanged ends where it began, and the next one has the new token."""
    monkeypatch.setattr("gateway.adapters.milvus.clients.LOOK_S", 0)
    token, made, ended, closed = "first", [], asyncio.Event(), asyncio.Event()

    def make(shown: str) -> Client:
        client = Client(ended.wait if shown == "first" else lambda: asyncio.sleep(0, result=shown), closed)
        made.append(shown)
        return client

    clients = Clients(make, token=lambda: token, files=())  # type: ignore[arg-type,unused-ignore]
    calling = MilvusConnection(
        clients, SearchChannel(lambda *_, **__: ended.wait, token=lambda: token), max_concurrency=4
    )
    first = asyncio.create_task(calling.call("search", timeout_s=60))
    await asyncio.sleep(0)
    token = "second"
    assert await calling.call("search", timeout_s=60) == "second"
    assert await calling.call("search", timeout_s=60) == "second"
    assert (made, first.done(), closed.is_set()) == (["first", "second"], False, False)
    ended.set()
    assert await first is True
    await asyncio.wait_for(closed.wait(), 60)


async def test_the_time_in_the_queue_counts() -> None:
    """A call that gets no slot in its time fails like one that gets no answer, and others are not disturbed."""
    freed = asyncio.Event()
    client = Client(freed.wait)
    bounded = connection(client, max_concurrency=1)
    first = asyncio.create_task(bounded.call("search", timeout_s=60))
    await asyncio.sleep(0)
    with pytest.raises(DeadlineExceeded):
        await bounded.call("search", timeout_s=0.02)
    assert client.most_under_way == 1
    freed.set()
    assert await first is True


async def test_a_call_that_is_late_is_cancelled() -> None:
    """Nothing goes on behind the back of a caller who has stopped waiting."""
    client = Client(lambda: asyncio.sleep(60))
    with pytest.raises(DeadlineExceeded):
        await connection(client).call("search", timeout_s=0.01)
    assert client.under_way == 0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MilvusException(code=100, message="collection not found"), 100),
        (AioRpcError(grpc.StatusCode.UNIMPLEMENTED, Metadata(), Metadata()), grpc.StatusCode.UNIMPLEMENTED),
        (AioRpcError(grpc.StatusCode.UNAVAILABLE, Metadata(), Metadata()), grpc.StatusCode.UNAVAILABLE),
    ],
)
async def test_both_families_of_errors_become_one(error: Exception, code: object) -> None:
    """Errors of pymilvus and of gRPC are the index's failure, with the code kept and the message left behind."""
    for calling in (
        connection(failing(error)).call("search", timeout_s=60),
        connection(failing(error)).search(ASKED, VECTOR, timeout_s=60),
    ):
        with pytest.raises(MilvusError) as caught:
            await calling
        assert caught.value.milvus_code == code
        assert isinstance(caught.value, VectorIndexError)
        assert str(caught.value) == "index is unavailable"


async def test_a_deadline_that_the_server_noticed_is_one() -> None:
    """A DEADLINE_EXCEEDED of gRPC is no failure of the index."""
    error = AioRpcError(grpc.StatusCode.DEADLINE_EXCEEDED, Metadata(), Metadata())
    with pytest.raises(DeadlineExceeded):
        await connection(failing(error)).call("search", timeout_s=60)
    with pytest.raises(DeadlineExceeded):
        await connection(failing(error)).search(ASKED, VECTOR, timeout_s=60)


async def test_a_search_waits_no_longer_than_it_may() -> None:
    """A search shares the places of all other calls, and the time in the queue counts."""
    freed = asyncio.Event()
    client = Client(freed.wait)
    bounded = connection(client, max_concurrency=1)
    first = asyncio.create_task(bounded.call("search", timeout_s=60))
    await asyncio.sleep(0)
    with pytest.raises(DeadlineExceeded):
        await bounded.search(ASKED, VECTOR, timeout_s=0.02)
    assert client.most_under_way == 1
    freed.set()
    assert await first is True


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (common_pb2.Status(code=100, reason="collection not found"), 100),
        (common_pb2.Status(error_code=common_pb2.ErrorCode.CollectionNotExists), 4),
        (common_pb2.Status(), None),
    ],
)
async def test_a_refusal_in_the_answer_of_a_search_is_an_error(status: Any, code: int | None) -> None:
    """Milvus refuses by a status in its answer, servers before 2.3 by another field of it."""
    results = schema_pb2.SearchResultData(num_queries=1)
    answer = milvus_pb2.SearchResults(status=status, results=results)
    searching = connection(Client(lambda: asyncio.sleep(0, result=answer))).search(
        ASKED, VECTOR, timeout_s=60
    )
    if code is None:
        assert not len(await searching)
        return
    with pytest.raises(MilvusError) as caught:
        await searching
    assert code in (caught.value.milvus_code, status.error_code)


async def test_a_server_without_bulk_insert_is_told_from_one_that_fails() -> None:
    """Only "unimplemented" says that there is none; whatever else fails is an error, which a run must not take for it."""
    lite = AioRpcError(grpc.StatusCode.UNIMPLEMENTED, Metadata(), Metadata())
    assert not await can_import(connection(failing(lite)), timeout_s=60)
    away = AioRpcError(grpc.StatusCode.UNAVAILABLE, Metadata(), Metadata())
    with pytest.raises(MilvusError):
        await can_import(connection(failing(away)), timeout_s=60)
