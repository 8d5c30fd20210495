"""Values to messages."""

from collections.abc import Collection, Iterable, Mapping

from gateway.conversation.catalogue_qa import Fact
from gateway.conversation.comparison import Comparison
from gateway.conversation.exclusions import exclusion
from gateway.filters import to_proto
from gateway.model import Hit, Intent, Route, Sentiment, Sort, StoredProduct, Weights
from gateway.retrieval.query import Query, SearchResult, Timings, Versions
from gateway.understanding.validation import INTENTS, ROUTES, SENTIMENTS, SORTS, Understanding, both
from vitrine.v1 import query_pb2, rewrite_pb2, search_pb2

PRODUCT_FIELDS = frozenset(field.name for field in query_pb2.Product.DESCRIPTOR.fields)
"""What a field mask may name."""

ROUTE_NUMBERS: Mapping[Route, query_pb2.Route.ValueType] = {
    route: query_pb2.Route.ValueType(number) for number, route in ROUTES.items()
}
SORT_NUMBERS: Mapping[Sort, query_pb2.SortOrder.ValueType] = {
    sort: query_pb2.SortOrder.ValueType(number) for number, sort in SORTS.items()
}
INTENT_NUMBERS: Mapping[Intent, query_pb2.Intent.ValueType] = {
    intent: query_pb2.Intent.ValueType(number) for number, intent in INTENTS.items()
}
SENTIMENT_NUMBERS: Mapping[Sentiment, query_pb2.Sentiment.ValueType] = {
    sentiment: query_pb2.Sentiment.ValueType(number) for number, sentiment in SENTIMENTS.items()
}


def search_message(
    result: SearchResult, *, fields: Collection[str], request_id: str
) -> search_pb2.SearchResponse:
    """Give the answer of a search, its products with those fields alone."""
    return search_pb2.SearchResponse(
        hits=[_hit_message(hit, fields) for hit in result.hits],
        searched=_searched_message(result.searched, result.weights),
        degraded=result.degraded,
        timings=_timings_message(result.timings),
        versions=versions_message(result.versions),
        request_id=request_id,
    )


def rewrite_message(understanding: Understanding) -> rewrite_pb2.Rewrite:
    """Give what a turn was understood to ask for."""
    return rewrite_pb2.Rewrite(
        route=ROUTE_NUMBERS[understanding.route],
        query=understanding.query,
        modification=understanding.modification,
        filter=None if understanding.filters is None else to_proto(understanding.filters),
        sort=SORT_NUMBERS[understanding.sort],
        references=understanding.references,
        reply=understanding.reply,
        confidence=understanding.confidence,
        source=understanding.source,
        intent=INTENT_NUMBERS[understanding.intent],
        sentiment=SENTIMENT_NUMBERS[understanding.sentiment],
        remarks=[
            rewrite_pb2.Remark(
                field=remark.field, value=remark.value, polarity=SENTIMENT_NUMBERS[remark.polarity]
            )
            for remark in understanding.remarks
        ],
    )


def comparison_message(comparison: Comparison) -> search_pb2.Comparison:
    """Give a table of products."""
    return search_pb2.Comparison(
        products=map(product_message, comparison.products),
        fields=[
            search_pb2.ComparedField(field=row.field, values=row.values, equal=row.equal)
            for row in comparison.fields
        ],
    )


def facts_message(facts: Iterable[Fact]) -> search_pb2.Facts:
    """Give what the index knows."""
    return search_pb2.Facts(facts=map(_fact_message, facts))


def _fact_message(fact: Fact) -> search_pb2.Fact:
    message = search_pb2.Fact(field=fact.field, value=fact.value, products=fact.products, values=fact.values)
    if fact.highest:
        message.lowest, message.highest = fact.lowest, fact.highest
    return message


def product_message(product: StoredProduct, fields: Collection[str] = PRODUCT_FIELDS) -> query_pb2.Product:
    """Give a product with those fields alone."""
    return query_pb2.Product(**{name: getattr(product, name) for name in fields})


def versions_message(versions: Versions) -> search_pb2.Versions:
    """Give what answered."""
    return search_pb2.Versions(model=versions.model, index=versions.index)


def _hit_message(hit: Hit, fields: Collection[str]) -> search_pb2.Hit:
    return search_pb2.Hit(
        product_id=hit.product.id,
        score=hit.score,
        parts=search_pb2.ScoreParts(text=hit.text_score, image=hit.image_score),
        product=product_message(hit.product, fields),
    )


def _searched_message(query: Query, weights: Weights) -> search_pb2.SearchedQuery:
    filters = both(both(query.filters, query.wishes), exclusion(query.disliked))
    return search_pb2.SearchedQuery(
        route=ROUTE_NUMBERS[query.route],
        text=query.text,
        product_id=query.product_id,
        filter=None if filters is None else to_proto(filters),
        weights=query_pb2.Weights(text=weights.text, image=weights.image),
        sort=SORT_NUMBERS[query.sort],
        source=query.source,
        disliked=[search_pb2.Dislike(field=each.field, value=str(each.value)) for each in query.disliked],
    )


def _timings_message(timings: Timings) -> search_pb2.Timings:
    return search_pb2.Timings(
        total_ms=timings.total_s * 1e3,
        stages_ms={stage: seconds * 1e3 for stage, seconds in timings.stages_s.items()},
    )
