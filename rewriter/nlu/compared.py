"""Measures as people say them, by adjectives: "taller than 60 cm", "mindestens 2 m lang", "the heaviest", "más ancho que 80 cm".

Each language file has the adjectives of each measure and the frames that they stand in. What it amounts to is a condition or an
order on the one number of the catalogue that the measure asks for.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from rewriter.languages.files import Language, either, languages
from rewriter.nlu.bounds import AMOUNT, BOUNDS, Interval, amount_of

_FRAMES = ("up_to", "from", "above", "below")
"""In this order: "no taller than" holds "taller than"."""
_UNITS = "|".join(filter(None, (each.pattern("measures", "units") for each in languages().values())))
_UNIT = rf"(?:\s?(?:{_UNITS})(?![a-z\u00df-\u00ff]))?"
"""Words of other scripts may stand right after it."""
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


def compared(text: str, measures: Sequence[str]) -> Compared | None:
    """Return the first thing that folded text says of one of the measures, such as "height"; None for nothing."""
    found = [
        Compared(measure, match.start(), match.end(), *_asked(match))
        for measure in measures
        for pattern in _patterns().get(measure, ())
        if (match := pattern.search(text)) is not None
    ]
    # Of those that begin together the longest: "no taller than 60" and not "taller than 60".
    return min(found, key=lambda each: (each.start, -each.end), default=None)


@cache
def measures() -> tuple[str, ...]:
    """Return the measures that the language files know, by their English names."""
    known = (name for language in languages().values() for name in _measures_of(language))
    return tuple(dict.fromkeys(known))


def _asked(match: re.Match[str]) -> tuple[Interval | None, bool]:
    groups = {name: said for name, said in match.groupdict().items() if said is not None}
    name, said = next(iter(groups.items()))
    if name in ("most", "least"):
        return None, name == "most"
    return BOUNDS[name](amount_of(said)), False


@cache
def _patterns() -> Mapping[str, tuple[re.Pattern[str], ...]]:
    """Return the patterns of each measure; a group says which bound or order it is."""
    known: dict[str, list[re.Pattern[str]]] = {}
    for language in languages().values():
        for measure, forms in _measures_of(language).items():
            for name in _FRAMES:
                frames = language.pattern("compared", name)
                if frames:
                    known.setdefault(measure, []).extend(_framed(language, name, frames, forms))
            for name in ("most", "least"):
                if forms[name]:
                    pattern = f"(?P<{name}>{either([forms[name]], spaced=language.spaced)})"
                    known.setdefault(measure, []).append(re.compile(pattern))
    return {measure: tuple(patterns) for measure, patterns in known.items()}


def _framed(language: Language, name: str, frames: str, forms: Mapping[str, str]) -> list[re.Pattern[str]]:
    """Return the frames of one bound with a measure's adjectives in them; those that want one which it lacks are left out."""
    patterns = []
    for frame in frames.split(" / "):
        if any(f"{{{form}}}" in frame and not said for form, said in forms.items()):
            continue
        filled = frame.replace("{n}", rf"(?P<{name}>{AMOUNT}){_UNIT}")
        for form, said in forms.items():
            filled = filled.replace(f"{{{form}}}", f"(?:{said})")
        patterns.append(re.compile(either([filled], spaced=language.spaced)))
    return patterns


def _measures_of(language: Language) -> Mapping[str, Mapping[str, str]]:
    """Return the adjectives of each measure by their forms."""
    table = language.table("compared").get("measures", {})
    return {name: dict(zip(_FORMS, said, strict=True)) for name, said in table.items()}
