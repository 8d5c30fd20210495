"""What the conversation was about before this turn."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from vitrine.domain.errors import InvalidValue
from vitrine.domain.messages import read_product, read_value
from vitrine.domain.product import Product, check_value
from vitrine.domain.schema import Schema
from vitrine.domain.schema_files import shipped_schema
from vitrine.domain.values import Value
from vitrine.v1 import query_pb2, rewrite_pb2

_T = TypeVar("_T")

SEARCHES = frozenset(
    {
        query_pb2.ROUTE_TEXT,
        query_pb2.ROUTE_IMAGE,
        query_pb2.ROUTE_COMPOSED,
        query_pb2.ROUTE_REFINE,
        query_pb2.ROUTE_SIMILAR,
    }
)
"""The routes that search; the others leave the conversation's query as it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The parts of a conversation that a turn may lean on."""

    last: rewrite_pb2.Rewrite | None
    """How the latest turn that searched was read, with the picture's id where the turn brought one."""
    shown: Sequence[Product]
    """What the latest turn that showed anything showed, in order."""
    shelves: Sequence[Sequence[Product]]
    """What each turn showed, the latest first."""
    known: Mapping[str, Product]
    """Every product that was shown."""
    reference: str
    """The product in mind: the first that was shown last, or else the one that was spoken of; empty for none."""
    picture: str
    """The id of the latest picture; empty for none."""
    pictures: Collection[str]
    """The ids of every picture."""
    compared: Sequence[str]
    """The products that the latest turn compared."""


def remember(history: Sequence[rewrite_pb2.Turn], schema: Schema | None = None) -> Memory:
    """Read the turns, oldest first."""
    catalogue = schema or shipped_schema()
    # A product without an id cannot be referred to.
    shelves = [[read_shown(product, catalogue) for product in turn.shown if product.id] for turn in history]
    shown = _latest(shelves) or []
    known = {product.id: product for shelf in shelves for product in shelf}
    pointed = {turn.product_id for turn in history}
    spoken_of = _latest([id_ for id_ in map(_spoken_of, history) if id_ in pointed or id_ in known]) or ""
    last = next((turn for turn in reversed(history) if turn.rewrite.route in SEARCHES), None)
    compares = bool(history) and history[-1].rewrite.route == query_pb2.ROUTE_COMPARE
    return Memory(
        last=_with_picture(last) if last is not None else None,
        shown=shown,
        shelves=[shelf for shelf in reversed(shelves) if shelf],
        known=known,
        reference=shown[0].id if shown else spoken_of,
        picture=_latest([turn.image_id for turn in history]) or "",
        pictures={turn.image_id for turn in history if turn.image_id},
        compared=[id_ for id_ in history[-1].rewrite.references if id_ in known] if compares else [],
    )


def read_shown(message: query_pb2.Product, schema: Schema) -> Product:
    """Read a product that was shown; what the schema has no field for, or a field of another kind, is left out."""
    try:
        product = read_product(message, schema)
        named = product.values
    except InvalidValue:
        product = Product(id=message.id, attributes=dict(message.attributes))
        named = {
            name: value for name, held in message.fields.items() if (value := _read_value(held)) is not None
        }
    values = {name: value for name, value in named.items() if _fits(name, value, schema)}
    return Product(id=product.id, values=values, attributes=product.attributes, image_uris=product.image_uris)


def _read_value(message: query_pb2.FieldValue) -> Value | None:
    try:
        return read_value(message, "")
    except InvalidValue:
        return None


def _fits(name: str, value: Value, schema: Schema) -> bool:
    owner = schema.by_name.get(name)
    if owner is None:
        return False
    try:
        check_value(owner, value)
    except InvalidValue:
        return False
    return True


def _latest(values: Sequence[_T]) -> _T | None:
    """Return the last value that is not empty."""
    return next((value for value in reversed(values) if value), None)


def _spoken_of(turn: rewrite_pb2.Turn) -> str:
    """Return the product that the turn pointed at or was understood to mean."""
    if turn.product_id:
        return turn.product_id
    refers = turn.rewrite.route in {query_pb2.ROUTE_REFINE, query_pb2.ROUTE_SIMILAR}
    return turn.rewrite.references[0] if refers and turn.rewrite.references else ""


def _with_picture(turn: rewrite_pb2.Turn) -> rewrite_pb2.Rewrite:
    """Return the turn's rewrite; the picture that a search by picture came with is now the conversation's, by its id."""
    rewrite = rewrite_pb2.Rewrite()
    rewrite.CopyFrom(turn.rewrite)
    pictured = turn.rewrite.route in {query_pb2.ROUTE_IMAGE, query_pb2.ROUTE_COMPOSED}
    if pictured and turn.image_id and turn.image_id not in rewrite.references:
        rewrite.references.insert(0, turn.image_id)
    return rewrite
