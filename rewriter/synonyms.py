"""A shop's own words for its values: a file of TOML, by catalogue, field and value.

[grocery.category]
"toilet paper" = "loo roll | toilet roll"
"""

import hashlib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rewriter.languages.files import listed
from vitrine.domain.limits import MAX_LINKED_LENGTH
from vitrine.process.settings import InvalidSettings

MAX_BYTES = 1_000_000
"""Bytes of the file."""
MAX_SYNONYMS = 10_000
"""Words and phrases of the file."""

OfCatalogue = Mapping[str, Mapping[str, Sequence[str]]]
"""By field and value: the words and phrases that mean it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Synonyms:
    """What a shop's file says."""

    catalogues: Mapping[str, OfCatalogue] = field(default_factory=dict)
    """By the name of the catalogue's schema."""
    digest: str = ""
    """Tells files apart; empty without one."""

    def of(self, catalogue: str) -> OfCatalogue:
        """Return the synonyms of a catalogue, by the name of its schema."""
        return self.catalogues.get(catalogue, {})


def read_synonyms(path: str, setting: str) -> Synonyms:
    """Read the file that a setting names; none for an empty path.

    Raises:
        InvalidSettings: it cannot be read or breaks a limit; names the setting and what is wrong.
    """
    if not path:
        return Synonyms()
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise InvalidSettings(f"{setting}: at most {MAX_BYTES:,} bytes")
        document = tomllib.loads(data.decode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidSettings(f"{setting}: {path}: {error}") from None
    catalogues = {name: _of_catalogue(name, table, setting) for name, table in document.items()}
    count = sum(
        len(phrases)
        for each in catalogues.values()
        for values in each.values()
        for phrases in values.values()
    )
    if count > MAX_SYNONYMS:
        raise InvalidSettings(f"{setting}: at most {MAX_SYNONYMS:,} words and phrases, got {count:,}")
    return Synonyms(catalogues=catalogues, digest=hashlib.blake2b(data, digest_size=6).hexdigest())


def _of_catalogue(name: str, table: Any, setting: str) -> OfCatalogue:
    return {
        owner: {value: _phrases(f"{name}.{owner}.{value}", said, setting) for value, said in values}
        for owner, values in _tables(name, table, setting)
    }


def _tables(name: str, table: Any, setting: str) -> Iterator[tuple[str, Sequence[tuple[str, Any]]]]:
    if not isinstance(table, dict):
        raise InvalidSettings(f"{setting}: {name} must be a table of fields")
    for owner, values in table.items():
        if not isinstance(values, dict):
            raise InvalidSettings(f"{setting}: {name}.{owner} must be a table of values")
        yield owner, [*values.items()]


def _phrases(path: str, said: Any, setting: str) -> Sequence[str]:
    if not isinstance(said, str) or not all(phrases := listed(said)):
        raise InvalidSettings(
            f'{setting}: {path} must be words and phrases with bars between them: "a | b c"'
        )
    if longest := [phrase for phrase in phrases if len(phrase) > MAX_LINKED_LENGTH]:
        raise InvalidSettings(
            f"{setting}: {path}: at most {MAX_LINKED_LENGTH} characters, got {longest[0]!r}"
        )
    return phrases
