"""The words by which a catalogue's fields are asked for, and what is said beside them.

"rating at least 4", "in stock", "not organic", "size 42", "sorted by weight": each becomes a condition or an order and
leaves the text, so that its number is taken for no price and its words for no wish. The words are the names, labels and
question words of the schema's fields; what may stand beside them is in the language files.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count

from rewriter.languages.files import any_language, languages
from rewriter.nlu.bounds import bounded
from rewriter.nlu.called import facets_called, properties_called
from rewriter.nlu.compared import compared, measured_by
from rewriter.nlu.compared import measures as known_measures
from rewriter.nlu.orders import order_beside
from rewriter.nlu.units import LETTER_AFTER, Unit, unit_of, units, words_without_unit
from rewriter.nlu.words import fold, key_of
from vitrine.domain.filters import Equals, Filter, Not, OneOf
from vitrine.domain.schema import KEYWORD_KINDS, NUMBER_KINDS, Field, Kind, Role, Schema
from vitrine.v1 import query_pb2

Key = tuple[str, ...]

MAX_CONDITIONS = 8
"""Conditions that one turn sets beside the fields' words."""

_MAX_QUESTION = 120
"""Characters of the longest question for a field's values."""
_SIGNS = re.compile(r"[^\w' ]")

_WINDOW = 24
"""Characters before a word in which its negation stands."""
_MAX_VALUE_WORDS = 6
_LINKS = any_language("measures", "links")
_NEGATION = re.compile(rf"(?:{any_language('measures', 'negations')})[\s-]*(?:(?:an?|any|the)\s)?$")
_NEGATION_AFTER = re.compile(rf"\s*(?:은|는|이|가)?\s*{any_language('measures', 'negations_after')}")
_LINK = re.compile(rf"(?:[\s:=]*(?:{_LINKS})(?![^\W\d_]))*[\s:=]*")
_JOIN = re.compile(rf"\s*(?:,|/|{any_language('measures', 'joins')})\s*")
_WORD = re.compile(r"[^\W_]+")
_LAST_WORDS = re.compile(r"[^\W_]+\s?$")


@dataclass(frozen=True, slots=True)
class Taken:
    """What the fields' words said, and the text that is left."""

    text: str
    conditions: tuple[Filter, ...] = ()
    sort: query_pb2.Sort | None = None

    def __bool__(self) -> bool:
        return bool(self.conditions) or self.sort is not None


