"""A list of blocked words and phrases by locale, and where they stand in a text.

Texts and entries are compared folded: compatibility forms, case and the accents of Latin, Greek and Cyrillic letters make no difference,
nor what stands between the words of a phrase. Invisible characters are passed over.

- An entry is whole words: what is blocked as "ass" is not found in "classic".
- One with letters of a script that writes no spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese) is found anywhere, on purpose: nothing
  marks where its words end.
- A Korean one is found at the beginning of a word: particles are written onto it.
"""

import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vitrine.domain import limits
from vitrine.domain.errors import InvalidValue

EVERY_LOCALE = "*"
"""In the place of a language: whatever the locale is."""

_LANGUAGE = re.compile(r"[a-z]{2,8}")
_ACCENTS = re.compile("[\u0300-\u036f]")
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_HANGUL = re.compile("[\u1100-\u11ff\uac00-\ud7af]")
_MAX_WORDS = 8
"""Words of a phrase."""


@dataclass(frozen=True, slots=True)
class _Entries:
    """Of one language; folded entries with what they are as written."""

    phrases: dict[tuple[str, ...], str] = field(default_factory=dict)
    beginnings: dict[str, str] = field(default_factory=dict)
    anywhere: dict[str, str] = field(default_factory=dict)

    def add(self, entry: str) -> None:
        words = _words(entry)
        joined = "".join(words)
        if _UNSPACED.search(joined):
            self.anywhere[joined] = entry
        elif len(words) == 1 and _HANGUL.search(joined):
            self.beginnings[unicodedata.normalize("NFD", joined)] = entry
        else:
            self.phrases[tuple(words)] = entry

    def find(self, words: Sequence[str]) -> str | None:
        for start in range(len(words)):
            for length in range(1, min(_MAX_WORDS, len(words) - start) + 1):
                if (found := self.phrases.get(tuple(words[start : start + length]))) is not None:
                    return found
        if self.beginnings:
            jamo = [unicodedata.normalize("NFD", word) for word in words]
            for beginning, entry in self.beginnings.items():
                if any(word.startswith(beginning) for word in jamo):
                    return entry
        joined = "".join(words)
        return next((entry for each, entry in self.anywhere.items() if each in joined), None)


class BlockedWords:
    """The list; empty by default."""

    def __init__(self, entries: Mapping[str, Sequence[str]] | None = None) -> None:
        """Take entries by language, such as "en", or EVERY_LOCALE; raises InvalidValue where one breaks a limit."""
        self._by_language: dict[str, _Entries] = {}
        self.count = 0
        for language, said in (entries or {}).items():
            own = self._by_language.setdefault(language, _Entries())
            for entry in said:
                own.add(_checked(language, entry))
                self.count += 1
        if self.count > limits.MAX_BLOCKED_WORDS:
            raise InvalidValue("words", f"at most {limits.MAX_BLOCKED_WORDS:,}, got {self.count:,}")

    def find(self, text: str, locale: str = "") -> str | None:
        """Return an entry that is in the text, as the list has it; without a locale those of every language count."""
        if not self._by_language or not text:
            return None
        words = _words(text)
        return next((found for own in self._of(locale) if (found := own.find(words)) is not None), None)

    def _of(self, locale: str) -> Iterator[_Entries]:
        wanted = {locale.partition("-")[0].lower(), EVERY_LOCALE}
        return (own for language, own in self._by_language.items() if not locale or language in wanted)


def read_blocked_words(path: Path) -> BlockedWords:
    """Read a TOML file of a list of entries by language, `en = ["one", "two words"]`.

    Raises:
        InvalidValue: it cannot be read, or breaks a limit; names the language.
    """
    try:
        if path.stat().st_size > limits.MAX_BLOCKED_WORDS_BYTES:
            raise InvalidValue("words", f"at most {limits.MAX_BLOCKED_WORDS_BYTES:,} bytes")
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidValue("words", f"cannot be read: {error}") from error
    for language, entries in said.items():
        if language != EVERY_LOCALE and not _LANGUAGE.fullmatch(language):
            raise InvalidValue(
                language[: limits.MAX_LABEL_LENGTH], "is neither a language, such as en, nor *"
            )
        if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
            raise InvalidValue(language, "must be a list of words and phrases")
    return BlockedWords(said)


def _checked(language: str, entry: str) -> str:
    words = _words(entry)
    if not words or len(words) > _MAX_WORDS or len(entry) > limits.MAX_BLOCKED_WORD_LENGTH:
        raise InvalidValue(
            language,
            f"an entry has 1 to {_MAX_WORDS} words and at most {limits.MAX_BLOCKED_WORD_LENGTH} characters",
        )
    return entry


def _words(text: str) -> list[str]:
    """Return the words of a text, folded."""
    plain = "".join(c for c in text if unicodedata.category(c) != "Cf")
    folded = _ACCENTS.sub("", unicodedata.normalize("NFKD", plain).casefold())
    composed = unicodedata.normalize("NFKC", folded)
    return "".join(c if unicodedata.category(c)[0] in "LNM" else " " for c in composed).split()
