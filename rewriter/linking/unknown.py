"""The words of a turn that nobody knows yet: neither the lexicon nor a language file."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain

from rewriter.languages.files import english, languages, spoken_words
from rewriter.nlu.lexicon import Lexicon
from rewriter.nlu.phrasings import foreign_names, foreign_pattern, not_hidden, standing_alone
from rewriter.nlu.words import CJK, key_of, split_words, stem

MAX_CANDIDATES = 48
"""Phrases of one turn that are looked up by their meaning."""

_MAX_WORDS = 3
"""Words of the longest of them."""

_MIN_LETTERS = 3
"""Letters of the shortest word of them, in a script of letters."""

_MAX_SIGNS = 6
"""Signs of the longest of them in a script that sets no spaces; two are the shortest, but where one stands alone."""

_HANGUL = re.compile("[\uac00-\ud7af]+")
_MAX_PARTICLE = 2
"""Syllables of the particles behind a Korean word."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word or comma of a turn."""

    text: str
    known: bool
    """Whether the lexicon knows it, alone or in a phrase, or a language's name stands there."""

    @property
    def spoken(self) -> bool:
        """Whether a language file has the word for what turns are made of: "show", "under", "please"."""
        return self.text in spoken_words()

    @property
    def unknown(self) -> bool:
        """Whether it is a word that may stand for a value."""
        return not self.known and not self.spoken and self.text.isalpha()


def tokens_of(text: str, lexicon: Lexicon) -> list[Token]:
    """Split folded text into its words, each with whether it is known."""
    tokens: list[Token] = []
    position = 0
    for start, end in _named(text, lexicon):
        if start >= position:
            tokens += _latin(text[position:start], lexicon)
            tokens += [Token(word, known=True) for word in split_words(text[start:end])]
            position = end
    return [*tokens, *_latin(text[position:], lexicon)]


def candidates_of(tokens: Sequence[Token]) -> list[str]:
    """Return the phrases that may stand for a value, none of them twice."""
    found = chain(_phrases(tokens), *(_parts(token.text) for token in tokens if token.unknown))
    return [*dict.fromkeys(found)][:MAX_CANDIDATES]


def _named(text: str, lexicon: Lexicon) -> list[tuple[int, int]]:
    """Return the spans of names of other languages, and of values of scripts without spaces, in order."""
    spans = lexicon.unspaced.spans(text)
    for match in standing_alone(foreign_pattern(), text, lexicon.phrases):
        key = key_of(foreign_names()[match[0]])
        if key in lexicon.phrases or _features().issuperset(key):
            spans.append(match.span())
    spans += [match.span() for match in lexicon.fields.names.finditer(text) if CJK.search(match[0])]
    return sorted(spans)


@cache
def _features() -> frozenset[str]:
    """Return the words of parts of things, by stem."""
    return frozenset(word for phrase in english().phrases("features", "words") for word in key_of(phrase))


def _latin(text: str, lexicon: Lexicon) -> Iterator[Token]:
    """Yield the words of text without names; a run of another script is a word by itself."""
    words = split_words(CJK.sub(r" \g<0> ", text))
    stems = [stem(word) for word in words]
    position = 0
    while position < len(words):
        meaning, length = lexicon.longest(stems, position)
        for word in words[position : position + length]:
            known = meaning is not None or word in lexicon.fields.spoken or stem(word) in _features()
            known = known or (stem(word),) in lexicon.families
            yield Token(word, known=known)
        position += length


def _phrases(tokens: Sequence[Token]) -> Iterator[str]:
    """Yield runs of unknown words of Latin script, with what binds them: "pomme de terre"."""
    for start, first in enumerate(tokens):
        if not first.unknown or CJK.search(first.text):
            continue
        for end in range(start + 1, min(start + _MAX_WORDS, len(tokens)) + 1):
            last = tokens[end - 1]
            if last.known or not last.text.isalpha() or CJK.search(last.text):
                break
            if last.unknown and (end > start + 1 or len(last.text) >= _MIN_LETTERS):
                yield " ".join(token.text for token in tokens[start:end])


def _parts(run: str) -> Iterator[str]:
    """Yield what a word of a script without spaces, or with particles, may hold of values."""
    if _HANGUL.fullmatch(run):
        yield from (run[:end] for end in range(len(run), max(1, len(run) - _MAX_PARTICLE - 1), -1))
    elif CJK.fullmatch(run):
        for piece in _pieces(run):
            yield piece
            for length in range(min(_MAX_SIGNS, len(piece) - 1), 1, -1):
                yield from (piece[at : at + length] for at in range(len(piece) - length + 1))


def _pieces(run: str) -> Iterator[str]:
    """Yield what stands between the words that bound a run of signs."""
    position = 0
    for match in not_hidden(_bound(), run):
        yield from filter(None, [run[position : match.start()]])
        position = match.end()
    yield from filter(None, [run[position:]])


@cache
def _bound() -> re.Pattern[str]:
    """Return the pattern of what divides a run of signs: words that carry no wish, negations and what joins words."""
    tables = (("measures", name) for name in ("negations", "links", "joins"))
    unspaced = [language for language in languages().values() if not language.spaced]
    words = {word for each in unspaced for word in each.words("fillers")}
    patterns = [each.pattern(table, name) for table, name in tables for each in unspaced]
    longest_first = sorted(words, key=lambda word: (-len(word), word))
    return re.compile("|".join(filter(None, [*map(re.escape, longest_first), *patterns])))
