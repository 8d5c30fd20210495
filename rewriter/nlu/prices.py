"""Phrases about money, taken out of the text: "under 50", "between £20 and £40", "less than 30 euros"."""

import re
from collections.abc import Callable

from rewriter.languages.files import english, languages
from rewriter.nlu.bounds import BOUNDS, Interval

_MAX_PRICE = 1e9

_ENGLISH = english()
_CURRENCY = _ENGLISH.pattern("prices", "currency")
_AMOUNT = (
    rf"(?:[£$€]\s?)?(\d{{1,9}}(?:,\d{{3}})*(?:\.\d{{1,2}})?)(k?)(?!\w|[.,]\d)(?:\s?(?:{_CURRENCY}\b|[£$€]))?"
)
_BETWEEN = _ENGLISH.pattern("bounds", "between").replace("{n}", _AMOUNT)


def _between(one: float, other: float) -> Interval:
    return Interval(minimum=min(one, other), maximum=max(one, other))


def _bound(name: str) -> str:
    """Return the pattern of an amount of money with that bound before it."""
    words = filter(None, (_ENGLISH.pattern("prices", name), _ENGLISH.pattern("bounds", name)))
    return rf"(?:{'|'.join(words)}) {_AMOUNT}" + (r"(?: to spend)?" if name == "up_to" else "")


_READERS: tuple[tuple[str, Callable[..., Interval]], ...] = (
    (_BETWEEN, _between),
    (rf"(?=[£$€]){_AMOUNT}\s?(?:-|to)\s?{_AMOUNT}", _between),
    *((_bound(name), BOUNDS[name]) for name in ("up_to", "from", "below", "above", "about")),
)
_FORMS = tuple((re.compile(rf"(?<!\w){form}"), build) for form, build in _READERS)
_OPERATORS = {"<=": "at most", ">=": "at least", "<": "under", ">": "over"}
_OPERATOR = re.compile(r"(?:price\s*)?(<=|>=|<|>)\s*(?=[£$€\d])")


def _words_of_money(*, spaced: bool) -> str:
    kept = (each for each in languages().values() if each.spaced is spaced)
    return "|".join(each.pattern("money", "words") for each in kept)


_MONEY = re.compile(
    rf"(?<!\w)(?:{_words_of_money(spaced=True)})(?!\w)|{_words_of_money(spaced=False)}"
    rf"|{_ENGLISH.pattern('money', 'signs')}"
)


def take_price(text: str) -> tuple[Interval | None, str]:
    """Find the first phrase about money in folded text; return its interval and the text without it."""
    text = _OPERATOR.sub(lambda match: f" {_OPERATORS[match[1]]} ", text)
    for form, build in _FORMS:
        match = form.search(text)
        if match is None:
            continue
        amounts = _amounts(match.groups())
        if max(amounts) <= _MAX_PRICE:
            return build(*amounts), f"{text[: match.start()]} {text[match.end() :]}"
    return None, text


def speaks_of_money(text: str) -> bool:
    """Return whether folded text names a price, a bound or an interval.

    "size 10 dress" and "a top for a 2 year old" name numbers, and a price read from them would hide what is asked for.
    So a number counts as money only in a turn that holds a word of money, in any language, or an interval.
    """
    return _MONEY.search(text) is not None


def _amounts(groups: tuple[str, ...]) -> list[float]:
    """Read each pair of digits and "k" as a number."""
    pairs = zip(groups[::2], groups[1::2], strict=True)
    return [float(digits.replace(",", "")) * (1_000 if kilo else 1) for digits, kilo in pairs]
