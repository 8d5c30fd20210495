"""The English that the rewriter knows without a catalogue, read from its language file; and what words do in a turn."""

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, auto
from types import MappingProxyType

from rewriter.languages.files import english, listed


class Role(Enum):
    """What a word or phrase does in a turn."""

    VALUE = auto()  # a value of a facet: "red", "dress"
    STYLE = auto()  # a value that no filter knows: "long-sleeve", "midi"
    WORD = auto()  # anything else that carries meaning
    FILLER = auto()  # politeness and scaffolding
    GLUE = auto()  # prepositions between words
    ARTICLE = auto()
    JOIN = auto()  # and, or, comma
    POINT = auto()  # this, that, it
    ONE = auto()  # one, ones
    ORDINAL = auto()
    NUMBER = auto()
    PICTURE = auto()
    NOT = auto()
    SAME = auto()
    BUT = auto()
    MAKE = auto()
    IN = auto()
    WITH = auto()
    REPLACE = auto()
    INSTEAD = auto()
    INSTEAD_OF = auto()
    STEP = auto()  # longer, shorter: along a scale
    COMPARATIVE = auto()  # darker, more formal: no scale is known
    ACCENT = auto()
    SIMILAR = auto()
    CHEAP = auto()
    EXPENSIVE = auto()  # said of what is wanted, or a complaint
    CHEAPER = auto()
    DEARER = auto()
    CHEAPEST = auto()
    DEAREST = auto()
    COMPARE = auto()
    WHICH = auto()
    RESET = auto()
    CORRECT = auto()
    DEFINE = auto()
    GREET = auto()
    THANK = auto()
    LEAVE = auto()
    SERVICE = auto()  # questions that no search answers
    FAULT = auto()  # what is wrong with what was shown: "too bright"


KIND_SLOT = "type"
"""The slot of a kind of a category: "boots" of "shoes"."""

_ENGLISH = english()


def _lists(table: str) -> Mapping[str, tuple[str, ...]]:
    return MappingProxyType({name: _ENGLISH.phrases(table, name) for name in _ENGLISH.table(table)})


def _lists_by_name(table: str) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    tables = _ENGLISH.table(table).items()
    return MappingProxyType(
        {name: {value: listed(phrases) for value, phrases in lists.items()} for name, lists in tables}
    )


def _scales(table: Mapping[str, Sequence[str]]) -> Mapping[str, tuple[tuple[str, ...], ...]]:
    return MappingProxyType({slot: tuple(map(listed, scales)) for slot, scales in table.items()})


CUES: Mapping[Role, tuple[str, ...]] = MappingProxyType(
    {Role[name.upper()]: phrases for name, phrases in _lists("cues").items()}
)
"""The phrases of each role. Where two roles list one phrase, the later wins; a longer phrase beats a shorter one."""

STYLES = _lists_by_name("styles")
"""The phrases of values that catalogues seldom have as a field, by slot and value; a value is said as captions say it."""

SCALES = _scales(_ENGLISH.table("scales"))
"""Ordered values along which "longer" and "shorter" step, by slot."""

SCALES_OF = MappingProxyType({name: _scales(table) for name, table in _ENGLISH.table("scales_of").items()})
"""The scales of one category, by category and slot; they go before the others."""

STEPS: Mapping[tuple[str, ...], tuple[str, int]] = MappingProxyType(
    {listed(step["phrases"]): (step["slot"], step["direction"]) for step in _ENGLISH.tables.get("steps", ())}
)
"""Phrases that move a slot's value up or down its scale, the plainest first."""

FAULTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {name: listed(words) for name, words in _ENGLISH.table("faults")["words"].items()}
)
"""What may be said to be too much, by the attribute that it finds fault with; price has words of its own."""

FAULT_OPENINGS = _ENGLISH.phrases("faults", "openings")

WELCOMES = frozenset(_ENGLISH.phrases("exclusions", "welcomes"))
"""What stands before something that is wanted: "only", "show me"."""

BRAND_OPENINGS = _ENGLISH.phrases("brands", "openings")
"""What stands before a brand, one word each; a brand named like a common word needs one."""

ACCENTED: str = _ENGLISH.table("accents")["field"]
"""The field of which a value before the cue ACCENT is no value of the product: "yellow accents"."""

ACCENT: str = _ENGLISH.table("accents")["said"]
"""How a query says an accent."""

SYNONYMS = _lists_by_name("synonyms")
"""Words that mean a value, by field and value; each holds only where a facet has that value."""

KINDS = _lists("kinds")
"""Kinds of a category: the category becomes a condition, the kind itself stays in the query."""

GLOSSARY: Mapping[str, str] = _ENGLISH.table("glossary")
"""What a term means, for a shopper who asks."""

NUMBERS = _ENGLISH.phrases("positions", "numbers")
_ENDINGS = {1: "st", 2: "nd", 3: "rd"}
_LAST_POSITION = 20
MIDDLE = 99
"""The position of the product in the middle, whatever their number; no list of products is that long."""


def _ordinals() -> Iterator[tuple[str, int]]:
    yield from (
        (word, position) for position, word in enumerate(_ENGLISH.phrases("positions", "ordinals"), start=1)
    )
    nouns = _ENGLISH.phrases("positions", "nouns")
    for position in range(1, _LAST_POSITION + 1):
        yield f"{position}{_ENDINGS.get(position, 'th')}", position
        yield from ((f"{noun} {position}", position) for noun in nouns)
    yield from ((f"{nouns[0]} {word}", position) for position, word in enumerate(NUMBERS, start=1))
    yield from ((word, -1) for word in _ENGLISH.phrases("positions", "last"))
    yield from ((word, -2) for word in _ENGLISH.phrases("positions", "before_last"))
    yield from ((word, MIDDLE) for word in _ENGLISH.phrases("positions", "middle"))


def place_of(position: int, shown: int, count: int = 1) -> int:
    """Return the place, from 0, at which so many products begin that a position names among those shown; none where it is not there."""
    if position == MIDDLE:
        return (shown - count) // 2
    return position - 1 if position > 0 else shown + position + 1 - count


ORDINALS: Mapping[str, int] = MappingProxyType(dict(_ordinals()))
"""Positions among the products shown, from 1; negative ones count from the end."""
