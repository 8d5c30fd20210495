"""Phrases about money, taken out of the text: "under 50", "between £20 and £40", "weniger als 30 Euro", "100元以下".

A number with a unit of another kind ("5 inches", "3 people") and a year ("from 2023") are no prices.
"""

import re
from collections.abc import Callable
from itertools import count

from rewriter.languages.files import Language, any_language, english, languages
from rewriter.nlu.amounts import FIGURES, amount_of_text, number_words
from rewriter.nlu.bounds import BOUNDS, Interval

_MAX_PRICE = 1e9
_SIGNS = r"[£$€¥₩]"
_CURRENCY = rf"(?:{any_language('prices', 'currency')}|{_SIGNS})"
_UNITS = rf"(?:{any_language('measures', 'units')}|{any_language('measures', 'counts')})"
_NO_MEASURE = rf"(?!\s?-?{_UNITS})"
_NAMED = re.compile(rf"{any_language('measures', 'named')}[\s:]*$")
_NUMBER = rf"(?P<N>{FIGURES}|{number_words()})"
_AMOUNT = rf"(?:{_SIGNS}\s?)?{_NUMBER}(?:\s?{_CURRENCY}|{_NO_MEASURE})"
_NUMERIC = re.compile(rf"\d|{number_words()}")
_WINDOW = 12
"""Characters before a number in which the word stands that names a size."""
_YEAR = re.compile(rf"(?<!\w){any_language('prices', 'dated')}\s?(?:19|20)\d\d(?!\w|[.,]\d|\s?{_CURRENCY})")
_MEASURE = re.compile(rf"\s?-?{_UNITS}")
_CURRENCY_AFTER = re.compile(rf"\s?{_CURRENCY}")
_ENGLISH = english()
_OPERATORS = {"<=": "at most", ">=": "at least", "<": "under", ">": "over"}
_OPERATOR = re.compile(r"(?:price\s*)?(<=|>=|<|>)\s*(?=[£$€\d])")


def _between(one: float, other: float) -> Interval:
    return Interval(minimum=min(one, other), maximum=max(one, other))


def _form(pattern: str, *, spaced: bool) -> str:
    """Return the pattern with an amount in the place of each `{n}`, no letter at its ends where words stand apart."""
    numbers = count()
    amounts = re.sub(r"\{n\}", lambda _: _AMOUNT.replace("?P<N>", f"?P<n{next(numbers)}>"), pattern)
    return rf"(?<!\w)(?:{amounts})" if spaced else f"(?:{amounts})"


def _forms_of(language: Language) -> list[tuple[str, Callable[..., Interval]]]:
    """Return the patterns of one language, each with what it means."""
    gap = " ?" if not language.spaced else " "
    forms: list[tuple[str, Callable[..., Interval]]] = []
    if between := language.pattern("bounds", "between"):
        forms.append((between, _between))
    for name, bound in BOUNDS.items():
        words = [*filter(None, (language.pattern("prices", name), language.pattern("bounds", name)))]
        if words and name != "exactly":
            ending = "(?: to spend)?" if name == "up_to" and language is _ENGLISH else ""
            forms.append((rf"(?:{'|'.join(words)}):?{gap}{{n}}{ending}", bound))
    after = ((name, language.pattern("bounds_after", name)) for name in ("up_to", "below", "above", "from"))
    return forms + [(rf"{{n}}{gap}?(?:{words})", BOUNDS[name]) for name, words in after if words]


def _compiled() -> list[tuple[re.Pattern[str], Callable[..., Interval]]]:
    forms = [
        (re.compile(_form(pattern, spaced=language.spaced)), build)
        for language in languages().values()
        for pattern, build in _forms_of(language)
    ]
    dash = r"\s?(?:-|\u2013|~|to)\s?"
    signed = _form(rf"{{n}}{dash}{{n}}", spaced=True)
    last = _NUMBER.replace("?P<N>", "?P<n1>")
    named = _form(rf"{{n}}{dash}{last}\s?{_CURRENCY}", spaced=True)
    return [(re.compile(rf"(?={_SIGNS}){signed}"), _between), (re.compile(named), _between), *forms]


def _words_of_money(*, spaced: bool) -> str:
    kept = (each for each in languages().values() if each.spaced is spaced)
    return "|".join(filter(None, (each.pattern("money", "words") for each in kept)))


_FORMS = _compiled()
_MONEY = re.compile(
    rf"(?<!\w)(?:{_words_of_money(spaced=True)})(?!\w)|{_words_of_money(spaced=False)}"
    rf"|{_ENGLISH.pattern('money', 'signs')}"
)
_CHANGES = [
    re.compile(_form(pattern, spaced=language.spaced))
    for language in languages().values()
    if (pattern := language.pattern("prices", "changed"))
]


_LIFTS = [
    re.compile(pattern)
    for language in languages().values()
    if (pattern := language.pattern("prices", "unlimited"))
]


def take_price(text: str) -> tuple[Interval | None, str]:
    """Find the first phrase about money in folded text; return its interval and the text without it."""
    text = _OPERATOR.sub(lambda match: f" {_OPERATORS[match[1]]} ", text)
    if _NUMERIC.search(text) is None:
        return None, text
    for form, build in _FORMS:
        match = next((found for found in form.finditer(text) if not _is_other(text, found.start())), None)
        if match is None:
            continue
        amounts = [amount_of_text(said) for said in match.groupdict().values() if said is not None]
        if max(amounts) <= _MAX_PRICE:
            return build(*amounts), f"{text[: match.start()]} {text[match.end() :]}"
    return None, text


def changed_price(text: str) -> float | None:
    """Return the amount of a folded turn that changes the price of the search before and says nothing else: "make that 40"."""
    words = " ".join(text.strip(" .!?").split())
    match = next((found for form in _CHANGES if (found := form.fullmatch(words)) is not None), None)
    said = next((said for said in match.groupdict().values() if said), "") if match is not None else ""
    amount = amount_of_text(said) if said else None
    return amount if amount is not None and amount <= _MAX_PRICE else None


def lifts_price(text: str) -> bool:
    """Return whether a folded turn lifts the bound on the price and says nothing else: "any price is fine"."""
    return any(form.fullmatch(" ".join(text.strip(" .!?").split())) is not None for form in _LIFTS)


def is_measured(text: str, start: int, end: int) -> bool:
    """Return whether the number between the positions is a measure, a count or a year, and so no price."""
    if _CURRENCY_AFTER.match(text, end) is not None:
        return False
    before = text.rfind(" ", 0, max(0, start - 1)) + 1
    return _MEASURE.match(text, end) is not None or _is_other(text, start) or _is_other(text, before)


def _is_other(text: str, start: int) -> bool:
    """Return whether a year that something is from, or a size, begins at the position: "from 2023", "size 38"."""
    named = _NAMED.search(text[max(0, start - _WINDOW) : start])
    return _YEAR.match(text, start) is not None or named is not None


def speaks_of_money(text: str) -> bool:
    """Return whether folded text names a price, a bound or an interval.

    "size 10 dress" and "a top for a 2 year old" name numbers, and a price read from them would hide what is asked for.
    So a number counts as money only in a turn that holds a word of money, in any language, or an interval.
    """
    return _MONEY.search(text) is not None
