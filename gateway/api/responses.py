"""Values to messages of vitrine.v1."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer

from gateway.caches import LruCache
from gateway.conversation.catalogue_qa import Fact
from gateway.conversation.comparison import Comparison
from gateway.copying import changed
from gateway.documents.library import HandedOver, Quoted
from gateway.documents.ranking import Scored
from gateway.memory import KEPT_PRODUCTS, MAX_KEPT_BYTES
from gateway.model import FieldSummary, Hit, Transcript, Weights
from gateway.retrieval.pages import exclusion_message, page_token, sort_message
from gateway.retrieval.query import Query, SearchResult, Timings, Versions
from gateway.retrieval.results import MAX_KEPT_HITS
from gateway.understanding.validation import ROUTE_NUMBERS
from vitrine.domain import limits, messages
from vitrine.domain.filters import Equals
from vitrine.domain.product import Product
from vitrine.domain.schema import Schema
from vitrine.v1 import query_pb2, search_pb2

_VALUE_BYTES = 24
"""Of what stands around a value in a list, at most."""

_shown = LruCache[int, tuple[Product, Schema, bytes]](KEPT_PRODUCTS)
"""By the id of an object, with the object itself; an index gives the same one again for a product that did not change."""

PRODUCT_FIELDS = frozenset(field.name for field in query_pb2.Product.DESCRIPTOR.fields)
"""What a field mask may name."""

MAX_REPEATED = 64
"""Answers whose messages are kept, should they be given again."""

DETAILS = "details"
"""The fields of the last hits' products are missing: with them the answer would be larger than MAX_ANSWER_BYTES."""


@dataclass(slots=True)
class _Answered:
    """An answer, and its message as bytes once it was given a second time."""

    result: SearchResult
    request: Query
    fields: Collection[str]
    shares: Mapping[str, float]
    data: bytes = b""
    """All but the times and the request's id."""

    def answers(
        self, result: SearchResult, request: Query, fields: Collection[str], shares: Mapping[str, float]
    ) -> bool:
        """Return whether the message of that answer would be the same one."""
        mine = self.result
        same = (
            mine.hits is result.hits
            and mine.searched is result.searched
            and mine.versions.schema is result.versions.schema
            and mine.facets is result.facets
            and self.shares is shares
        )
        return (
            same
            and (self.fields, mine.degraded, mine.more, mine.weights, mine.versions)
            == (fields, result.degraded, result.more, result.weights, result.versions)
            and (self.request is request or self.request == request)
        )


_answered = LruCache[int, _Answered](MAX_REPEATED)
"""By the id of the tuple of hits, with the tuple itself: a kept answer has the same one each time."""


def search_message(
    result: SearchResult,
    *,
    request: Query,
    fields: Collection[str],
    request_id: str,
    shares: Mapping[str, float],
) -> search_pb2.SearchResponse:
    """Return the answer of a search, its products with those fields alone."""
    known = _answered.get(id(result.hits))
    given_before = known is not None and known.answers(result, request, fields, shares)
    if known is not None and given_before and known.data:
        response = search_pb2.SearchResponse.FromString(known.data)
    else:
        response, whole = _lasting_message(result, request, fields, shares)
        if known is not None and given_before:
            known.data = response.SerializeToString()
        elif (
            whole
            and not (request.user_id or request.image or result.searched.image)  # nobody gets it again
            and response.ByteSize() <= MAX_KEPT_HITS * MAX_KEPT_BYTES
        ):
            _answered.put(id(result.hits), _Answered(result, request, fields, shares))
    _fill_timings(response.timings, result.timings)
    response.request_id = request_id
    return response


def _lasting_message(
    result: SearchResult, request: Query, fields: Collection[str], shares: Mapping[str, float]
) -> tuple[search_pb2.SearchResponse, bool]:
    """Return what an answer has in common with others of the same result, and whether all hits have their fields."""
    searched = result.searched
    following = searched.offset + searched.limit
    response = search_pb2.SearchResponse(
        searched=_searched_message(searched, result.weights, shares),
        versions=versions_message(result.versions),
        next_page_token=page_token(
            request, searched, result.versions, offset=following, sponsored=_sponsored(result)
        )
        if result.more
        else "",
        facets=map(facet_message, listed(result.facets)),
        more=result.more,
    )
    whole = fill_hits(response.hits, result.hits, result.versions.schema, fields)
    response.degraded.extend(result.degraded if whole else (*result.degraded, DETAILS))
    return response, whole


def listed(summaries: Collection[FieldSummary]) -> list[FieldSummary]:
    """Return the summaries with as many of their values as fit into an answer, the most frequent ones."""
    share = limits.MAX_LISTED_BYTES // max(1, len(summaries))
    return [_cut(summary, share) for summary in summaries]


def facet_message(summary: FieldSummary) -> search_pb2.FacetCounts:
    """Return the counts of a field's values."""
    return search_pb2.FacetCounts(
        field=summary.name,
        values=[
            search_pb2.FacetValue(value=value, products=count)
            for value, count in zip(summary.values, summary.counts, strict=True)
        ],
        more_values=summary.more_values,
        minimum=summary.minimum,
        maximum=summary.maximum,
        products=summary.products,
    )


def comparison_message(comparison: Comparison) -> search_pb2.Comparison:
    """Return a table of products."""
    return search_pb2.Comparison(
        products=[product_message(each.product, comparison.schema) for each in comparison.products],
        fields=[
            search_pb2.ComparedField(field=row.field, label=row.label, values=row.values, equal=row.equal)
            for row in comparison.fields
        ],
    )


