"""Products side by side, as the index holds them now."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.model import StoredProduct
from vitrine.domain import limits
from vitrine.domain.filters import Equals, Filter, both, matches
from vitrine.domain.schema import Field, Kind, Role, Schema
from vitrine.domain.values import fold, shown

_NOT_COMPARED = frozenset({Role.TITLE, Role.DESCRIPTION, Role.URL})
"""Roles of fields that tell products apart without comparing them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedField:
    """One row."""

    field: str
    label: str
    values: tuple[str, ...]
    """One a product; empty where it has none."""

    @property
    def equal(self) -> bool:
        """Whether it tells no product from another."""
        return len(set(map(fold, self.values))) == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A table with a column a product; one column describes a single product."""

    products: tuple[StoredProduct, ...]
    fields: tuple[ComparedField, ...]
    schema: Schema
    asked: Filter | None = None
    """What is asked of a single product: whether it is wool."""
    asked_words: str = ""
    """What is asked of it that no field has."""
    asked_attributes: tuple[tuple[str, str], ...] = ()
    """What of that is known to be the value of an attribute, by its name: ("material", "leather")."""
    others: int | None = None
    """Products of its kind that are what it is asked for and is not; None where that is not known."""

    @property
    def instead(self) -> Filter | None:
        """The condition that others of its kind satisfy, which are what a single product is asked for and is not."""
        if len(self.products) > 1 or self.asked is None or matches(self.asked, self.products[0].product):
            return None
        category = self.schema.role(Role.CATEGORY)
        kind = None if category is None else self.products[0].product.values.get(category.name)
        if category is None or not category.filter or not isinstance(kind, str):
            return self.asked
        return both(Equals(category.name, kind), self.asked)


def compare(products: Sequence[StoredProduct], schema: Schema, *, language: str = "en") -> Comparison | None:
    """Set products side by side, in their order; None for none. Rows that no product fills are left out."""
    columns = tuple(products[: limits.MAX_COMPARED_PRODUCTS])
    if not columns:
        return None
    attributes = dict.fromkeys(name for each in columns for name in sorted(each.product.attributes))
    rows = [
        *(
            (owner.name, owner.label(language), [_cell(each, owner) for each in columns])
            for owner in schema.stored
            if owner.role not in _NOT_COMPARED
        ),
        *((name, name, [each.product.attributes.get(name, "") for each in columns]) for name in attributes),
    ]
    fields = [
        ComparedField(field=name, label=label, values=tuple(values))
        for name, label, values in rows
        if any(values)
    ]
    return Comparison(products=columns, fields=tuple(fields[: limits.MAX_COMPARED_FIELDS]), schema=schema)


def _cell(stored: StoredProduct, owner: Field) -> str:
    value = stored.product.values.get(owner.name)
    if owner.kind is Kind.MONEY and isinstance(value, float):
        return f"{value:.2f}"
    return shown(value)
