"""A product: its fields by the catalogue's schema, and what it must keep to."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from vitrine.domain import limits
from vitrine.domain.errors import InvalidValue
from vitrine.domain.schema import Field, Kind, Role, Schema
from vitrine.domain.values import Value, fold

BY_FIELDS = "fields"
"""Says of a caption that it was made from the product's fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A product without its pictures' bytes."""

    id: str
    values: Mapping[str, Value] = field(default_factory=dict)
    """By field of the schema; what the product lacks is absent. Its id and pictures are not here."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Whatever else the catalogue knows; returned and compared, and no condition may name it."""
    image_uris: tuple[str, ...] = ()
    """Where its pictures can be had, the first one foremost."""
    inferred: tuple[str, ...] = ()
    """Fields whose values were read in its pictures; they are in `values` like the others."""
    caption: str = ""
    """Words that were made from its pictures."""
    caption_by: str = ""
    """What made the caption: BY_FIELDS, or the name of a model."""

    @property
    def said(self) -> "Product":
        """Return the product as the shop says it: without what this service read in its pictures."""
        if not self.inferred and self.caption_by != BY_FIELDS:
            return self
        kept = {name: value for name, value in self.values.items() if name not in self.inferred}
        generated = self.caption_by == BY_FIELDS
        return replace(
            self,
            values=kept,
            inferred=(),
            caption="" if generated else self.caption,
            caption_by="" if generated else self.caption_by,
        )

    def by_role(self, schema: Schema, role: Role) -> Value | None:
        """Return the value of the field that has the role; None where there is none."""
        owner = schema.role(role)
        return None if owner is None else self.values.get(owner.name)

    def text(self, schema: Schema, role: Role) -> str:
        """Return the text of the field that has the role; empty where there is none."""
        value = self.by_role(schema, role)
        return value if isinstance(value, str) else ""


def check_id(name: str, product_id: str) -> None:
    """Refuse an id that no search could name: empty, over the limit, or with control characters.

    Raises:
        InvalidValue: names the field `name`.
    """
    if not product_id:
        raise InvalidValue(name, "must not be empty")
    check_identifier(name, product_id, limit=limits.MAX_ID_LENGTH)


def check_identifier(name: str, value: str, *, limit: int) -> None:
    """Refuse a name over the limit in characters, or with control characters (Unicode category Cc).

    Raises:
        InvalidValue: names the field `name`.
    """
    if len(value) > limit:
        raise InvalidValue(name, f"at most {limit} characters, got {len(value):,}")
    if any(character < " " or "\x7f" <= character <= "\x9f" for character in value):
        raise InvalidValue(name, "must not hold control characters")


def check_product(product: Product, schema: Schema) -> None:
    """Hold a product against the schema and the limits.

    Raises:
        InvalidValue: a field is unknown, of another kind, over its limit, or no finite number; the product as a
            whole is too large.
    """
    check_id("id", product.id)
    for name, value in product.values.items():
        owner = schema.by_name.get(name)
        if owner is None or not owner.stored:
            known = ", ".join(each.name for each in schema.stored)
            raise InvalidValue(
                name[: limits.MAX_FIELD_NAME_LENGTH],
                f"is no field of the schema {schema.name!r}; these are: {known}",
            )
        check_value(owner, value)
    _check_size(
        "fields", {name: _plain(value) for name, value in product.values.items()}, limits.MAX_FIELDS_BYTES
    )
    _check_attributes(product.attributes)
    if len(product.image_uris) > limits.MAX_PICTURES:
        raise InvalidValue("image_uris", f"at most {limits.MAX_PICTURES}, got {len(product.image_uris)}")
    for uri in product.image_uris:
        if len(uri) > limits.MAX_URI_LENGTH:
            raise InvalidValue("image_uri", f"at most {limits.MAX_URI_LENGTH:,} characters, got {len(uri):,}")
        if "\0" in uri:
            raise InvalidValue("image_uri", "must not hold a NUL character")
    _check_caption(product)


def check_value(owner: Field, value: Value) -> None:
    """Hold a value against its field's kind and limits; raises InvalidValue."""
    match owner.kind, value:
        case Kind.KEYWORD, str():
            _check_keyword(owner.name, value)
        case Kind.KEYWORDS, tuple():
            _check_keywords(owner.name, value)
        case Kind.TEXT, str():
            _check_text(owner, value)
        case ((Kind.NUMBER | Kind.MONEY), float()):
            _check_number(owner, value)
        case _:
            if not (owner.kind is Kind.BOOLEAN and isinstance(value, bool)):
                raise InvalidValue(owner.name, f"must be {_WANTED[owner.kind]}, got {repr(value)[:64]}")


