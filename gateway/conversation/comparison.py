"""Products side by side, as the index holds them now."""

from collections.abc import Sequence
from dataclasses import dataclass

from catalogue.product import TEXT_FIELDS
from gateway.model import StoredProduct

MAX_PRODUCTS = 6
"""Products that fit beside each other."""

MAX_FIELDS = 24
"""Rows: the fields of every product, then the catalogue's own attributes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedField:
    """One row."""

    field: str
    values: tuple[str, ...]
    """One a product; empty where it has none."""

    @property
    def equal(self) -> bool:
        """Whether it tells no product from another."""
        return len(set(self.values)) == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A table with a column a product; one column describes a single product."""

    products: tuple[StoredProduct, ...]
    fields: tuple[ComparedField, ...]


def compare(products: Sequence[StoredProduct]) -> Comparison | None:
    """Set products side by side, in their order; None for none. Rows that no product fills are left out."""
    columns = tuple(products[:MAX_PRODUCTS])
    if not columns:
        return None
    names = dict.fromkeys(name for product in columns for name in sorted(product.attributes))
    rows = [
        *((name, [str(getattr(product, name)) for product in columns]) for name in TEXT_FIELDS),
        ("price", [f"{product.price:.2f}" for product in columns]),
        *((name, [product.attributes.get(name, "") for product in columns]) for name in names),
    ]
    fields = [ComparedField(field=name, values=tuple(values)) for name, values in rows if any(values)]
    return Comparison(products=columns, fields=tuple(fields[:MAX_FIELDS]))
