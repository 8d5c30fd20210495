"""A turn with typed marks in the place of the catalogue's words: "the same in <C1>".

The model learns what turns mean, the catalogue supplies the words: a mark stands for a value of a facet, for a style
that the lexicon knows in any tongue, or for a word that it does not know at all. Nothing that a shopper types can make
a mark, for the words that are kept hold letters and digits alone.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from rewriter.nlu.amounts import FIGURES, amount_of_text
from rewriter.nlu.bounds import Interval
from rewriter.nlu.excluded import Excluded, take_excluded
from rewriter.nlu.field_words import Taken
from rewriter.nlu.lexicon import Lexicon, Meaning, Part
from rewriter.nlu.lifted import NOTHING, Lifted, take_lifted
from rewriter.nlu.phrasings import foreign_names, foreign_ordinals, names_pattern, plain, standing_alone
from rewriter.nlu.prices import is_measured, speaks_of_money, take_price
from rewriter.nlu.spelling import Speller, scaffolding
from rewriter.nlu.tagging import Tag, look_up, mark_accents, mark_kinds, set_apart
from rewriter.nlu.vocabulary import MIDDLE, Role
from rewriter.nlu.words import CJK, fold, key_of, split_words, stem
from vitrine.domain.schema import Role as FieldRole

_MARKS = tomllib.loads(Path(__file__).with_name("marks.toml").read_text(encoding="utf-8"))
_OF_PARTS: Mapping[Part, str] = {Part[name.upper()]: letter for name, letter in _MARKS["parts"].items()}
_OF_FIELDS: Mapping[str, str] = _MARKS["fields"]
OF_OTHER_VALUES, _OF_STEPS, _OF_WORDS = (_MARKS["others"][name] for name in ("value", "step", "word"))

LETTERS = (*_OF_FIELDS.values(), *_OF_PARTS.values(), OF_OTHER_VALUES, _OF_STEPS, _OF_WORDS)
MAX_OF_A_KIND = 8
"""Marks of one letter in a turn."""

MAX_MARKS = 16
"""Marks of a turn."""

MAX_WORDS = 80
"""Words of a turn that a model is asked about."""

MAX_AMOUNTS = 3
_ORDINALS = (*range(1, 11), -1)
_STANDING_IN = {MIDDLE: 2, -2: -1}
_NUMBER = re.compile(
    r"((?:number|option|item|número|numero|opción|#)\s?)?"
    rf"(?<![a-z0-9.])(?:[£$€]\s?)?({FIGURES}|\d{{1,6}}(?:[.,]\d{{1,2}})?)(?!\d)(?:\s?[£$€])?"
)


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
    price: Interval | None
    """The interval that the English phrases about money name."""
    amounts: tuple[float, ...]
    """Other numbers, in order."""
    taken: Taken
    """What was said beside the words of the catalogue's fields, and is no part of the turn that the model sees."""
    things: tuple[Excluded, ...] = ()
    """Things that are not wanted and that nobody knows, which the model does not see either."""
    lifted: Lifted = NOTHING
    """What the turn no longer cares about: nor this."""

    @property
    def marks(self) -> tuple[str, ...]:
        """The names of the marks whose use the model must tell, in order."""
        return tuple(piece.text for piece in self.pieces if piece.marked)


def mark_turn(text: str, lexicon: Lexicon) -> MarkedTurn:
    """Put marks into a shopper's words; raises TooManyMarks."""
    lifted, text = take_lifted(fold(text), lexicon)
    taken = lexicon.fields.take(text, by_price=True)
    price, rest = take_price(taken.text) if lexicon.name_of(FieldRole.PRICE) else (None, taken.text)
    things, rest = take_excluded(plain(rest, lexicon.phrases), lexicon)
    tags = [*mark_kinds(mark_accents(tuple(_tags(set_apart(rest, lexicon), Speller(lexicon))), lexicon))]
    if not speaks_of_money(rest):
        tags = [replace(tag, meaning=Meaning(Role.WORD)) if _is_amount(tag) else tag for tag in tags]
    amounts: list[float] = []
    counts: Counter[str] = Counter()
    pieces: list[Piece] = []
    for tag in tags:
        letter = _letter(tag, lexicon)
        if _is_amount(tag) and len(amounts) < MAX_AMOUNTS:
            amounts.append(float(tag.meaning.value))
            pieces.append(Piece(f"<#{len(amounts)}>", tag))
        elif tag.role is Role.ORDINAL and (position := _trained(int(tag.meaning.value))) in _ORDINALS:
            pieces.append(Piece(f"<O{position}>", tag))
        elif letter:
            counts[letter] += 1
            pieces.append(Piece(f"{letter}{counts[letter]}", tag, marked=True))
        else:
            pieces.append(Piece(tag.surface, tag))
    if max(counts.values(), default=0) > MAX_OF_A_KIND or counts.total() > MAX_MARKS:
        raise TooManyMarks
    return MarkedTurn(
        pieces=tuple(pieces),
        price=price,
        amounts=tuple(amounts),
        taken=taken,
        things=things,
        lifted=lifted,
    )


