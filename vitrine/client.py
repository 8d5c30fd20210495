"""A thin asyncio client: the generated messages, deadlines that are always set, and one error.

async with VitrineClient("127.0.0.1:7700") as client:
    answer = await client.search(SearchRequest(text="red floral midi dress", limit=5))
    for hit in answer.hits:
        print(hit.product_id, hit.score, hit.product.title)
"""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import Any, Self, Unpack

import grpc
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from vitrine.channels import AccessOptions, Bearer, Metadata, open_channel, read_access
from vitrine.client_campaigns import CampaignCalls
from vitrine.client_errors import FieldViolation, VitrineError, vitrine_error
from vitrine.client_moderation import ModerationCalls
from vitrine.domain import limits
from vitrine.process.tracing import TRACEPARENT, hop_context, read_traceparent
from vitrine.product_stream import stream_products
from vitrine.retries import ONCE, RETRIES
from vitrine.v1 import (
    catalogue_pb2,
    catalogue_pb2_grpc,
    data_pb2,
    data_pb2_grpc,
    documents_pb2,
    documents_pb2_grpc,
    feedback_pb2,
    feedback_pb2_grpc,
    recommend_pb2,
    report_pb2,
    report_pb2_grpc,
    schema_pb2,
    search_pb2,
    search_pb2_grpc,
)

__all__ = [
    "DEFAULT_ADDRESS",
    "DEFAULT_TIMEOUT_S",
    "UPSERT_TIMEOUT_S",
    "FieldViolation",
    "VitrineClient",
    "VitrineError",
    "trace_metadata",
]

DEFAULT_ADDRESS = "127.0.0.1:7700"
DEFAULT_TIMEOUT_S = 10.0
_CONNECT_TIMEOUT_S = 1.0
UPSERT_TIMEOUT_S = 3600.0
"""A whole stream of products; an answer that stays away longer than this means that the service hangs."""


def trace_metadata() -> Metadata:
    """Return the trace context of this task, else that of the environment's TRACEPARENT; nothing without either."""
    if context := hop_context():
        return context
    traceparent = read_traceparent([(TRACEPARENT, os.environ.get("TRACEPARENT", ""))])
    return ((TRACEPARENT, traceparent),) if traceparent else ()


