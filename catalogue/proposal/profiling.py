"""What a column of a catalogue holds, from a sample of its rows."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from catalogue.readers.prices import looks_like_price, may_be_code, read_number
from catalogue.readers.rows import Row, is_missing, is_picture
from catalogue.readers.text import plain_text
from vitrine.domain.errors import InvalidValue
from vitrine.domain.values import fold, to_boolean

SAMPLE_ROWS = 5_000
"""Rows that are looked at."""
MAX_DISTINCT = 10_000
"""Distinct values of a column that are told apart."""

_SAMPLES = 3
_KEPT_TEXTS = 200
_MAX_TEXT = 2_000
"""Characters of a text that are looked at."""
_LEADING_ZERO = re.compile(r"[+-]?0\d")
_PICTURE = re.compile(r"\S+\.(?:jpe?g|png|webp)(?:[?#]\S*)?", re.IGNORECASE)
_URL = re.compile(r"https?://\S+", re.IGNORECASE)
_SEPARATORS = "|;"


@dataclass(slots=True)
class Profile:
    """What a column holds; counts are of the cells that hold something."""

    key: str
    name: str
    filled: int = 0
    values: dict[str, int] = field(default_factory=dict)
    """Distinct values, folded, and how often each is there; at most MAX_DISTINCT."""
    more: bool = False
    """Whether there are more distinct values."""
    samples: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    """The first texts, by which the forms of numbers are told."""
    numbers: int = 0
    prices: int = 0
    like_codes: int = 0
    """Prices that may be codes or sizes as well, such as R12 and FR 36."""
    booleans: int = 0
    codes: int = 0
    """Numbers with a zero before them, which are no numbers."""
    pictures: int = 0
    embedded: int = 0
    urls: int = 0
    lists: int = 0
    several: int = 0
    """Lists of more than one value."""
    separated: int = 0
    """Texts with a comma in them and short parts."""
    parts: dict[str, int] = field(default_factory=dict)
    """Distinct parts between commas."""
    nested: int = 0
    """Records and what else is no value."""
    letters: int = 0
    words: int = 0
    longest: int = 0

    @property
    def distinct(self) -> int:
        """Return how many distinct values there are, or MAX_DISTINCT where there are more."""
        return len(self.values)

    @property
    def mean_length(self) -> float:
        """Return the mean length of a value in characters."""
        return self.letters / max(1, self.filled)

    @property
    def mean_words(self) -> float:
        """Return the mean length of a value in words."""
        return self.words / max(1, self.filled)

    def share(self, count: int) -> float:
        """Return a count as a share of the cells that hold something."""
        return count / max(1, self.filled)


def profile(rows: Iterable[Row], names: Iterable[tuple[str, str]]) -> list[Profile]:
    """Return what the columns hold, in the order of their names, those that the feed makes last."""
    profiles = {key: Profile(key, name) for key, name in names}
    for row in rows:
        for key, cell in row.values.items():
            if key not in profiles:
                profiles[key] = Profile(key, row.names.get(key, key))
            if not is_missing(cell):
                _look_at(profiles[key], cell)
    return list(profiles.values())


def _look_at(column: Profile, cell: object) -> None:
    column.filled += 1
    if isinstance(cell, bytes) or is_picture(cell):
        column.embedded += 1
        return
    if isinstance(cell, list | tuple):
        column.lists += 1
        parts = [part for part in cell if isinstance(part, str | int | float)]
        column.nested += not parts
        column.several += len(parts) > 1
        _look_at_text(column, ", ".join(map(str, parts)))
        if len(parts) == 1:
            _look_at_number(column, parts[0], str(parts[0]))
        return
    try:
        text = plain_text(column.name, cell)
    except InvalidValue:
        column.nested += 1
        return
    _look_at_text(column, text)
    _look_at_kind(column, cell, text)


def _look_at_text(column: Profile, text: str) -> None:
    column.letters += len(text)
    column.words += len(text[:_MAX_TEXT].split())
    column.longest = max(column.longest, len(text))
    folded = fold(text[:_MAX_TEXT])
    if folded not in column.values:
        if len(column.values) >= MAX_DISTINCT:
            column.more = True
            return
        if len(column.samples) < _SAMPLES:
            column.samples.append(" ".join(text[:_MAX_TEXT].split()))
    column.values[folded] = column.values.get(folded, 0) + 1


def _look_at_kind(column: Profile, cell: object, text: str) -> None:
    _look_at_number(column, cell, text)
    if isinstance(cell, int | float):
        column.booleans += isinstance(cell, bool)
        return
    column.booleans += to_boolean(text) is not None
    column.urls += bool(_URL.fullmatch(text))
    column.pictures += bool(_PICTURE.fullmatch(text))
    column.lists += any(separator in text for separator in _SEPARATORS) or text.startswith("[")
    if "," in text and len(text) < _MAX_TEXT:
        _look_at_parts(column, text)


def _look_at_number(column: Profile, cell: object, text: str) -> None:
    if isinstance(cell, int | float):
        column.numbers += not isinstance(cell, bool)
        return
    if len(column.texts) < _KEPT_TEXTS:
        column.texts.append(text)
    if _LEADING_ZERO.match(text):
        column.codes += text.isdecimal()
    if _is_number(text):
        column.numbers += 1
    elif looks_like_price(text):
        column.prices += 1
        column.like_codes += may_be_code(text)


def _look_at_parts(column: Profile, text: str) -> None:
    parts = [part.strip() for part in text.split(",")]
    column.separated += all(0 < len(part.split()) <= _SAMPLES for part in parts)
    for part in parts[:_KEPT_TEXTS]:
        if len(column.parts) < MAX_DISTINCT or part in column.parts:
            column.parts[part] = column.parts.get(part, 0) + 1


def _is_number(text: str) -> bool:
    try:
        read_number("", text, mark=".")
    except InvalidValue:
        return False
    return True