@dataclass(frozen=True, slots=True)
class _Found:
    """A condition or an order, and the part of the text that says it."""

    start: int
    end: int
    condition: Filter | None = None
    sort: query_pb2.Sort | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldWords:
    """Reads what is said beside the words of one catalogue's fields."""

    owners: Mapping[str, Sequence[Field]]
    """The fields that each word asks for."""
    named_values: Mapping[str, Mapping[Key, str]]
    """By field: the values that are meant only beside one of its words, such as "42"."""
    longer: Mapping[str, Sequence[str]]
    """The values of other fields that begin with a word: "organic cotton"."""
    words: re.Pattern[str]
    measures: Mapping[str, Field]
    """The one number of each measure that the catalogue has, such as "height"."""
    units: Mapping[str, Unit]
    """In which a field counts, by its name, where the schema says so."""
    called: Mapping[str, Sequence[Field]]
    """The fields that are filtered by, the price too, by everything that they are called."""
    names: re.Pattern[str]
    """What they are called."""
    spoken: frozenset[str]
    """Every word of a field that is filtered or counted."""

    def take(self, text: str, *, by_price: bool = False) -> Taken:
        """Take conditions and an order out of folded text; an order by price only where it is asked for."""
        conditions: list[Filter] = []
        sort: query_pb2.Sort | None = None
        while len(conditions) < MAX_CONDITIONS and (measured := self._measured(text)) is not None:
            conditions += [measured.condition] if measured.condition is not None else []
            text = f"{text[: measured.start]} {text[measured.end :]}"
        position = 0
        while (match := self.words.search(text, position)) is not None and len(conditions) < MAX_CONDITIONS:
            found = self._found(text, match, by_price=by_price)
            if found is None:
                position = match.end()
                continue
            conditions += [found.condition] if found.condition is not None else []
            sort = sort or found.sort
            text = f"{text[: found.start]} {text[found.end :]}"
            position = found.start
        # After the words of fields: the highest rating is no height.
        if sort is None and (measured := self._measured(text, order=True)) is not None:
            sort = measured.sort
            text = f"{text[: measured.start]} {text[measured.end :]}"
        return Taken(text, tuple(dict.fromkeys(conditions)), sort)

    def asks_for_values(self, text: str) -> bool:
        """Return whether folded text asks which values a field has, and says nothing else."""
        words = " ".join(_SIGNS.sub(" ", text).split()) if len(text) <= _MAX_QUESTION else ""
        found = (pattern.fullmatch(words) for pattern in _questions())
        return any(match is not None and self._names_a_field(match) for match in found)

    def named(self, word: str) -> Sequence[Field]:
        """Return the fields that a word names, by which things are filtered."""
        return next((self.called[each] for each in _singulars(word) if each in self.called), ())

    def _names_a_field(self, match: re.Match[str]) -> bool:
        """Return whether what stands in the place of a field is one: in the plural, where it must be."""
        for group, said in match.groupdict().items():
            if said is not None:
                plural = group.startswith("fields")
                return any(
                    word in self.spoken for word in _singulars(said) if not plural or said.endswith("s")
                )
        return False

    def _found(self, text: str, match: re.Match[str], *, by_price: bool) -> _Found | None:
        start, end = match.span()
        if any(text.startswith(value, start) for value in self.longer.get(match[0], ())):
            return None
        for owner in self._owners(match[0]):
            found = (
                self._condition(owner, text, start, end)
                if owner.filter and owner.role is not Role.PRICE
                else None
            )
            found = found or (
                _order(owner, text, start, end) if owner.role is not Role.PRICE or by_price else None
            )
            if found is not None:
                return found
        return None

    def _measured(self, text: str, *, order: bool = False) -> _Found | None:
        """Return what the text says of a measure of this catalogue by an adjective: "taller than 60 cm", "the heaviest"."""
        said = compared(text, tuple(self.measures), order=order)
        if said is None:
            return None
        owner = self.measures[said.measure]
        if said.interval is not None:
            interval = said.interval.converted(said.unit, self.units.get(owner.name)) or said.interval
            return _Found(said.start, said.end, condition=interval.on(owner.name))
        return _Found(said.start, said.end, sort=query_pb2.Sort(field=owner.name, descending=said.descending))

    def _owners(self, surface: str) -> Sequence[Field]:
        return next((self.owners[word] for word in _singulars(surface) if word in self.owners), ())

    def _condition(self, owner: Field, text: str, start: int, end: int) -> _Found | None:
        if owner.kind in NUMBER_KINDS:
            return self._bounded(owner, text, start, end)
        if owner.kind is Kind.BOOLEAN:
            before, after = _negated_from(text, start), _NEGATION_AFTER.match(text, end)
            negated = before < start or after is not None
            return _Found(before, after.end() if after else end, condition=Equals(owner.name, not negated))
        return self._named(owner, text, start, end)

    def _bounded(self, owner: Field, text: str, start: int, end: int) -> _Found | None:
        """Read the interval beside the word of a number, in the unit that it is said in; the word itself may be that."""
        said = next((units()[word] for word in _singulars(text[start:end]) if word in units()), None)
        found = bounded(text, start, end, of_unit=said is not None)
        if found is None or (said is not None and measured_by(text, end)):
            return None  # "120 cm wide", of which the catalogue has no number
        interval = found.interval.converted(found.unit or said, self.units.get(owner.name))
        if interval is None:
            return None
        return _Found(min(start, found.start), max(end, found.end), condition=interval.on(owner.name))

    def _named(self, owner: Field, text: str, start: int, end: int) -> _Found | None:
        """Read the values of a keyword field that stand right after its word, or the one right before it."""
        known = self.named_values.get(owner.name, {})
        link = _LINK.match(text, end)
        values, last = _values_at(text, link.end() if link else end, known) if known else ([], end)
        begin = start
        if known and not values:
            before = _LAST_WORDS.search(text[max(0, start - _WINDOW) : start])
            value = known.get(key_of(before[0])) if before else None
            if before is None or value is None:
                return None
            values, begin = [value], start - len(before[0])
        if not values:
            return None
        condition: Filter = (
            Equals(owner.name, values[0]) if len(values) == 1 else OneOf(owner.name, tuple(values))
        )
        negated = _negated_from(text, begin)
        return _Found(negated, last, condition=Not(condition) if negated < begin else condition)


def field_words(
    schema: Schema, named_values: Mapping[str, Mapping[Key, str]], values: Mapping[str, Mapping[str, str]]
) -> FieldWords:
    """Gather the words of a schema's fields, given the values that need one and all values by field."""
    owners: dict[str, list[Field]] = {}
    for owner in schema:
        if owner.filter or owner.sort:
            reads = owner.kind not in KEYWORD_KINDS or owner.sort or owner.name in named_values
            for word in _asked_by(owner) if reads else ():
                owners.setdefault(word, []).append(owner)
    counted = {each.name: unit for each in schema if _counts(each) and (unit := unit_of(each)) is not None}
    for word, name in _asked_by_unit(counted):
        owners.setdefault(word, [schema.by_name[name]])
    spoken = frozenset(
        word for owner in schema if owner.filter or owner.facet for word in _asked_by(owner) if word
    )
    called: dict[str, list[Field]] = {}
    for owner in schema.filtered.values():
        for word in _asked_by(owner) | _also_called(_asked_by(owner)):
            called.setdefault(word, []).append(owner)
    return FieldWords(
        owners=owners,
        called=called,
        names=re.compile(_any_word(called)),
        named_values=named_values,
        longer=dict(_longer(owners, values)),
        words=re.compile(_any_word(owners)),
        measures=dict(_measures(owners)),
        units=counted,
        spoken=spoken,
    )


