"""The encoding of a text file, from its first bytes."""

import codecs
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from charset_normalizer import from_bytes

HEAD_BYTES = 1 << 20
"""Bytes from which encoding and separator are seen; the rest of a file of any size is streamed."""

ERRORS = "vitrine_mark"
"""The error handler: bytes that fit no encoding become a lone surrogate, by which their row is told."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as that of UTF-16 does
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WESTERN = "cp1252"
_OTHERS = ("cp1251", "cp932", "gb18030", "cp949", "big5", "cp1253", "cp1255", "cp1256")
"""Encodings of other scripts; those of the Latin script differ from Windows-1252 in single letters and cannot be told."""
_SAMPLE = 65_536
_HIGH = re.compile(rb"[\x80-\xff]+")


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a file's bytes are read as text."""

    name: str
    guessed: bool = False
    """Whether nothing in the file names it."""


def detect_encoding(path: Path) -> Encoding:
    """Return the encoding of a text file: by its byte-order mark, UTF-8, or the likeliest of the older ones."""
    with path.open("rb") as file:
        return encoding_of(_head(file))


def encoding_of(head: bytes) -> Encoding:
    """Return the encoding of a text that begins with these bytes."""
    for mark, name in _BOMS:
        if head.startswith(mark):
            return Encoding(name)
    if (wide := _wide(head)) is not None:
        return Encoding(wide, guessed=True)
    text = head.decode("utf-8", errors="surrogateescape")
    bad = sum("\udc80" <= character <= "\udcff" for character in text)
    good = sum(character > "\x7f" for character in text) - bad
    if bad <= good:
        return Encoding("utf-8")
    return Encoding(_older(head), guessed=True)


def _head(file: BinaryIO) -> bytes:
    """Read the first bytes, without a letter that is cut in two."""
    head = file.read(HEAD_BYTES)
    if len(head) < HEAD_BYTES:
        return head
    end = max(head.rfind(b"\n"), HEAD_BYTES // 2) + 1
    return head[:end]


def _wide(head: bytes) -> str | None:
    """Recognise UTF-16 without a byte-order mark by its zeros: every other byte of Latin text."""
    even, odd = head[0:4096:2].count(0), head[1:4096:2].count(0)
    least = max(1, len(head[:4096]) // 5)
    if odd > least and not even:
        return "utf-16-le"
    return "utf-16-be" if even > least and not odd else None


def _older(head: bytes) -> str:
    """Return the encoding of another script, whose letters stand side by side, or that of Western Europe."""
    runs = _HIGH.findall(head)
    together = sum(len(run) for run in runs if len(run) > 1)
    if together <= sum(map(len, runs)) / 2:
        return _WESTERN
    best = from_bytes(head[:_SAMPLE], cp_isolation=[*_OTHERS, _WESTERN]).best()
    return best.encoding if best is not None else _WESTERN


def _mark(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "\udcff", error.end


codecs.register_error(ERRORS, _mark)
