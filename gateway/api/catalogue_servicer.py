"""vitrine.v1.CatalogueService: writes and describes the index."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grpc import aio

from catalogue.product import (
    MAX_ID_LENGTH,
    MAX_URI_LENGTH,
    TEXT_FIELDS,
    InvalidProductError,
    Product,
)
from gateway.api.images import check_image
from gateway.api.responses import product_message, versions_message
from gateway.context import current_call, time_for_hop
from gateway.errors import FailedPrecondition, InvalidQuery, NotFound, Overloaded
from gateway.indexing.ingest import Outcome, Refusal, Submission, ingest
from gateway.model import IndexSummary, StoredProduct
from gateway.ports import CollectionWriter, Encoder, IndexAdministrator, VectorIndex
from gateway.retrieval.query import Versions
from vitrine.v1 import catalogue_pb2, catalogue_pb2_grpc, query_pb2

MAX_DELETED = 1_000
"""Products that one DeleteProducts may name."""

MAX_SOURCE_LENGTH = 256
MAX_ATTRIBUTES_BYTES = 60_000
"""Of a product's attributes as JSON: just below what Milvus keeps in one field."""

MAX_STREAMS = 4
"""Ingests at once; each may hold some tens of megabytes."""

_MARGIN_S = 0.005
_MANIFEST_TIMEOUT_S = 5.0

_Context = aio.ServicerContext[Any, Any]


@dataclass(slots=True)
class _Tally:
    """What became of a stream so far."""

    written: int = 0
    unchanged: int = 0
    rejected: int = 0
    kept: set[str] = field(default_factory=set)
    """Ids of a rebuild that belong to the new index."""