def encoded_text(product: Product, schema: Schema) -> str:
    """Return the text of a product that is encoded; the encoder cuts what it cannot see.

    A product without words of its own has those of its caption.
    """
    parts = []
    for owner in schema.encoded:
        # What was read in the pictures is in their embeddings already.
        value = None if owner.name in product.inferred else product.values.get(owner.name)
        words = " ".join(value) if isinstance(value, tuple) else value
        if isinstance(words, str) and words:
            parts.append(words)
    return " ".join(" ".join(parts or [product.caption]).split())


_WANTED = {
    Kind.KEYWORD: "a text",
    Kind.KEYWORDS: "a list of texts",
    Kind.TEXT: "a text",
    Kind.NUMBER: "a number",
    Kind.MONEY: "a number",
    Kind.BOOLEAN: "true or false",
}


def _check_number(owner: Field, number: float) -> None:
    if not math.isfinite(number):
        raise InvalidValue(owner.name, f"must be a finite number, got {number}")
    if owner.kind is Kind.MONEY and number < 0:
        raise InvalidValue(owner.name, f"must be a finite number >= 0, got {number:g}")


def _check_keywords(name: str, keywords: tuple[str, ...]) -> None:
    if not 1 <= len(keywords) <= limits.MAX_KEYWORDS:
        raise InvalidValue(name, f"must be 1 to {limits.MAX_KEYWORDS} keywords, got {len(keywords):,}")
    for keyword in keywords:
        _check_keyword(name, keyword)


def _check_keyword(name: str, keyword: str) -> None:
    if not fold(keyword):
        raise InvalidValue(name, "must not be empty")
    if len(keyword) > limits.MAX_KEYWORD_LENGTH:
        raise InvalidValue(name, f"at most {limits.MAX_KEYWORD_LENGTH} characters, got {len(keyword):,}")
    if "\0" in keyword:
        raise InvalidValue(name, "must not hold a NUL character")


def _check_text(owner: Field, text: str) -> None:
    if not text.strip():
        raise InvalidValue(owner.name, "must not be empty")
    if owner.role is Role.TITLE and len(text) > limits.MAX_TITLE_LENGTH:
        raise InvalidValue(owner.name, f"at most {limits.MAX_TITLE_LENGTH:,} characters, got {len(text):,}")
    if (size := len(text.encode(errors="surrogatepass"))) > limits.MAX_TEXT_BYTES:
        raise InvalidValue(owner.name, f"at most {limits.MAX_TEXT_BYTES:,} bytes, got {size:,}")
    if "\0" in text:
        raise InvalidValue(owner.name, "must not hold a NUL character")


def _check_caption(product: Product) -> None:
    if len(product.caption) > limits.MAX_CAPTION_LENGTH:
        raise InvalidValue(
            "caption", f"at most {limits.MAX_CAPTION_LENGTH:,} characters, got {len(product.caption):,}"
        )
    if "\0" in product.caption:
        raise InvalidValue("caption", "must not hold a NUL character")
    check_identifier("caption_by", product.caption_by, limit=limits.MAX_CAPTION_BY_LENGTH)


def _check_attributes(attributes: Mapping[str, str]) -> None:
    if len(attributes) > limits.MAX_ATTRIBUTES:
        raise InvalidValue("attributes", f"at most {limits.MAX_ATTRIBUTES}, got {len(attributes):,}")
    for name, value in attributes.items():
        if not name or len(name) > limits.MAX_ATTRIBUTE_NAME_LENGTH:
            raise InvalidValue(
                "attributes",
                f"a name has 1 to {limits.MAX_ATTRIBUTE_NAME_LENGTH} characters, got {len(name):,}",
            )
        if "\0" in name or "\0" in value:
            raise InvalidValue(f"attributes[{name[:64]!r}]", "must not hold a NUL character")
    _check_size("attributes", dict(attributes), limits.MAX_ATTRIBUTES_BYTES)


def _check_size(name: str, values: Mapping[str, object], limit: int) -> None:
    if (size := len(json.dumps(values, ensure_ascii=False).encode(errors="surrogatepass"))) > limit:
        raise InvalidValue(name, f"at most {limit:,} bytes as JSON, got {size:,}")


def _plain(value: Value) -> object:
    return list(value) if isinstance(value, tuple) else value
