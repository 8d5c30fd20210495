"""A turn as tags: each word or phrase with what it does, first by the lexicon, then by its neighbours."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import cache
from itertools import pairwise

from rewriter.languages.files import any_language
from rewriter.nlu.called import called_products
from rewriter.nlu.lexicon import HEAD, Lexicon, Meaning, Part
from rewriter.nlu.spelling import is_scaffolding, scaffolding
from rewriter.nlu.vocabulary import ACCENT, ACCENTED, Role
from rewriter.nlu.words import CJK, key_of, split_words, stem

VALUES = frozenset({Role.VALUE, Role.STYLE})
PRICES = frozenset({Role.CHEAP, Role.EXPENSIVE, Role.CHEAPER, Role.DEARER, Role.CHEAPEST, Role.DEAREST})
"""Roles of words about the price that name no amount."""

_CONTENT = VALUES | {Role.WORD, Role.COMPARATIVE, Role.STEP}
_NOT_CHEAP = frozenset({Role.EXPENSIVE, Role.CHEAPER})
"""Roles of which the opposite is cheap: "not expensive", "not too expensive"."""
_AS = frozenset({"as", "so"})
"""What makes the opposite a comparison: "not as expensive"."""
_BEFORE_VALUE = frozenset({Role.FILLER, Role.GLUE, Role.ARTICLE, Role.IN, Role.WITH, Role.POINT, Role.ONE})
"""Roles that may stand between "not" or "instead of" and the value that it governs."""


_OF_TWO = 2
_OF_FAMILY = Meaning(Role.JOIN, said="or")
"""Joins the kinds that one word means."""
_OR = "or"
_OF_PARTS = frozenset({"without", "no"})
"""Negations that govern both of two: "without garlic or vinegar"."""
_NOR = "nor"
"""Joins what is not wanted to more of it, of whatever slot."""
_OF_HEAD = frozenset({Role.ARTICLE, Role.GLUE, Role.IN, Role.WITH})
"""Those between a thing and what is said of it."""


class Use(Enum):
    """How the shopper means a value."""

    WANTED = auto()
    UNWANTED = auto()
    OLD = auto()  # what the reference has and is to lose
    ALLOWED = auto()  # was excluded and is welcome again
    NAMED = auto()  # a part of a product's description: "the blue one"


@dataclass(frozen=True, slots=True)
class Tag:
    """One word or phrase of a turn."""

    surface: str
    meaning: Meaning
    use: Use = Use.WANTED

    @property
    def role(self) -> Role:
        """What the phrase does."""
        return self.meaning.role

    @property
    def slot(self) -> str:
        """The slot of a value."""
        return self.meaning.slot

    @property
    def part(self) -> Part:
        """What a value says of a product."""
        return self.meaning.part


def tag_text(text: str, lexicon: Lexicon) -> tuple[Tag, ...]:
    """Tag folded text: longest phrase first, then accents, negations and replacements by their neighbours."""
    tags = mark_accents(tuple(look_up(split_words(set_apart(text, lexicon)), lexicon)), lexicon)
    return mark_uses(mark_kinds(tags))


def set_apart(text: str, lexicon: Lexicon) -> str:
    """Put spaces around the catalogue's values of scripts that set none."""
    return lexicon.unspaced.set_apart(text)


def mark_uses(tags: tuple[Tag, ...]) -> tuple[Tag, ...]:
    """Mark what is not wanted, and what gives way to something else, by the words around it."""
    for refine in (_mark_unwanted, _mark_old, _mark_replaced, _mark_prices):
        tags = refine(tags)
    return tags


def look_up(words: Sequence[str], lexicon: Lexicon) -> Iterable[Tag]:
    """Yield the tag of each word or phrase, the longest phrase first; uses are not yet marked."""
    stems = [stem(word) for word in words]
    position = 0
    while position < len(words):
        meaning, length = lexicon.longest(stems, position)
        said = " ".join(words[position : position + length])
        if meaning is None and (family := lexicon.families.get((stems[position],))) is not None:
            yield from _members(said, family)
            position += length
            continue
        idle = meaning is None and CJK.fullmatch(said) is not None and is_scaffolding(said)
        yield Tag(said, meaning or Meaning(Role.FILLER if idle else Role.WORD))
        position += length


def _members(said: str, family: Sequence[Meaning]) -> Iterable[Tag]:
    """Yield each of the kinds that a word means, as if all of them were said: "red wine or white wine"."""
    for place, meaning in enumerate(family):
        if place:
            yield Tag("or", _OF_FAMILY)
        yield Tag(said, replace(meaning, said=said))