class CatalogueServicer(catalogue_pb2_grpc.CatalogueServiceServicer):
    """Answers CatalogueService; one process at a time should write an index."""

    def __init__(self, index: VectorIndex, administrator: IndexAdministrator, encoder: Encoder) -> None:
        self._index = index
        self._administrator = administrator
        self._encoder = encoder
        self._streams = 0
        self._rebuilding = asyncio.Lock()

    async def UpsertProducts(  # noqa: N802 - the method's name in the proto
        self, request_iterator: AsyncIterator[catalogue_pb2.UpsertProductsRequest], context: _Context
    ) -> AsyncIterator[catalogue_pb2.UpsertProductsResponse]:
        """Write a stream of products, each answer telling what is durable; the last one names the index.

        Raises:
            FailedPrecondition: other encoders made the index, or a rebuild is under way already.
            Overloaded: too many ingests at once.
        """
        if self._streams >= MAX_STREAMS:
            raise Overloaded(f"at most {MAX_STREAMS} streams of products at once", retry_after_s=5.0)
        self._streams += 1
        try:
            async with aclosing(self._upsert(request_iterator, context)) as responses:
                async for response in responses:
                    yield response
        finally:
            self._streams -= 1

    async def DeleteProducts(  # noqa: N802
        self, request: catalogue_pb2.DeleteProductsRequest, context: _Context
    ) -> catalogue_pb2.DeleteProductsResponse:
        """Delete products; those that are not there do not count."""
        del context
        ids = list(dict.fromkeys(request.product_ids))
        if not 1 <= len(request.product_ids) <= MAX_DELETED:
            raise InvalidQuery(
                "product_ids", f"must be 1 to {MAX_DELETED:,}, got {len(request.product_ids):,}"
            )
        for i, product_id in enumerate(ids):
            _check_id(f"product_ids[{i}]", product_id)
        # Its own manifest: nothing is embedded, so the encoders need not agree or even run.
        version = await self._index.version(timeout_s=_time_left())
        writer = await self._administrator.current(version.manifest, embedding_dim=version.embedding_dim)
        return catalogue_pb2.DeleteProductsResponse(deleted=await writer.delete(ids))

    async def GetProduct(  # noqa: N802
        self, request: catalogue_pb2.GetProductRequest, context: _Context
    ) -> catalogue_pb2.GetProductResponse:
        """Give a product and its embeddings; NotFound when it is not there."""
        del context
        _check_id("product_id", request.product_id)
        found = await self._index.get([request.product_id], timeout_s=_time_left())
        if not found:
            raise NotFound("product_id", f"product {request.product_id!r}")
        (product,) = found
        assert product.image_embedding is not None
        assert product.text_embedding is not None
        return catalogue_pb2.GetProductResponse(
            product=product_message(product),
            image_embedding=product.image_embedding.astype("<f4").tobytes(),
            text_embedding=product.text_embedding.astype("<f4").tobytes(),
        )

    async def Describe(  # noqa: N802
        self, request: catalogue_pb2.DescribeRequest, context: _Context
    ) -> catalogue_pb2.DescribeResponse:
        """Say what readers use now and which values filters may name."""
        del request, context
        return _description(await self._index.describe(timeout_s=_time_left()))

    async def _upsert(
        self, requests: AsyncIterator[catalogue_pb2.UpsertProductsRequest], context: _Context
    ) -> AsyncGenerator[catalogue_pb2.UpsertProductsResponse, None]:
        first = await anext(requests, None)
        options = first.options if first is not None and first.HasField("options") else None
        manifest = await self._encoder.manifest(timeout_s=_MANIFEST_TIMEOUT_S)
        rebuild = options is not None and await self._rebuilds(options, manifest)
        dim = await self._encoder.embedding_dim(timeout_s=_MANIFEST_TIMEOUT_S)
        async with AsyncExitStack() as held:
            if options is not None and rebuild:
                await self._hold_rebuild(held)
                writer = await self._administrator.build(manifest, _source(options), embedding_dim=dim)
            else:
                writer = await self._administrator.current(manifest, embedding_dim=dim)
            # Clients that wait for this before they send products read the status of a stream that is refused;
            # one that sends meanwhile may get an error of its own transport instead.
            await context.send_initial_metadata(())
            tally = _Tally()
            items = _read_items(None if options is not None else first, requests)
            outcomes = await held.enter_async_context(
                aclosing(ingest(items, encoder=self._encoder, writer=writer))
            )
            async for outcome in outcomes:
                yield _acknowledgement(tally, outcome, rebuild=rebuild)
            await (self._promote(writer, tally) if rebuild else writer.seal())
            yield catalogue_pb2.UpsertProductsResponse(
                written=tally.written,
                unchanged=tally.unchanged,
                rejected=tally.rejected,
                index=writer.version.collection,
            )

    async def _rebuilds(self, options: catalogue_pb2.UpsertOptions, manifest: str) -> bool:
        if options.rebuild or not options.rebuild_if_stale:
            return options.rebuild
        try:
            version = await self._index.version(timeout_s=_time_left())
        except FailedPrecondition:  # there is none yet; if it is damaged, whoever writes to it says so
            return False
        return version.manifest != manifest

    async def _hold_rebuild(self, held: AsyncExitStack) -> None:
        if self._rebuilding.locked():
            raise FailedPrecondition("another rebuild is under way: wait for its end")
        await held.enter_async_context(self._rebuilding)

    async def _promote(self, writer: CollectionWriter, tally: _Tally) -> None:
        """Make the built collection the one in use, once it holds this stream's products and no others."""
        if not tally.kept:
            raise InvalidQuery("product", "a rebuild needs one product at least that is not refused")
        manifest = await self._encoder.manifest(timeout_s=_MANIFEST_TIMEOUT_S)
        if manifest != writer.version.manifest:
            raise FailedPrecondition("the encoders were exchanged during the rebuild: run it again")
        # One that was cut off and resumed may hold products which its source has lost since.
        if await writer.seal() != len(tally.kept):
            await writer.retain(tally.kept)
        await self._administrator.promote(writer.version)


async def _read_items(
    first: catalogue_pb2.UpsertProductsRequest | None,
    rest: AsyncIterator[catalogue_pb2.UpsertProductsRequest],
) -> AsyncIterator[Submission | Refusal]:
    if first is not None:
        yield await _read_item(first)
    async for request in rest:
        yield await _read_item(request)


