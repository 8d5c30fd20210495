"""Values cut to the domain's limits, where the product would else be refused; what was cut is noted."""

import json
from collections import Counter
from collections.abc import Mapping

from catalogue.readers.rows import is_picture, shown
from catalogue.readers.text import plain_text
from vitrine.domain import limits
from vitrine.domain.errors import InvalidValue
from vitrine.domain.schema import Field, Kind, Role
from vitrine.domain.values import Value

_PATH_SEPARATORS = (" > ", ">", " / ", "/", " | ", "|", " ")


def fitted_value(owner: Field, value: Value, notes: Counter[str]) -> Value:
    """Return the value, cut where it is a category, a text or a list over its limit."""
    match value:
        case str() if owner.role is Role.CATEGORY and len(value) > limits.MAX_KEYWORD_LENGTH:
            notes[f"{owner.name} cut to {limits.MAX_KEYWORD_LENGTH} characters"] += 1
            return _cut_path(value)
        case str() if owner.kind is Kind.TEXT and owner.role is not Role.TITLE:
            cut = _cut_bytes(value, limits.MAX_TEXT_BYTES)
            if cut != value:
                notes[f"{owner.name} cut to {limits.MAX_TEXT_BYTES:,} bytes"] += 1
            return cut
        case tuple() if len(value) > limits.MAX_KEYWORDS:
            notes[f"{owner.name} cut to {limits.MAX_KEYWORDS} keywords"] += 1
            return value[: limits.MAX_KEYWORDS]
        case _:
            return value


def fitted_attributes(rest: Mapping[str, object], notes: Counter[str]) -> dict[str, str]:
    """Return what has a value as text, lists and nested values as JSON; what is over the limits is left out."""
    attributes: dict[str, str] = {}
    room = limits.MAX_ATTRIBUTES_BYTES - 2
    for name, cell in rest.items():
        if isinstance(cell, bytes) or is_picture(cell):  # what a table embeds is no text
            continue
        said = _attribute(name, cell)
        size = len(json.dumps({name: said}, ensure_ascii=False).encode()) + 2
        if (
            len(attributes) >= limits.MAX_ATTRIBUTES
            or size > room
            or len(name) > limits.MAX_ATTRIBUTE_NAME_LENGTH
        ):
            notes["attributes left out"] += 1
        elif said:
            attributes[name] = said
            room -= size
    return attributes


def _attribute(name: str, cell: object) -> str:
    quoted = f"attributes[{shown(name)}]"
    plain_text("attributes", name)
    if isinstance(cell, tuple) and all(not isinstance(each, list | tuple | dict) for each in cell):
        return ", ".join(plain_text(quoted, each) for each in cell)
    if isinstance(cell, list | tuple | dict):
        try:
            cell = json.dumps(cell, default=str, ensure_ascii=False)
        except (ValueError, RecursionError) as error:
            raise InvalidValue(quoted, str(error)) from error
    return plain_text(quoted, cell)


def _cut_path(text: str) -> str:
    """Return the beginning of a category's path that fits, whole parts of it where it has parts."""
    head = text[: limits.MAX_KEYWORD_LENGTH]
    for separator in _PATH_SEPARATORS:
        whole = head.rpartition(separator)[0].rstrip()
        if whole:
            return whole
    return head


def _cut_bytes(text: str, size: int) -> str:
    encoded = text.encode()
    return text if len(encoded) <= size else encoded[:size].decode(errors="ignore").rstrip()
