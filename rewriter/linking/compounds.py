"""Words that are put together: "Lederjacke" is a jacket of leather, and "Tischdecke" no table.

The last part names the thing, the one before it says more of it. A word is divided where both parts are known: to the
catalogue, to a language file, or as a word of its own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from rewriter.languages.files import languages
from rewriter.linking.values import Anchor
from rewriter.nlu.lexicon import HEAD, Meaning
from rewriter.nlu.vocabulary import Role

LEAST_HEAD = 0.3
"""Least similarity of a head to a value, where it is a word of its own and what stands before it tells that it is a head."""

_MIN_WORD = 7
"""Letters of the shortest word that is divided."""
_MIN_PART = 3
_MIN_UNKNOWN = 4
"""Letters of the shortest part that is no word of its own: an inflected one, or one that is put together itself."""
_MAX_SPLITS = 4
"""Ways in which one word is divided, the likeliest ones."""


@dataclass(frozen=True, slots=True)
class Split:
    """A word as two."""

    word: str
    modifier: str
    head: str
    sure: bool
    """Whether both parts are words."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one part of a word means: the nearest value, and how near it is."""

    meaning: Meaning
    similarity: float

    @classmethod
    def of(cls, near: tuple[Anchor, float]) -> "Reading":
        """Return the reading of an embedded part."""
        return cls(near[0].meaning, near[1])

    def is_same(self, other: "Reading") -> bool:
        """Return whether both are of one value."""
        return (self.meaning.slot, self.meaning.value) == (other.meaning.slot, other.meaning.value)


def splits_of(word: str, is_part: Callable[[str], bool]) -> list[Split]:
    """Return the ways to divide a word of which a part is a word itself: those of two such first, then the longest head."""
    if len(word) < _MIN_WORD or not word.isalpha() or is_part(word):
        return []
    found = []
    for at in range(_MIN_PART, len(word) - _MIN_PART + 1):
        head, is_head = word[at:], is_part(word[at:])
        for modifier in _without_joint(word[:at]):
            is_modifier = modifier in modifiers() or is_part(modifier)
            if (is_head and (is_modifier or at >= _MIN_UNKNOWN)) or (
                is_modifier and len(head) >= _MIN_UNKNOWN
            ):
                found.append(Split(word, modifier, head, is_head and is_modifier))
    return sorted(found, key=lambda split: not split.sure)[:_MAX_SPLITS]


def says_more(split: Split, head: Reading, modifier: Reading, *, least: float) -> bool | None:
    """Return whether the head names the thing and the modifier says more of it; None where the word is no such thing.

    True: the modifier is a value of another field. False: it is a word of the search alone.
    """
    if head.meaning.part not in HEAD:
        return None
    is_head = head.similarity >= (LEAST_HEAD if split.sure else least)
    exact = modifier.similarity == 1
    is_value = exact or (modifier.meaning.role is Role.VALUE and modifier.similarity >= least)
    other_field = modifier.meaning.slot != head.meaning.slot and modifier.meaning.part not in HEAD
    if is_value and other_field and is_head:
        return True
    if split.modifier in modifiers():
        return False if is_head else None
    return False if is_value and head.similarity >= least and not head.is_same(modifier) else None


@cache
def modifiers() -> frozenset[str]:
    """Return the first parts by which languages say for whom, when and where a thing is: "Wandregal"."""
    return frozenset(
        part for each in languages().values() for part in each.table("compounds").get("modifiers", "").split()
    )


@cache
def _joints() -> frozenset[str]:
    """Return what may stand between two parts."""
    return frozenset(
        joint for each in languages().values() for joint in each.table("compounds").get("joints", "").split()
    )


def _without_joint(part: str) -> Iterator[str]:
    """Yield the first part as it stands, without its joint, and with the ending that it has lost."""
    yield part
    for joint in _joints():
        if part.endswith(joint) and len(part) - len(joint) >= _MIN_PART:
            yield part.removesuffix(joint)
    yield f"{part}e"
