"""Text into words, and words into the form by which the lexicon knows them."""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

from vitrine.domain import values

CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
"""Runs of scripts in which words do not stand apart, or not by themselves."""

LATIN = re.compile(r"[a-z0-9\u00df-\u024f]")
"""A letter of folded text in a script whose words stand apart, or a figure."""

_MARKS = "".join(
    chr(code) for code in range(0x300, 0x1E00) if unicodedata.category(chr(code)).startswith("M")
)
"""Marks that belong to the letter before them, such as the vowels of Devanagari and Thai: no edge of a word."""

_LETTERS = rf"[^\W_]+(?:[{_MARKS}]+[^\W_]*)*"
_WORD = re.compile(rf"\d{{1,3}}(?:st|nd|rd|th)\b|{_LETTERS}(?:'{_LETTERS})?|[,;]")
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "`": "'"})
_ES_ENDINGS = ("sses", "shes", "ches", "xes", "zes")
_SHORT = 3
_NOT_PLURAL = ("ss", "us", "is", "'s")


def fold(text: str) -> str:
    """Return the text as values are compared (`vitrine.domain.values.fold`), with plain apostrophes."""
    return values.fold(text.translate(_APOSTROPHES))


def opening(text: str, words: int) -> str:
    """Return the text up to the end of so many words, commas among them."""
    last = next(islice(_WORD.finditer(text), words - 1, None), None)
    return text if last is None else text[: last.end()]


def split_words(text: str) -> list[str]:
    """Split folded text into words and commas; hyphens and every other sign divide words."""
    return _WORD.findall(text)


def word_spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield where the words and commas of folded text stand."""
    yield from (match.span() for match in _WORD.finditer(text))


@lru_cache(maxsize=16_384)
def stem(word: str) -> str:
    """Return the singular of a regular English plural: "dresses" and "dress" are one word to the lexicon."""
    if len(word) <= _SHORT:
        return word
    if word.endswith(_ES_ENDINGS):
        return word[:-2]
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith("s") and not word.endswith(_NOT_PLURAL):
        return word[:-1]
    return word


def key_of(phrase: str) -> tuple[str, ...]:
    """Return the stems by which a phrase is looked up."""
    return tuple(stem(word) for word in split_words(fold(phrase)))
