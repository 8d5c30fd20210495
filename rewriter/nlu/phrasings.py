"""Ways of saying a thing that mean a plainer one: "neither red nor black" is "no red or black", "top 10 shoes" is "shoes".

The language files list them, and how people shorten what they type: "arent", "u", "plz". What the catalogue itself says stays:
"gluten-free" where that is one of its values.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from rewriter.languages.files import Language, languages, listed
from rewriter.nlu.called import called_things
from rewriter.nlu.vocabulary import MIDDLE
from rewriter.nlu.words import CJK, LATIN, fold, key_of, word_spans

_MAX_WORDS = 5
"""Words of the longest phrase of the lexicon in which a name is looked for."""

MAX_REPLACED = 16
"""Phrasings that are put plainly in one turn."""


@dataclass(frozen=True, slots=True)
class _Phrasing:
    said: re.Pattern[str]
    means: str
    known: bool
    """Whether it is meant only where the catalogue or a language knows the plain words as a phrase."""
    spaced: bool
    """Whether it is of a language whose words stand apart."""


_LAST_NUMBERED = 10
"""The last position that is named in figures."""

_SPACES = re.compile(r"\s+")
_SHARED = re.compile(r"(?<![\w-])([^\W\d_]+),? (or|and|nor) ([^\W\d_]+)[ -]([^\W\d_]+)")
"""Two words of which the second is followed by a third: "red or white wine"."""


def plain(text: str, known: Mapping[tuple[str, ...], object]) -> str:
    """Return folded text with each phrasing put plainly, given the phrases that the lexicon knows."""
    return _with_heads(_put_plainly(text, known, "phrasings"), known)


def written_out(text: str, known: Mapping[tuple[str, ...], object]) -> str:
    """Return folded text with what people shorten written out, but for words that the lexicon knows as they are."""
    written = _put_plainly(text, known, "shorthand")
    return text if written == text else written.strip()


def _with_heads(text: str, known: Mapping[tuple[str, ...], object]) -> str:
    """Return the text with a noun that two words share said twice: "red or white wine" is "red wine or white wine"."""

    def put(match: re.Match[str]) -> str:
        first, join, second, head = match.groups()
        shared = key_of(f"{first} {head}") in known and key_of(f"{second} {head}") in known
        return f"{first} {head} {join} {second} {head}" if shared else match[0]

    return _SHARED.sub(put, text)


def _put_plainly(text: str, known: Mapping[tuple[str, ...], object], table: str) -> str:
    left, given = MAX_REPLACED, text
    spoken = {True: LATIN.search(text) is not None, False: CJK.search(text) is not None}
    for phrasing in _phrasings(table):
        if not spoken[phrasing.spaced]:
            continue

        def put(match: re.Match[str], phrasing: _Phrasing = phrasing) -> str:
            said = f" {match.expand(phrasing.means)} "
            named = key_of(match[0]) in known or _is_within(match, [*word_spans(match.string)], known)
            kept = key_of(said) not in known if phrasing.known else named
            return match[0] if kept else said

        if left > 0 and phrasing.said.search(text):
            text, replaced = phrasing.said.subn(put, text, count=left)
            left -= replaced
    return text if text == given else _SPACES.sub(" ", text)


def translated(text: str, known: Mapping[tuple[str, ...], object]) -> str:
    """Return folded text with the names of other languages in English, where the lexicon does not know them as they are."""
    parts, position = [], 0
    for match in standing_alone(foreign_pattern(), text, known):
        if key_of(match[0]) not in known:
            parts += [text[position : match.start()], f" {foreign_names()[match[0]]} "]
            position = match.end()
    return "".join([*parts, text[position:]])


def standing_alone(
    pattern: re.Pattern[str], text: str, known: Mapping[tuple[str, ...], object]
) -> Iterator[re.Match[str]]:
    """Yield where a pattern matches, but within a longer phrase that the lexicon knows: "verde" of the brand "Casa Verde".

    Neither within a longer word that a language file lists: 包 of 面包.
    """
    spans: list[tuple[int, int]] | None = None
    for match in not_hidden(pattern, text):
        spans = spans if spans is not None else [*word_spans(text)]
        if not _is_within(match, spans, known):
            yield match


def _is_within(
    match: re.Match[str], spans: Sequence[tuple[int, int]], known: Mapping[tuple[str, ...], object]
) -> bool:
    """Return whether the words around a match, given where all words stand, are a known phrase that is longer than it."""
    inner = [place for place, span in enumerate(spans) if span[0] < match.end() and match.start() < span[1]]
    if not inner:
        return False
    first, last, text = inner[0], inner[-1], match.string
    windows = (
        text[spans[start][0] : spans[end][1]]
        for start in range(max(0, last - _MAX_WORDS + 1), first + 1)
        for end in range(last, min(start + _MAX_WORDS, len(spans)))
    )
    return any(len(window) > len(match[0]) and key_of(window) in known for window in windows)


def not_hidden(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Yield where a pattern matches, but within a longer word of a script without spaces that means something else."""
    hiding = [match.span() for match in _hiding().finditer(text)] if CJK.search(text) else []
    for match in pattern.finditer(text):
        length = match.end() - match.start()
        if not any(
            start <= match.start() and match.end() <= end and end - start > length for start, end in hiding
        ):
            yield match


