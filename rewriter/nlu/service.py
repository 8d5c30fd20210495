"""Questions about the shop, which no search answers: "do you deliver to Belgium?", "kann ich das zurückgeben?"."""

import re
from functools import cache

from rewriter.languages.files import languages

_MAX_LENGTH = 120
"""Characters of the longest question that is read."""


def asks_of_the_shop(text: str) -> bool:
    """Return whether folded text begins with a question about delivery, returns, payment or orders."""
    return len(text) <= _MAX_LENGTH and _question().match(text) is not None


@cache
def _question() -> re.Pattern[str]:
    """Return the pattern of a question of any language, after what courtesies and signs stand before it."""
    before = "|".join(filter(None, (each.pattern("more", "before") for each in languages().values())))
    forms = [
        rf"(?:{pattern})(?![^\W\d_])" if language.spaced else f"(?:{pattern})"
        for language in languages().values()
        if (pattern := language.pattern("service", "questions"))
    ]
    return re.compile(rf"\W*(?:(?:{before}|hi|hey|hello|sorry)\b\W*)*(?:{'|'.join(forms)})")
