"""Words as they are compared: what was said against what was heard."""

import re
import unicodedata
from collections.abc import Sequence

_UNITS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ORDINALS = {"1st": "first", "2nd": "second", "3rd": "third"}


def words(text: str) -> list[str]:
    """Return the words of a text as they are compared: in small letters, without marks, with numbers in words."""
    plain = unicodedata.normalize("NFC", text.casefold())
    plain = re.sub(r"[$£€](\d+)", r"\1 dollars", plain)
    plain = re.sub(r"(?<=\w)['\u2019](?=\w)", " ", plain)
    plain = re.sub(r"[^\w\s]", " ", plain)
    return [word for token in plain.split() for word in _spoken(token)]


def mistakes(said: Sequence[str], heard: Sequence[str]) -> int:
    """Return how many words must be put in, taken out or exchanged to make one of the other."""
    row = list(range(len(heard) + 1))
    for place, word in enumerate(said, 1):
        before, row[0] = row[0], place
        for column, other in enumerate(heard, 1):
            exchanged = before + (word != other)
            before, row[column] = row[column], min(exchanged, row[column] + 1, row[column - 1] + 1)
    return row[-1]


def _spoken(token: str) -> list[str]:
    """Return a token as it is said; whole numbers below a hundred in English words."""
    if token in _ORDINALS:
        return [_ORDINALS[token]]
    if not token.isascii() or not token.isdecimal() or int(token) >= 100:  # noqa: PLR2004 - as said above
        return [token]
    number = int(token)
    if number < len(_UNITS):
        return [_UNITS[number]]
    tens, units = divmod(number, 10)
    return [_TENS[tens - 2], *([_UNITS[units]] if units else [])]
