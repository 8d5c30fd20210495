"""Things that a turn does not want and no field has: "without pockets", "no logos", "ohne Reißverschluss".

A condition cannot say them, and an encoder that is given the word finds the very things that have it. So they leave the text,
and products whose own words say them are left out of the hits (`vitrine.domain.lexical.says`).
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from rewriter.languages.files import any_phrases, english, languages
from rewriter.nlu.lexicon import HEAD, Lexicon
from rewriter.nlu.phrasings import foreign_names, foreign_pattern, not_hidden, standing_alone
from rewriter.nlu.spelling import is_scaffolding, scaffolding, unspaced_scaffolding
from rewriter.nlu.tagging import VALUES, Tag, Use
from rewriter.nlu.vocabulary import STYLES, Role
from rewriter.nlu.words import CJK, fold, key_of, stem, word_spans
from vitrine.domain.limits import MAX_EXCLUDED_FORMS, MAX_EXCLUSIONS, MAX_REMARK_LENGTH

_MAX_WORDS = 3
"""Words of the longest thing: "high neck collar"."""
_MIN_LETTERS = 3
"""Letters of the shortest word of it, in a script of letters."""
_BETWEEN = frozenset({Role.FILLER, Role.ARTICLE, Role.GLUE, Role.WITH, Role.IN, Role.POINT, Role.ONE})
"""Roles that may stand between a negation and what it governs."""
_HISSING = ("s", "x", "z", "ch", "sh")
"""Endings after which a plural has a syllable more."""
PARTING = frozenset({"without", "no"})
"""Negations of what a thing has, not of what it is."""
_JOINS = frozenset({"or", "nor", "and"})


@dataclass(frozen=True, slots=True)
class Excluded:
    """A thing that is not wanted."""

    said: str
    forms: tuple[str, ...] = ()
    """What products may call it beside that."""

    @classmethod
    def of(cls, forms: Iterable[str]) -> "Excluded":
        """Return what has these forms, the first one as it was said, none of them too long."""
        said, *others = [form for form in dict.fromkeys(forms) if len(form) <= MAX_REMARK_LENGTH]
        return cls(said, tuple(others[: MAX_EXCLUDED_FORMS - 1]))


@dataclass(frozen=True, slots=True)
class _Word:
    start: int
    end: int
    text: str
    role: Role | None
    """None where nobody knows it."""
    english: str = ""
    """Of a name of another language that the catalogue does not know."""

    @property
    def is_thing(self) -> bool:
        """Whether it may be a thing that no field has."""
        if self.english:
            return True
        long_enough = len(self.text) >= _MIN_LETTERS or CJK.fullmatch(self.text) is not None
        known = self.role is not None or self.text in scaffolding() or stem(self.text) in _idle()
        return long_enough and self.text.isalpha() and not known


def take_excluded(text: str, lexicon: Lexicon) -> tuple[tuple[Excluded, ...], str]:
    """Take the things that are not wanted out of folded text whose phrasings are plain; return them and what is left."""
    if not any(governor in text for governor in _governors()):
        return (), text
    words = [*_words_of(text, lexicon)]
    found: list[Excluded] = []
    left, position = "", 0
    for place, word in enumerate(words):
        if word.start >= position and word.text in _governors() and word.role is Role.NOT:
            things, last = _things_after(words, place + 1)
            if things and len(found) < MAX_EXCLUSIONS:
                found += things
                left += f"{text[position : word.start]} "
                position = _end_of(words, last)
    return tuple(found[:MAX_EXCLUSIONS]), left + text[position:]


def _plural(word: str) -> str:
    return f"{word}es" if word.endswith(_HISSING) else f"{word}s"


def _end_of(words: Sequence[_Word], last: _Word) -> int:
    """Return where a thing ends, with what binds it to the next word in a script without spaces: "不含咖啡因的茶"."""
    following = next((word for word in words if word.start == last.end), None)
    bound = following is not None and CJK.fullmatch(following.text) and is_scaffolding(following.text)
    return following.end if following is not None and bound else last.end


def excluded_values(tags: Sequence[Tag], *, wants_a_head: bool) -> Iterator[Excluded]:
    """Yield what is not wanted, is known, and makes no condition: styles, which no field has, and what another thing has.

    Of "bread without nuts", that bread is no nuts says nothing, and the word does; "not boots, sandals" says enough.
    """
    negation = ""
    for tag in tags:
        negation = tag.surface if tag.role is Role.NOT else negation
        if tag.use is not Use.UNWANTED or tag.role not in VALUES:
            continue
        has_part = wants_a_head and negation in PARTING
        if tag.role is Role.STYLE and (has_part or tag.part not in HEAD or not wants_a_head):
            value = tag.meaning.value
            yield Excluded.of([value, *STYLES.get(tag.slot, {}).get(value, ())])
        elif tag.part in HEAD and has_part:
            yield _excluded_phrase(tag.surface, fold(tag.meaning.value))


def _things_after(words: Sequence[_Word], place: int) -> tuple[list[Excluded], _Word]:
    """Return the things that a negation before the place governs, joined by "or" or "and", and the last word of them."""
    things: list[Excluded] = []
    last = words[place - 1]
    while True:
        while place < len(words) and words[place].role in _BETWEEN and not words[place].english:
            place += 1
        run: list[_Word] = []
        while place < len(words) and len(run) < _MAX_WORDS and words[place].is_thing:
            run.append(words[place])
            place += 1
            if run[-1].english or CJK.fullmatch(run[-1].text):
                break
        if not run:
            return things, last
        things.append(_excluded(run))
        last = run[-1]
        if place >= len(words) or words[place].text not in _JOINS:
            return things, last
        place += 1


def _excluded(run: Sequence[_Word]) -> Excluded:
    said = " ".join(word.text for word in run)
    return _excluded_phrase(said, run[0].english if len(run) == 1 else "")


def _excluded_phrase(said: str, named: str = "") -> Excluded:
    """Return what is excluded by a phrase that has a name in English, with the plurals of both."""
    names = [name for name in (said, named) if name]
    plurals = (form for name in names for form in (stem(name), _plural(stem(name))) if name.isascii())
    return Excluded.of([*names, *plurals])


def _words_of(text: str, lexicon: Lexicon) -> Iterator[_Word]:
    """Yield the words of a text, each with what it is to the lexicon; a run of another script is divided at what is known."""
    names = {match.start(): match for match in standing_alone(foreign_pattern(), text, lexicon.phrases)}
    others = (match.span() for match in (*names.values(), *not_hidden(unspaced_scaffolding(), text)))
    spans = [*_divided(text, {edge for span in (*others, *lexicon.unspaced.spans(text)) for edge in span})]
    stems = [stem(text[start:end]) for start, end in spans]
    position = 0
    while position < len(spans):
        start, end = spans[position]
        meaning, length = lexicon.longest(stems, position)
        if meaning is None and (name := names.get(start)) is not None:
            while position + length < len(spans) and spans[position + length][0] < name.end():
                length += 1
            english_name = foreign_names()[name[0]]
            known, _ = lexicon.longest([*key_of(english_name)], 0)
            role = known.role if known is not None else None
            yield _Word(start, name.end(), name[0], role, "" if known is not None else english_name)
        else:
            end = spans[position + length - 1][1]
            role = meaning.role if meaning is not None else None
            yield _Word(start, end, text[start:end], role)
        position += length


def _divided(text: str, cuts: Collection[int]) -> Iterator[tuple[int, int]]:
    """Yield the spans of words; runs of scripts without spaces are cut at names and at words that carry no wish."""
    for start, end in word_spans(text):
        if not CJK.search(text, start, end):
            yield start, end
            continue
        inner = sorted(cut for cut in cuts if start < cut < end)
        edges = [start, *inner, end]
        yield from ((at, to) for at, to in pairwise(edges) if at < to)


@cache
def _governors() -> frozenset[str]:
    return frozenset(english().phrases("exclusions", "governors"))


@cache
def _idle() -> frozenset[str]:
    """Return the words after a negation that are no things, by stem: "no problem", "no delivery"."""
    talk = (word for language in languages().values() for word in language.words("small_talk"))
    acts = (word for language in languages().values() for word in language.words("actions"))
    return frozenset(stem(word) for word in (*any_phrases("exclusions", "idle"), *talk, *acts))
