"""The languages of replies: files of messages in Project Fluent's syntax, read once and held against the English one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from babel.core import Locale, UnknownLocaleError
from babel.lists import format_list
from babel.numbers import format_currency, format_decimal
from fluent.runtime import FluentBundle
from fluent.syntax import FluentParser, ast
from fluent.syntax.visitor import Visitor

from vitrine.domain.schema import Field, Kind

ENGLISH = "en"

_SUFFIX = ".ftl"


class InvalidLanguage(Exception):  # noqa: N818 - what is wrong with a file of this package, for whoever adds one
    """A file of messages cannot be used; names the file and what is wrong."""


@dataclass(frozen=True, slots=True)
class Language:
    """Says things in one language."""

    code: str
    """ISO 639."""
    bundle: FluentBundle
    locale: Locale

    def say(self, name: str, **parts: str | int) -> str:
        """Return a message with its variables filled in; a number is an `int`, and everything else is text."""
        pattern = self.bundle.get_message(name).value
        assert pattern is not None, "every message of the file has a value"
        said, _ = self.bundle.format_pattern(pattern, parts)
        return str(said)

    def listed(self, parts: list[str], *, style: str = "standard") -> str:
        """Return the parts as a list: "red, navy and white", or with the style "or" "red, navy or white"."""
        return format_list(parts, style=style, locale=self.locale)  # type: ignore[arg-type] # the styles are literals

    def number(self, owner: Field, number: float, currency: str = "") -> str:
        """Return a field's number as people write it, an amount of money with its currency."""
        if owner.kind is Kind.MONEY and currency:
            return format_currency(number, currency, locale=self.locale)
        digits = "#,##0.00" if owner.kind is Kind.MONEY else None
        return format_decimal(number, format=digits, locale=self.locale, decimal_quantization=False)


class Languages:
    """The languages of a folder."""

    def __init__(self, known: Mapping[str, Language]) -> None:
        self._known = known

    def __contains__(self, code: str) -> bool:
        return code in self._known

    def __iter__(self) -> Iterator[Language]:
        return iter(self._known.values())

    def of(self, code: str) -> Language:
        """Return the language of that code; English where it is none of these."""
        return self._known.get(code) or self._known[ENGLISH]


@cache
def shipped_languages() -> Languages:
    """Return the languages that ship."""
    return read_languages(resources.files("gateway.conversation.replies") / "languages")


def read_languages(folder: Traversable) -> Languages:
    """Read every file of messages in a folder.

    Raises:
        InvalidLanguage: there is no English, no such language, or a file lacks a message of the English one, has one
            more, has a variable more, or cannot be parsed.
    """
    files = sorted(
        (each for each in folder.iterdir() if each.name.endswith(_SUFFIX)), key=lambda each: each.name
    )
    read = {each.name.removesuffix(_SUFFIX): _parsed(each) for each in files}
    if ENGLISH not in read:
        raise InvalidLanguage(f"{folder}: {ENGLISH}{_SUFFIX} is missing")
    expected = variables(read[ENGLISH])
    for code, resource in read.items():
        _check(code, variables(resource), expected)
    return Languages({code: _language(code, resource) for code, resource in read.items()})


def variables(resource: ast.Resource) -> dict[str, set[str]]:
    """Return the names of each message's variables."""
    return {entry.id.name: _Variables.of(entry) for entry in resource.body if isinstance(entry, ast.Message)}


class _Variables(Visitor):
    """Collects the names of variables."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    @classmethod
    def of(cls, entry: ast.Message) -> set[str]:
        visitor = cls()
        visitor.visit(entry)
        return visitor.names

    def visit_VariableReference(self, node: ast.VariableReference) -> None:  # noqa: N802 - the library's name
        self.names.add(node.id.name)


def _parsed(file: Traversable) -> ast.Resource:
    resource = FluentParser().parse(file.read_text(encoding="utf-8"))
    for entry in resource.body:
        if isinstance(entry, ast.Junk):
            line = (entry.content or "").strip().partition("\n")[0]
            raise InvalidLanguage(f"{file.name}: not a message: {line}")
        if isinstance(entry, ast.Message) and entry.value is None:
            raise InvalidLanguage(f"{file.name}: {entry.id.name} has no value")
    return resource


def _check(code: str, found: Mapping[str, set[str]], expected: Mapping[str, set[str]]) -> None:
    for name in sorted(found.keys() ^ expected.keys()):
        problem = f"lacks {name}" if name in expected else f"has {name}, which English has not"
        raise InvalidLanguage(f"{code}{_SUFFIX}: {problem}")
    for name, names in found.items():
        if more := names - expected[name]:
            raise InvalidLanguage(f"{code}{_SUFFIX}: {name}: unknown variable ${min(more)}")


def _language(code: str, resource: ast.Resource) -> Language:
    try:
        locale = Locale(code)
    except (ValueError, UnknownLocaleError):
        raise InvalidLanguage(f"{code}{_SUFFIX}: the name is no code of a language") from None
    # Isolating puts characters that nobody sees round every variable.
    bundle = FluentBundle([code], use_isolating=False)
    bundle.add_resource(resource)
    return Language(code, bundle, locale)
