"""Streams products to the catalogue service over gRPC's threaded stack.

A service may end such a stream while products are still on their way. grpc.aio 1.85 then replaces the status that
says why by INTERNAL ("Internal error from Core"), because a write failed; the threaded stack gives the service's own.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any, Self

import grpc

from vitrine.channels import Metadata, Tls, open_threaded_channel
from vitrine.v1 import catalogue_pb2, catalogue_pb2_grpc


async def stream_products(
    address: str,
    options: catalogue_pb2.UpsertOptions,
    products: AsyncIterable[catalogue_pb2.ProductInput],
    *,
    timeout_s: float,
    tls: Tls | None = None,
    metadata: Metadata = (),
) -> AsyncGenerator[catalogue_pb2.UpsertProductsResponse, None]:
    """Write products as they are yielded and give the service's answers as they come.

    Raises:
        grpc.RpcError: the service refused or is not there; it is a grpc.Call too, with the status.
        Exception: whatever `products` raised, after the call was cancelled.
    """
    loop = asyncio.get_running_loop()
    requests = _Requests(_requests(options, products), loop)
    # Its own: the loop's threads are few, and `products` may need one.
    waiting = ThreadPoolExecutor(1, "product-stream")
    with open_threaded_channel(address, tls, options=[("grpc.enable_retries", 0)]) as channel:
        stub = catalogue_pb2_grpc.CatalogueServiceStub(channel)
        call = stub.UpsertProducts(requests, timeout=timeout_s, metadata=metadata)
        requests.call.set_result(call)
        try:
            while (answer := await loop.run_in_executor(waiting, next, call, None)) is not None:
                yield answer
        except grpc.RpcError:
            if requests.failure:
                raise requests.failure from None
            raise
        finally:
            requests.close()
            call.cancel()
            waiting.shutdown(wait=False)


async def _requests(
    options: catalogue_pb2.UpsertOptions, products: AsyncIterable[catalogue_pb2.ProductInput]
) -> AsyncIterator[catalogue_pb2.UpsertProductsRequest]:
    yield catalogue_pb2.UpsertProductsRequest(options=options)
    async for product in products:
        yield catalogue_pb2.UpsertProductsRequest(product=product)


class _Requests:
    """Gives gRPC's sending thread what an iterator of the event loop yields.

    The end of the iterator half-closes the stream; its failure must not look like its end, and cancels the call.
    """

    def __init__(
        self, source: AsyncIterator[catalogue_pb2.UpsertProductsRequest], loop: asyncio.AbstractEventLoop
    ) -> None:
        self.call: Future[grpc.Call] = Future()
        self.failure: BaseException | None = None
        self._source = source
        self._loop = loop
        self._lock = threading.Lock()
        self._pending: Future[Any] = Future()
        self._closed = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> catalogue_pb2.UpsertProductsRequest:
        with self._lock:
            if self._closed:
                raise StopIteration
            self._pending = asyncio.run_coroutine_threadsafe(self._take(), self._loop)
        try:
            self.failure = self._pending.exception()
        except CancelledError:
            raise StopIteration from None
        if self.failure:
            self.call.result().cancel()
            raise StopIteration
        request: catalogue_pb2.UpsertProductsRequest | None = self._pending.result()
        if request is None:
            raise StopIteration
        return request

    def close(self) -> None:
        """Ask the source for nothing more."""
        with self._lock:
            self._closed = True
            self._pending.cancel()

    async def _take(self) -> catalogue_pb2.UpsertProductsRequest | None:
        return await anext(self._source, None)
