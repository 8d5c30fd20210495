"""Whether a turn's values come beside those of the search before: "or oak", "green would be okay too", "auch in Blau".

The language files have what says so. A field of one keyword has then either of them; one of several, such as a diet, has both, unless
the words say that either will do.
"""

import re
from enum import Enum, auto
from functools import cache

from rewriter.languages.files import languages

_MAX_TURN = 80
"""Letters of the longest turn that adds to a search and says nothing else."""


class Joining(Enum):
    """How a turn's values stand to those of the search before."""

    NONE = auto()
    """They replace them."""
    EITHER = auto()
    BOTH = auto()
    """Of fields that hold several; of others either."""
    MORE = auto()
    """Of fields that hold several; of others they replace."""


_FORMS = {Joining.EITHER: "either", Joining.BOTH: "both", Joining.MORE: "more"}
"""What a language file calls them; the first that is said counts."""


def joining_of(text: str) -> Joining:
    """Return how the values of folded text stand to those before."""
    said = text.strip(" .!?,;")
    if len(said) > _MAX_TURN:
        return Joining.NONE
    return next((kind for kind, forms in _forms().items() if forms.search(said)), Joining.NONE)


@cache
def _forms() -> dict[Joining, re.Pattern[str]]:
    known = {}
    for kind, name in _FORMS.items():
        patterns = [
            rf"(?<!\w)(?:{pattern})(?!\w)" if language.spaced else f"(?:{pattern})"
            for language in languages().values()
            if (pattern := language.pattern("joining", name))
        ]
        known[kind] = re.compile("|".join(patterns) or r"(?!)")
    return known
