"""Markdown documents as passages: the text under each heading, plain, in the order of the document.

Nothing of a document is executed, followed or obeyed: its text is cut, searched and quoted, and no language model reads it.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256

from markdown_it import MarkdownIt
from markdown_it.token import Token

from gateway.errors import InvalidQuery
from gateway.model import Passage
from vitrine.domain import limits

# Raw HTML is left out of a passage; a table is a line a row.
_PARSER = MarkdownIt("commonmark", {"html": True}).enable("table")
_LINE_ENDS = frozenset(
    {"paragraph_close", "tr_close", "list_item_close", "heading_close", "blockquote_close"}
)


def check_document(field: str, name: str, text: str) -> None:
    """Raise InvalidQuery, with the field and the limit, where a document cannot be taken."""
    if not name.strip() or len(name) > limits.MAX_DOCUMENT_NAME_LENGTH or not name.isprintable():
        raise InvalidQuery(
            f"{field}.name", f"must be 1 to {limits.MAX_DOCUMENT_NAME_LENGTH} printable characters"
        )
    if (size := len(text.encode())) > limits.MAX_DOCUMENT_BYTES:
        raise InvalidQuery(
            f"{field}.text", f"{name}: at most {limits.MAX_DOCUMENT_BYTES:,} bytes, got {size:,}"
        )


def document_digest(name: str, text: str) -> str:
    """Return the digest of a document: equal digests have equal passages."""
    return sha256(f"{name}\0{text}".encode()).hexdigest()


def cut(name: str, text: str) -> tuple[Passage, ...]:
    """Return the passages of a document: one a heading with text under it, a long one in several.

    The title of the document is its first heading of the first level, else its name. Text before the first heading belongs
    to the title.
    """
    sections = list(_sections(_PARSER.parse(text)))
    title = next((heading for level, heading, _ in sections if level == 1 and heading), "") or name
    digest = document_digest(name, text)
    pieces = [
        (heading or title, piece)
        for _, heading, lines in sections
        for piece in _pieces("\n".join(lines), limits.MAX_PASSAGE_LENGTH)
    ]
    return tuple(
        Passage(
            document=name,
            document_digest=digest,
            title=title[: limits.MAX_HEADING_LENGTH],
            heading=heading[: limits.MAX_HEADING_LENGTH],
            text=piece,
            position=position,
        )
        for position, (heading, piece) in enumerate(pieces)
    )


def _sections(tokens: Sequence[Token]) -> Iterator[tuple[int, str, list[str]]]:
    """Yield each section's level, its heading and its lines; the text before the first heading has level 0."""
    level, heading, lines = 0, "", list[str]()
    line, in_heading = "", 0
    for token in tokens:
        if token.type == "heading_open":
            yield level, heading, lines
            level, heading, lines, in_heading = int(token.tag[1:]), "", [], 1
        elif token.type == "inline":
            said = " ".join(_words(token).split())
            line = f"{line} {said}".strip() if line else said
        elif token.type in {"fence", "code_block"}:
            lines.extend(filter(None, (_printable(each).strip() for each in token.content.splitlines())))
        if token.type in _LINE_ENDS and line:
            if in_heading:
                heading, in_heading = line, 0
            else:
                lines.append(line)
            line = ""
    yield level, heading, lines


def _words(token: Token) -> str:
    """Return the words of a line: without marks, addresses of links or raw HTML; of a picture what it is called."""
    said = []
    for child in token.children or ():
        if child.type in {"text", "code_inline"}:
            said.append(child.content)
        elif child.type in {"softbreak", "hardbreak"}:
            said.append(" ")
        elif child.type == "image":
            said.append(child.content)
    return _printable("".join(said))


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _pieces(text: str, length: int) -> Iterator[str]:
    """Cut a text into pieces of at most so many characters, at the ends of lines, else of sentences, else of words."""
    rest = text.strip()
    while len(rest) > length:
        ends = (rest.rfind(mark, length // 2, length) for mark in ("\n", ". ", "。", " "))
        end = next((place for place in ends if place > 0), length - 1) + 1
        yield rest[:end].strip()
        rest = rest[end:].strip()
    if rest:
        yield rest