async def _read_item(request: catalogue_pb2.UpsertProductsRequest) -> Submission | Refusal:
    if request.HasField("options"):
        raise InvalidQuery("options", "must be in the first message")
    if not request.HasField("product"):
        raise InvalidQuery("part", "must hold options or a product")
    message = request.product.product
    try:
        _check_product(message)
        await check_image(request.product.image)
    except (InvalidProductError, InvalidQuery) as error:
        return Refusal(product_id=message.id[:MAX_ID_LENGTH], field=error.field, reason=error.reason)
    product = StoredProduct(
        id=message.id,
        title=message.title,
        price=message.price,
        image_uri=message.image_uri,
        attributes=dict(message.attributes),
        **{name: getattr(message, name) for name in TEXT_FIELDS},
    )
    return Submission(product=product, image=request.product.image)


def _check_product(message: query_pb2.Product) -> None:
    """Hold a product against the rules of its type and of what the index keeps."""
    attributes = dict(message.attributes)
    Product(
        id=message.id,
        title=message.title,
        image=Path(),
        price=message.price,
        attributes=attributes,
        **{name: getattr(message, name) for name in TEXT_FIELDS},
    )
    _check_id("id", message.id)
    if len(message.image_uri) > MAX_URI_LENGTH:
        raise InvalidQuery(
            "image_uri", f"at most {MAX_URI_LENGTH:,} characters, got {len(message.image_uri):,}"
        )
    if "\0" in message.image_uri or any("\0" in name for name in attributes):
        raise InvalidQuery("attributes" if attributes else "image_uri", "must not hold a NUL character")
    if (size := len(json.dumps(attributes, ensure_ascii=False).encode())) > MAX_ATTRIBUTES_BYTES:
        raise InvalidQuery("attributes", f"at most {MAX_ATTRIBUTES_BYTES:,} bytes as JSON, got {size:,}")


def _check_id(field_name: str, product_id: str) -> None:
    """Refuse what no search could name either."""
    if not product_id:
        raise InvalidQuery(field_name, "must not be empty")
    if len(product_id) > MAX_ID_LENGTH:
        raise InvalidQuery(field_name, f"at most {MAX_ID_LENGTH} characters, got {len(product_id):,}")
    if not product_id.isprintable():
        raise InvalidQuery(field_name, "must not hold control characters")


def _source(options: catalogue_pb2.UpsertOptions) -> str:
    if len(options.source) > MAX_SOURCE_LENGTH:
        raise InvalidQuery(
            "options.source", f"at most {MAX_SOURCE_LENGTH} characters, got {len(options.source):,}"
        )
    return options.source


def _acknowledgement(
    tally: _Tally, outcome: Outcome, *, rebuild: bool
) -> catalogue_pb2.UpsertProductsResponse:
    tally.written += len(outcome.written)
    tally.unchanged += len(outcome.unchanged)
    tally.rejected += len(outcome.refusals)
    if rebuild:
        tally.kept.update(outcome.written, outcome.unchanged)
    current_call().notes.update(written=tally.written, unchanged=tally.unchanged, rejected=tally.rejected)
    return catalogue_pb2.UpsertProductsResponse(
        written=tally.written,
        unchanged=tally.unchanged,
        rejected=tally.rejected,
        errors=[
            catalogue_pb2.ProductError(
                product_id=refusal.product_id, field=refusal.field, reason=refusal.reason
            )
            for refusal in outcome.refusals
        ],
    )


def _description(summary: IndexSummary) -> catalogue_pb2.DescribeResponse:
    kinds = catalogue_pb2.FieldDescription
    return catalogue_pb2.DescribeResponse(
        versions=versions_message(Versions(model=summary.version.manifest, index=summary.version.collection)),
        products=summary.products,
        embedding_dim=summary.version.embedding_dim,
        fields=[
            catalogue_pb2.FieldDescription(
                name=described.name,
                type=kinds.TYPE_TEXT if described.name in TEXT_FIELDS else kinds.TYPE_NUMBER,
                values=described.values,
                minimum=described.minimum,
                maximum=described.maximum,
            )
            for described in summary.fields
        ],
    )


def _time_left() -> float:
    return time_for_hop(current_call().deadline, margin_s=_MARGIN_S)
