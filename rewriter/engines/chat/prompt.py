"""What a language model is asked for and how its answer is read, in the form that `rewriter.answer_schema` makes.

The shopper's words and the products' titles go to the model as JSON, as data beside the instructions. The answer is
hostile input all the same: it is held against the schema, against the request's facets, and against what the
conversation showed, under ids that mean nothing outside this request.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from rewriter.answer_schema import answer_form, asked, choices
from rewriter.catalogues import schema_of
from rewriter.checks import known_pictures, known_products, violation
from rewriter.engines.chat.reply import reply_violation
from rewriter.engines.port import EngineError, Failure
from rewriter.nlu.conditions import joined, one_of
from rewriter.nlu.dialogue_state import read_shown
from vitrine.domain.filters import Equals, Filter, Not, Range
from vitrine.domain.limits import MAX_REMARKS
from vitrine.domain.product import Product
from vitrine.domain.schema import Kind, Role, Schema
from vitrine.domain.values import fold
from vitrine.v1 import query_pb2, rewrite_pb2

MAX_PROMPT_TURNS = 20
"""The latest; the gateway sends those that matter."""

MAX_PROMPT_PRODUCTS = 20
MAX_PROMPT_VALUES = 64
"""Values of a facet that the prompt lists, the most frequent first."""

MAX_TITLE_LENGTH = 120

CONFIDENCE = 0.8
"""Of a valid answer; a model's own number for it would mean nothing."""

_PLAIN = {
    name: field
    for name, field in asked(rewrite_pb2.Rewrite.DESCRIPTOR).items()
    if name not in {"filter", "sort", "references", "remarks"}
}
"""The fields whose values mean the same in every conversation."""


@dataclass(frozen=True, slots=True)
class Ids:
    """The ids that the model sees, each with the one that the conversation knows."""

    products: Mapping[str, str] = field(default_factory=dict)
    pictures: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, request: rewrite_pb2.RewriteRequest) -> "Ids":
        """Number the products and pictures of a request, the latest first."""
        products, pictures = known_products(request)[:MAX_PROMPT_PRODUCTS], known_pictures(request)
        return cls(
            {f"p{number}": id_ for number, id_ in enumerate(products, start=1)},
            {f"i{number}": id_ for number, id_ in enumerate(pictures[:MAX_PROMPT_TURNS], start=1)},
        )

    def name(self, known_id: str) -> str | None:
        """Return the id that the model sees; None for one that it does not."""
        pairs = chain(self.products.items(), self.pictures.items())
        return next((short for short, id_ in pairs if id_ == known_id), None)


def messages(request: rewrite_pb2.RewriteRequest, ids: Ids) -> list[dict[str, str]]:
    """Return the messages of the prompt: the instructions, then the turn and its conversation as data."""
    schema = schema_of(request)
    shown = {product.id: product for turn in request.history for product in turn.shown}
    document = {
        "values": {facet.field: list(facet.values[:MAX_PROMPT_VALUES]) for facet in request.facets},
        "products": {
            short: _product(read_shown(shown[id_], schema), schema)
            for short, id_ in ids.products.items()
            if id_ in shown
        },
        "pictures": [*ids.pictures],
        "conversation": [_turn(turn, ids) for turn in request.history[-MAX_PROMPT_TURNS:]],
        "turn": {
            "text": request.text,
            "picture": request.has_image,
            "product": ids.name(request.product_id),
            "locale": request.locale,
        },
    }
    return [
        {"role": "system", "content": answer_form(request).prompt},
        {"role": "user", "content": json.dumps(document, ensure_ascii=False)},
    ]


def parse(content: str, request: rewrite_pb2.RewriteRequest, ids: Ids, *, source: str) -> rewrite_pb2.Rewrite:
    """Read a model's answer.

    Raises:
        EngineError: it is no JSON, breaks the schema, or names what the request does not hold.
    """
    try:
        answer = json.loads(content)
    except ValueError:
        raise EngineError(Failure.NOT_JSON) from None
    error = next(answer_form(request).validator.iter_errors(answer), None)
    if error is not None:
        raise EngineError(Failure.SCHEMA, error.json_path)
    rewrite = rewrite_pb2.Rewrite(
        **{name: _value(field, answer[name]) for name, field in _PLAIN.items()},
        filter=_filter(answer["filter"], request),
        sort=query_pb2.Sort(**answer["sort"]) if answer["sort"] is not None else None,
        references=_references(answer["references"], ids),
        remarks=[_remark(remark, request) for remark in answer["remarks"][:MAX_REMARKS]],
        confidence=CONFIDENCE,
        source=source,
    )
    if broken := violation(rewrite, request):
        raise EngineError(Failure.INVALID, broken)
    if forbidden := reply_violation(rewrite.reply, request):
        raise EngineError(Failure.INVALID, f"reply: holds {forbidden}")
    return rewrite