def special_tokens() -> list[str]:
    """Return every mark that can stand in a prompt."""
    marks = [f"<{letter}{number}>" for letter in LETTERS for number in range(1, MAX_OF_A_KIND + 1)]
    return [
        *marks,
        *(f"<O{position}>" for position in _ORDINALS),
        *(f"<#{number}>" for number in range(1, MAX_AMOUNTS + 1)),
    ]


def _trained(position: int) -> int:
    """Return the position that the model was trained with in the place of one; which product it is, the words tell."""
    return _STANDING_IN.get(position, position)


def _is_amount(tag: Tag) -> bool:
    return tag.role is Role.NUMBER and tag.slot == "amount"


def _letter(tag: Tag, lexicon: Lexicon) -> str:
    """Return the letter of the tag's mark; empty for a word that stays as it is."""
    match tag.role:
        case Role.VALUE | Role.STYLE:
            if tag.part in _OF_PARTS:
                return _OF_PARTS[tag.part]
            called = (name for name in _OF_FIELDS if lexicon.aliases.get(name) == tag.slot)
            return _OF_FIELDS[name] if (name := next(called, "")) else OF_OTHER_VALUES
        case Role.STEP:
            return str(_OF_STEPS)
        case Role.WORD | Role.COMPARATIVE | Role.CHEAP | Role.EXPENSIVE:
            return str(_OF_WORDS)
    return ""


def _tags(text: str, speller: Speller) -> Iterator[Tag]:
    """Tag folded text: names of other tongues, numbers, and what is left by the lexicon."""
    position = 0
    for match in standing_alone(_foreign_pattern(), text, speller.lexicon.phrases):
        yield from _plain_tags(text[position : match.start()], speller)
        # Where the catalogue itself is written in that language, the word means what the catalogue means.
        own = key_of(match[0]) in speller.lexicon.phrases
        yield from _latin_tags(match[0], speller) if own else _foreign_tags(match[0], speller.lexicon)
        position = match.end()
    yield from _plain_tags(text[position:], speller)


def _plain_tags(text: str, speller: Speller) -> Iterator[Tag]:
    """Tag text that holds no name of another tongue."""
    position = 0
    for match in _NUMBER.finditer(text):
        yield from _word_tags(text[position : match.start()], speller)
        if match[1] and match[2].isdecimal() and int(match[2]) in _ORDINALS:
            yield Tag(match[0], Meaning(Role.ORDINAL, value=str(int(match[2]))))
        else:
            other = is_measured(text, match.start(2), match.end(2))
            amount = Meaning(Role.NUMBER, "amount", str(amount_of_text(match[2])))
            yield Tag(match[2], Meaning(Role.WORD) if other else amount)
        position = match.end()
    yield from _word_tags(text[position:], speller)


def _word_tags(text: str, speller: Speller) -> Iterator[Tag]:
    """Tag words of Latin script by the lexicon, with their spelling mended; keep runs of other scripts whole."""
    position = 0
    for match in CJK.finditer(text):
        yield from _latin_tags(text[position : match.start()], speller)
        key = key_of(match[0])
        known = key in speller.lexicon.phrases or key in speller.lexicon.families
        yield from _latin_tags(match[0], speller) if known else [Tag(match[0], Meaning(Role.FILLER))]
        position = match.end()
    yield from _latin_tags(text[position:], speller)


def _latin_tags(text: str, speller: Speller) -> Iterator[Tag]:
    words = [speller.mended(word) for word in split_words(text)]
    for tag in look_up(words, speller.lexicon):
        plain = tag.role is Role.WORD and tag.surface in scaffolding()
        yield replace(tag, meaning=Meaning(Role.FILLER)) if plain else tag


def _foreign_tags(name: str, lexicon: Lexicon) -> Iterator[Tag]:
    """Yield the tag of the value, step, position or word that another language's name stands for."""
    position = foreign_ordinals().get(name)
    if position is not None:
        yield Tag(name, Meaning(Role.ORDINAL, value=str(position)))
    else:
        yield from look_up(split_words(foreign_names()[name]), lexicon)


@cache
def _foreign_pattern() -> re.Pattern[str]:
    """Return the pattern of every name of another language, of a value or of a position."""
    return names_pattern({**foreign_names(), **foreign_ordinals()})


def is_plural(piece: Piece) -> bool:
    """Return whether a category's name stands in the plural: "the dresses" describe no one product."""
    return piece.tag.part is Part.CATEGORY and stem(piece.tag.surface) != piece.tag.surface
