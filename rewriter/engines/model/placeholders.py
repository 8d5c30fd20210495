"""A turn with typed marks in the place of the catalogue's words: "the same in <C1>".

The model learns what turns mean, the catalogue supplies the words: a mark stands for a value of a facet, for a style
that the lexicon knows in any tongue, or for a word that it does not know at all. Nothing that a shopper types can make
a mark, for the words that are kept hold letters and digits alone.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType

from rewriter.nlu import languages as tongues
from rewriter.nlu.lexicon import Lexicon, Meaning
from rewriter.nlu.money import speaks_of_money
from rewriter.nlu.prices import PriceRange, take_price
from rewriter.nlu.tagging import Tag, look_up, mark_accents
from rewriter.nlu.vocabulary import Role
from rewriter.nlu.words import fold, split_words, stem

KINDS: Mapping[str, str] = MappingProxyType(
    {"colour": "C", "pattern": "P", "category": "N", "brand": "B", "type": "K"}
)
"""The letter of a value's mark by its slot; S stands for every other style, T for a step, W for an unknown word."""

LETTERS = ("C", "P", "N", "B", "K", "S", "T", "W")
MAX_OF_A_KIND = 8
"""Marks of one letter in a turn."""

MAX_MARKS = 16
"""Marks of a turn."""

MAX_WORDS = 80
"""Words of a turn that a model is asked about."""

MAX_AMOUNTS = 3
_ORDINALS = (*range(1, 11), -1)
_MIN_TYPO = 5
"""Letters of the shortest word whose spelling is mended."""

_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_HANGUL = re.compile(r"[\uac00-\ud7af]")
_NUMBER = re.compile(
    r"((?:number|option|item|número|numero|opción|#)\s?)?"
    r"(?<![a-z0-9.])(?:[£$€]\s?)?(\d{1,6}(?:[.,]\d{1,2})?)(k?)(?!\d)(?:\s?[£$€])?"
)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class TooManyMarks(ValueError):  # noqa: N818 - a fact about the turn
    """The turn names more values than the model is made for."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a marked turn: a plain word, or a mark with the tag that it stands for."""

    text: str
    """The word, or the mark's name such as "C1"."""
    tag: Tag
    marked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedTurn:
    """A turn as the model sees it."""

    pieces: tuple[Piece, ...]
    price: PriceRange | None
    """The interval that the English phrases about money name."""
    amounts: tuple[float, ...]
    """Other numbers, in order."""

    @property
    def marks(self) -> tuple[str, ...]:
        """The names of the marks whose use the model must tell, in order."""
        return tuple(piece.text for piece in self.pieces if piece.marked)


def mark_turn(text: str, lexicon: Lexicon) -> MarkedTurn:
    """Put marks into a shopper's words; raises TooManyMarks."""
    price, rest = take_price(fold(text))
    tags = [*mark_accents(tuple(_tags(rest, lexicon)))]
    if not speaks_of_money(rest):
        tags = [replace(tag, meaning=Meaning(Role.WORD)) if _is_amount(tag) else tag for tag in tags]
    amounts: list[float] = []
    counts: Counter[str] = Counter()
    pieces: list[Piece] = []
    for tag in tags:
        letter = _letter(tag)
        if _is_amount(tag) and len(amounts) < MAX_AMOUNTS:
            amounts.append(float(tag.meaning.value))
            pieces.append(Piece(f"<#{len(amounts)}>", tag))
        elif tag.role is Role.ORDINAL and int(tag.meaning.value) in _ORDINALS:
            pieces.append(Piece(f"<O{tag.meaning.value}>", tag))
        elif letter:
            counts[letter] += 1
            pieces.append(Piece(f"{letter}{counts[letter]}", tag, marked=True))
        else:
            pieces.append(Piece(tag.surface, tag))
    if max(counts.values(), default=0) > MAX_OF_A_KIND or counts.total() > MAX_MARKS:
        raise TooManyMarks
    return MarkedTurn(pieces=tuple(pieces), price=price, amounts=tuple(amounts))


def special_tokens() -> list[str]:
    """Give every mark that can stand in a prompt."""
    marks = [f"<{letter}{number}>" for letter in LETTERS for number in range(1, MAX_OF_A_KIND + 1)]
    return [
        *marks,
        *(f"<O{position}>" for position in _ORDINALS),
        *(f"<#{number}>" for number in range(1, MAX_AMOUNTS + 1)),
    ]


def _is_amount(tag: Tag) -> bool:
    return tag.role is Role.NUMBER and tag.slot == "amount"


def _letter(tag: Tag) -> str:
    """Give the letter of the tag's mark; empty for a word that stays as it is."""
    match tag.role:
        case Role.VALUE | Role.STYLE:
            return KINDS.get(tag.slot, "S")
        case Role.STEP:
            return "T"
        case Role.WORD | Role.COMPARATIVE:
            return "W"
    return ""


