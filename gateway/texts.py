"""Texts at the door."""

import re
import unicodedata

from gateway.errors import InvalidQuery

# Category Cc but for tab, line feed and carriage return, which pasted text holds.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def check_text(field: str, text: str, *, limit: int) -> str:
    """Return the text in normal form C with runs of white space as one space, so that equal words are equal strings.

    Raises:
        InvalidQuery: over the limit in characters, as sent or in normal form, or with control characters.
    """
    if len(text) > limit:
        raise InvalidQuery(field, f"at most {limit:,} characters, got {len(text):,}")
    if _CONTROL.search(text):
        raise InvalidQuery(field, "must not hold control characters")
    normal = unicodedata.normalize("NFC", " ".join(text.split()))
    if len(normal) > limit:
        # Some characters have no composed form and become two or three.
        raise InvalidQuery(field, f"at most {limit:,} characters in normal form C, got {len(normal):,}")
    return normal
