"""Whether a model's reply says what was to be said: the same numbers, and no name that was not there."""

import re
import unicodedata
from collections.abc import Iterable, Iterator

from vitrine.domain.values import fold

_NUMBER = re.compile(r"\d+(?:[.,\u00a0\u202f'\u2019\u066b\u066c]\d+)*")
_FRACTION = re.compile(r"[^\d](\d{1,2})$")
_QUOTED = re.compile(
    r"[\"\u201c\u201e\u00ab\u300c]\s*([^\"\u201c\u201d\u201e\u00ab\u00bb\u300c\u300d]+?)\s*[\"\u201d\u201c\u00bb\u300d]"
)
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_SENTENCE_END = re.compile(
    r"(?:^|[.!?:;\u2026\u00bf\u00a1\u3002\uff01\uff1f\"\u201c\u201e\u00ab(]|[\u2013\u2014-]\s)\s*$"
)


def ungrounded(reply: str, draft: str, *, values: Iterable[str], capital_nouns: bool) -> str:
    """Return what a reply says beside or without its draft; empty for nothing.

    The numbers of both are the same ones. What the reply quotes, and each of the catalogue's values that it names, is
    in the draft; and so is each word with a capital within a sentence, except in a language that gives one to all nouns.
    """
    return next(_problems(reply, draft, values, capital_nouns=capital_nouns), "")


def _problems(reply: str, draft: str, values: Iterable[str], *, capital_nouns: bool) -> Iterator[str]:
    if numbers(reply) != numbers(draft):
        yield "numbers"
    known = fold(draft)
    if any(fold(quoted).strip(" .,!?") not in known for quoted in _QUOTED.findall(reply)):
        yield "quotation"
    if any(_names(reply, value) and fold(value) not in known for value in values):
        yield "value"
    if not capital_nouns and any(fold(word) not in known for word in _capitals(reply)):
        yield "name"


def numbers(text: str) -> set[float]:
    """Return the numbers of a text, whatever separators its language writes."""
    plain = "".join(_digit(character) for character in text)
    return {_number(found) for found in _NUMBER.findall(plain)}


def _digit(character: str) -> str:
    """Return a digit of any script as an ASCII one."""
    digit = unicodedata.decimal(character, None)
    return character if digit is None else str(digit)


def _number(text: str) -> float:
    """Read a number: what follows its last separator is a fraction if it has one or two digits."""
    fraction = _FRACTION.search(text)
    whole = text[: fraction.start()] if fraction else text
    digits = re.sub(r"\D", "", whole)
    return float(f"{digits}.{fraction.group(1)}" if fraction else digits)


def _names(reply: str, value: str) -> bool:
    """Return whether the reply holds the value as the catalogue writes it, as whole words where words stand apart."""
    if not value.isascii():
        return value in reply
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(value)}(?![A-Za-z0-9])", reply) is not None


def _capitals(reply: str) -> Iterator[str]:
    """Yield the words that have a capital and do not begin a sentence."""
    for word in _WORD.finditer(reply):
        begins = _SENTENCE_END.search(reply[: word.start()]) is not None
        if (
            word.group() != word.group().lower()
            and not (begins and word.group()[1:].islower())
            and word.group() != "I"
        ):
            yield word.group()
