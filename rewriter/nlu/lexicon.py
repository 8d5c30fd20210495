"""What words mean to one catalogue: the vocabulary, joined by the schema's fields and the values of a request's facets."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from itertools import chain, product
from types import MappingProxyType

from rewriter.languages.files import spoken_words
from rewriter.nlu.called import Name, called_things, families_of, names_for
from rewriter.nlu.field_words import FieldWords, Key, field_words
from rewriter.nlu.unspaced import Unspaced
from rewriter.nlu.vocabulary import (
    ACCENTED,
    BRAND_OPENINGS,
    CUES,
    FAULT_OPENINGS,
    FAULTS,
    KIND_SLOT,
    KINDS,
    NUMBERS,
    ORDINALS,
    STEPS,
    STYLES,
    SYNONYMS,
    Role,
)
from rewriter.nlu.words import fold, key_of, split_words
from rewriter.synonyms import OfCatalogue, Synonyms
from vitrine.domain.schema import KEYWORD_KINDS, Field, Kind, Schema
from vitrine.domain.schema import Role as FieldRole
from vitrine.domain.schema_files import shipped_schema
from vitrine.v1 import rewrite_pb2

_MAX_PHRASE = 6
"""Words of the longest phrase that is looked up."""

_VALUES = frozenset({Role.VALUE, Role.STYLE})


class Part(Enum):
    """What a value says of a product."""

    ATTRIBUTE = auto()
    CATEGORY = auto()
    KIND = auto()  # of a category: "boots" of "shoes"
    BRAND = auto()
    NAME = auto()  # of a field of many values that are proper names, such as authors
    ACCENT = auto()  # "yellow accents"


HEAD = frozenset({Part.CATEGORY, Part.KIND})
"""What names a product."""

PROPER = frozenset({Part.BRAND, Part.NAME})
"""Proper names: no word means one that is not written like it."""

_LONG = 7
"""Letters of the shortest word of what values are called into which a misspelt one is mended: "sturdy" is no study."""

_MANY = 256
"""Values of a field that are as many as people choose from; of more than these, most are names of something."""

IsCommon = Callable[[str], bool]
"""Tells whether a folded word is one of everyday language, and no name alone."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a phrase does; for a value also its slot, the filter's value, and how a query says it."""

    role: Role
    slot: str = ""
    """The field of a value; of a style, the attribute that it is a value of."""
    value: str = ""
    said: str = ""
    part: Part = Part.ATTRIBUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexicon:
    """Phrases by the stems of their words, and the values that filters may use."""

    schema: Schema
    phrases: Mapping[Key, Meaning]
    values: Mapping[str, Mapping[str, str]]
    """By field and folded spelling, as the facets write them."""
    kinds: Mapping[str, str]
    """The category of each kind, such as "shoes" for "boots"."""
    words: frozenset[str]
    """The stem of every word of a phrase."""
    mendable: frozenset[str]
    """Those of them that a misspelt word may be mended into: without the language's own styles where the catalogue
    sells nothing that has them, or a bookshop's "books" would become "boots"."""
    fields: FieldWords
    aliases: Mapping[str, str]
    """The schema's field for each field or attribute that the language files name."""
    unspaced: Unspaced
    """The values of scripts that set no spaces, and what they are called."""
    called: Mapping[str, Meaning] = field(default_factory=dict)
    """What values are called by people in general, by phrase: "settee"."""
    apart: Mapping[str, Mapping[Key, Meaning]] = field(default_factory=dict)
    """By language: the words that mean a value in a turn of that language alone, and another thing in others: "Rock"."""
    families: Mapping[Key, Sequence[Meaning]] = field(default_factory=dict)
    """The categories that a word means which is the last one of theirs: "wine"."""
    names: frozenset[str] = frozenset()
    """Words that occur in proper names and what values are called alone: a misspelt word is mended into one of them where it
    fits no other word."""
    right: frozenset[str] = frozenset()
    """Words of the turn that is read that are spelt rightly, though no phrase has them."""

    def longest(self, stems: list[str], start: int) -> tuple[Meaning | None, int]:
        """Find the longest phrase that begins at the word; return it and its number of words, (None, 1) for none."""
        for length in range(min(_MAX_PHRASE, len(stems) - start), 0, -1):
            meaning = self.phrases.get(tuple(stems[start : start + length]))
            if meaning is not None:
                return meaning, length
        return None, 1

    def name_of(self, role: FieldRole) -> str:
        """Return the field of that role that conditions may name; empty for none."""
        owner = self.schema.role(role)
        return owner.name if owner is not None and owner.filter else ""

    def spelling(self, field: str, value: str) -> str:
        """Return a value as the facets write it; empty where they lack it."""
        return self.values.get(field, {}).get(fold(value), "")

    def is_multiple(self, field: str) -> bool:
        """Return whether products have several values of the field."""
        owner = self.schema.by_name.get(field)
        return owner is not None and owner.kind is Kind.KEYWORDS


