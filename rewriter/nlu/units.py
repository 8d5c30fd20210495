"""Units of measure: which one a schema names for a field, and amounts in others of the same quantity.

The units are data, `rewriter/things/units.toml`. "2 m" is 200 where the field's words say that it counts in centimetres.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from rewriter.nlu.words import CJK, fold, split_words
from rewriter.things.files import thing_of
from vitrine.domain.schema import Field

_FILE = resources.files("rewriter.things") / "units.toml"
_DIGITS = 6
"""Significant digits that a converted amount keeps."""
_MAX_WORDS = 2
"""Words of the longest unit at the end of what a field is called."""
LETTER_AFTER = r"(?![a-z\u00df-\u024f])"
"""No letter of Latin script stands behind a unit; words of other scripts may."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of measure."""

    quantity: str
    """What it measures: "length"."""
    factor: float
    """How many of the quantity's first unit it is."""

    def convert(self, amount: float, field: "Unit | None") -> float | None:
        """Return an amount of this unit in that of a field: as it is where that one is unknown, None where it measures something else."""
        if field is None or field == self:
            return amount
        if field.quantity != self.quantity:
            return None
        return float(f"{amount * self.factor / field.factor:.{_DIGITS}g}")


@cache
def units() -> Mapping[str, Unit]:
    """Return the units by their folded words, in any language."""
    tables = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    known: dict[str, Unit] = {}
    for quantity, lines in tables.items():
        for factor, line in lines.items():
            thing = thing_of(line)
            for word in (*(word for words in thing.words.values() for word in words), *thing.kinds):
                known.setdefault(fold(word), Unit(quantity, float(factor)))
    return known


@cache
def unit_pattern(*quantities: str) -> str:
    """Return the pattern of a unit of one of the quantities, of any where none is named; the longest word first."""
    words = [word for word, unit in units().items() if not quantities or unit.quantity in quantities]
    longest = sorted(words, key=lambda word: (-len(word), word))
    return f"(?:{'|'.join(map(re.escape, longest))}){LETTER_AFTER}"


def unit_of(field: Field) -> Unit | None:
    """Return the unit that a field's name, label or question word says that it counts in; None for none."""
    return next((unit for word in field.asked_by if (unit := _named(word)[1]) is not None), None)


def words_without_unit(field: Field) -> Iterator[str]:
    """Yield what a field is called without its unit: "height" of "height_cm" or "Höhe (cm)"."""
    for word in field.asked_by:
        rest, unit = _named(word)
        if unit is not None and rest:
            yield rest


def _named(word: str) -> tuple[str, Unit | None]:
    """Return what stands before the unit that a field's word ends in, and the unit; None where it ends in none."""
    words = split_words(fold(word))
    for length in range(min(_MAX_WORDS, len(words)), 0, -1):
        unit = units().get(" ".join(words[-length:]))
        if unit is not None:
            rest = words[:-length]
            return " ".join(rest[:-1] if rest[-1:] in (["in"], ["en"]) else rest), unit
    unit = units().get(fold(word)) if CJK.search(word) else None
    return "", unit
