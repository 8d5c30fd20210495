"""Amounts and what bounds them: "at least 4", "under 500", "4 or more", "between 2 and 3", in every language."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count

from rewriter.languages.files import any_language, either, languages
from rewriter.nlu.units import LETTER_AFTER, Unit, unit_pattern, units
from vitrine.domain.filters import Range

NEAR = 0.2
"""How far "around 50" reaches to either side, as a share of the amount."""

_MAX_AMOUNT = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An interval of numbers; None leaves a side open, a bound belongs to the interval unless it is exclusive."""

    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: bool = False
    exclusive_maximum: bool = False

    def on(self, field: str) -> Range:
        """Return the condition that the field's number lies in the interval."""
        return Range(
            field=field,
            minimum=self.minimum,
            maximum=self.maximum,
            exclusive_minimum=self.exclusive_minimum,
            exclusive_maximum=self.exclusive_maximum,
        )

    def converted(self, unit: Unit | None, field: Unit | None) -> "Interval | None":
        """Return the interval in a field's unit; None where its own is of another quantity, as it is where it has none."""
        if unit is None:
            return self
        bounds = [
            None if bound is None else unit.convert(bound, field) for bound in (self.minimum, self.maximum)
        ]
        if bounds == [None, None]:
            return None
        return replace(self, minimum=bounds[0], maximum=bounds[1])


def moved(earlier: Range, amount: float) -> Interval:
    """Return an interval with its bound at another amount: the upper one where it has one."""
    above, below = earlier.minimum, earlier.maximum
    if below is None and above is not None:
        return Interval(minimum=amount, exclusive_minimum=earlier.exclusive_minimum)
    lower = above if above is not None and above < amount else None
    return Interval(
        minimum=lower,
        maximum=amount,
        exclusive_minimum=lower is not None and earlier.exclusive_minimum,
        exclusive_maximum=earlier.exclusive_maximum,
    )


BOUNDS: Mapping[str, Callable[[float], Interval]] = {
    "up_to": lambda amount: Interval(maximum=amount),
    "from": lambda amount: Interval(minimum=amount),
    "below": lambda amount: Interval(maximum=amount, exclusive_maximum=True),
    "above": lambda amount: Interval(minimum=amount, exclusive_minimum=True),
    "about": lambda amount: Interval(minimum=amount * (1 - NEAR), maximum=amount * (1 + NEAR)),
    "exactly": lambda amount: Interval(minimum=amount, maximum=amount),
}
_OPERATORS = {"<=": "up_to", ">=": "from", "<": "below", ">": "above", "=": "exactly"}
_AFTER = ("up_to", "below", "above", "from")

AMOUNT = r"(?:[£$€¥₩]\s?)?\d{1,9}(?:[.,]\d{1,3})*"
"""The pattern of an amount, with or without the sign of a currency."""
_NUMBERS_PER_THOUSAND = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")


def _betweens() -> str:
    """Return the pattern of two amounts and what lies between them."""
    names = count()
    forms = [
        either([pattern], spaced=language.spaced)
        for language in languages().values()
        if (pattern := language.pattern("bounds", "between"))
    ]
    forms.append(r"{n}\s?(?:[-~\u2013]|to(?= )|bis(?= )|到|至)\s?{n}")
    amount = rf"(?P<n%d>{AMOUNT})(?:\s?{unit_pattern()})??"
    return "|".join(re.sub(r"\{n\}", lambda _: amount % next(names), form) for form in forms)


def _single_bounds(*, before: bool, after: bool) -> str:
    """Return the pattern of one amount with what bounds it."""
    forms = []
    if before:
        forms += [rf"{any_language('bounds', name)}\s*(?P<{name}>{AMOUNT})" for name in BOUNDS]
    if after:
        forms += [
            rf"(?P<{name}_>{AMOUNT})(?:\s?(?:(?P<unit_{name}>{unit_pattern()})|{any_language('measures', 'counts')}))?\s?{any_language('bounds_after', name)}"
            for name in _AFTER
        ]
    return "|".join(forms)