def build_lexicon(
    facets: Iterable[rewrite_pb2.Facet],
    schema: Schema | None = None,
    *,
    is_common: IsCommon | None = None,
    synonyms: OfCatalogue = MappingProxyType({}),
) -> Lexicon:
    """Join the vocabulary with the facets' values; facets of fields that take no keywords in filters are left out.

    The shop's synonyms go before those of the language files, and the catalogue's own values before both.

    In a field of many names, such as brands or authors, a value that is a common word is meant only beside a word that asks
    for the field: "a simple lamp" is by nobody.
    """
    schema = schema or shipped_schema()
    is_common = is_common or spoken_words().__contains__
    values = _values_of(facets, schema)
    aliases = {name: owner.name for name in _NAMED if (owner := _called(name, schema)) is not None}
    own = dict(_own_synonyms(values, synonyms, schema))
    phrases = _VOCABULARY | dict(_synonyms(values, aliases, schema)) | own
    named: dict[str, dict[Key, str]] = {}
    things: dict[Key, Meaning] = {}
    for owner in _by_precedence(schema):
        held = values.get(owner.name, {}).values()
        names = _are_names(owner, held, is_common)
        for key, meaning, alone in _field_phrases(owner, held, phrases):
            if not names and meaning.part not in PROPER:
                things[key] = meaning
            if alone and not (names and len(key) == 1 and is_common(meaning.said)):
                phrases[key] = _as_name(meaning) if names else meaning
            else:
                named.setdefault(owner.name, {})[key] = meaning.value
    called = [name for name in names_for(things) if name.key not in phrases or name.language]
    plain = {name.key: _meant(name) for name in called if not name.language}
    phrases |= plain
    kinds_of_one = families_of({key: each for key, each in things.items() if each.part is Part.CATEGORY})
    families = {key: each for key, each in kinds_of_one.items() if key not in phrases}
    category = schema.role(FieldRole.CATEGORY)
    kinds = dict(_kinds(values.get(category.name, {}).values())) if category is not None else {}
    sold = [key for key, meaning in phrases.items() if kinds or meaning.role is not Role.STYLE]
    mendable = (word for key in sold for word in key if key not in plain or len(word) >= _LONG)
    return Lexicon(
        schema=schema,
        phrases=phrases,
        values=values,
        kinds=kinds,
        words=frozenset(chain.from_iterable(phrases)),
        names=_words_of_names(phrases, plain),
        mendable=frozenset(mendable),
        fields=field_words(schema, named, values),
        aliases=aliases,
        unspaced=Unspaced.of(
            chain(*values.values(), map(" ".join, chain(own, plain, families))),
            map(" ".join, called_things()),
        ),
        called={fold(name.phrase): plain[name.key] for name in called if not name.language},
        apart=_apart(called),
        families=families,
    )


class LexiconCache:
    """Keeps the lexicons of the catalogues seen last, by digest; at most `size` of them."""

    def __init__(self, size: int = 32, *, synonyms: Synonyms | None = None) -> None:
        self._size = size
        self._synonyms = synonyms or Synonyms()
        self._lexicons: OrderedDict[bytes, Lexicon] = OrderedDict()

    def get(self, facets: Iterable[rewrite_pb2.Facet], schema: Schema | None = None) -> Lexicon:
        """Return the lexicon of the facets under the schema, built on first use."""
        facets, schema = tuple(facets), schema or shipped_schema()
        digest = _digest(facets, schema)
        lexicon = self._lexicons.get(digest)
        if lexicon is None:
            lexicon = build_lexicon(facets, schema, synonyms=self._synonyms.of(schema.name))
            self._lexicons[digest] = lexicon
            if len(self._lexicons) > self._size:
                self._lexicons.popitem(last=False)
        self._lexicons.move_to_end(digest)
        return lexicon


