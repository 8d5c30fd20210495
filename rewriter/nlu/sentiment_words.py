"""Words that tell a sentiment, and those that ask for advice, in every language."""

import re

from rewriter.languages.files import any_language
from rewriter.nlu.words import fold

_WISHES = re.compile(any_language("sentiment", "wishes"))
"""What is asked for politely is no praise."""
_NEGATIVE = re.compile(any_language("sentiment", "blame"))
_POSITIVE = re.compile(any_language("sentiment", "praise"))
_CONSULTING = re.compile(any_language("sentiment", "advice"))


def mood_of(text: str) -> int:
    """Return 1 for praise, -1 for blame, which outweighs praise, and 0 for neither; thanks alone are politeness."""
    folded = _WISHES.sub(" ", fold(text))
    if _NEGATIVE.search(folded):
        return -1
    return 1 if _POSITIVE.search(folded) else 0


def asks_advice(text: str) -> bool:
    """Return whether the words ask for advice."""
    return _CONSULTING.search(fold(text)) is not None
