"""What words mean to one catalogue: the vocabulary, joined by the values of a request's facets."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, product

from catalogue.product import TEXT_FIELDS
from rewriter.nlu.vocabulary import (
    CUES,
    FAULT_OPENINGS,
    FAULTS,
    HYPONYMS,
    NUMBERS,
    ORDINALS,
    STEPS,
    STYLES,
    SYNONYMS,
    Role,
)
from rewriter.nlu.words import fold, key_of
from vitrine.v1 import rewrite_pb2

_MAX_PHRASE = 6
"""Words of the longest phrase that is looked up."""

_Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a phrase does; for a value also its slot, the filter's value, and how a query says it."""

    role: Role
    slot: str = ""
    value: str = ""
    said: str = ""


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Phrases by the stems of their words, and the values that filters may use."""

    phrases: Mapping[_Key, Meaning]
    values: Mapping[str, frozenset[str]]
    """By field, exactly as the facets write them."""
    kinds: Mapping[str, str]
    """The category of each kind, such as "shoes" for "boots"."""
    words: frozenset[str]
    """The stem of every word of a phrase."""

    def longest(self, stems: list[str], start: int) -> tuple[Meaning | None, int]:
        """Find the longest phrase that begins at the word; give it and its number of words, (None, 1) for none."""
        for length in range(min(_MAX_PHRASE, len(stems) - start), 0, -1):
            meaning = self.phrases.get(tuple(stems[start : start + length]))
            if meaning is not None:
                return meaning, length
        return None, 1


def build_lexicon(facets: Iterable[rewrite_pb2.Facet]) -> Lexicon:
    """Join the vocabulary with the facets' values; facets of fields that no filter may name are left out."""
    values: dict[str, frozenset[str]] = {}
    for facet in facets:
        if facet.field in TEXT_FIELDS:
            values[facet.field] = values.get(facet.field, frozenset()) | {*facet.values}
    phrases = _VOCABULARY | dict(_synonyms(values))
    for field in ("brand", "pattern", "colour", "category"):  # where fields share a word, the last one has it
        phrases.update(_facet_phrases(field, sorted(values.get(field, ())), phrases))
    kinds = dict(_kinds(values.get("category", frozenset())))
    return Lexicon(phrases, values, kinds, frozenset(chain.from_iterable(phrases)))


class LexiconCache:
    """Keeps the lexicons of the facets seen last, by digest; at most `size` of them."""

    def __init__(self, size: int = 32) -> None:
        self._size = size
        self._lexicons: OrderedDict[bytes, Lexicon] = OrderedDict()

    def get(self, facets: Iterable[rewrite_pb2.Facet]) -> Lexicon:
        """Give the lexicon of the facets, built on first use."""
        facets = tuple(facets)
        digest = _digest(facets)
        lexicon = self._lexicons.get(digest)
        if lexicon is None:
            lexicon = build_lexicon(facets)
            self._lexicons[digest] = lexicon
            if len(self._lexicons) > self._size:
                self._lexicons.popitem(last=False)
        self._lexicons.move_to_end(digest)
        return lexicon


def _digest(facets: Iterable[rewrite_pb2.Facet]) -> bytes:
    """Give a digest that tells facets apart; lengths keep values from running together."""
    state = hashlib.blake2b(digest_size=16)
    for facet in facets:
        for part in (facet.field, *facet.values, ""):
            data = part.encode()
            state.update(len(data).to_bytes(4, "big") + data)
    return state.digest()


def _phrase_list(phrases: str) -> Iterator[_Key]:
    """Read phrases written with bars between them."""
    for phrase in phrases.split(" | "):
        yield key_of(phrase)


def _vocabulary() -> Iterator[tuple[_Key, Meaning]]:
    """Give every phrase that holds without a catalogue; a later one replaces an earlier one."""
    for role, phrases in CUES.items():
        yield from ((key, Meaning(role)) for key in _phrase_list(phrases))
    for number, word in enumerate(NUMBERS[1:], start=2):
        yield (word,), Meaning(Role.NUMBER, value=str(number))
    for phrase, position in ORDINALS.items():
        yield key_of(phrase), Meaning(Role.ORDINAL, value=str(position))
    for slot, styles in STYLES.items():
        for style, phrases in styles.items():
            yield from ((key, Meaning(Role.STYLE, slot, style, style)) for key in _phrase_list(phrases))
    for kinds in HYPONYMS.values():
        yield from ((key_of(kind), Meaning(Role.STYLE, "type", kind, kind)) for kind in kinds.split(" | "))
    for phrases, (slot, direction) in STEPS.items():
        said = phrases.split(" | ")[0]
        yield from ((key, Meaning(Role.STEP, slot, str(direction), said)) for key in _phrase_list(phrases))


def _faults() -> Iterator[tuple[_Key, Meaning]]:
    """Give what may be too much: "too bright"."""
    for slot, adjectives in FAULTS.items():
        for opening, adjective in product(FAULT_OPENINGS, adjectives.split(" | ")):
            yield key_of(f"{opening} {adjective}"), Meaning(Role.FAULT, slot, said=adjective)


_VOCABULARY: dict[_Key, Meaning] = dict(_faults()) | dict(_vocabulary())


def _synonyms(values: Mapping[str, frozenset[str]]) -> Iterator[tuple[_Key, Meaning]]:
    """Give the synonyms of those values that the facets hold, whatever their case and number."""
    for field, synonyms in SYNONYMS.items():
        known = {key_of(value): value for value in values.get(field, ())}
        for target, phrases in synonyms.items():
            value = known.get(key_of(target))
            if value is not None:
                yield from ((key, _value(field, value)) for key in _phrase_list(phrases))


def _kinds(categories: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Give the kinds of those categories that the facets hold."""
    known = {key_of(category): category for category in categories}
    for category, kinds in HYPONYMS.items():
        value = known.get(key_of(category))
        if value is not None:
            yield from ((kind, value) for kind in kinds.split(" | "))


def _facet_phrases(
    field: str, values: Iterable[str], taken: Mapping[_Key, Meaning]
) -> Iterator[tuple[_Key, Meaning]]:
    """Give a facet's own values; a brand named like a common word needs "by" or "from" before it."""
    for value in values:
        key = key_of(value)
        if not key or len(key) >= _MAX_PHRASE:
            continue
        meaning = _value(field, value)
        if field == "brand":
            yield from (((word, *key), meaning) for word in ("by", "from", "brand"))
            if taken.get(key, meaning).slot != "brand":
                continue
        yield key, meaning


def _value(field: str, value: str) -> Meaning:
    return Meaning(Role.VALUE, field, value, fold(value))
