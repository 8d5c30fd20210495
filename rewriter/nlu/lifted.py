"""What a turn no longer cares about: "the colour doesn't matter", "it need not be organic", "n'importe quelle marque".

The language files have the forms: {f} is a field by one of its words, {v} what a search was narrowed to. Both leave the text, and the
conditions of the search before that name them are given up.
"""

import re
from dataclasses import dataclass, field
from functools import cache, lru_cache

from rewriter.languages.files import any_language, languages
from rewriter.nlu.lexicon import HEAD, Lexicon
from rewriter.nlu.phrasings import plain, translated
from rewriter.nlu.tagging import Use, set_apart, tag_text
from rewriter.nlu.vocabulary import Role
from rewriter.nlu.words import CJK, LATIN, fold
from vitrine.domain.filters import names

_FIELD = "\x01"
"""Stands for the word of a field where forms are looked for."""
_MAX_VALUE = 30
"""Letters of what is said to be no longer needed."""
_MAX_TURN = 240
"""Letters of the longest turn that is read."""
_MAX_LIFTED = 4
_BUT = any_language("lifting", "but")
_NO_FIELDS: frozenset[str] = frozenset()
_NO_VALUES: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Lifted:
    """What a turn gives up."""

    fields: frozenset[str] = field(default=_NO_FIELDS)
    values: frozenset[tuple[str, str]] = field(default=_NO_VALUES)
    """Fields with folded values."""

    def __bool__(self) -> bool:
        return bool(self.fields or self.values)

    def has(self, slot: str, value: str) -> bool:
        """Return whether the value of a field is given up."""
        return slot in self.fields or (slot, fold(value)) in self.values


NOTHING = Lifted()


def take_lifted(text: str, lexicon: Lexicon) -> tuple[Lifted, str]:
    """Take what folded text no longer cares about out of it; return it and the text that is left."""
    if len(text) > _MAX_TURN:
        return NOTHING, text
    fields, text = _take_fields(text, lexicon)
    values: set[tuple[str, str]] = set()
    for _ in range(_MAX_LIFTED):
        said = ((start, end, _named(value, lexicon)) for value, start, end in _said_values(text))
        start, end, found = next((each for each in said if each[2]), (0, 0, None))
        if found is None:
            break
        fields |= found.fields
        values |= found.values
        text = _without(text, start, end)
    return Lifted(frozenset(fields), frozenset(values)), text


@lru_cache(maxsize=1_024)
def _said_values(text: str) -> tuple[tuple[str, int, int], ...]:
    """Return what folded text says is no longer needed, and where it says so; one turn is read several times."""
    found = (form.search(text) for form in _forms("value", *_scripts(text)))
    return tuple((match["v"], *match.span()) for match in found if match is not None)


def _scripts(text: str) -> tuple[bool, bool]:
    """Return whether text may be of a language whose words stand apart, and of one that sets no spaces."""
    return LATIN.search(text) is not None, CJK.search(text) is not None


def _take_fields(text: str, lexicon: Lexicon) -> tuple[set[str], str]:
    """Take the forms that name a field by one of its words."""
    fields: set[str] = set()
    position = 0
    while len(fields) < _MAX_LIFTED and (word := lexicon.fields.names.search(text, position)) is not None:
        marked = f"{text[: word.start()]}{_FIELD}{text[word.end() :]}"
        found = (form.search(marked) for form in _forms("field", *_scripts(text)))
        match = next((each for each in found if each is not None and _FIELD in each[0]), None)
        if match is None:
            position = word.end()
            continue
        fields |= {owner.name for owner in lexicon.fields.named(word[0])}
        position = match.start()
        text = _without(marked, *match.span())
    return fields, text


def _without(text: str, start: int, end: int) -> str:
    """Return the text without a part; what stands behind it as the exception is excluded: "any colour but black"."""
    but = _but().match(text, end)
    return f"{text[:start]} without {text[but.end() :]}" if but else f"{text[:start]} {text[end:]}"


def _named(said: str, lexicon: Lexicon) -> Lifted | None:
    """Return the values and the fields that a few words name; None where they name anything else, or a thing."""
    taken = lexicon.fields.take(said)
    fields = {name for condition in taken.conditions for name in names(condition)}
    tags = tag_text(
        translated(set_apart(plain(taken.text, lexicon.phrases), lexicon), lexicon.phrases), lexicon
    )
    values = [tag for tag in tags if tag.role is Role.VALUE]
    if any(tag.part in HEAD or tag.use is not Use.WANTED for tag in values):
        return None
    return Lifted(frozenset(fields), frozenset((tag.slot, fold(tag.meaning.value)) for tag in values))


@cache
def _but() -> re.Pattern[str]:
    return re.compile(rf"\s*,?\s*{_BUT}(?=\W|[^\x00-\u02ff])")


@cache
def _forms(name: str, spaced: bool, unspaced: bool) -> tuple[re.Pattern[str], ...]:  # noqa: FBT001 - of a cache
    """Return the forms of that name in every language of the scripts."""
    return tuple(
        re.compile(_form(form, spaced=language.spaced, tails=language.pattern("lifting", "tails")))
        for language in languages().values()
        if (spaced if language.spaced else unspaced)
        for form in language.table("lifting").get(name, ())
    )


def _form(form: str, *, spaced: bool, tails: str) -> str:
    """Return the pattern of a form; a value at its end reaches to that of its clause, or to one of the language's tails."""
    value = rf"(?P<v>[^,.;!?]{{1,{_MAX_VALUE}}}?)"
    end = rf"(?:\s*(?:{tails}))*(?=\s*(?:[,.;!?]|$|{_BUT}))"
    pattern = form.replace("{f}", _FIELD).replace("{v}", value)
    pattern = rf"(?<![\w-])(?:{pattern})" if spaced else f"(?:{pattern})"
    return pattern + (end if form.endswith("{v}") else r"(?![\w-])" if spaced else "")
