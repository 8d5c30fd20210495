"""What a request must keep to, and what a rewrite must; one place for every limit that either breaks."""

import math
from collections.abc import Collection, Iterator, Mapping

from catalogue.product import TEXT_FIELDS
from rewriter import limits
from rewriter.nlu.conditions import is_known
from vitrine.v1 import query_pb2, rewrite_pb2


class InvalidRequest(Exception):  # noqa: N818 - named as callers know it
    """A field of the request breaks its limit."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def check_request(request: rewrite_pb2.RewriteRequest) -> None:
    """Hold a request against the limits.

    Raises:
        InvalidRequest: names the first field that breaks one, and the limit.
    """
    for name, length, limit, unit in _sizes(request):
        if length > limit:
            raise InvalidRequest(name, f"at most {limit} {unit}, got {length}")
    for number, turn in enumerate(request.history):
        for position, product in enumerate(turn.shown):
            if not math.isfinite(product.price) or product.price < 0:
                name = f"history[{number}].shown[{position}].price"
                raise InvalidRequest(name, f"must be a finite number >= 0, got {product.price}")


def violation(rewrite: rewrite_pb2.Rewrite, request: rewrite_pb2.RewriteRequest) -> str:
    """Name the rule that a rewrite of the request breaks; empty for none."""
    return next(_violations(rewrite, request), "")


def _sizes(request: rewrite_pb2.RewriteRequest) -> Iterator[tuple[str, int, int, str]]:
    """Give every bounded part of a request: its name, its size, the limit, the unit."""
    yield "text", len(request.text), limits.MAX_TEXT_LENGTH, "characters"
    yield "product_id", len(request.product_id), limits.MAX_ID_LENGTH, "characters"
    yield "history", len(request.history), limits.MAX_TURNS, "turns"
    yield "facets", len(request.facets), limits.MAX_FACETS, "facets"
    for number, facet in enumerate(request.facets):
        yield f"facets[{number}].values", len(facet.values), limits.MAX_FACET_VALUES, "values"
    for number, turn in enumerate(request.history):
        name = f"history[{number}]"
        yield f"{name}.text", len(turn.text), limits.MAX_TEXT_LENGTH, "characters"
        yield f"{name}.rewrite.query", len(turn.rewrite.query), limits.MAX_TEXT_LENGTH, "characters"
        yield f"{name}.shown", len(turn.shown), limits.MAX_SHOWN, "products"


def _violations(rewrite: rewrite_pb2.Rewrite, request: rewrite_pb2.RewriteRequest) -> Iterator[str]:
    products, pictures = known_products(request), known_pictures(request)
    if rewrite.route not in query_pb2.Route.values() or rewrite.route == query_pb2.ROUTE_UNSPECIFIED:
        yield "route: unknown"
    if not math.isfinite(rewrite.confidence) or not 0 <= rewrite.confidence <= 1:
        yield "confidence: not within 0 and 1"
    if max(len(rewrite.query), len(rewrite.modification)) > limits.MAX_TEXT_LENGTH:
        yield "query or modification: too long"
    if len(rewrite.reply) > limits.MAX_REPLY_LENGTH:
        yield "reply: too long"
    if len(rewrite.references) > limits.MAX_REFERENCES:
        yield "references: too many"
    if not {*rewrite.references} <= {*products, *pictures}:
        yield "references: not of this conversation"
    values = {facet.field: frozenset(facet.values) for facet in request.facets}
    if rewrite.HasField("filter") and not is_known(rewrite.filter, values):
        yield "filter: malformed, too large, or a value that the facets lack"
    yield from _broken_remarks(rewrite, values)
    yield from _missing(rewrite, request, products, pictures)


def _broken_remarks(rewrite: rewrite_pb2.Rewrite, values: Mapping[str, Collection[str]]) -> Iterator[str]:
    """Say what is wrong with the remarks."""
    if len(rewrite.remarks) > limits.MAX_REMARKS:
        yield "remarks: too many"
    for remark in rewrite.remarks:
        if max(len(remark.field), len(remark.value)) > limits.MAX_REMARK_LENGTH:
            yield "remarks: too long"
        if remark.field in TEXT_FIELDS and remark.value not in {"", *values.get(remark.field, ())}:
            yield "remarks: a value that the facets lack"


def _missing(
    rewrite: rewrite_pb2.Rewrite,
    request: rewrite_pb2.RewriteRequest,
    products: Collection[str],
    pictures: Collection[str],
) -> Iterator[str]:
    """Say what the route needs and the rewrite lacks."""
    reference = rewrite.references[0] if rewrite.references else ""
    needs = {
        query_pb2.ROUTE_TEXT: {"query": bool(rewrite.query.strip())},
        query_pb2.ROUTE_IMAGE: {"picture": request.has_image or reference in pictures},
        query_pb2.ROUTE_COMPOSED: {
            "picture": request.has_image or reference in pictures,
            "modification": bool(rewrite.modification.strip()),
        },
        query_pb2.ROUTE_REFINE: {
            "product": reference in products,
            "modification": bool(rewrite.modification.strip()),
        },
        query_pb2.ROUTE_SIMILAR: {"product": reference in products},
        query_pb2.ROUTE_COMPARE: {"two products": len({*rewrite.references} & {*products}) > 1},
        query_pb2.ROUTE_CHAT: {"reply": bool(rewrite.reply.strip())},
    }
    yield from (f"{name}: missing" for name, given in needs.get(rewrite.route, {}).items() if not given)


def known_products(request: rewrite_pb2.RewriteRequest) -> list[str]:
    """Give the ids of the products that a turn may speak of, latest first: the one pointed at, then those shown."""
    ids = [request.product_id]
    for turn in reversed(request.history):
        ids += [product.id for product in turn.shown]
        ids.append(turn.product_id)
    return [id_ for id_ in dict.fromkeys(ids) if id_]


def known_pictures(request: rewrite_pb2.RewriteRequest) -> list[str]:
    """Give the ids of the conversation's pictures, latest first."""
    return [id_ for id_ in dict.fromkeys(turn.image_id for turn in reversed(request.history)) if id_]
