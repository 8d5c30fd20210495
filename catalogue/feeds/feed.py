"""A feed: how a known form of catalogue is recognised, and how its rows become products. All of it is data.

A file of this folder describes one feed:

    title = "Shopify product export"
    formats = ["delimited"]                   # delimited, json, parquet, xml, or a folder's layout
    columns = ["Handle", "Variant Price"]     # it is this feed where the table has all of them
    schema = "fashion"                        # one that ships, another feed's, or a table as in a schema file

    [join]                                    # rows that are one product
    names = ["{Handle}"]

    [pictures]
    columns = ["Image Src"]                   # paths or URLs
    beside = ["images/{Handle}.jpg"]          # where pictures lie that no column names

    [column."Body (HTML)"]                    # how the cells of a column are to be read
    html = true
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from catalogue.readers.rows import column_key, is_missing
from catalogue.readers.text import plain_text
from vitrine.domain.errors import InvalidValue
from vitrine.domain.schema import Schema
from vitrine.domain.values import fold

PLACEHOLDER = re.compile(r"\{([^{}:]+)(?::\.(\d+))?\}")
"""A column's value in a pattern, or its first characters: {id}, {id:.3}."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnRules:
    """How the cells of a column are to be read."""

    html: bool = False
    """Whether tags are to be taken out."""
    separator: str = ""
    """What parts several values in a cell; empty: the first of | ; , that is there."""
    first_of: str = ""
    """What parts several values of which the first one counts."""
    true: frozenset[str] = frozenset()
    false: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """Which rows are one product."""

    names: tuple[str, ...]
    """Patterns of the names that a row goes by; rows that share one are one product."""
    parent: str = ""
    """A column that names the row to which this one belongs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A pair of columns: what a variant's option is called, such as Size, and its value."""

    name: str
    value: str
    separator: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Words by which a column's text tells the value of another: the first one that is there counts."""

    column: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureColumns:
    """How the pictures of a row are found."""

    columns: tuple[str, ...] = ()
    """Columns of paths or URLs beside those of the schema; the first that has a value counts."""
    more: tuple[str, ...] = ()
    """Columns of further pictures; all of them count."""
    separator: str = ""
    """What parts several pictures in a cell."""
    beside: tuple[str, ...] = ()
    """Patterns of files beside the table, tried where no column names a file that is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A known form of catalogue."""

    name: str
    title: str
    formats: tuple[str, ...]
    columns: tuple[str, ...] = ()
    embedded_pictures: bool = False
    """Whether it is this feed only where the rows hold pictures."""
    schema: Schema
    id_from_row: bool = False
    """Whether a row without an id column and without a picture's path is named after its place."""
    join: Join | None = None
    options: tuple[Option, ...] = ()
    no_options: frozenset[str] = frozenset()
    """Values that say that a product has no options, folded."""
    pictures: PictureColumns = field(default_factory=PictureColumns)
    rules: Mapping[str, ColumnRules] = field(default_factory=dict)
    """By key of the column."""
    words: Mapping[str, Words] = field(default_factory=dict)
    """By key of the column that they make."""
    usual_rules: ColumnRules = field(default_factory=ColumnRules)
    """How the cells of every other column are to be read."""
    left_out: tuple[str, ...] = ()
    """Columns that do not become attributes; a * at the end stands for anything."""

    def rules_of(self, key: str) -> ColumnRules:
        """Return how the cells of a column are to be read."""
        return self.rules.get(key, self.usual_rules)

    def leaves_out(self, key: str) -> bool:
        """Whether a column does not become an attribute."""
        return any(
            key.startswith(column_key(name[:-1])) if name.endswith("*") else key == column_key(name)
            for name in self.left_out
        )


def filled(pattern: str, values: Mapping[str, object]) -> str:
    """Put a row's values into a pattern; empty where one is missing."""
    parts: list[str] = []
    end = 0
    for match in PLACEHOLDER.finditer(pattern):
        value = values.get(column_key(match[1]))
        if isinstance(value, tuple) and value:
            value = value[0]
        try:
            text = "" if is_missing(value) else plain_text(match[1], value)
        except InvalidValue:
            return ""
        if not text:
            return ""
        parts += [pattern[end : match.start()], text[: int(match[2])] if match[2] else text]
        end = match.end()
    return "".join([*parts, pattern[end:]])


def words_found(feed: Feed, values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield the columns that a feed reads from the words of another, with their values."""
    for key, each in feed.words.items():
        text = values.get(column_key(each.column))
        if isinstance(text, str) and is_missing(values.get(key)):
            wanted = frozenset(each.words)
            found = next((word for word in re.findall(r"\w+", fold(text)) if word in wanted), None)
            if found is not None:
                yield key, found
