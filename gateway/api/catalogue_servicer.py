"""vitrine.v1.CatalogueService: writes and describes the index."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Any

from grpc import aio

from gateway.api.images import check_image
from gateway.api.inference import check_fields, read_inference, report_message
from gateway.api.responses import listed, product_message, versions_message
from gateway.context import current_call, time_for_hop
from gateway.errors import InvalidQuery, NotFound, Overloaded, as_invalid_query
from gateway.indexing.encoding import Refusal, Submission
from gateway.indexing.ingest import Outcome
from gateway.indexing.writing import Wishes, Writing
from gateway.memory import ByteBudget, StreamedBytes
from gateway.model import FieldSummary, IndexState, IndexSummary, KeptIndex, Replaced
from gateway.ports import VectorIndex
from gateway.retrieval.products import ProductLookup
from gateway.retrieval.query import Versions
from vitrine.domain import limits
from vitrine.domain.counts import check_counts
from vitrine.domain.errors import InvalidValue
from vitrine.domain.messages import read_product, read_schema_message, schema_message
from vitrine.domain.product import check_id, check_product
from vitrine.domain.schema import NUMBER_KINDS, Kind, Role, Schema
from vitrine.image_header import MAX_WORK
from vitrine.v1 import catalogue_pb2, catalogue_pb2_grpc

MAX_STREAMS = 4
"""Ingests at once; each may hold some tens of megabytes."""

_Context = aio.ServicerContext[Any, Any]


@dataclass(slots=True)
class _Tally:
    """What became of a stream so far."""

    written: int = 0
    unchanged: int = 0
    rejected: int = 0
    without_image: int = 0
    without_words: int = 0
    cut: int = 0


class CatalogueServicer(catalogue_pb2_grpc.CatalogueServiceServicer):
    """Answers CatalogueService."""

    def __init__(
        self,
        index: VectorIndex,
        writing: Writing,
        products: ProductLookup,
        *,
        speech: bool,
        margin_s: float,
        memory: ByteBudget,
        check_title: Callable[[str, str, str], None] = lambda *_: None,
    ) -> None:
        self._index = index
        self._writing = writing
        self._products = products
        self._speech = speech
        self._margin_s = margin_s
        self._memory = memory
        self._check_title = check_title
        self._streams = 0
        self._held: set[StreamedBytes] = set()
        """What each stream has sent and was not told about yet."""

    def ingest_lag_s(self) -> float:
        """Return the age of the oldest product that was received and is not acknowledged yet, in seconds."""
        return max((held.lag_s for held in self._held), default=0.0)

    async def UpsertProducts(  # noqa: N802 - the method's name in the proto
        self, request_iterator: AsyncIterator[catalogue_pb2.UpsertProductsRequest], context: _Context
    ) -> AsyncIterator[catalogue_pb2.UpsertProductsResponse]:
        """Write a stream of products, each answer telling what is durable; the last one names the index.

        Raises:
            FailedPrecondition: other encoders made the index, or another rebuild is under way.
            Aborted: another index was put in use; what was not acknowledged is to be sent again.
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
        if not 1 <= len(request.product_ids) <= limits.MAX_DELETED:
            raise InvalidQuery(
                "product_ids", f"must be 1 to {limits.MAX_DELETED:,}, got {len(request.product_ids):,}"
            )
        ids = list(dict.fromkeys(request.product_ids))
        for i, product_id in enumerate(ids):
            with as_invalid_query():
                check_id(f"product_ids[{i}]", product_id)
        deletion = await self._writing.delete(ids, timeout_s=self._time_left())
        for collection in deletion.collections:
            self._products.forget(ids, collection)
        current_call().notes.update(deleted=deletion.products, index=deletion.collections[-1])
        return catalogue_pb2.DeleteProductsResponse(deleted=deletion.products)

    async def GetProduct(  # noqa: N802
        self, request: catalogue_pb2.GetProductRequest, context: _Context
    ) -> catalogue_pb2.GetProductResponse:
        """Return a product and its embeddings; NotFound when it is not there."""
        del context
        with as_invalid_query():
            check_id("product_id", request.product_id)
        version = await self._index.version(timeout_s=self._time_left())
        found = await self._index.get([request.product_id], timeout_s=self._time_left())
        if not found:
            raise NotFound("product_id", f"product {request.product_id!r}")
        (product,) = found
        assert product.image_embeddings is not None
        assert product.text_embedding is not None
        return catalogue_pb2.GetProductResponse(
            product=product_message(product.product, version.schema),
            image_embedding=product.image_embeddings[:1].astype("<f4").tobytes(),
            text_embedding=product.text_embedding.astype("<f4").tobytes(),
        )

    async def Describe(  # noqa: N802
        self, request: catalogue_pb2.DescribeRequest, context: _Context
    ) -> catalogue_pb2.DescribeResponse:
        """Return what readers use now and which values filters may name."""
        del request, context
        summary = await self._index.describe(timeout_s=self._time_left())
        encoders = await self._writing.encoders(timeout_s=self._time_left())
        return _description(summary, encoders, speech=self._speech)

    async def ListIndexes(  # noqa: N802
        self, request: catalogue_pb2.ListIndexesRequest, context: _Context
    ) -> catalogue_pb2.ListIndexesResponse:
        """Return the index in use and those that are kept beside it."""
        del request, context
        return catalogue_pb2.ListIndexesResponse(
            indexes=[_kept_message(each) for each in await self._writing.indexes()]
        )

    async def RestoreIndex(  # noqa: N802
        self, request: catalogue_pb2.RestoreIndexRequest, context: _Context
    ) -> catalogue_pb2.RestoreIndexResponse:
        """Put the index before the one in use back."""
        del context
        if len(request.index) > limits.MAX_INDEX_NAME_LENGTH:
            raise InvalidQuery(
                "index", f"at most {limits.MAX_INDEX_NAME_LENGTH} characters, got {len(request.index):,}"
            )
        replaced = await self._writing.restore(request.index)
        current_call().notes.update(replaced=replaced.collection)
        version = await self._index.version(timeout_s=self._time_left())
        current_call().notes.update(index=version.collection)
        return catalogue_pb2.RestoreIndexResponse(
            index=version.collection, replaced=_replaced_message(replaced)
        )

    async def _upsert(
        self, requests: AsyncIterator[catalogue_pb2.UpsertProductsRequest], context: _Context
    ) -> AsyncGenerator[catalogue_pb2.UpsertProductsResponse, None]:
        first = await anext(requests, None)
        options = first.options if first is not None and first.HasField("options") else None
        wishes = _wishes(options or catalogue_pb2.UpsertOptions())
        async with AsyncExitStack() as held:
            stream = await held.enter_async_context(self._writing.opened(wishes, timeout_s=self._time_left()))
            if wishes.inference is not None:
                check_fields(wishes.inference, stream.version.schema)
            current_call().notes.update(rebuild=stream.rebuilds, index=stream.version.collection)
            # Clients that wait for this before they send products read the status of a stream that is refused;
            # one that sends meanwhile may get an error of its own transport instead.
            await context.send_initial_metadata(())
            tally = _Tally()
            bytes_held = StreamedBytes(self._memory)
            held.callback(bytes_held.close)
            self._held.add(bytes_held)
            held.callback(self._held.discard, bytes_held)
            items = self._read_items(
                None if options is not None else first, requests, stream.version.schema, bytes_held
            )
            outcomes = await held.enter_async_context(aclosing(stream.write(items)))
            async for outcome in outcomes:
                self._products.forget(outcome.written, stream.version.collection)
                bytes_held.drop(outcome.items)
                yield _acknowledgement(tally, outcome)
            async with aclosing(stream.infer()) as pages:
                async for ids in pages:
                    self._products.forget(ids, stream.version.collection)
            replaced = await stream.finish()
            last = _counts(tally, index=stream.version.collection)
            if stream.inferring is not None:
                last.inference.CopyFrom(report_message(stream.inferring.report))
            if replaced is not None:
                current_call().notes.update(replaced=replaced.collection)
                last.replaced.CopyFrom(_replaced_message(replaced))
            yield last

    async def _read_items(
        self,
        first: catalogue_pb2.UpsertProductsRequest | None,
        rest: AsyncIterator[catalogue_pb2.UpsertProductsRequest],
        schema: Schema,
        held: StreamedBytes,
    ) -> AsyncIterator[Submission | Refusal]:
        title = next((field.name for field in schema if field.role is Role.TITLE), "")
        async for item in _read_items(first, rest, schema, held):
            if isinstance(item, Submission) and title in item.product.values:
                self._check_title(item.product.id, title, str(item.product.values[title]))
            yield item

    def _time_left(self) -> float:
        return time_for_hop(current_call().deadline, margin_s=self._margin_s)


