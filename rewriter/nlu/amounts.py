"""Amounts in figures and in words: "1,299.00", "1.000", "1 000", "2,5 k", "fifty", "two hundred and fifty", "五十"."""

import re
from collections.abc import Mapping
from functools import cache

from rewriter.languages.files import languages

_GROUPS = r"\d{1,3}(?:[.,' ]\d{3})+(?!\d)(?:[.,]\d{1,2})?"
_PLAIN = r"\d{1,9}(?:[.,]\d{1,2})?(?![' ]\d{3}(?!\d))"
_LETTER = "[a-z\u00df-\u024f0-9_]"
_SCALES: Mapping[str, float] = {
    word: float(value)
    for language in languages().values()
    for value in language.table("numbers")
    if not language.spaced and value.isdecimal() and len(value) > len("100")
    for word in language.phrases("numbers", value)
}
"""What multiplies the figures right before it in scripts without spaces: "10만" is 100,000."""
_KILO = rf"(?:\s?k(?!{_LETTER})|(?:{'|'.join(map(re.escape, _SCALES))}))?"
FIGURES = rf"(?:{_GROUPS}|{_PLAIN}){_KILO}(?!{_LETTER}|[.,]\d)"
"""The pattern of an amount in figures: groups of three digits are thousands, whatever sets them apart."""

_GROUPED = re.compile(r"(\d{1,3}(?:([.,' ])\d{3})(?:\2\d{3})*)(?:[.,](\d{1,2}))?")
_KILOS = re.compile(rf"\s?(?:k|{'|'.join(map(re.escape, _SCALES))})$")
_THOUSAND = 1_000


def number_words() -> str:
    """Return the pattern of a number in words, of any language; a lone "one" is an article and no number."""
    return _patterns()


def amount_of_text(text: str) -> float:
    """Read an amount in figures or in words, folded."""
    if not text[:1].isdecimal():
        return _worded(text)
    digits = _KILOS.sub("", text)
    grouped = _GROUPED.fullmatch(digits)
    if grouped is not None:
        whole = re.sub(r"\D", "", grouped[1])
        number = float(f"{whole}.{grouped[3] or 0}")
    else:
        number = float(digits.replace(",", "."))
    return number * (_SCALES.get(text[-1], _THOUSAND) if digits != text else 1)


@cache
def _values() -> Mapping[str, float]:
    """Return what each word for a number stands for: "fifty" for 50."""
    return {
        word: float(value)
        for language in languages().values()
        for value in language.table("numbers")
        if value.isdecimal()
        for word in language.phrases("numbers", value)
    }


@cache
def _joins() -> frozenset[str]:
    return frozenset(
        word for language in languages().values() for word in language.phrases("numbers", "joins")
    )


@cache
def _patterns() -> str:
    forms = []
    for language in languages().values():
        table = language.table("numbers")
        words = sorted(
            (word for value in table if value.isdecimal() for word in language.phrases("numbers", value)),
            key=lambda word: (-len(word), word),
        )
        if not words:
            continue
        word = "|".join(map(re.escape, words))
        if language.spaced:
            joins = "|".join(map(re.escape, language.phrases("numbers", "joins")))
            link = rf"(?:[ -](?:(?:{joins}) )?|)" if joins else r"[ -]?"
            alone = "|".join(map(re.escape, language.phrases("numbers", "1")))
            lone = rf"(?!(?:{alone})(?!{link}(?:{word}))\b)" if alone else ""
            forms.append(rf"(?<!\w){lone}(?:{word})(?:{link}(?:{word})){{0,8}}(?!\w)")
        else:
            forms.append(rf"(?:{word}){{1,9}}")
    return f"(?:{'|'.join(forms)})" if forms else r"(?!)"


@cache
def _word() -> re.Pattern[str]:
    words = sorted(_values(), key=lambda word: (-len(word), word))
    return re.compile("|".join(map(re.escape, words)) if words else r"(?!)")


def _worded(text: str) -> float:
    """Add the words up: a hundred multiplies the number before it, a thousand all that stands before it."""
    total = last = 0.0
    for match in _word().finditer(text):
        value = _values()[match[0]]
        if value >= _THOUSAND:
            total, last = (total + last or 1) * value, 0.0
        elif value == 100 or (value == 10 and 0 < last < 10):  # noqa: PLR2004 - what is multiplied by them
            last = (last or 1) * value
        else:
            total, last = total + last, value
    return total + last