class VitrineClient(ModerationCalls):
    """Calls the gateway; made inside a running event loop, used as an `async with`.

    `address` is HOST:PORT, or whatever gRPC takes; calls are spread over all that it names.
    Every method takes `timeout_s`, the seconds that the call may last, and raises VitrineError when it fails.
    `metadata` is asked before each call for what goes along with it, such as `x-request-id`; by default the trace context.
    The options of AccessOptions, `token_file`, `ca` and so on, say who the client is and whom it trusts. Products are
    written at `catalogue_address`, where it is given.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        catalogue_address: str = "",
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retry: bool = True,
        metadata: Callable[[], Metadata] = trace_metadata,
        **options_of_access: Unpack[AccessOptions],
    ) -> None:
        """Raise InvalidAccess where a token or a certificate cannot be used, or the token would go in clear."""
        access = read_access(options_of_access)
        options = [("grpc.service_config", RETRIES if retry else ONCE), ("grpc.enable_retries", int(retry))]
        self.address = address
        self.catalogue_address = catalogue_address or address
        for each in (self.address, self.catalogue_address):
            access.check(each)
        self._timeout_s = timeout_s
        self._going_along = metadata
        self._tls = access.tls
        self._bearer = Bearer(access)
        self._channel = open_channel(address, access.tls, options=options)
        self._catalogue_channel = (
            open_channel(catalogue_address, access.tls, options=options)
            if self.catalogue_address != address
            else self._channel
        )
        self._search = search_pb2_grpc.SearchServiceStub(self._channel)
        self._feedback = feedback_pb2_grpc.FeedbackServiceStub(self._channel)
        self._catalogue = catalogue_pb2_grpc.CatalogueServiceStub(self._channel)
        self._documents = documents_pb2_grpc.DocumentServiceStub(self._catalogue_channel)
        self._data = data_pb2_grpc.DataServiceStub(self._catalogue_channel)
        self._reports = report_pb2_grpc.ReportServiceStub(self._catalogue_channel)
        self.campaigns = CampaignCalls(self._catalogue_channel, self._administer)
        """Keeps campaigns for sponsored places."""
        self._writing = catalogue_pb2_grpc.CatalogueServiceStub(self._catalogue_channel)
        self._health: Any = health_pb2_grpc.HealthStub(self._channel)  # its stubs leave the methods out

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()
        await self._catalogue_channel.close()

    async def search(
        self, request: search_pb2.SearchRequest, *, timeout_s: float | None = None
    ) -> search_pb2.SearchResponse:
        """Find products."""
        with self._translated():
            return await self._search.Search(
                request, timeout=timeout_s or self._timeout_s, metadata=self._metadata()
            )

    async def recommend(
        self, request: recommend_pb2.RecommendRequest, *, timeout_s: float | None = None
    ) -> search_pb2.RecommendResponse:
        """Find products without a query."""
        with self._translated():
            return await self._search.Recommend(
                request, timeout=timeout_s or self._timeout_s, metadata=self._metadata()
            )

    async def converse(
        self, request: search_pb2.ConverseRequest, *, timeout_s: float | None = None
    ) -> AsyncGenerator[search_pb2.ConverseResponse, None]:
        """Take one turn of a conversation: what was understood, then the hits, then the reply."""
        call = self._search.Converse(request, timeout=timeout_s or self._timeout_s, metadata=self._metadata())
        try:
            with self._translated():
                async for answer in call:
                    yield answer
        finally:
            call.cancel()

    async def upsert(
        self,
        products: AsyncIterable[catalogue_pb2.ProductInput],
        *,
        rebuild: bool = False,
        rebuild_if_stale: bool = False,
        confirm_shrink: bool = False,
        source: str = "",
        schema: schema_pb2.CatalogueSchema | None = None,
        inference: catalogue_pb2.InferenceOptions | None = None,
        timeout_s: float = UPSERT_TIMEOUT_S,
    ) -> AsyncIterator[catalogue_pb2.UpsertProductsResponse]:
        """Write products as they are yielded; each answer says what is durable by then.

        With `rebuild` the products make a new index that replaces the old one at the end; `rebuild_if_stale` does so
        only where other encoders made the old one, or another schema. `confirm_shrink` lets it replace an index of more than
        twice as many products. `source` names the stream, so that a rebuild that was
        cut off is resumed. Without a `schema` it is the index's, or fashion where there is none yet. `inference` says what
        to read in the pictures of the products. What `products` raises is raised here.
        """
        options = catalogue_pb2.UpsertOptions(
            rebuild=rebuild,
            rebuild_if_stale=rebuild_if_stale,
            confirm_shrink=confirm_shrink,
            source=source,
            schema=schema,
            inference=inference,
        )
        answers = stream_products(
            self.catalogue_address,
            options,
            products,
            tls=self._tls,
            metadata=self._metadata(),
            timeout_s=timeout_s,
        )
        try:
            async with aclosing(answers):
                async for answer in answers:
                    yield answer
        except grpc.RpcError as error:
            call: Any = error  # what ends a stream is the call itself, with its status
            unreachable = call.code() is grpc.StatusCode.UNAVAILABLE and not await self._reachable()
            raise vitrine_error(call, unreachable=unreachable) from error

    async def delete(
        self, request: catalogue_pb2.DeleteProductsRequest, *, timeout_s: float | None = None
    ) -> catalogue_pb2.DeleteProductsResponse:
        """Delete products; unknown ids are passed over."""
        with self._translated(self._catalogue_channel):
            return await self._writing.DeleteProducts(
                request, timeout=timeout_s or self._timeout_s, metadata=self._metadata()
            )

    async def list_indexes(self, *, timeout_s: float | None = None) -> catalogue_pb2.ListIndexesResponse:
        """Return the index in use and those that are kept beside it."""
        request = catalogue_pb2.ListIndexesRequest()
        with self._translated(self._catalogue_channel):
            return await self._writing.ListIndexes(
                request, timeout=timeout_s or self._timeout_s, metadata=self._metadata()
            )

    async def restore_index(
        self, index: str = "", *, timeout_s: float | None = None
    ) -> catalogue_pb2.RestoreIndexResponse:
        """Put the index before the one in use back, in the place of it; with a name, that one or none."""
        request = catalogue_pb2.RestoreIndexRequest(index=index)
        with self._translated(self._catalogue_channel):
            return await self._writing.RestoreIndex(
                request, timeout=timeout_s or self._timeout_s, metadata=self._metadata()
            )

    async def replace_documents(
        self, request: documents_pb2.ReplaceDocumentsRequest, *, timeout_s: float | None = None
    ) -> documents_pb2.ReplaceDocumentsResponse:
        """Put documents in the place of all that are there."""
        with self._translated(self._catalogue_channel):
            return await self._documents.ReplaceDocuments(
                request, timeout=timeout_s or self._timeout_s, metadata=self._metadata()
            )

    async def list_documents(self, *, timeout_s: float | None = None) -> documents_pb2.ListDocumentsResponse:
        """Return the shop's documents."""
        request = documents_pb2.ListDocumentsRequest()
        with self._translated(self._catalogue_channel):
            return await self._documents.ListDocuments(
                request, timeout=timeout_s or self._timeout_s, metadata=self._metadata()
            )

    async def remove_documents(
        self, request: documents_pb2.RemoveDocumentsRequest, *, timeout_s: float | None = None
    ) -> documents_pb2.RemoveDocumentsResponse:
        """Remove documents by name; unknown names are passed over."""
        with self._translated(self._catalogue_channel):
            return await self._documents.RemoveDocuments(
                request, timeout=timeout_s or self._timeout_s, metadata=self._metadata()
            )

    async def record(
        self, events: Sequence[feedback_pb2.Event], *, timeout_s: float | None = None
    ) -> feedback_pb2.RecordResponse:
        """Record what shoppers did, at most 10,000 events; what the answer counts is durable.

        An event that may have been recorded already can be sent again under its id.
        """
        requests = (
            feedback_pb2.RecordRequest(events=events[first : first + limits.MAX_EVENTS])
            for first in range(0, len(events), limits.MAX_EVENTS)
        )
        with self._translated():
            return await self._feedback.Record(
                requests, timeout=timeout_s or self._timeout_s, metadata=self._metadata()
            )

    async def export(
        self, user_id: str, *, timeout_s: float | None = None
    ) -> AsyncGenerator[data_pb2.ExportResponse, None]:
        """Return what is kept of a shopper."""
        call = self._data.Export(
            data_pb2.ExportRequest(user_id=user_id),
            timeout=timeout_s or self._timeout_s,
            metadata=self._metadata(),
        )
        with self._translated(self._catalogue_channel):
            async for answer in call:
                yield answer

    async def erase(self, user_id: str, *, timeout_s: float | None = None) -> data_pb2.EraseResponse:
        """Erase everything that is kept of a shopper."""
        with self._translated(self._catalogue_channel):
            return await self._data.Erase(
                data_pb2.EraseRequest(user_id=user_id),
                timeout=timeout_s or self._timeout_s,
                metadata=self._metadata(),
            )

    async def report(
        self, days: int | None = None, *, timeout_s: float | None = None
    ) -> report_pb2.ReportResponse:
        """Return what shoppers did and searched for, in counts; it spends privacy budget."""
        with self._translated(self._catalogue_channel):
            return await self._reports.Report(
                report_pb2.ReportRequest(days=days),
                timeout=timeout_s or self._timeout_s,
                metadata=self._metadata(),
            )

    async def get_product(
        self, product_id: str, *, timeout_s: float | None = None
    ) -> catalogue_pb2.GetProductResponse:
        """Return a product with the two halves of its vector."""
        request = catalogue_pb2.GetProductRequest(product_id=product_id)
        with self._translated():
            return await self._catalogue.GetProduct(
                request, timeout=timeout_s or self._timeout_s, metadata=self._metadata()
            )

    async def describe(self, *, timeout_s: float | None = None) -> catalogue_pb2.DescribeResponse:
        """Return what the index holds and which versions answer."""
        request = catalogue_pb2.DescribeRequest()
        with self._translated():
            return await self._catalogue.Describe(
                request, timeout=timeout_s or self._timeout_s, metadata=self._metadata()
            )

    async def health(self, service: str = "", *, timeout_s: float | None = None) -> str:
        """Return the service's health, "SERVING" when it is well; the empty name asks for all of them."""
        request = health_pb2.HealthCheckRequest(service=service)
        with self._translated():
            answer = await self._health.Check(
                request, timeout=timeout_s or self._timeout_s, metadata=self._metadata()
            )
        return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)

    async def _administer(self, method: Any, request: Any, timeout_s: float | None) -> Any:
        """Call a method where the catalogue is written."""
        with self._translated(self._catalogue_channel):
            return await method(request, timeout=timeout_s or self._timeout_s, metadata=self._metadata())

    async def _reachable(self) -> bool:
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await self._catalogue_channel.channel_ready()
        except TimeoutError:
            return False
        return True

    def _metadata(self) -> Metadata:
        return (*self._going_along(), *self._bearer.metadata())

    @contextmanager
    def _translated(self, channel: aio.Channel | None = None) -> Iterator[None]:
        try:
            yield
        except aio.AioRpcError as error:
            # A service that answers UNAVAILABLE itself leaves the connection standing.
            connected = (channel or self._channel).get_state() is grpc.ChannelConnectivity.READY
            unreachable = error.code() is grpc.StatusCode.UNAVAILABLE and not connected
            raise vitrine_error(error, unreachable=unreachable) from error