def facts_message(facts: Iterable[Fact]) -> search_pb2.Facts:
    """Return what the index knows."""
    return search_pb2.Facts(
        facts=[
            search_pb2.Fact(
                field=fact.field,
                value=fact.value,
                products=fact.products,
                values=fact.values,
                lowest=fact.lowest,
                highest=fact.highest,
                label=fact.label,
            )
            for fact in facts
        ]
    )


def answer_message(answer: Quoted) -> search_pb2.DocumentAnswer:
    """Return what the shop's documents say."""
    return search_pb2.DocumentAnswer(quotes=map(_quote_message, answer.passages))


def hand_over_message(handed: HandedOver) -> search_pb2.HandOver:
    """Return that a person should answer."""
    contact = None if handed.contact is None else _quote_message(handed.contact)
    return search_pb2.HandOver(topics=handed.topics, contact=contact)


def product_message(
    product: Product, schema: Schema, fields: Collection[str] = PRODUCT_FIELDS
) -> query_pb2.Product:
    """Return a product with those fields of its message alone."""
    message = query_pb2.Product()
    _fill_product(message, product, schema, fields)
    return message


def transcript_message(heard: Transcript) -> search_pb2.Transcript:
    """Return what was heard."""
    return search_pb2.Transcript(text=heard.text, language=heard.language, seconds=heard.seconds)


def versions_message(versions: Versions) -> search_pb2.Versions:
    """Return what answered."""
    return search_pb2.Versions(model=versions.model, index=versions.index)


def _quote_message(scored: Scored) -> search_pb2.Quote:
    passage = scored.passage
    return search_pb2.Quote(
        document=passage.document,
        title=passage.title,
        heading=passage.heading,
        text=passage.text,
        score=scored.score,
    )


def fill_hits(
    hits: RepeatedCompositeFieldContainer[search_pb2.Hit],
    shown: Sequence[Hit],
    schema: Schema,
    fields: Collection[str],
) -> bool:
    """Add the hits; return whether all have their products' fields: what does not fit any more has the id alone."""
    size, whole = 0, True
    for hit in shown:
        message = hits.add()
        _fill_hit(message, hit, schema, fields)
        size += message.ByteSize()
        if size > limits.MAX_HITS_BYTES:
            message.product.Clear()
            message.product.id = hit.product.id
            whole = False
    return whole


def _sponsored(result: SearchResult) -> tuple[str, ...]:
    """Return the products in the sponsored places of the first page, on whichever page this is."""
    here = tuple(hit.product.id for hit in result.hits if hit.sponsored is not None)
    return here or result.searched.sponsored


def _cut(summary: FieldSummary, share: int) -> FieldSummary:
    size = 0
    for count, value in enumerate(summary.values):
        size += len(value.encode()) + _VALUE_BYTES
        if size > share:
            return replace(
                summary, values=summary.values[:count], counts=summary.counts[:count], more_values=True
            )
    return summary


def _fill_hit(message: search_pb2.Hit, hit: Hit, schema: Schema, fields: Collection[str]) -> None:
    message.product_id = hit.product.id
    message.score = hit.score
    parts = message.parts
    parts.text = hit.text_score
    parts.image = hit.image_score
    if hit.signals:
        parts.signals.update(hit.signals)
    if hit.reasons:
        parts.reasons.update(hit.reasons)
    message.image_index = hit.image_index
    if hit.sponsored is not None:
        message.sponsored.campaign_id = hit.sponsored.campaign_id
        message.sponsored.advertiser = hit.sponsored.advertiser
    _fill_product(message.product, hit.product.product, schema, fields)


def _fill_product(
    message: query_pb2.Product, product: Product, schema: Schema, fields: Collection[str]
) -> None:
    message.MergeFromString(_serialised(product, schema))
    if fields is not PRODUCT_FIELDS:
        for name in PRODUCT_FIELDS.difference(fields):
            message.ClearField(name)  # type: ignore[arg-type] # it is one of the message's names


def _serialised(product: Product, schema: Schema) -> bytes:
    """Return the product's message as bytes, from memory where this very object was shown of late.

    Parsing them takes a small part of the time in which the message is filled.
    """
    known = _shown.get(id(product))
    if known is not None and known[0] is product and known[1] is schema:
        return known[2]
    data = messages.product_message(product, schema).SerializeToString()
    if len(data) <= MAX_KEPT_BYTES:
        _shown.put(id(product), (product, schema, data))  # which keeps the object, and so its id
    return data


def _searched_message(
    query: Query, weights: Weights, shares: Mapping[str, float]
) -> search_pb2.SearchedQuery:
    valued = tuple(each for each in query.excluded if isinstance(each, Equals))
    filters = (query if len(valued) == len(query.excluded) else changed(query, excluded=valued)).conditions
    return search_pb2.SearchedQuery(
        route=ROUTE_NUMBERS[query.route],
        text=query.text,
        product_id=query.product_id,
        filter=None if filters is None else messages.filter_message(filters),
        weights=query_pb2.Weights(text=weights.text, image=weights.image, signals=shares),
        sort=None if query.sort is None else sort_message(query.sort),
        source=query.source,
        excluded=map(exclusion_message, query.excluded),
    )


def timings_message(timings: Timings) -> search_pb2.Timings:
    """Return where the time went."""
    message = search_pb2.Timings()
    _fill_timings(message, timings)
    return message


def _fill_timings(message: search_pb2.Timings, timings: Timings) -> None:
    message.total_ms = timings.total_s * 1e3
    for stage, seconds in timings.stages_s.items():
        message.stages_ms[stage] = seconds * 1e3