def mark_accents(tags: tuple[Tag, ...], lexicon: Lexicon) -> tuple[Tag, ...]:
    """Make "yellow accents" one style, so that its colour is not taken for the product's."""
    accented = lexicon.aliases.get(ACCENTED)
    marked: list[Tag] = []
    for current in tags:
        before = marked[-1] if marked else None
        if current.role is Role.ACCENT and before is not None and before.slot == accented:
            said = before.meaning.said
            marked[-1] = Tag(
                f"{before.surface} {current.surface}",
                Meaning(Role.STYLE, "accent", said, ACCENT.format(said), Part.ACCENT),
            )
        else:
            marked.append(current)
    return tuple(marked)


def mark_kinds(tags: Sequence[Tag]) -> tuple[Tag, ...]:
    """Make words of the kinds of product that say what another thing is for, or goes with.

    The last of two that stand together names the thing, a "phone charger", and so does a thing that the catalogue lacks, "apple
    juice"; three and more are a list as people type it. Of "shoes for a black dress" the dress is not asked for, nor is it black.
    """
    tags = _without_restated(tags)
    marked = list(tags)
    for start, end in _runs_of_kinds(tags):
        first, last = tags[start], tags[end - 1]
        other = (
            end < len(tags) and tags[end].role is Role.WORD and key_of(tags[end].surface) in called_products()
        )
        if (end - start == _OF_TWO and first.meaning.value != last.meaning.value) or (
            other and end - start == 1
        ):
            marked[start] = replace(first, meaning=Meaning(Role.WORD, said=first.meaning.said))
    return _without_companions(marked)


def _without_restated(tags: Sequence[Tag]) -> Sequence[Tag]:
    """Return the tags without a family of which a member is said besides: "top 5 wines, red wine please"."""
    joins = [place for place, tag in enumerate(tags) if tag.meaning is _OF_FAMILY]
    if not joins:
        return tags
    family = {each for place in joins for each in (place - 1, place, place + 1)}
    named = {tag.meaning.value for place, tag in enumerate(tags) if place not in family and _is_kind(tag)}
    restated = named & {tags[place].meaning.value for place in family if place not in joins}
    return [tag for place, tag in enumerate(tags) if place not in family] if restated else tags


def _runs_of_kinds(tags: Sequence[Tag]) -> Iterable[tuple[int, int]]:
    """Yield where kinds of product stand with nothing between them."""
    start = 0
    for position in range(len(tags) + 1):
        if position == len(tags) or not _is_kind(tags[position]) or tags[position].part is Part.KIND:
            if position > start:
                yield start, position
            start = position + 1


def _without_companions(tags: list[Tag]) -> tuple[Tag, ...]:
    """Make fillers of what a thing goes with: from the words that say so up to the kind that they lead to."""
    kinds = [place for place, tag in enumerate(tags) if _is_kind(tag)]
    for thing, companion in pairwise(kinds):
        between = " ".join(tag.surface for tag in tags[thing + 1 : companion])
        match = _leading_to_companions().search(f" {between} ")
        if match is not None:
            start, end = thing + 1 + len(between[: match.start()].split()), companion + 1
            while end < len(tags) and tags[end].role in VALUES and not _is_kind(tags[end]):
                end += 1  # "un vestido negro"
            tags[start:end] = [replace(tag, meaning=Meaning(Role.FILLER)) for tag in tags[start:end]]
    return tuple(tags)


def _is_kind(tag: Tag) -> bool:
    return tag.role in VALUES and tag.part in HEAD


@cache
def _leading_to_companions() -> re.Pattern[str]:
    """Return the pattern of what stands between a thing and what it is for, up to where that begins."""
    return re.compile(rf"(?<!\S)(?:{any_language('companions', 'before')})(?!\S)")


def _mark_unwanted(tags: tuple[Tag, ...]) -> tuple[Tag, ...]:
    """Mark the values that "not", "no" or "without" governs: "no black or white", "anything but floral"."""
    return _mark_governed(tags, Role.NOT, Use.UNWANTED)


def _mark_old(tags: tuple[Tag, ...]) -> tuple[Tag, ...]:
    """Mark the value after "instead of" as what the reference has."""
    return _mark_governed(tags, Role.INSTEAD_OF, Use.OLD)


def _mark_governed(tags: tuple[Tag, ...], governor: Role, use: Use) -> tuple[Tag, ...]:
    """Set `use` for the run of values after each governor, with what may stand between."""
    marked = list(tags)
    for start, current in enumerate(tags):
        if current.role is governor:
            for position in _governed(tags, start + 1):
                marked[position] = replace(marked[position], use=use)
    return tuple(marked)