async def _read_items(
    first: catalogue_pb2.UpsertProductsRequest | None,
    rest: AsyncIterator[catalogue_pb2.UpsertProductsRequest],
    schema: Schema,
    held: StreamedBytes,
) -> AsyncIterator[Submission | Refusal]:
    if first is not None:
        await held.add(first.ByteSize())
        yield await _read_item(first, schema)
    async for request in rest:
        await held.add(request.ByteSize())
        yield await _read_item(request, schema)


async def _read_item(request: catalogue_pb2.UpsertProductsRequest, schema: Schema) -> Submission | Refusal:
    if request.HasField("options"):
        raise InvalidQuery("options", "must be in the first message")
    if not request.HasField("product"):
        raise InvalidQuery("part", "must hold options or a product")
    return await read_input(request.product, schema)


async def read_input(message: catalogue_pb2.ProductInput, schema: Schema) -> Submission | Refusal:
    """Return the product that is to be written, checked with its pictures, or the field that breaks a rule."""
    try:
        check_counts(message.product)
        product = read_product(message.product, schema)
        check_product(product, schema)
        images = await _images(message)
    except InvalidValue as error:
        product_id = message.product.id[: limits.MAX_ID_LENGTH]
        return Refusal(product_id=product_id, field=error.field, reason=error.reason)
    return Submission(product=product, images=images)


