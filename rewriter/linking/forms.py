"""The catalogue's values by their letters alone: whatever spaces, hyphens, accents and endings they are said with."""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain

from rewriter.languages.files import languages
from rewriter.nlu.lexicon import PROPER, Lexicon, Meaning
from rewriter.nlu.vocabulary import Role
from rewriter.nlu.words import fold, key_of

_UNMARKED = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "þ": "th"})
"""Letters that have no accent to take off, and are written without one all the same."""

_TYPED = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})
"""How German letters are typed without their key."""

_MIN_STEM = 4
"""Letters of a word that are left when its ending is taken off; fewer tell too little."""


@lru_cache(maxsize=16_384)
def letters_of(text: str) -> str:
    """Return the letters and digits of folded text without their accents."""
    marked = unicodedata.normalize("NFKD", text).translate(_UNMARKED)
    plain = "".join(character for character in marked if not unicodedata.combining(character))
    return "".join(filter(str.isalnum, unicodedata.normalize("NFC", plain)))


def without_endings(letters: str, *, others: bool = False) -> Iterator[str]:
    """Yield what is left of a word when an ending of one of the languages is taken off, also one that makes another word."""
    for ending in _endings("words") | (_endings("others") if others else frozenset()):
        if letters.endswith(ending) and len(letters) - len(ending) >= _MIN_STEM:
            yield letters.removesuffix(ending)


@dataclass(frozen=True, slots=True)
class Forms:
    """What each form of a value means; a form that several values share means none of them."""

    whole: Mapping[str, Meaning]
    """By all their letters."""
    stems: Mapping[str, Meaning]
    """By what is left of them without an ending."""

    @classmethod
    def of(cls, lexicon: Lexicon) -> "Forms":
        """Gather the forms of the values that are meant where they stand alone."""
        anchors = [
            meaning
            for key, meaning in lexicon.phrases.items()
            if meaning.role is Role.VALUE and (meaning.part not in PROPER or key == key_of(meaning.value))
        ]
        whole = [(letters_of(fold(meaning.value)), meaning) for meaning in anchors]
        whole += [
            (letters, meaning)
            for name, meaning in lexicon.called.items()
            for letters in _letters_of_name(name)
        ]
        stems = [(stem, meaning) for letters, meaning in whole for stem in without_endings(letters)]
        others = {letters_of(" ".join(key)) for words in lexicon.apart.values() for key in words}
        return cls(
            _unambiguous(whole), _unambiguous([*whole, *(each for each in stems if each[0] not in others)])
        )

    def find(self, said: str) -> Meaning | None:
        """Return what a word or phrase means by its letters; None for nothing, or for several things."""
        letters = letters_of(said)
        if (meaning := self.whole.get(letters)) is not None:
            return meaning
        found = {
            (meaning.slot, meaning.value): meaning
            for stem in (letters, *without_endings(letters))
            if len(stem) >= _MIN_STEM and (meaning := self.stems.get(stem)) is not None
        }
        meaning = next(iter(found.values()), None)
        return meaning if len(found) == 1 and meaning and meaning.part not in PROPER else None


def _letters_of_name(name: str) -> Iterator[str]:
    """Yield the letters of a name, also as they are typed where no key has an umlaut: "Kaese"."""
    yield letters_of(name)
    if (typed := name.translate(_TYPED)) != name:
        yield letters_of(typed)


@cache
def _endings(name: str) -> frozenset[str]:
    """Return the endings that every language lists under that name, without their accents."""
    listed = (each.table("endings").get(name, "").split() for each in languages().values())
    return frozenset(map(letters_of, chain.from_iterable(listed)))


def _unambiguous(forms: list[tuple[str, Meaning]]) -> dict[str, Meaning]:
    known: dict[str, Meaning] = {}
    shared: set[str] = set()
    for form, meaning in forms:
        other = known.setdefault(form, meaning)
        if (other.slot, other.value) != (meaning.slot, meaning.value):
            shared.add(form)
    return {form: meaning for form, meaning in known.items() if form and form not in shared}