def _governed(tags: Sequence[Tag], start: int) -> Sequence[int]:
    """Return the positions of the values that follow: those of one slot, joined by "or", "nor" or "and".

    Commas alone join nothing: "not red, blue" asks for blue, "no red, blue or green" for none of them. Of "no dresses in red"
    the colour is what is governed.
    """
    positions: list[int] = []
    joins: set[str] = set()
    first = 1  # of one family, all are what the negation governs
    for position in range(start, len(tags)):
        current = tags[position]
        if _says_more_of(tags, positions, position) and not joins:
            positions = [position]
        elif current.role in VALUES and (
            not positions
            or current.slot == tags[positions[0]].slot
            or tags[position - 1].surface == _NOR
            or (tags[position - 1].surface == _OR and tags[start - 1].surface in _OF_PARTS)
        ):
            positions.append(position)
            first += (
                position > start and tags[position - 1].meaning is _OF_FAMILY and len(positions) == first + 1
            )
        elif current.meaning is _OF_FAMILY:
            continue
        elif current.role is Role.JOIN and positions:
            joins.add(current.surface)
        elif _is_strange(current) or not (current.role in _passed(tags, positions) or _binds(tags, position)):
            break
    return positions if joins - {",", ";"} else positions[:first]


def _binds(tags: Sequence[Tag], position: int) -> bool:
    """Return whether a small word stands right behind "or" or "and", before what is governed too: "noir ou de marron"."""
    current, before = tags[position], tags[position - 1]
    small = current.role in _OF_HEAD or current.surface in scaffolding()
    return before.role is Role.JOIN and before.surface not in {",", ";"} and small


def _passed(tags: Sequence[Tag], positions: Sequence[int]) -> Collection[Role]:
    """Return the roles that may stand before the next value that is governed."""
    if not positions:
        return _BEFORE_VALUE
    return _OF_HEAD if tags[positions[-1]].part in HEAD else {Role.ARTICLE}


def _says_more_of(tags: Sequence[Tag], positions: Sequence[int], position: int) -> bool:
    """Return whether the tag is an attribute of the one thing that is governed: "dresses with stripes", "robes rayées"."""
    heads = [tags[each].part in HEAD for each in positions]
    return heads == [True] and tags[position].role in VALUES and tags[position].part not in HEAD


def _is_strange(tag: Tag) -> bool:
    """Return whether a run of signs holds a word that nobody knows: what is excluded is that, and not what follows it."""
    return CJK.fullmatch(tag.surface) is not None and not is_scaffolding(tag.surface)


def _mark_prices(tags: tuple[Tag, ...]) -> tuple[Tag, ...]:
    """Settle what words about the price ask for: "not too expensive" is cheap, "not the cheapest" no order.

    What something that is wanted is said to be, "expensive rugs", is a word of the search and no order; "expensive" alone
    stays a complaint.
    """
    if PRICES.isdisjoint(tag.role for tag in tags):
        return tags
    describes = any(tag.role in _CONTENT for tag in tags)
    marked = list(tags)
    for position, current in enumerate(tags):
        if current.role not in PRICES:
            continue
        if (negation := _negation_before(tags, position)) is not None:
            marked[negation] = replace(tags[negation], meaning=Meaning(Role.FILLER))
            compares = any(tag.surface in _AS for tag in tags[negation:position])
            role = Role.FILLER if current.role not in _NOT_CHEAP else Role.CHEAPER if compares else Role.CHEAP
            marked[position] = replace(current, meaning=Meaning(role))
        elif current.role is Role.EXPENSIVE and describes:
            marked[position] = replace(current, meaning=Meaning(Role.WORD))
    return tuple(marked)


def _negation_before(tags: Sequence[Tag], position: int) -> int | None:
    """Return the position of the "not" before a word, with nothing but fillers between; None for none."""
    for before in range(position - 1, -1, -1):
        if tags[before].role is Role.NOT:
            return before
        if tags[before].role not in _BEFORE_VALUE:
            return None
    return None


def _mark_replaced(tags: tuple[Tag, ...]) -> tuple[Tag, ...]:
    """Mark what stands between "replace" and "with" as old: "change the stripes to dots"."""
    start = _find(tags, 0, lambda current: current.role is Role.REPLACE)
    end = _find(
        tags,
        start + 1,
        lambda current: current.role in {Role.WITH, Role.IN} or current.surface in {"to", "for", "by"},
    )
    if start == len(tags) or end == len(tags):
        return tags
    return tuple(
        replace(current, use=Use.OLD) if start < position < end and current.role in VALUES else current
        for position, current in enumerate(tags)
    )


def _find(tags: Sequence[Tag], start: int, wanted: Callable[[Tag], bool]) -> int:
    """Return the first position from `start` that is wanted, or the length for none."""
    return next((position for position in range(start, len(tags)) if wanted(tags[position])), len(tags))
