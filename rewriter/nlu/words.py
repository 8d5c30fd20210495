"""Text into words, and words into the form by which the lexicon knows them."""

import re
import unicodedata
from functools import lru_cache

_WORD = re.compile(r"\d{1,3}(?:st|nd|rd|th)\b|[^\W_]+(?:'[^\W_]+)?|[,;]")
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "`": "'"})
_ES_ENDINGS = ("sses", "shes", "ches", "xes", "zes")
_SHORT = 3
_NOT_PLURAL = ("ss", "us", "is", "'s")


def fold(text: str) -> str:
    """Give the text in lower case, in one Unicode form, with plain apostrophes and single spaces."""
    folded = unicodedata.normalize("NFKC", text).translate(_APOSTROPHES).casefold()
    return " ".join(folded.split())


def split_words(text: str) -> list[str]:
    """Split folded text into words and commas; hyphens and every other sign divide words."""
    return _WORD.findall(text)


@lru_cache(maxsize=16_384)
def stem(word: str) -> str:
    """Give the singular of a regular English plural: "dresses" and "dress" are one word to the lexicon."""
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
    """Give the stems by which a phrase is looked up."""
    return tuple(stem(word) for word in split_words(fold(phrase)))
