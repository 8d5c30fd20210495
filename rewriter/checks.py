"""What a request must keep to, and what a rewrite must."""

import math
from collections.abc import Collection, Iterator

from rewriter.catalogues import schema_of
from rewriter.nlu.conditions import read_known
from rewriter.nlu.dialogue_state import SEARCHES
from rewriter.nlu.lexicon import Lexicon, LexiconCache
from rewriter.nlu.words import fold
from vitrine.domain import limits
from vitrine.domain.schema import KEYWORD_KINDS, Kind, Schema, SchemaError
from vitrine.v1 import query_pb2, rewrite_pb2

_MAX_LOCALE_LENGTH = 64

_lexicons = LexiconCache()


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
    try:
        schema = schema_of(request)
    except SchemaError as error:
        name = f"schema.{error.field}" if error.field else "schema"
        raise InvalidRequest(name, error.reason) from None
    for number, turn in enumerate(request.history):
        for position, product in enumerate(turn.shown):
            for name, value, least in _numbers(product, schema):
                if not math.isfinite(value) or value < least:
                    bound = "" if least < 0 else " >= 0"
                    path = f"history[{number}].shown[{position}].{name}"
                    raise InvalidRequest(path, f"must be a finite number{bound}, got {value}")


def check_phrase(request: rewrite_pb2.PhraseRequest) -> None:
    """Hold a request for a phrasing against the limits.

    Raises:
        InvalidRequest: names the first field that breaks one, and the limit.
    """
    if not request.reply.strip():
        raise InvalidRequest("reply", "must not be empty")
    for name, text, limit in (
        ("reply", request.reply, limits.MAX_REPLY_LENGTH),
        ("text", request.text, limits.MAX_QUERY_LENGTH),
        ("locale", request.locale, _MAX_LOCALE_LENGTH),
    ):
        if len(text) > limit:
            raise InvalidRequest(name, f"at most {limit} characters, got {len(text)}")


def violation(
    rewrite: rewrite_pb2.Rewrite, request: rewrite_pb2.RewriteRequest, lexicon: Lexicon | None = None
) -> str:
    """Return the rule that a rewrite of the request breaks; empty for none. Without a lexicon the request's facets count."""
    lexicon = lexicon or _lexicons.get(request.facets, schema_of(request))
    return next(_violations(rewrite, request, lexicon), "")


def _numbers(product: query_pb2.Product, schema: Schema) -> Iterator[tuple[str, float, float]]:
    """Yield the name, the value and the least value of each number of a product."""
    if product.HasField("price"):
        yield "price", product.price, 0.0
    for name, value in product.fields.items():
        if value.WhichOneof("kind") == "number":
            owner = schema.by_name.get(name)
            money = owner is not None and owner.kind is Kind.MONEY
            yield (
                f"fields[{name[: limits.MAX_FIELD_NAME_LENGTH]!r}]",
                value.number,
                0.0 if money else -math.inf,
            )


def _sizes(request: rewrite_pb2.RewriteRequest) -> Iterator[tuple[str, int, int, str]]:
    """Yield every bounded part of a request: its name, its size, the limit, the unit."""
    yield "text", _length(request.text), limits.MAX_QUERY_LENGTH, "characters"
    yield "product_id", len(request.product_id), limits.MAX_ID_LENGTH, "characters"
    yield "history", len(request.history), limits.MAX_HISTORY_TURNS, "turns"
    yield "facets", len(request.facets), limits.MAX_FACETS, "facets"
    for number, facet in enumerate(request.facets):
        yield f"facets[{number}].values", len(facet.values), limits.MAX_FACET_VALUES, "values"
    for number, turn in enumerate(request.history):
        name = f"history[{number}]"
        yield f"{name}.text", _length(turn.text), limits.MAX_QUERY_LENGTH, "characters"
        yield f"{name}.rewrite.query", _length(turn.rewrite.query), limits.MAX_QUERY_LENGTH, "characters"
        yield f"{name}.shown", len(turn.shown), limits.MAX_SHOWN, "products"


