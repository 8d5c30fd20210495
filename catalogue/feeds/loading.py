"""Reads the feeds' files, and recognises a table's feed."""

import tomllib
from collections.abc import Collection, Mapping
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from catalogue.feeds.feed import ColumnRules, Feed, Join, Option, PictureColumns, Words
from catalogue.readers.rows import column_key
from vitrine.domain.schema import Schema
from vitrine.domain.schema_files import schema_from_document, shipped_names, shipped_schema
from vitrine.domain.values import fold

FORMATS = ("delimited", "json", "parquet", "xml", "fashion200k", "deepfashion", "coco", "pictures")
PLAIN = "plain"
"""The feed of a table that is no other one."""

_FOLDER = resources.files("catalogue.feeds")
_KEYS: Mapping[str, frozenset[str]] = {
    "feed": frozenset(
        {
            "title", "formats", "columns", "embedded_pictures", "schema", "id_from_row", "join", "options",
            "no_options", "pictures", "column", "words", "left_out", "true", "false",
        }
    ),
    "join": frozenset({"names", "parent"}),
    "options": frozenset({"name", "value", "separator"}),
    "pictures": frozenset({"columns", "more", "separator", "beside"}),
    "column": frozenset({"html", "separator", "first_of", "true", "false"}),
    "words": frozenset({"column", "words"}),
}  # fmt: skip
"""What each table of a feed's file may say."""


class FeedError(ValueError):
    """A feed's file breaks a rule; names the file and the key."""


@cache
def known_feeds() -> Mapping[str, Feed]:
    """Return the feeds that ship, by name."""
    files = sorted((file for file in _FOLDER.iterdir() if file.name.endswith(".toml")), key=_name)
    documents = {_name(file): tomllib.loads(file.read_text(encoding="utf-8")) for file in files}
    return {name: read_feed(name, document, documents) for name, document in documents.items()}


def read_feed(name: str, document: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]]) -> Feed:
    """Read a feed from its TOML; `others` are the feeds whose schema it may name.

    Raises:
        FeedError: a key is unknown, or a format or a schema.
        SchemaError: its schema breaks a rule.
    """
    _check(name, "feed", document)
    if unknown := set(document.get("formats", ())) - set(FORMATS) or not document.get("formats"):
        raise FeedError(f"{name}.toml: formats must be some of {', '.join(FORMATS)}, got {unknown}")
    for table in ("join", "pictures"):
        _check(name, table, document.get(table, {}))
    usual = _rules(_words(document) or _words(others.get(PLAIN, {})))
    return Feed(
        name=name,
        title=document.get("title", name),
        formats=tuple(document["formats"]),
        columns=tuple(document.get("columns", ())),
        embedded_pictures=document.get("embedded_pictures", False),
        schema=_schema(name, document.get("schema"), others),
        id_from_row=document.get("id_from_row", False),
        join=Join(**_tuples(document["join"])) if "join" in document else None,
        options=tuple(Option(**_checked(name, "options", each)) for each in document.get("options", ())),
        no_options=frozenset(map(fold, document.get("no_options", ()))),
        pictures=PictureColumns(**_tuples(document.get("pictures", {}))),
        rules={
            column_key(column): _rules(_checked(name, "column", rules), usual)
            for column, rules in document.get("column", {}).items()
        },
        words={
            column_key(column): Words(**_tuples(_checked(name, "words", words)))
            for column, words in document.get("words", {}).items()
        },
        usual_rules=usual,
        left_out=tuple(document.get("left_out", ())),
    )


def recognise(table_format: str, keys: Collection[str], *, embedded_pictures: bool) -> Feed:
    """Return the feed of a table: of those whose columns are all there the one that names most."""
    found = [
        feed
        for feed in known_feeds().values()
        if table_format in feed.formats
        and all(column_key(column) in keys for column in feed.columns)
        and (embedded_pictures or not feed.embedded_pictures)
    ]
    return max(
        found,
        key=lambda feed: (len(feed.columns), feed.embedded_pictures, feed.name != PLAIN),
        default=known_feeds()[PLAIN],
    )


def _schema(name: str, given: object, others: Mapping[str, Mapping[str, Any]]) -> Schema:
    if isinstance(given, dict):
        return schema_from_document({"name": name, **given})
    if isinstance(given, str) and isinstance(own := others.get(given, {}).get("schema"), dict):
        return schema_from_document({"name": given, **own})
    if given in shipped_names():
        return shipped_schema(str(given))
    raise FeedError(f"{name}.toml: schema must be a table, or name one that ships or a feed, got {given!r}")


def _rules(given: Mapping[str, Any], usual: ColumnRules = ColumnRules()) -> ColumnRules:  # noqa: B008 - frozen
    """Return the rules of a column; what says true and false is the usual words where it names none."""
    words = {key: frozenset(map(fold, listed)) for key, listed in _words(given).items()}
    return ColumnRules(**{"true": usual.true, "false": usual.false, **given, **words})


def _words(given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: given[key] for key in ("true", "false") if key in given}


def _tuples(given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}


def _checked(name: str, table: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    _check(name, table, given)
    return given


def _check(name: str, table: str, given: Mapping[str, Any]) -> None:
    if unknown := sorted(given.keys() - _KEYS[table]):
        raise FeedError(f"{name}.toml: {table}: {unknown[0]} is unknown; these are: {sorted(_KEYS[table])}")


def _name(file: Traversable) -> str:
    return file.name.removesuffix(".toml")