async def _images(product: catalogue_pb2.ProductInput) -> tuple[bytes, ...]:
    """Check the pictures of a product by their headers; raises InvalidQuery."""
    if len(product.more_images) >= limits.MAX_PICTURES:
        raise InvalidQuery(
            "more_images", f"at most {limits.MAX_PICTURES - 1}, got {len(product.more_images)}"
        )
    if not product.image and product.more_images:
        raise InvalidQuery("image", "must not be empty where there are more images")
    if not product.image:
        return ()
    await check_image(product.image, max_work=MAX_WORK)
    for position, image in enumerate(product.more_images):
        await check_image(image, field=f"more_images[{position}]", max_work=MAX_WORK)
    return (product.image, *product.more_images)


def _wishes(options: catalogue_pb2.UpsertOptions) -> Wishes:
    if len(options.source) > limits.MAX_CATALOGUE_SOURCE_LENGTH:
        raise InvalidQuery(
            "options.source",
            f"at most {limits.MAX_CATALOGUE_SOURCE_LENGTH} characters, got {len(options.source):,}",
        )
    return Wishes(
        rebuild=options.rebuild,
        rebuild_if_stale=options.rebuild_if_stale,
        confirm_shrink=options.confirm_shrink,
        source=options.source,
        schema=_schema(options),
        inference=read_inference(options.inference) if options.HasField("inference") else None,
    )


def _schema(options: catalogue_pb2.UpsertOptions) -> Schema | None:
    if not options.HasField("schema"):
        return None
    try:
        return read_schema_message(options.schema)
    except InvalidValue as error:
        raise InvalidQuery(f"options.schema.{error.field}".rstrip("."), error.reason) from None


def _acknowledgement(tally: _Tally, outcome: Outcome) -> catalogue_pb2.UpsertProductsResponse:
    tally.written += len(outcome.written)
    tally.unchanged += len(outcome.unchanged)
    tally.rejected += len(outcome.refusals)
    tally.without_image += outcome.without_image
    tally.without_words += outcome.without_words
    tally.cut += outcome.cut
    current_call().notes.update(written=tally.written, unchanged=tally.unchanged, rejected=tally.rejected)
    response = _counts(tally)
    response.errors.extend(
        catalogue_pb2.ProductError(product_id=refusal.product_id, field=refusal.field, reason=refusal.reason)
        for refusal in outcome.refusals
    )
    return response


def _counts(tally: _Tally, *, index: str = "") -> catalogue_pb2.UpsertProductsResponse:
    return catalogue_pb2.UpsertProductsResponse(
        written=tally.written,
        unchanged=tally.unchanged,
        rejected=tally.rejected,
        without_image=tally.without_image,
        without_words=tally.without_words,
        cut=tally.cut,
        index=index,
    )


_STATES = {
    IndexState.IN_USE: catalogue_pb2.KeptIndex.STATE_IN_USE,
    IndexState.BEFORE: catalogue_pb2.KeptIndex.STATE_BEFORE,
    IndexState.UNFINISHED: catalogue_pb2.KeptIndex.STATE_UNFINISHED,
}


def _kept_message(kept: KeptIndex) -> catalogue_pb2.KeptIndex:
    return catalogue_pb2.KeptIndex(
        index=kept.collection, state=_STATES[kept.state], products=kept.products, model=kept.manifest
    )


def _replaced_message(replaced: Replaced) -> catalogue_pb2.ReplacedIndex:
    return catalogue_pb2.ReplacedIndex(
        index=replaced.collection, products=replaced.products, products_now=replaced.products_now
    )


def _description(
    summary: IndexSummary, encoders: Sequence[str], *, speech: bool
) -> catalogue_pb2.DescribeResponse:
    version = summary.version
    return catalogue_pb2.DescribeResponse(
        versions=versions_message(
            Versions(model=version.manifest, index=version.collection, schema=version.schema)
        ),
        products=summary.products,
        embedding_dim=version.embedding_dim,
        fields=[_field_description(field, version.schema) for field in listed(summary.fields)],
        schema=schema_message(version.schema),
        encoders=encoders,
        speech=speech,
    )


def _field_description(summary: FieldSummary, schema: Schema) -> catalogue_pb2.FieldDescription:
    types = catalogue_pb2.FieldDescription
    kind = schema.by_name[summary.name].kind
    return types(
        name=summary.name,
        type=types.TYPE_NUMBER
        if kind in NUMBER_KINDS
        else types.TYPE_BOOLEAN
        if kind is Kind.BOOLEAN
        else types.TYPE_TEXT,
        values=summary.values,
        counts=summary.counts,
        more_values=summary.more_values,
        minimum=summary.minimum,
        maximum=summary.maximum,
    )