def _tags(text: str, lexicon: Lexicon) -> Iterator[Tag]:
    """Tag folded text: names of other tongues, numbers, and what is left by the lexicon."""
    position = 0
    for match in _foreign_pattern().finditer(text):
        yield from _plain_tags(text[position : match.start()], lexicon)
        yield from _foreign_tags(match[0], lexicon)
        position = match.end()
    yield from _plain_tags(text[position:], lexicon)


def _plain_tags(text: str, lexicon: Lexicon) -> Iterator[Tag]:
    """Tag text that holds no name of another tongue."""
    position = 0
    for match in _NUMBER.finditer(text):
        yield from _word_tags(text[position : match.start()], lexicon)
        if match[1] and match[2].isdecimal() and int(match[2]) in _ORDINALS:
            yield Tag(match[0], Meaning(Role.ORDINAL, value=str(int(match[2]))))
        else:
            amount = float(match[2].replace(",", ".")) * (1_000 if match[3] else 1)
            yield Tag(match[2], Meaning(Role.NUMBER, "amount", str(amount)))
        position = match.end()
    yield from _word_tags(text[position:], lexicon)


def _word_tags(text: str, lexicon: Lexicon) -> Iterator[Tag]:
    """Tag words of Latin script by the lexicon, with their spelling mended; keep runs of other scripts whole."""
    position = 0
    for match in _CJK.finditer(text):
        yield from _latin_tags(text[position : match.start()], lexicon)
        yield Tag(match[0], Meaning(Role.FILLER))
        position = match.end()
    yield from _latin_tags(text[position:], lexicon)


def _latin_tags(text: str, lexicon: Lexicon) -> Iterator[Tag]:
    words = [_mended(word, lexicon) for word in split_words(text)]
    for tag in look_up(words, lexicon):
        plain = tag.role is Role.WORD and tag.surface in tongues.SPANISH_WORDS
        yield replace(tag, meaning=Meaning(Role.FILLER)) if plain else tag


def _foreign_tags(name: str, lexicon: Lexicon) -> Iterator[Tag]:
    """Give the tag of the value, step, position or word that another tongue's name stands for."""
    position = tongues.ORDINALS.get(name)
    if position is not None:
        yield Tag(name, Meaning(Role.ORDINAL, value=str(position)))
    else:
        yield from (
            replace(tag, surface=tag.surface) for tag in look_up(split_words(_foreign()[name]), lexicon)
        )


@cache
def _foreign() -> Mapping[str, str]:
    """Give the English of each name of another tongue that English does not write likewise."""
    known: dict[str, str] = {}
    for column in (tongues.SPANISH, *tongues.SCRIPTS.values()):
        for name, value in tongues.names(column):
            if fold(name) != value:
                known.setdefault(fold(name), value)
    return known


@cache
def _foreign_pattern() -> re.Pattern[str]:
    """Give the pattern of every name, the longest first; one of Latin script is a whole word."""
    names = sorted({*_foreign(), *map(fold, tongues.ORDINALS)}, key=len, reverse=True)
    latin = "|".join(re.escape(name) for name in names if not _CJK.search(name))
    other = "|".join(re.escape(name) for name in names if _CJK.search(name))
    return re.compile(rf"(?<!\w)(?:{latin})(?!\w)|(?:{other})")


def _mended(word: str, lexicon: Lexicon) -> str:
    """Give the one word of the lexicon that a single slip of the finger leads to; else the word itself."""
    if len(word) < _MIN_TYPO or not word.isascii() or not word.isalpha():
        return word
    if stem(word) in lexicon.words or word in tongues.SPANISH_WORDS:
        return word
    found = {edit for edit in _edits(word) if len(edit) >= _MIN_TYPO - 1 and stem(edit) in lexicon.words}
    stems = {stem(edit) for edit in found}
    return min(found, key=lambda edit: (len(edit), edit)) if len(stems) == 1 else word


def _edits(word: str) -> Iterator[str]:
    """Give what one swap, one letter less, one other letter or one letter more makes of the word, but at its start."""
    for place in range(1, len(word) + 1):
        head, tail = word[:place], word[place:]
        if len(tail) > 1:
            yield head + tail[1] + tail[0] + tail[2:]
        if tail:
            yield head + tail[1:]
        for letter in _LETTERS:
            yield head + letter + tail
            if tail:
                yield head + letter + tail[1:]


def is_plural(piece: Piece) -> bool:
    """Say whether a category's name stands in the plural: "the dresses" describe no one product."""
    return piece.tag.slot == "category" and stem(piece.tag.surface) != piece.tag.surface