@cache
def _hiding() -> re.Pattern[str]:
    """Return the pattern of the words that hide others, the longest first."""
    words = {word for each in languages().values() for word in each.words("hiding")}
    words |= {word for key in called_things() for word in key if CJK.search(word) and len(word) > 1}
    return re.compile("|".join(map(re.escape, sorted(words, key=lambda word: (-len(word), word)))) or r"(?!)")


@cache
def foreign_names() -> Mapping[str, str]:
    """Return the English of each name of another language that English does not write likewise."""
    names: dict[str, str] = {}
    for language in languages().values():
        for name, value in language.names():
            if key_of(name) != key_of(value):
                names.setdefault(fold(name), value)
    return names


def _numbered(language: Language) -> Iterator[tuple[str, int]]:
    """Yield positions in figures, with the word that makes them one: "nummer 2", "第2", "2번"."""
    for position in range(1, _LAST_NUMBERED + 1):
        for noun in language.phrases("positions", "nouns"):
            yield fold(f"{noun}{position}"), position
            yield fold(f"{noun} {position}"), position
        yield from (
            (fold(f"{position}{noun}"), position) for noun in language.phrases("positions", "nouns_after")
        )


@cache
def foreign_ordinals() -> Mapping[str, int]:
    """Return the positions that the names of other languages stand for."""
    known: dict[str, int] = {}
    for language in languages().values():
        positions = language.table("positions")
        if isinstance(positions["ordinals"], list):
            for position, names in enumerate(positions["ordinals"], start=1):
                known |= {fold(name): position for name in listed(names)}
            known |= {fold(name): -1 for name in language.phrases("positions", "last")}
            known |= {fold(name): -2 for name in language.phrases("positions", "before_last")}
            known |= {fold(name): MIDDLE for name in language.phrases("positions", "middle")}
            known |= dict(_numbered(language))
    return known


@cache
def foreign_pattern() -> re.Pattern[str]:
    """Return the pattern of every name of another language, the longest first; one of Latin script is a whole word."""
    return names_pattern(foreign_names())


def names_pattern(names: Mapping[str, object]) -> re.Pattern[str]:
    """Return the pattern of any of the names, the longest first; one of Latin script is a whole word."""
    latin = _any_of({name: re.escape(name) for name in names if not CJK.search(name)})
    other = _any_of({name: _unspaced(name) for name in names if CJK.search(name)})
    return re.compile(rf"(?<!\w)(?:{latin})(?!\w)|(?:{other})")


def _any_of(patterns: Mapping[str, str]) -> str:
    """Return the pattern of any of the patterns, by name, the longest name first.

    They are told apart by their first letter at once: trying them all at each place of a text costs most of a turn.
    """
    by_letter: dict[str, list[str]] = {}
    for name in sorted(patterns, key=lambda name: (-len(name), name)):
        by_letter.setdefault(name[0], []).append(patterns[name])
    groups = (f"(?={re.escape(first)})(?:{'|'.join(group)})" for first, group in by_letter.items())
    return "|".join(groups) or r"(?!)"


@cache
def _phrasings(table: str) -> tuple[_Phrasing, ...]:
    """Return what a table of every language puts plainly; where words stand apart, each is of whole words."""
    found = []
    for language in languages().values():
        for entry in language.tables.get(table, ()):
            said = entry["said"].replace("\n", "")
            pattern = rf"(?<!\w)(?:{said})(?!\w)" if language.spaced else f"(?:{said})"
            found.append(
                _Phrasing(re.compile(pattern), entry["means"], entry.get("known", False), language.spaced)
            )
    return tuple(found)


def _unspaced(name: str) -> str:
    """Return the pattern of a name whose script joins words; one Korean syllable is one only where a word begins."""
    alone = re.fullmatch("[가-힣]", name)
    return f"(?<![가-힣]){name}" if alone else re.escape(name)