def _length(text: str) -> int:
    """Return the characters of a text, as it stands or as it is compared: some letters unfold into eighteen."""
    return len(text) if text.isascii() else max(len(text), len(fold(text)))


def _violations(
    rewrite: rewrite_pb2.Rewrite, request: rewrite_pb2.RewriteRequest, lexicon: Lexicon
) -> Iterator[str]:
    products, pictures = known_products(request), known_pictures(request)
    if rewrite.route not in query_pb2.Route.values() or rewrite.route == query_pb2.ROUTE_UNSPECIFIED:
        yield "route: unknown"
    if not math.isfinite(rewrite.confidence) or not 0 <= rewrite.confidence <= 1:
        yield "confidence: not within 0 and 1"
    if max(len(rewrite.query), len(rewrite.modification)) > limits.MAX_QUERY_LENGTH:
        yield "query or modification: too long"
    if len(rewrite.reply) > limits.MAX_REPLY_LENGTH:
        yield "reply: too long"
    if len(rewrite.references) > limits.MAX_REFERENCES:
        yield "references: too many"
    if not {*rewrite.references} <= {*products, *pictures}:
        yield "references: not of this conversation"
    yield from _broken_conditions(rewrite, request, lexicon)
    yield from _missing(rewrite, request, products, pictures)


def _broken_conditions(
    rewrite: rewrite_pb2.Rewrite, request: rewrite_pb2.RewriteRequest, lexicon: Lexicon
) -> Iterator[str]:
    """Yield what is wrong with the filter, the order, the page and the remarks."""
    if rewrite.HasField("filter") and read_known(rewrite.filter, lexicon) is None:
        yield "filter: malformed, too large, or a value that the facets lack"
    if rewrite.HasField("sort") and rewrite.sort.field not in lexicon.schema.sorted_by:
        yield "sort: by a field that sorts nothing"
    if rewrite.more and not any(turn.rewrite.route in SEARCHES for turn in request.history):
        yield "more: of no search"
    yield from _broken_remarks(rewrite, lexicon)


def _broken_remarks(rewrite: rewrite_pb2.Rewrite, lexicon: Lexicon) -> Iterator[str]:
    """Yield what is wrong with the remarks."""
    if len(rewrite.remarks) > limits.MAX_REMARKS:
        yield "remarks: too many"
    for remark in rewrite.remarks:
        if max(len(remark.field), len(remark.value)) > limits.MAX_REMARK_LENGTH:
            yield "remarks: too long"
        owner = lexicon.schema.filtered.get(remark.field)
        if (
            owner is not None
            and owner.kind in KEYWORD_KINDS
            and remark.value
            and not lexicon.spelling(owner.name, remark.value)
        ):
            yield "remarks: a value that the facets lack"


def _missing(
    rewrite: rewrite_pb2.Rewrite,
    request: rewrite_pb2.RewriteRequest,
    products: Collection[str],
    pictures: Collection[str],
) -> Iterator[str]:
    """Yield what the route needs and the rewrite lacks."""
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
        # Without a reply, products or the catalogue are asked about, which the index answers.
        query_pb2.ROUTE_CHAT: {
            "reply": bool(rewrite.reply.strip() or reference) or rewrite.intent == query_pb2.INTENT_CONSULT
        },
    }
    yield from (f"{name}: missing" for name, given in needs.get(rewrite.route, {}).items() if not given)


def known_products(request: rewrite_pb2.RewriteRequest) -> list[str]:
    """Return the ids of the products that a turn may speak of, latest first: the one pointed at, then those shown."""
    ids = [request.product_id]
    for turn in reversed(request.history):
        ids += [product.id for product in turn.shown]
        ids.append(turn.product_id)
    return [id_ for id_ in dict.fromkeys(ids) if id_]


def known_pictures(request: rewrite_pb2.RewriteRequest) -> list[str]:
    """Return the ids of the conversation's pictures, latest first."""
    return [id_ for id_ in dict.fromkeys(turn.image_id for turn in reversed(request.history)) if id_]
