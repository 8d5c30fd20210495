"""Recommendations at the door, and their answers as messages."""

from collections.abc import Collection, Mapping

from gateway.api.requests import read_conditions, read_fields, read_identifier, read_limit
from gateway.api.responses import DETAILS, fill_hits, timings_message, versions_message
from gateway.errors import InvalidQuery, as_invalid_query
from gateway.feedback.recommending import SHARES, Ask, Recommendation, Recommended
from gateway.retrieval.query import Query
from gateway.retrieval.taste import PERSONAL
from vitrine.domain import limits
from vitrine.domain.product import check_id
from vitrine.v1 import query_pb2, recommend_pb2, search_pb2

_KINDS = {kind.value: kind for kind in Recommendation}


def read_recommend(request: recommend_pb2.RecommendRequest) -> tuple[Ask, frozenset[str]]:
    """Check a request; return it and the fields of a product that it wants. Raises InvalidQuery."""
    kind = _KINDS.get(request.kind)
    if kind is None:
        raise InvalidQuery("kind", f"{request.kind} is no kind of recommendation")
    query = Query(
        filters=read_conditions(request),
        limit=read_limit(request.limit) if request.HasField("limit") else limits.DEFAULT_HITS,
        user_id=read_identifier("user_id", request.user_id, limit=limits.MAX_USER_ID_LENGTH),
        personalise=request.personalise,
    )
    return Ask(kind=kind, seeds=_seeds(request, kind), query=query), read_fields(request.fields)


def _seeds(request: recommend_pb2.RecommendRequest, kind: Recommendation) -> tuple[str, ...]:
    ids = request.product_ids
    if not kind.has_seeds:
        if ids:
            raise InvalidQuery("product_ids", "must be empty for this kind")
        return ()
    if not 1 <= len(ids) <= limits.MAX_SEEDS:
        raise InvalidQuery("product_ids", f"must be 1 to {limits.MAX_SEEDS}, got {len(ids):,}")
    with as_invalid_query():
        for position, each in enumerate(ids):
            check_id(f"product_ids[{position}]", each)
    return tuple(dict.fromkeys(ids))


def recommend_message(
    recommended: Recommended, *, fields: Collection[str], request_id: str, shares: Mapping[str, float]
) -> search_pb2.RecommendResponse:
    """Return the answer, its products with those fields alone; `shares` are those of the signals of searches."""
    result = recommended.result
    response = search_pb2.RecommendResponse(
        weights=query_pb2.Weights(
            text=result.weights.text,
            image=result.weights.image,
            signals={**SHARES, PERSONAL: shares.get(PERSONAL, 0.0)},
        ),
        timings=timings_message(result.timings),
        versions=versions_message(result.versions),
        request_id=request_id,
    )
    response.kind = recommended.kind.value  # type: ignore[assignment] # the numbers are the proto's
    whole = fill_hits(response.hits, result.hits, result.versions.schema, fields)
    response.degraded.extend(result.degraded if whole else (*result.degraded, DETAILS))
    return response