def _digest(facets: Iterable[rewrite_pb2.Facet], schema: Schema) -> bytes:
    """Return a digest that tells catalogues apart; lengths keep facets from running together."""
    state = hashlib.blake2b(digest_size=16)
    known = schema is shipped_schema()  # its words are always the same
    words = () if known else (f"{owner.name}={owner.asked_by}" for owner in schema)
    for data in (schema.digest.encode(), *(word.encode() for word in words)):
        state.update(len(data).to_bytes(4, "big") + data)
    for facet in facets:
        data = facet.SerializeToString(deterministic=True)
        state.update(len(data).to_bytes(4, "big") + data)
    return state.digest()


def _values_of(facets: Iterable[rewrite_pb2.Facet], schema: Schema) -> Mapping[str, Mapping[str, str]]:
    """Gather the facets' values; of two that are equal the first one's spelling counts."""
    values: dict[str, dict[str, str]] = {}
    for facet in facets:
        owner = schema.filtered.get(facet.field)
        if owner is not None and owner.kind in KEYWORD_KINDS:
            known = values.setdefault(owner.name, {})
            for value in facet.values:
                known.setdefault(fold(value), value)
    return values


def _called(name: str, schema: Schema) -> Field | None:
    """Return the keyword field that a language file's name is for: by its role, its name, or a word that asks for it."""
    fields = [owner for owner in schema.filtered.values() if owner.kind in KEYWORD_KINDS]
    by_role = (owner for owner in fields if owner.role == name)
    by_name = (owner for owner in fields if owner.name == name)
    by_word = (owner for owner in fields if name in map(fold, owner.asked_by))
    return next(chain(by_role, by_name, by_word), None)


def _by_precedence(schema: Schema) -> list[Field]:
    """Return the keyword fields; where several share a word, the last one has it: the category, then the schema's order."""
    fields = [owner for owner in reversed(schema.fields) if owner.filter and owner.kind in KEYWORD_KINDS]
    places = {FieldRole.BRAND: 0, FieldRole.CATEGORY: 2}
    return sorted(fields, key=lambda owner: places.get(owner.role, 1) if owner.role else 1)


def _vocabulary() -> Iterator[tuple[Key, Meaning]]:
    """Yield every phrase that holds without a catalogue; a later one replaces an earlier one."""
    for role, phrases in CUES.items():
        yield from ((key_of(phrase), Meaning(role)) for phrase in phrases)
    for number, word in enumerate(NUMBERS[1:], start=2):
        yield (word,), Meaning(Role.NUMBER, value=str(number))
    for phrase, position in ORDINALS.items():
        yield key_of(phrase), Meaning(Role.ORDINAL, value=str(position))
    for slot, styles in STYLES.items():
        part = Part.KIND if slot == KIND_SLOT else Part.ATTRIBUTE
        for style, phrases in styles.items():
            yield from ((key_of(phrase), Meaning(Role.STYLE, slot, style, style, part)) for phrase in phrases)
    for kind in chain.from_iterable(KINDS.values()):
        yield key_of(kind), Meaning(Role.STYLE, KIND_SLOT, kind, kind, Part.KIND)
    for phrases, (slot, direction) in STEPS.items():
        yield from (
            (key_of(phrase), Meaning(Role.STEP, slot, str(direction), phrases[0])) for phrase in phrases
        )


def _faults() -> Iterator[tuple[Key, Meaning]]:
    """Yield what may be too much: "too bright"."""
    for slot, adjectives in FAULTS.items():
        for opening, adjective in product(FAULT_OPENINGS, adjectives):
            yield key_of(f"{opening} {adjective}"), Meaning(Role.FAULT, slot, said=adjective)


_VOCABULARY: dict[Key, Meaning] = dict(_faults()) | dict(_vocabulary())
_NAMED = dict.fromkeys([*SYNONYMS, *STYLES, *FAULTS, ACCENTED])
"""The fields and attributes that the language files name."""


def _synonyms(
    values: Mapping[str, Mapping[str, str]], aliases: Mapping[str, str], schema: Schema
) -> Iterator[tuple[Key, Meaning]]:
    """Yield the synonyms of those values that the facets hold, whatever their case and number."""
    for name, synonyms in chain(STYLES.items(), SYNONYMS.items()):
        if name not in aliases:
            continue
        owner = schema.by_name[aliases[name]]
        known = {key_of(value): value for value in values.get(owner.name, {}).values()}
        for target, phrases in synonyms.items():
            value = known.get(key_of(target))
            if value is not None:
                yield from ((key_of(phrase), _value(owner, value)) for phrase in phrases)


