"""Questions about a product that was shown: "is it wool?", "do you have it in a 38?", "how much is the second?".

The language files have the forms: {it} is what names the product, {x} what is asked of it. What comes in several sizes is asked
for one of them; "do you have it in red" asks for another product, and is no such question.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import count

from rewriter.languages.files import any_language, languages
from rewriter.nlu.field_words import Taken
from rewriter.nlu.lexicon import HEAD, Lexicon
from rewriter.nlu.phrasings import foreign_ordinals, names_pattern
from rewriter.nlu.reading import Reading, read
from rewriter.nlu.tagging import VALUES
from rewriter.nlu.words import CJK, LATIN, key_of
from vitrine.domain.filters import Equals
from vitrine.domain.schema import Kind

_MAX_LETTERS = 120
"""Letters of the longest question that is read."""
_MAX_PART = 40
"""Letters of what names the product, and of what is asked."""
_SIZE = re.compile(r"\d{1,3}(?:[.,/]\d{1,2})?|(?:x{0,3}[sl]|m|\d?xl)")
_EDGES = re.compile(r"^[\W_]+|[^\w%]+$")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of which product."""

    it: str
    """The words that name the product; empty for the one in mind."""
    position: int
    """Of the product among those that were shown, from 1, or from the end below 0; 0 for none."""
    asked: Reading
    words: str = ""
    """What is asked that the catalogue does not know."""


def questions_of(text: str, lexicon: Lexicon) -> Iterator[Question]:
    """Yield what folded text may ask of a product, the likeliest first: where one part ends and the other begins is not said."""
    said = _EDGES.sub("", text)
    if len(said) > _MAX_LETTERS or (_requirements().search(said) and not text.rstrip().endswith("?")):
        return
    spoken = {True: LATIN.search(said) is not None, False: CJK.search(said) is not None}
    for kind, spaced, form in _forms():
        match = form.fullmatch(said) if spoken[spaced] else None
        parts = match.groupdict() if match is not None else {}
        asked = parts.pop("x", "")
        it = next(filter(None, parts.values()), "")
        if match is None or _ordinals().search(asked) or _turns().search(f"{it} in {asked}"):
            continue
        of = _product(it)
        if (question := _KINDS[kind](asked, of, lexicon)) is not None:
            yield question


def _product(it: str) -> tuple[str, int]:
    """Return the words that name a product, empty for the one in mind, and the position that they name in another language."""
    said = it.strip()
    if _pronouns().fullmatch(said):
        return "", 0
    match = _ordinals().search(said)
    return said, foreign_ordinals()[match[0]] if match is not None else 0


def _is(asked: str, of: tuple[str, int], lexicon: Lexicon) -> Question | None:
    """Return the question whether a product is something that the catalogue or a language file knows."""
    reading = read(asked, lexicon)
    known = any(tag.role in VALUES and tag.part not in HEAD for tag in reading.tags)
    if (known or reading.taken.conditions) and not reading.price:
        return Question(*of, reading)
    # What nobody knows is asked only of a product that is named by its position: "第一个是布的吗".
    strange = of[1] != 0 and not known and not reading.price
    return Question(*of, Reading(tags=(), price=None, lexicon=lexicon), asked.strip()) if strange else None


def _comes_in(asked: str, of: tuple[str, int], lexicon: Lexicon) -> Question | None:
    """Return the question whether a product is to be had in a size, or in another of several values that it has."""
    said = _EDGES.sub("", asked)
    empty = Reading(tags=(), price=None, lexicon=lexicon)
    for field, known in lexicon.fields.named_values.items():
        if (value := known.get(key_of(said))) is not None:
            return Question(
                *of, Reading(tags=(), price=None, lexicon=lexicon, taken=Taken("", (Equals(field, value),)))
            )
    meaning = lexicon.phrases.get(key_of(said))
    owner = lexicon.schema.by_name.get(meaning.slot) if meaning is not None else None
    several = owner is not None and owner.kind is Kind.KEYWORDS and _are_sizes(lexicon.values[owner.name])
    if meaning is not None and several and meaning.part not in HEAD:
        condition = Equals(meaning.slot, meaning.value)
        return Question(*of, Reading(tags=(), price=None, lexicon=lexicon, taken=Taken("", (condition,))))
    return Question(*of, empty, said) if _SIZE.fullmatch(said) else None


def _are_sizes(values: Collection[str]) -> bool:
    """Return whether the values of a field are sizes, of which a product has several; it is made of one of several materials."""
    return 2 * sum(_SIZE.fullmatch(value) is not None for value in values) >= len(values)


def _about(asked: str, of: tuple[str, int], lexicon: Lexicon) -> Question:  # noqa: ARG001 - nothing is asked but what it is
    """Return the question what a product is, and what it costs."""
    return Question(*of, Reading(tags=(), price=None, lexicon=lexicon))


_KINDS: Mapping[str, Callable[[str, tuple[str, int], Lexicon], Question | None]] = {
    "comes": _comes_in,
    "is": _is,
    "about": _about,
}
"""What a form asks, by its name in the language files."""


@cache
def _requirements() -> re.Pattern[str]:
    """Return the pattern of what asks for something of all products: "it has to be wool" is no question."""
    return re.compile(any_language("holding", "requires"))


@cache
def _turns() -> re.Pattern[str]:
    """Return the pattern of what begins another wish: "the first is nice, but in red"."""
    return re.compile(f"[,;.]\\s|{any_language('holding', 'but')}")


@cache
def _pronouns() -> re.Pattern[str]:
    return re.compile(
        "|".join(filter(None, (each.pattern("holding", "it") for each in languages().values())))
    )


@cache
def _ordinals() -> re.Pattern[str]:
    return names_pattern(foreign_ordinals())


@cache
def _forms() -> tuple[tuple[str, bool, re.Pattern[str]], ...]:
    """Return the forms of every language, each with the kind of question that it is and whether its words stand apart."""
    return tuple(
        (name, language.spaced, re.compile(_form(form, greedy=greedy)))
        for name in _KINDS
        for language in languages().values()
        for form in language.table("holding").get(name, ())
        for greedy in (False, True)
    )


def _form(form: str, *, greedy: bool) -> str:
    """Return the pattern of a form; the product may stand in several places of it, and its words end early or late."""
    numbers = count()
    named = form.replace("{x}", f"(?P<x>.{{1,{_MAX_PART}}}?)")
    it = f"{_pronouns().pattern}|.{{0,{_MAX_PART}}}{'' if greedy else '?'}"
    return re.sub(r"\{it\}", lambda _: f"(?P<it{next(numbers)}>{it})", named)
