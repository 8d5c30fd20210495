"""Cells as plain text."""

import datetime as dt
import html
import re
from decimal import Decimal
from html.parser import HTMLParser

from catalogue.readers.rows import is_missing, shown
from vitrine.domain.errors import InvalidValue

_BLOCKS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "br",
        "dd",
        "div",
        "dl",
        "dt",
        "figure",
        "footer",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "li",
        "main",
        "nav",
        "ol",
        "p",
        "pre",
        "section",
        "table",
        "td",
        "th",
        "tr",
        "ul",
    ]
)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<!--")
_UNSEEN = frozenset({"script", "style", "template", "noscript"})


def plain_text(name: str, cell: object) -> str:
    """Return the cell as text without white space around it: whole numbers without a point.

    Raises:
        InvalidValue: it is no single value, or holds bytes that are no text.
    """
    if is_missing(cell):
        return ""
    match cell:
        case bool():
            text = "true" if cell else "false"
        case float():
            text = str(int(cell)) if cell.is_integer() and abs(cell) < 1e16 else repr(cell)  # noqa: PLR2004 - beyond, repr has an exponent
        case str() | int() | Decimal():
            text = str(cell).strip()
        case dt.date() | dt.time():
            text = cell.isoformat()
        case _:
            raise InvalidValue(name, f"must be text, got {shown(cell)}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidValue(name, "holds bytes that are no text in the file's encoding") from None
    return text


def without_html(text: str) -> str:
    """Return the words of a piece of HTML, blocks parted by spaces; a text without tags stays as it is."""
    if not _TAG.search(text):
        return html.unescape(text)
    reader = _Words()
    reader.feed(text)
    reader.close()
    return " ".join("".join(reader.words).split())


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - the library's signature
        self._unseen += tag in _UNSEEN
        if tag in _BLOCKS:
            self.words.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self._unseen -= tag in _UNSEEN and self._unseen > 0
        if tag in _BLOCKS:
            self.words.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.words.append(data)