def _measures(owners: Mapping[str, Sequence[Field]]) -> Iterator[tuple[str, Field]]:
    """Yield the measures of which the catalogue has one number that is filtered and sorted by."""
    for measure in known_measures():
        numbers = [each for each in owners.get(measure, ()) if _counts(each)]
        if len(numbers) == 1:
            yield measure, numbers[0]


def _counts(owner: Field) -> bool:
    """Return whether a field is a number that is filtered and sorted by, and no price."""
    return owner.kind in NUMBER_KINDS and owner.filter and owner.sort and owner.role is not Role.PRICE


def _asked_by_unit(counted: Mapping[str, Unit]) -> Iterator[tuple[str, str]]:
    """Yield the units by which the one field of a quantity is asked for: "under 1.5 kg" where nothing else has a weight."""
    quantities = Counter(unit.quantity for unit in counted.values())
    for word, unit in units().items():
        if quantities[unit.quantity] == 1:
            yield word, next(name for name, each in counted.items() if each.quantity == unit.quantity)


def _asked_by(owner: Field) -> set[str]:
    """Return the words that ask for a field, folded; "rated" where "rating" does, and what others call a property."""
    words = {folded for word in owner.asked_by if (folded := fold(word))} | {*words_without_unit(owner)}
    words |= {word.removesuffix("ing") + "ed" for word in words if word.endswith("ing")}
    if owner.kind in KEYWORD_KINDS:
        return words | _also_called(words)
    return words.union(*(properties_called().get(word, ()) for word in words))


def _also_called(words: Iterable[str]) -> set[str]:
    """Return the words, in any language, for what one of the words names: "Farbe" where a field is called "colour"."""
    return {other for word in words for other in facets_called().get(word, ())}


def _order(owner: Field, text: str, start: int, end: int) -> _Found | None:
    if not owner.sort:
        return None
    found = order_beside(
        text, start, end, superlatives=owner.kind in NUMBER_KINDS, price=owner.role is Role.PRICE
    )
    if found is None:
        return None
    sort = query_pb2.Sort(field=owner.name, descending=found.descending)
    return _Found(found.start, found.end, sort=sort)


def _negated_from(text: str, start: int) -> int:
    """Return where the negation right before a position begins; the position itself where there is none."""
    window = max(0, start - _WINDOW)
    match = _NEGATION.search(text[window:start])
    return window + match.start() if match else start


def _values_at(text: str, position: int, known: Mapping[Key, str]) -> tuple[list[str], int]:
    """Return the values that stand at the position, joined by commas, "or" or "and", and where they end."""
    values: list[str] = []
    end = position
    while True:
        words = list(_WORD.finditer(text, position))[:_MAX_VALUE_WORDS] if position < len(text) else []
        fitting = [
            (known[key], word.end())
            for word in words
            if (key := key_of(text[position : word.end()])) in known
        ]
        if not fitting or (words and text[position : words[0].start()].strip()):
            return values, end
        value, end = fitting[-1]
        values.append(value)
        join = _JOIN.match(text, end)
        if join is None:
            return list(dict.fromkeys(values)), end
        position = join.end()


def _longer(
    owners: Mapping[str, Sequence[Field]], values: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[str, Sequence[str]]]:
    phrases = {value for known in values.values() for value in known if " " in value}
    beginnings: dict[str, list[str]] = {}
    for phrase in phrases:
        words = phrase.split(" ")
        for length in range(1, min(len(words), _MAX_VALUE_WORDS)):
            beginnings.setdefault(" ".join(words[:length]), []).append(phrase)
    yield from ((word, beginnings[word]) for word in owners if word in beginnings)


def _any_word(words: Mapping[str, object]) -> str:
    """Return the pattern of every word, the longest first; one that matches nothing for none."""
    forms = map(_form, sorted(words, key=lambda word: (-len(word), word)))
    return f"(?:{'|'.join(forms)})" if words else r"(?!)"


def _form(word: str) -> str:
    """Return the pattern of a word with the endings of English and German; of a script without spaces, anywhere."""
    if not word.isascii() and not any(character.isascii() and character.isalpha() for character in word):
        return re.escape(word)
    ending = "" if word.endswith("s") else "(?:e?s|e?n|e[mr]?)?"
    return rf"(?<![^\W\d_]){re.escape(word)}{ending}{LETTER_AFTER}"


def _singulars(surface: str) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(surface.removesuffix(ending) for ending in ("", "s", "es", "n", "en", "e", "er", "em"))
    )


@cache
def _questions() -> tuple[re.Pattern[str], ...]:
    """Return the questions for a field's values, with groups where a field stands."""
    return tuple(
        re.compile(_question(language.pattern("stock", "questions"))) for language in languages().values()
    )


def _question(form: str) -> str:
    numbers = count()
    return re.sub(r"\{(fields?)\}", lambda match: f"(?P<{match[1]}{next(numbers)}>.+?)", form)
