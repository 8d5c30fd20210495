"""Captions made of a product's fields: its keywords in the schema's order, the kind of thing last."""

from vitrine.domain import limits
from vitrine.domain.product import Product
from vitrine.domain.schema import KEYWORD_KINDS, Role, Schema
from vitrine.domain.values import distinct, shown

_LEAST_WORDS = 2
"""Values that make a caption: one alone says less than its field does."""
_NO_WORDS = frozenset({Role.BRAND, Role.AVAILABILITY, Role.URL})
"""Roles of keywords that say nothing of what is to be seen."""


def caption_of(product: Product, schema: Schema) -> str:
    """Return the product's keywords one after another, such as "red striped dress"; empty where there are too few.

    The order is no grammar of any language: the fields as the schema has them, then the category.
    """
    seen = [
        each
        for each in schema.stored
        if each.kind in KEYWORD_KINDS and each.role not in _NO_WORDS and (each.filter or each.facet)
    ]
    seen.sort(key=lambda each: each.role is Role.CATEGORY)
    words = distinct([shown(product.values.get(each.name)) for each in seen])
    if len(words) < _LEAST_WORDS:
        return ""
    return " ".join(words)[: limits.MAX_CAPTION_LENGTH]