_UNIT = rf"(?:\s?-?(?:(?P<unit>{unit_pattern()})|(?:{any_language('measures', 'units')}){LETTER_AFTER}))?"
_LINKS = rf"(?:[\s:]*(?:{any_language('measures', 'links')}))*[\s:]*"
_BOUNDED = rf"(?:{_betweens()}|{_single_bounds(before=True, after=True)})"
_AMOUNT_AFTER = re.compile(rf"{_LINKS}{_BOUNDED}{_UNIT}")
_OPERATED_AFTER = re.compile(rf"\s*(?P<operator><=|>=|<|>|=)\s*(?P<amount>{AMOUNT}){_UNIT}")
_AMOUNT_BEFORE = re.compile(rf"(?<![a-zà-ÿ0-9.,]){_BOUNDED}{_UNIT}[\s-]?$")
_PLAIN_BEFORE = re.compile(rf"(?<![a-zà-ÿ0-9.,])(?P<amount>{AMOUNT})[\s-]?$")
_BOUND_AFTER = re.compile(
    r"\s?(?:" + "|".join(rf"(?P<{name}>{any_language('bounds_after', name)})" for name in _AFTER) + ")"
)
_LISTED = re.compile(rf"\d\s?(?:,|/|{any_language('measures', 'joins')})\s?$")
"""Stands before the last of several amounts, "24 or 27 inch", which are no interval."""
_WINDOW = 48
"""Characters before a word in which its amount may stand."""


@dataclass(frozen=True, slots=True)
class Bounded:
    """An interval that a text names for a word, and where the phrase begins and ends."""

    interval: Interval
    start: int
    end: int
    unit: Unit | None = None
    """In which the interval is said."""


def bounded(text: str, start: int, end: int, *, of_unit: bool = False) -> Bounded | None:
    """Return the interval that the text names for the word from `start` to `end`; None for none.

    The amounts of things that are counted stand before them, "at least 4 stars"; those of a property stand after its
    name, "rating at least 4". Where the word is a unit an amount needs no bound: "27 inch" is exactly that.
    """
    counted = text[start:end].endswith("s") or (start > 0 and text[start - 1].isdecimal())
    for find in (_before, _after) if counted else (_after, _before):
        found = find(text, start, end)
        if found is not None and _is_finite(found.interval):
            return found
    plain = _PLAIN_BEFORE.search(text, max(0, start - _WINDOW), start) if of_unit else None
    if plain is None or _LISTED.search(text, 0, plain.start()) is not None:
        return None
    return Bounded(BOUNDS["exactly"](amount_of(plain["amount"])), plain.start(), end)


def amount_of(text: str) -> float:
    """Read an amount: "1,299.00" and "4,5" alike."""
    digits = text.lstrip("£$€¥₩ ")
    if _NUMBERS_PER_THOUSAND.fullmatch(digits):
        return float(digits.replace(",", ""))
    whole, separator, rest = digits.replace(",", ".").rpartition(".")
    return float(whole.replace(".", "") + separator + rest)


def _after(text: str, _: int, end: int) -> Bounded | None:
    match = _AMOUNT_AFTER.match(text, end)
    if match is not None:
        return Bounded(_interval(match), end, match.end(), _unit(match))
    match = _OPERATED_AFTER.match(text, end)
    if match is None:
        return None
    interval = BOUNDS[_OPERATORS[match["operator"]]](amount_of(match["amount"]))
    return Bounded(interval, end, match.end(), _unit(match))


def _before(text: str, start: int, end: int) -> Bounded | None:
    window = max(0, start - _WINDOW)
    match = _AMOUNT_BEFORE.search(text[window:start])
    if match is not None:
        return Bounded(_interval(match), window + match.start(), end, _unit(match))
    plain, bound = _PLAIN_BEFORE.search(text[window:start]), _BOUND_AFTER.match(text, end)
    if plain is None or bound is None or bound.lastgroup is None:
        return None
    interval = BOUNDS[bound.lastgroup](amount_of(plain["amount"]))
    return Bounded(interval, window + plain.start(), bound.end())


def _interval(match: re.Match[str]) -> Interval:
    """Return the interval of the groups that took part."""
    groups = {
        name: text
        for name, text in match.groupdict().items()
        if text is not None and not name.startswith("unit")
    }
    name, text = next(iter(groups.items()))
    bound = BOUNDS.get(name.removesuffix("_"))
    if bound is not None:
        return bound(amount_of(text))
    low, high = sorted(map(amount_of, groups.values()))
    return Interval(minimum=low, maximum=high)


def _unit(match: re.Match[str]) -> Unit | None:
    """Return the unit that an amount is said in; None for none."""
    said = (text for name, text in match.groupdict().items() if text is not None and name.startswith("unit"))
    return units().get(next(said, ""))


def _is_finite(interval: Interval) -> bool:
    return all(bound is None or bound <= _MAX_AMOUNT for bound in (interval.minimum, interval.maximum))
