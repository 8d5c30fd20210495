"""What training says of a photograph: its title, and its attributes put into words, in several languages.

Nothing here knows a trade: a category, a colour and an audience are whatever the data calls so (photographs/vocabulary.toml), and
every further attribute is said beside the category.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from encoders.photographs.products import Photograph
from encoders.photographs.vocabulary import ENGLISH, FIELDS, LANGUAGES, colour_in, label_text, query
from vitrine.domain.values import fold

_LONGEST_VALUE = 40
"""Characters of an attribute that is said beside the category; longer ones are texts of their own."""
_WORD = re.compile(r"[^\W\d_]")
_OTHER_CHANGES: Mapping[str, Sequence[str]] = tomllib.loads(
    Path(__file__).with_name("frames.toml").read_text(encoding="utf-8")
)["changes"]

CHANGES = (
    "replace {old} with {new}",
    "{new} instead of {old}",
    "change {old} to {new}",
    "{new}, not {old}",
    "not {old} but {new}",
    "swap the {old} for {new}",
    "rather {new} than {old}",
    "{new} rather than {old}",
    "no {old}, {new} please",
    "the same in {new}",
    "this but {new}",
    "make it {new}",
    "is {new}",
    "in {new} please",
    "I want it in {new}",
    "do you have this in {new}?",
    "show me this in {new}",
    "I like it, but in {new}",
)
"""Ways to ask for another value of an attribute, those that name both values first."""
NAMING_BOTH = sum("{old}" in each for each in CHANGES)
"""How many of them name the old value too: which of the two is wanted, the order of words alone says."""


def said_of(photograph: Photograph) -> list[str]:
    """Return the captions of a photograph, the title first where it has one; each once."""
    category, colour, audience = (attribute(photograph, name) for name in ("category", "colour", "audience"))
    captions = [photograph.title, photograph.description]
    if category:
        captions += [category, f"a photo of {category}"]
        if audience:
            captions += [f"{category} for {audience}", f"{audience}'s {category}"]
        captions += [f"{value} {category}" for value in _others(photograph, category, colour, audience)]
    if category and colour:
        captions += [f"{colour} {category}", f"{category} in {colour}", f"a photo of {colour} {category}"]
        if audience:
            captions += [f"{colour} {category} for {audience}", f"{audience}'s {colour} {category}"]
        captions += _in_other_languages(category, colour, audience)
    return list(dict.fromkeys(filter(None, map(str.strip, captions))))


def attribute(photograph: Photograph, meaning: str) -> str:
    """Return the folded value of an attribute by its meaning; a class of people's photographs is a category."""
    for name in FIELDS[meaning]:
        if value := photograph.attributes.get(name, ""):
            return fold(value)
    if meaning != "category":
        return ""
    return label_text(
        fold(next((photograph.attributes[n] for n in FIELDS["label"] if n in photograph.attributes), ""))
    )


def whole_of(category: str, colour: str, audience: str) -> str:
    """Return the caption of a kind of photographs: what it is, in which colour, for whom, as far as that is known."""
    named = f"{colour} {category}".strip()
    return f"{named} for {audience}" if audience else named


def changes(old: str, new: str) -> Sequence[str]:
    """Return the ways to ask for a value instead of another."""
    return [each.format(old=old, new=new) for each in CHANGES]


def changes_with_capitals(old: str, new: str) -> Iterator[str]:
    """Yield the same ways with values as a catalogue writes them, and as sentences begin."""
    yield from changes(old.title(), new.title())
    yield from (text[:1].upper() + text[1:] for text in changes(old, new))


def changes_in_other_languages(old: str, new: str) -> Iterator[str]:
    """Yield ways to ask for a colour instead of another, in the languages that have words for both."""
    for language, ways in _OTHER_CHANGES.items():
        was, wanted = colour_in(language, old), colour_in(language, new)
        if was is not None and wanted is not None:
            yield from (each.format(old=was, new=wanted) for each in ways)


def _others(photograph: Photograph, *said: str) -> Iterator[str]:
    for value in photograph.attributes.values():
        folded = fold(value)
        if folded not in said and len(folded) <= _LONGEST_VALUE and _WORD.search(folded):
            yield folded


def _in_other_languages(category: str, colour: str, audience: str) -> Iterator[str]:
    """Yield words alone: how a language asks in a sentence is left to what the text tower knows."""
    for language in LANGUAGES:
        for phrasing in ("words", "audience"):
            text = query(language, phrasing, colour=colour, article=category, audience=audience or None)
            if text is not None and language != ENGLISH:
                yield text
