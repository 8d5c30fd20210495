"""Whether a turn asks for the next page: "show me more", "next page", "another ten"."""

import re
from functools import cache

from rewriter.languages.files import Language, languages
from rewriter.nlu.words import fold

_MAX_LENGTH = 80
"""Characters of the longest turn that asks for nothing else."""

_SIGNS = re.compile(r"[^\w' ]")


def asks_for_next_page(text: str) -> bool:
    """Return whether the words ask for more of the same and name nothing else: "more red ones" do not."""
    if len(text) > _MAX_LENGTH:
        return False
    words = " ".join(_SIGNS.sub(" ", fold(text)).split())
    return bool(words) and any(pattern.fullmatch(words) for pattern in _patterns())


@cache
def _patterns() -> tuple[re.Pattern[str], ...]:
    return tuple(map(_pattern, languages().values()))


def _pattern(language: Language) -> re.Pattern[str]:
    gap = " " if language.spaced else " ?"
    before, after = (language.pattern("more", name) for name in ("before", "after"))
    numbers = f"(?:{language.pattern('more', 'numbers')})"
    phrases = language.pattern("more", "phrases").replace("{number}", numbers)
    return re.compile(f"(?:(?:{before}){gap})*(?:{phrases})(?:{gap}(?:{after}))*")
