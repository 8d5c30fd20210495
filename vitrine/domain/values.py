"""Values of a product's fields, and when two of them are equal."""

import math
import unicodedata
from collections.abc import Sequence

Value = str | float | bool | tuple[str, ...]
"""A keyword or text, a number or money, a boolean, a list of keywords; a missing value is absent, never empty."""

_TRUE = frozenset({"true", "yes", "y", "1", "t", "on"})
_FALSE = frozenset({"false", "no", "n", "0", "f", "off"})


def fold(text: str) -> str:
    """Return the form in which keywords are compared: one Unicode form, one case, single spaces.

    "Red" and "RED" are one value, in full-width letters too: normal form KC (Unicode TR 15) and full case folding
    (section 3.13 of the standard).
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    # Folding may undo the normal form: "ΐ".
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def number_text(number: float) -> str:
    """Return a number as people write it: 42 for 42.0."""
    return repr(number).removesuffix(".0")


def to_boolean(text: str) -> bool | None:
    """Read "true", "yes", "1" and their opposites in any case; None for anything else."""
    folded = fold(text)
    return True if folded in _TRUE else False if folded in _FALSE else None


def shown(value: Value | None) -> str:
    """Return a value as a person reads it; empty for a missing one."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case float():
            return number_text(value) if math.isfinite(value) else ""
        case str():
            return value
        case _:
            return ", ".join(value)


def distinct(keywords: Sequence[str]) -> tuple[str, ...]:
    """Return the keywords without those that equal an earlier one, and without empty ones."""
    kept = {fold(keyword): keyword for keyword in reversed(keywords)}
    return tuple(
        keyword for keyword in dict.fromkeys(keywords) if fold(keyword) and kept[fold(keyword)] is keyword
    )
