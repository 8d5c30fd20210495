"""Measures as people say them, by adjectives: "taller than 60 cm", "mindestens 2 m lang", "the heaviest", "más ancho que 80 cm".

Each language file has the adjectives of each measure and the frames that they stand in. What it amounts to is a condition or an
order on the one number of the catalogue that the measure asks for.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from rewriter.languages.files import Language, any_language, either, languages
from rewriter.nlu.bounds import AMOUNT, BOUNDS, Interval, amount_of
from rewriter.nlu.units import Unit, unit_pattern, units

_FRAMES = ("up_to", "from", "above", "below", "about", "exactly")
"""In this order: "no taller than" holds "taller than", and "over 2 m high" holds "2 m high"."""
_QUANTITIES = {"weight": "weight"}
"""What a measure counts in, where it is no length. Without a unit nobody knows what an amount is of: "at least 3 long dresses"."""
_UNMEASURED = any_language("unmeasured", "words")
_UNMEASURED_BEFORE = re.compile(rf"{_UNMEASURED}\s*$")
_UNMEASURED_AFTER = re.compile(rf"\s*的?{_UNMEASURED}")
_FORMS = ("is", "more", "less", "most", "least")
"""What a language file says of a measure: tall, taller, shorter, tallest, shortest."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A measure, what is asked of it, and where the words for it stand."""

    measure: str
    start: int
    end: int
    interval: Interval | None
    """None: an order is asked for."""
    descending: bool = False
    unit: Unit | None = None
    """In which the interval is said."""


def compared(text: str, measures: Sequence[str], *, order: bool = False) -> Compared | None:
    """Return the first bound that folded text sets to one of the measures, such as "height", or order by one; None for nothing."""
    found = [
        Compared(measure, match.start(), match.end(), *_asked(match))
        for measure in measures
        for pattern in (_orders() if order else _bounds()).get(measure, ())
        if (match := pattern.search(text)) is not None and not (order and _is_unmeasured(text, *match.span()))
    ]
    # Of those that begin together the longest: "no taller than 60" and not "taller than 60".
    return min(found, key=lambda each: (each.start, -each.end), default=None)


def measured_by(text: str, position: int) -> bool:
    """Return whether an adjective of a measure stands at the position, behind a unit: "120 cm wide"."""
    return _adjectives().match(text, position) is not None


def _is_unmeasured(text: str, start: int, end: int) -> bool:
    """Return whether a superlative stands beside what no measure has: "the lightest blue", "le prix le plus bas"."""
    return bool(_UNMEASURED_BEFORE.search(text[:start]) or _UNMEASURED_AFTER.match(text, end))


@cache
def measures() -> tuple[str, ...]:
    """Return the measures that the language files know, by their English names."""
    known = (name for language in languages().values() for name in _measures_of(language))
    return tuple(dict.fromkeys(known))


def _asked(match: re.Match[str]) -> tuple[Interval | None, bool, Unit | None]:
    groups = {name: said for name, said in match.groupdict().items() if said is not None}
    unit = units().get(groups.pop("unit", ""))
    name, said = next(iter(groups.items()))
    if name in ("most", "least"):
        return None, name == "most", None
    return BOUNDS[name](amount_of(said)), False, unit


@cache
def _adjectives() -> re.Pattern[str]:
    adjectives = [
        either([forms["is"]], spaced=language.spaced)
        for language in languages().values()
        for forms in _measures_of(language).values()
        if forms["is"]
    ]
    return re.compile(rf"[\s-]?(?:{'|'.join(adjectives)})")


@cache
def _bounds() -> Mapping[str, tuple[re.Pattern[str], ...]]:
    """Return the patterns that bound each measure; a group says how."""
    known: dict[str, list[re.Pattern[str]]] = {}
    for language in languages().values():
        for measure, forms in _measures_of(language).items():
            for name in _FRAMES:
                if frames := language.pattern("compared", name):
                    known.setdefault(measure, []).extend(_framed(language, name, frames, measure, forms))
    return {measure: tuple(patterns) for measure, patterns in known.items()}


@cache
def _orders() -> Mapping[str, tuple[re.Pattern[str], ...]]:
    """Return the patterns that ask for an order by each measure; a group says which end comes first."""
    known: dict[str, list[re.Pattern[str]]] = {}
    for language in languages().values():
        for measure, forms in _measures_of(language).items():
            for name in ("most", "least"):
                if forms[name]:
                    pattern = f"(?P<{name}>{either([forms[name]], spaced=language.spaced)})"
                    known.setdefault(measure, []).append(re.compile(pattern))
    return {measure: tuple(patterns) for measure, patterns in known.items()}


def _unit(measure: str) -> str:
    """Return the pattern of a unit of the measure, in any language."""
    return rf"\s?-?(?P<unit>{unit_pattern(_QUANTITIES.get(measure, 'length'))})"


def _framed(
    language: Language, name: str, frames: str, measure: str, forms: Mapping[str, str]
) -> list[re.Pattern[str]]:
    """Return the frames of one bound with a measure's adjectives in them; those that want one which it lacks are left out."""
    patterns = []
    for frame in frames.split(" / "):
        if any(f"{{{form}}}" in frame and not said for form, said in forms.items()):
            continue
        filled = frame.replace("{n}", rf"(?P<{name}>{AMOUNT}){_unit(measure)}")
        for form, said in forms.items():
            filled = filled.replace(f"{{{form}}}", f"(?:{said})")
        patterns.append(re.compile(either([filled], spaced=language.spaced)))
    return patterns


def _measures_of(language: Language) -> Mapping[str, Mapping[str, str]]:
    """Return the adjectives of each measure by their forms."""
    table = language.table("compared").get("measures", {})
    return {name: dict(zip(_FORMS, said, strict=True)) for name, said in table.items()}
