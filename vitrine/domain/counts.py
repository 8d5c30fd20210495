"""How many values a list of a message may have, counted right after the parse and before anything walks them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from vitrine.domain import limits
from vitrine.domain.errors import InvalidValue

LONGEST: Mapping[str, int] = {
    "google.protobuf.FieldMask.paths": limits.MAX_FIELD_PATHS,
    "vitrine.v1.CatalogueField.columns": limits.MAX_COLUMN_NAMES,
    "vitrine.v1.CatalogueField.labels": limits.MAX_LANGUAGES,
    "vitrine.v1.CatalogueField.questions": limits.MAX_LANGUAGES,
    "vitrine.v1.CatalogueSchema.fields": limits.MAX_SCHEMA_FIELDS,
    "vitrine.v1.ConverseRequest.history": limits.MAX_HISTORY_TURNS,
    "vitrine.v1.DeleteProductsRequest.product_ids": limits.MAX_DELETED,
    "vitrine.v1.ExcludedWords.forms": limits.MAX_EXCLUDED_FORMS - 1,
    "vitrine.v1.FilterList.filters": limits.MAX_FILTER_VALUES,
    "vitrine.v1.InferenceOptions.fields": limits.MAX_SCHEMA_FIELDS,
    "vitrine.v1.OneOf.values": limits.MAX_FILTER_VALUES,
    "vitrine.v1.Product.attributes": limits.MAX_ATTRIBUTES,
    "vitrine.v1.Product.fields": limits.MAX_SCHEMA_FIELDS,
    "vitrine.v1.Product.image_uris": limits.MAX_PICTURES,
    "vitrine.v1.Product.inferred": limits.MAX_SCHEMA_FIELDS,
    "vitrine.v1.ProductInput.more_images": limits.MAX_PICTURES - 1,
    "vitrine.v1.RecommendRequest.product_ids": limits.MAX_SEEDS,
    "vitrine.v1.RecordRequest.events": limits.MAX_EVENTS,
    "vitrine.v1.Rewrite.excluded_words": limits.MAX_EXCLUSIONS,
    "vitrine.v1.Rewrite.references": limits.MAX_REFERENCES,
    "vitrine.v1.Rewrite.remarks": limits.MAX_REMARKS,
    "vitrine.v1.SearchRequest.facets": limits.MAX_FACETS,
    "vitrine.v1.TextList.values": limits.MAX_KEYWORDS,
    "vitrine.v1.Turn.shown": limits.MAX_SHOWN,
    "vitrine.v1.Weights.signals": limits.MAX_SIGNALS,
}
"""By the full name of the list or map, all those that requests may have; a test holds the protos against it."""

COUNTED_APART = frozenset({"vitrine.v1.UpsertProductsRequest.product"})
"""Fields that are counted by whoever refuses one of them and goes on with the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A field that is looked at: a list, or a message in which there is one."""

    name: str
    longest: int = 0
    """0: it is no list."""
    keyed: bool = False
    """Whether it is a map."""
    inner: Descriptor | None = None
    """Of the messages in it, where lists are in them."""


def check_counts(message: Message) -> None:
    """Count every list of a message.

    Raises:
        InvalidValue: one is longer than its limit, or there are more than MAX_NESTED messages in all; names the list.
    """
    try:
        _check(message, _steps(message.DESCRIPTOR), iter(range(limits.MAX_NESTED)))
    except _TooManyError:
        raise InvalidValue("request", f"at most {limits.MAX_NESTED:,} messages in its lists") from None


class _TooManyError(Exception):
    """There are more messages than MAX_NESTED."""


def _check(message: Any, steps: tuple[_Step, ...], left: Iterator[int]) -> None:
    for step in steps:
        if step.longest:
            _check_list(getattr(message, step.name), step, left)
        elif step.inner is not None and message.HasField(step.name):
            try:
                _check(getattr(message, step.name), _steps(step.inner), left)
            except InvalidValue as error:
                raise InvalidValue(f"{step.name}.{error.field}", error.reason) from None


def _check_list(values: Any, step: _Step, left: Iterator[int]) -> None:
    if len(values) > step.longest:
        raise InvalidValue(step.name, f"at most {step.longest:,}, got {len(values):,}")
    if step.inner is None:
        return
    steps = _steps(step.inner)
    for position, value in enumerate(values.values() if step.keyed else values):
        if next(left, None) is None:
            raise _TooManyError
        try:
            _check(value, steps, left)
        except InvalidValue as error:
            raise InvalidValue(f"{step.name}[{position}].{error.field}", error.reason) from None


@cache
def _steps(kind: Descriptor) -> tuple[_Step, ...]:
    fields = (each for each in kind.fields if each.full_name not in COUNTED_APART)
    return tuple(_step(each) for each in fields if each.is_repeated or _has_lists(each.message_type))


def _step(field: FieldDescriptor) -> _Step:
    kind = _values(field)
    return _Step(
        name=field.name,
        longest=LONGEST.get(field.full_name, limits.MAX_LISTED) if field.is_repeated else 0,
        keyed=kind is not field.message_type,
        inner=kind if _has_lists(kind) else None,
    )


def _values(field: FieldDescriptor) -> Descriptor | None:
    """Return the kind of a field's messages, those of a map among them; None for plain values."""
    kind = field.message_type
    return (
        kind.fields_by_name["value"].message_type
        if kind is not None and kind.GetOptions().map_entry
        else kind
    )


def _has_lists(kind: Descriptor | None, seen: frozenset[str] = frozenset()) -> bool:
    if kind is None or kind.full_name in seen:
        return False
    seen |= {kind.full_name}
    return any(each.is_repeated or _has_lists(each.message_type, seen) for each in kind.fields)
