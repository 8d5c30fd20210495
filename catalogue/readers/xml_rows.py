"""Merchant feeds in XML: RSS 2.0 with items, or Atom with entries, their fields in Google's namespace or without.

The parser expands no entity and reads no document type; what it has read it lets go.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from catalogue.readers.rows import CatalogueError, Row, RowError, Table, keyed, keys_of

_RECORDS = frozenset({"item", "entry"})
_GOOGLE = "{http://base.google.com/ns/1.0}"
_SAMPLE = 5_000


def open_xml(path: Path) -> Table:
    """Open a feed.

    Raises:
        CatalogueError: it is no XML, declares a document type, or holds no item or entry.
    """
    records = 0
    with path.open("rb") as file:
        try:
            for _ in islice(_records(file), _SAMPLE):
                records += 1
        except ParseError as error:
            if not records:
                raise CatalogueError(f"{path}: not XML: {error}") from error
        except DefusedXmlException as error:
            reason = "declares a document type or entities, which no feed needs"
            raise CatalogueError(f"{path}: {reason}") from error
        read = file.tell()
    if not records:
        raise CatalogueError(f"{path}: no <item> of RSS 2.0 and no <entry> of Atom")
    estimate = max(records, round(records * path.stat().st_size / max(1, read)))
    return Table(source=path, files=(path,), format="xml", rows=_rows(path), estimate=estimate)


def _rows(path: Path) -> Iterator[Row | RowError]:
    number = 0
    with path.open("rb") as file:
        try:
            for number, record in enumerate(_records(file), start=1):
                yield _row(path, number, record)
        except (ParseError, DefusedXmlException) as error:
            reason = f"not XML, and nothing after it is read: {error}"
            yield RowError(file=path, line=number + 1, field="", reason=reason)


def _records(file: Any) -> Iterator[Element]:
    """Yield the records one by one, each taken out of the tree before the next is read."""
    open_elements: list[Element] = []
    for event, element in iterparse(file, events=("start", "end"), forbid_dtd=True):
        if event == "start":
            open_elements.append(element)
            continue
        open_elements.pop()
        if _local(element.tag) in _RECORDS:
            yield element
            if open_elements:
                open_elements[-1].remove(element)


def _row(path: Path, number: int, record: Element) -> Row:
    found: dict[str, list[str]] = {}
    own: dict[str, list[str]] = {}
    for child in record:
        if text := _text(child):
            columns = found if str(child.tag).startswith(_GOOGLE) else own
            columns.setdefault(_local(child.tag), []).append(text)
    # Google's own fields count where RSS has one of the same name: title, link, description.
    columns = own | found
    values = {name: listed[0] if len(listed) == 1 else tuple(listed) for name, listed in columns.items()}
    return Row(file=path, line=number, values=keyed(values.items()), names=keys_of(values))


def _text(element: Element) -> str:
    text = "".join(element.itertext()).strip()
    return text or str(element.get("href", ""))


def _local(tag: object) -> str:
    return str(tag).rpartition("}")[2]
