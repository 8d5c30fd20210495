"""What a text of a shop's service speaks of: topics by the words of its language, and the words that are left.

The words are data (`topics.toml`). A question and a passage that name one topic meet in whatever languages they are.
"""

import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Any

ENGLISH = "en"

_STEM = 5
"""Characters of a word by which it is compared: enough to tell words apart, and few enough for their endings not to matter."""
_LETTER = r"[^\W\d_]"
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_HANGUL = re.compile(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]")
_HAN = re.compile(r"[\u3400-\u9fff]")
_RUN = re.compile(r"[\u3400-\u9fff]+|[\uac00-\ud7af]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Topic:
    name: str
    service: bool
    """Naming it makes a turn a question about the service."""
    aspect: bool
    """It says what is asked of a topic."""
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Language:
    topics: tuple[_Topic, ...]
    asks: re.Pattern[str]
    ignored: frozenset[str]
    sentences: Mapping[str, str]

    def told(self, folded: str) -> tuple[int, int]:
        """Return how many common words of the language a text has, and how many of its topics."""
        common = sum(word in self.ignored for word in _WORD.findall(folded))
        questions = len(self.asks.findall(folded))
        return common + questions, sum(topic.pattern.search(folded) is not None for topic in self.topics)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a text is compared by."""

    topics: frozenset[str]
    """Each as "#shipping", aspects among them."""
    words: tuple[str, ...]
    """The stems of the words that name no topic, each once."""
    asks: bool
    """Whether the text asks or wishes something."""
    service: bool
    """Whether one of the topics makes it a question about the service."""
    subject: bool
    """Whether one of the topics is none of the aspects."""

    @property
    def all(self) -> tuple[str, ...]:
        """Return topics and words."""
        return (*sorted(self.topics), *self.words)


def plain(text: str) -> str:
    """Return a text in one case, without accents, in single spaces; Hangul stays composed."""
    taken_apart = unicodedata.normalize("NFKD", text).casefold().replace("\u2019", "'")
    bare = "".join(each for each in taken_apart if unicodedata.category(each) != "Mn")
    return " ".join(unicodedata.normalize("NFC", bare).split())


def recognised() -> frozenset[str]:
    """Return the languages that `language_of` tells apart."""
    return frozenset(_languages())


def language_of(text: str, locale: str = "", *, lead: int = 0) -> str:
    """Return the language of a text among those of `topics.toml`; where its words tell none, that of the locale, else English.

    Another language than that of the locale has `lead` common words more at least.
    """
    spoken = locale.replace("_", "-").split("-")[0].lower()
    fallback = spoken if spoken in _languages() else ENGLISH
    if _HANGUL.search(text):
        return "ko"
    if _HAN.search(text):
        return "zh"
    folded = plain(text)
    told = {code: known.told(folded) for code, known in _languages().items() if code not in {"zh", "ko"}}
    best = max(told, key=lambda code: told[code])
    common, _ = told.get(fallback, (0, 0))
    # The language of the locale wins where another's words are no better.
    kept = told[best] in {(0, 0), told.get(fallback)} or told[best][0] - common < lead
    return fallback if kept else best


def terms_of(text: str, *, language: str) -> Terms:
    """Return what a text of that language is compared by."""
    known = _languages()[language]
    folded = plain(text)
    found = [(topic, match) for topic in known.topics for match in topic.pattern.finditer(folded)]
    spans = [match.span() for _, match in found] + [match.span() for match in known.asks.finditer(folded)]
    rest = _without(folded, spans)
    return Terms(
        topics=frozenset(f"#{topic.name}" for topic, _ in found),
        words=tuple(dict.fromkeys(_stems(rest, known.ignored))),
        asks="?" in folded or known.asks.search(folded) is not None,
        service=any(topic.service for topic, _ in found),
        subject=any(not topic.aspect for topic, _ in found),
    )


def sentence(name: str, language: str, **parts: str) -> str:
    """Return a sentence for the shopper in a language of `topics.toml`."""
    return _languages()[language].sentences[name].format(**parts)


def _without(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """Return the text with the words of these places blanked, each to its end."""
    kept = list(text)
    for start, last in spans:
        end = next((place for place in range(last, len(text)) if not _is_latin(text[place])), len(text))
        kept[start:end] = " " * (end - start)
    return "".join(kept)


def _is_latin(character: str) -> bool:
    return character.isalpha() and not _HAN.match(character) and not _HANGUL.match(character)


def _stems(text: str, ignored: frozenset[str]) -> Iterator[str]:
    for word in _WORD.findall(text):
        if word in ignored or any(each in ignored for each in word.split("'")):
            continue
        if runs := _RUN.findall(word):
            yield from (pair for run in runs for pair in _pairs(run, ignored))
        elif len(word) > 1:
            yield word[:_STEM]


def _pairs(run: str, ignored: frozenset[str]) -> Iterator[str]:
    """Yield the pairs of neighbours of a run of a script without spaces, none with a character that tells nothing."""
    for first, second in pairwise(run):
        if first not in ignored and second not in ignored:
            yield first + second


@cache
def _languages() -> Mapping[str, _Language]:
    file = resources.files("gateway.documents") / "topics.toml"
    data = tomllib.loads(file.read_text(encoding="utf-8"))
    return {code: _language(code, table, data["topics"]) for code, table in data["languages"].items()}


def _language(code: str, table: Mapping[str, str], topics: Mapping[str, Mapping[str, Any]]) -> _Language:
    return _Language(
        topics=tuple(
            _Topic(
                name=name,
                service=topic["kind"] == "service",
                aspect=topic["kind"] == "aspect",
                pattern=_pattern(topic[code]),
            )
            for name, topic in topics.items()
            if code in topic
        ),
        asks=_pattern("|".join(f"={phrase}" for phrase in table["asks"].split("|"))),
        ignored=frozenset(word.lstrip("=") for word in table["ignored"].split("|")),
        sentences={name: table[name] for name in ("answered", "unknown")},
    )


def _pattern(phrases: str) -> re.Pattern[str]:
    """Return the pattern of phrases: where words stand apart, each begins a word, with "=" it is whole words."""
    return re.compile("|".join(_phrase(each) for each in phrases.split("|")))


def _phrase(phrase: str) -> str:
    bare = phrase.lstrip("=")
    if _HAN.search(bare) or _HANGUL.search(bare):
        return re.escape(bare)
    whole = rf"(?!{_LETTER})" if phrase.startswith("=") else ""
    return rf"(?<!{_LETTER}){re.escape(bare)}{whole}"
