"""Phrases about money, taken out of the text: "under 50", "between £20 and £40", "less than 30 euros"."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from vitrine.v1 import query_pb2

NEAR = 0.2
"""How far "around 50" reaches to either side, as a share of the price."""

_MAX_PRICE = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRange:
    """An interval of prices; None leaves a side open, a bound belongs to the interval unless it is exclusive."""

    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: bool = False
    exclusive_maximum: bool = False

    def to_filter(self) -> query_pb2.Filter:
        """Give the condition on the price."""
        return query_pb2.Filter(
            range=query_pb2.Range(
                field="price",
                minimum=self.minimum,
                maximum=self.maximum,
                exclusive_minimum=self.exclusive_minimum,
                exclusive_maximum=self.exclusive_maximum,
            )
        )

    def say(self) -> str:
        """Say the interval to the shopper: "under 50", "from 20 to 40"."""
        if self.minimum is not None and self.maximum is not None:
            return f"from {self.minimum:g} to {self.maximum:g}"
        if self.maximum is not None:
            return f"{'under' if self.exclusive_maximum else 'up to'} {self.maximum:g}"
        return f"{'over' if self.exclusive_minimum else 'from'} {self.minimum:g}"


_CURRENCY = r"(?:dollars?|pounds?|euros?|bucks?|quid|usd|gbp|eur)"
_AMOUNT = (
    rf"(?:[£$€]\s?)?(\d{{1,9}}(?:,\d{{3}})*(?:\.\d{{1,2}})?)(k?)(?!\w|[.,]\d)(?:\s?(?:{_CURRENCY}\b|[£$€]))?"
)
_UP_TO = (
    r"(?:up to|at most|max(?:imum)?(?: of)?|(?:no|not) more than|(?:nothing|not) over|within(?: a budget of)?"
    r"|(?:a |my )?budget(?: is| of)?|cap(?:ped)?(?: it)? at|i have)"
)
_BELOW = r"(?:under|below|less than|cheaper than|lower than|for less than|beneath)"
_ABOVE = r"(?:over|above|more than|upwards? of|higher than)"
_FROM = r"(?:at least|from|min(?:imum)?(?: of)?|starting (?:at|from)|no less than|not (?:under|below))"
_ABOUT = r"(?:around|about|roughly|approximately|circa)"

_FORMS: tuple[tuple[re.Pattern[str], Callable[..., PriceRange]], ...] = tuple(
    (re.compile(rf"(?<!\w){form}"), build)
    for form, build in (
        (
            rf"(?:between|from) {_AMOUNT} (?:and|to) {_AMOUNT}",
            lambda a, b: PriceRange(minimum=min(a, b), maximum=max(a, b)),
        ),
        (
            rf"(?=[£$€]){_AMOUNT}\s?(?:-|to)\s?{_AMOUNT}",
            lambda a, b: PriceRange(minimum=min(a, b), maximum=max(a, b)),
        ),
        (rf"not {_ABOVE} {_AMOUNT}", lambda a: PriceRange(maximum=a)),
        (rf"{_UP_TO} {_AMOUNT}(?: to spend)?", lambda a: PriceRange(maximum=a)),
        (rf"{_FROM} {_AMOUNT}", lambda a: PriceRange(minimum=a)),
        (rf"{_BELOW} {_AMOUNT}", lambda a: PriceRange(maximum=a, exclusive_maximum=True)),
        (rf"{_ABOVE} {_AMOUNT}", lambda a: PriceRange(minimum=a, exclusive_minimum=True)),
        (rf"{_ABOUT} {_AMOUNT}", lambda a: PriceRange(minimum=a * (1 - NEAR), maximum=a * (1 + NEAR))),
    )
)
_OPERATORS = {"<=": "at most", ">=": "at least", "<": "under", ">": "over"}
_OPERATOR = re.compile(r"(?:price\s*)?(<=|>=|<|>)\s*(?=[£$€\d])")


def take_price(text: str) -> tuple[PriceRange | None, str]:
    """Find the first phrase about money in folded text; give its interval and the text without it."""
    text = _OPERATOR.sub(lambda match: f" {_OPERATORS[match[1]]} ", text)
    for form, build in _FORMS:
        match = form.search(text)
        if match is None:
            continue
        amounts = _amounts(match.groups())
        if max(amounts) <= _MAX_PRICE:
            return build(*amounts), f"{text[: match.start()]} {text[match.end() :]}"
    return None, text


def _amounts(groups: tuple[str, ...]) -> list[float]:
    """Read each pair of digits and "k" as a number."""
    pairs = zip(groups[::2], groups[1::2], strict=True)
    return [float(digits.replace(",", "")) * (1_000 if kilo else 1) for digits, kilo in pairs]