def _product(product: Product, schema: Schema) -> dict[str, Any]:
    """Return what the model may know of a shown product: its title, and what conditions and orders may name."""
    title = product.text(schema, Role.TITLE)[:MAX_TITLE_LENGTH]
    values = {
        owner.name: list(value) if isinstance(value, tuple) else value
        for owner in schema
        if (owner.filter or owner.sort) and (value := product.values.get(owner.name)) is not None
    }
    return {"title": title} | values


def _turn(turn: rewrite_pb2.Turn, ids: Ids) -> dict[str, Any]:
    """Return an earlier turn, with the reading that it was given."""
    return {
        "text": turn.text,
        "picture": ids.name(turn.image_id) if turn.image_id else None,
        "route": query_pb2.Route.Name(turn.rewrite.route).removeprefix("ROUTE_").lower()
        if turn.rewrite.route in query_pb2.Route.values()
        else "",
        "query": turn.rewrite.query,
        "shown": [short for product in turn.shown if (short := ids.name(product.id))],
    }


def _references(short_ids: Sequence[str], ids: Ids) -> list[str]:
    known = {**ids.products, **ids.pictures}
    if not {*short_ids} <= known.keys():
        raise EngineError(Failure.INVALID, "references")
    return [known[short] for short in short_ids]


def _value(field: FieldDescriptor, said: str) -> Any:
    """Read a text or the name of a choice."""
    return said.strip() if field.enum_type is None else choices(field.enum_type)[said]


def _remark(said: Mapping[str, str], request: rewrite_pb2.RewriteRequest) -> rewrite_pb2.Remark:
    """Read a remark; one on a field that lacks the value keeps the word alone."""
    values = {name: _value(field, said[name]) for name, field in asked(rewrite_pb2.Remark.DESCRIPTOR).items()}
    owner = schema_of(request).filtered.get(values["field"])
    if owner is not None and owner.kind in {Kind.KEYWORD, Kind.KEYWORDS}:
        known = _spelling(values["field"], request).get(fold(values["value"]))
        values |= {"value": known} if known else {"field": ""}
    return rewrite_pb2.Remark(**values)


def _spelling(field: str, request: rewrite_pb2.RewriteRequest) -> Mapping[str, str]:
    """Return the facet's values by their folded spelling; of two that are equal the first one's counts."""
    facets = (facet for facet in request.facets if facet.field == field)
    return {fold(value): value for facet in facets for value in reversed(facet.values)}


def _filter(answer: Mapping[str, Any], request: rewrite_pb2.RewriteRequest) -> query_pb2.Filter | None:
    """Read the conditions; a value counts in whatever case, if the facet lists it."""
    readers: Mapping[str, Callable[[Mapping[str, Any]], Filter | None]] = {
        "conditions": lambda said: _keywords(said, request),
        "numbers": _range,
        "booleans": lambda said: Equals(said["field"], bool(said["value"])),
    }
    conditions = (read(said) for name, read in readers.items() for said in answer.get(name, ()))
    return joined([condition for condition in conditions if condition is not None])


def _keywords(said: Mapping[str, Any], request: rewrite_pb2.RewriteRequest) -> Filter:
    spelling = _spelling(said["field"], request)
    known = [spelling[folded] for value in said["values"] if (folded := fold(value)) in spelling]
    if not known or len(known) < len(said["values"]):
        raise EngineError(Failure.INVALID, "conditions")
    holds = one_of(said["field"], list(dict.fromkeys(known)))
    return Not(holds) if said["exclude"] else holds


def _range(said: Mapping[str, Any]) -> Filter | None:
    """Read the bounds of a number; None where there is neither."""
    low, high = (float(said[name]) if said[name] is not None else None for name in ("min", "max"))
    return None if low is None and high is None else Range(field=said["field"], minimum=low, maximum=high)
