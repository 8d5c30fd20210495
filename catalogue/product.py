"""The product that every reader yields, and the fields that filters may name."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MAX_ID_LENGTH = 128
MAX_TITLE_LENGTH = 512
MAX_VALUE_LENGTH = 64
MAX_URI_LENGTH = 2048
MAX_ATTRIBUTES = 64

TEXT_FIELDS = ("category", "colour", "pattern", "brand")
NUMBER_FIELDS = ("price",)
FILTER_FIELDS = TEXT_FIELDS + NUMBER_FIELDS
"""The typed fields of a product: the only names that a filter may use."""


class InvalidProductError(ValueError):
    """A product breaks a rule of its type; names the field and the reason."""

    def __init__(self, field_name: str, reason: str) -> None:
        super().__init__(f"{field_name}: {reason}")
        self.field = field_name
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One product with one picture.

    Raises:
        InvalidProductError: a field is missing, too long, or no finite number.
    """

    id: str
    title: str
    category: str
    image: Path
    """The picture's file."""
    price: float = 0.0
    colour: str = ""
    pattern: str = ""
    brand: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, limit, required in (
            ("id", MAX_ID_LENGTH, True),
            ("title", MAX_TITLE_LENGTH, True),
            ("category", MAX_VALUE_LENGTH, True),
            ("colour", MAX_VALUE_LENGTH, False),
            ("pattern", MAX_VALUE_LENGTH, False),
            ("brand", MAX_VALUE_LENGTH, False),
        ):
            _check_text(name, getattr(self, name), limit=limit, required=required)
        if not math.isfinite(self.price) or self.price < 0:
            raise InvalidProductError("price", f"must be a finite number >= 0, got {self.price}")
        if len(self.attributes) > MAX_ATTRIBUTES:
            raise InvalidProductError("attributes", f"at most {MAX_ATTRIBUTES}, got {len(self.attributes)}")
        for name, value in self.attributes.items():
            _check_text(f"attributes[{name!r}]", value, limit=MAX_TITLE_LENGTH, required=False)


def _check_text(name: str, value: str, *, limit: int, required: bool) -> None:
    if required and not value.strip():
        raise InvalidProductError(name, "must not be empty")
    if len(value) > limit:
        raise InvalidProductError(name, f"at most {limit} characters, got {len(value)}")
    if "\0" in value:
        raise InvalidProductError(name, "must not hold a NUL character")