def _own_synonyms(
    values: Mapping[str, Mapping[str, str]], synonyms: OfCatalogue, schema: Schema
) -> Iterator[tuple[Key, Meaning]]:
    """Yield the shop's synonyms of those values that the facets hold, but what is a value itself.

    A query keeps the shopper's word for what the product is.
    """
    taken = {key_of(value) for known in values.values() for value in known} if synonyms else set()
    for name, said in synonyms.items():
        owner, known = schema.filtered.get(name), values.get(name, {})
        for target, phrases in said.items():
            value = known.get(fold(target))
            if owner is None or value is None:
                continue
            meaning = _value(owner, value)
            for phrase in phrases:
                own = replace(meaning, said=fold(phrase)) if meaning.part is Part.CATEGORY else meaning
                if (key := key_of(phrase)) and key not in taken:
                    yield key, own


def _kinds(categories: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the kinds of those categories that the facets hold."""
    known = {key_of(category): category for category in categories}
    for category, kinds in KINDS.items():
        value = known.get(key_of(category))
        if value is not None:
            yield from ((kind, value) for kind in kinds)


def _field_phrases(
    owner: Field, values: Iterable[str], taken: Mapping[Key, Meaning]
) -> Iterator[tuple[Key, Meaning, bool]]:
    """Yield a field's own values, each with whether it is meant where it stands alone.

    A brand named like a common word needs "by" or "from" before it; so do a number, a letter and a common word of any
    other field one of its words: "size 42", "size M".
    """
    for value in sorted(values):
        key = key_of(value)
        if not key or len(key) >= _MAX_PHRASE:
            continue
        meaning = _value(owner, value)
        common = key in taken and taken[key].role not in _VALUES
        if owner.role is FieldRole.BRAND:
            yield from (((word, *key), meaning, True) for word in BRAND_OPENINGS)
            if taken.get(key, meaning).slot == owner.name:
                yield key, meaning, True
        else:
            yield key, meaning, not (common or _is_bare(key))


def _is_bare(key: Key) -> bool:
    """Return whether a value is a number or a single letter, which alone may mean anything."""
    return all(word.isdecimal() for word in key) or (len(key) == 1 and len(key[0]) == 1 and key[0].isascii())


def _value(owner: Field, value: str) -> Meaning:
    parts = {FieldRole.CATEGORY: Part.CATEGORY, FieldRole.BRAND: Part.BRAND}
    part = parts.get(owner.role, Part.ATTRIBUTE) if owner.role else Part.ATTRIBUTE
    return Meaning(Role.VALUE, owner.name, value, fold(value), part)


def _are_names(owner: Field, values: Collection[str], is_common: IsCommon) -> bool:
    """Return whether the values of a field are proper names: many, most of whose words are not common; of colours, most are."""
    if len(values) <= _MANY or owner.role is FieldRole.CATEGORY:
        return False
    words = [word for value in values for word in split_words(fold(value)) if word.isalpha()]
    return owner.role is FieldRole.BRAND or 2 * sum(map(is_common, words)) <= len(words)


def _as_name(meaning: Meaning) -> Meaning:
    return replace(meaning, part=Part.NAME) if meaning.part is Part.ATTRIBUTE else meaning


def _meant(name: Name[Meaning]) -> Meaning:
    """Return what a name means; a query keeps the shopper's word for what the product is, where that tells more."""
    keeps = name.narrower and name.value.part is Part.CATEGORY
    return replace(name.value, said=fold(name.phrase)) if keeps else name.value


def _apart(called: Sequence[Name[Meaning]]) -> Mapping[str, Mapping[Key, Meaning]]:
    spoken = {name.language for name in called} - {""}
    return {code: {name.key: _meant(name) for name in called if name.language == code} for code in spoken}


def _words_of_names(phrases: Mapping[Key, Meaning], called: Collection[Key]) -> frozenset[str]:
    """Return the stems that occur in proper names, or in what values are called, and nowhere else."""
    named = {word for key, meaning in phrases.items() if meaning.part in PROPER for word in key}
    named |= {word for key in called for word in key}
    others = (key for key, meaning in phrases.items() if meaning.part not in PROPER and key not in called)
    return frozenset(named.difference(chain.from_iterable(others)))
