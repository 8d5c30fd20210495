"""Cells as values of a schema's fields."""

import ast
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from catalogue.feeds.feed import ColumnRules
from catalogue.readers.prices import DecimalMark, currencies_named, decimal_mark, read_number, read_price
from catalogue.readers.rows import is_missing, shown
from catalogue.readers.text import plain_text, without_html
from vitrine.domain.errors import InvalidValue
from vitrine.domain.schema import NUMBER_KINDS, Field, Kind
from vitrine.domain.values import Value, distinct, fold, to_boolean

_SEPARATORS = "|;,"
_MAX_LITERAL = 20_000
"""Characters of a list in a cell that is read as a list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the first rows of a table tell of the rest."""

    marks: Mapping[str, DecimalMark] = field(default_factory=dict)
    """Decimal marks by key of the column."""
    currencies: frozenset[str] = frozenset()
    """Those that an amount of money may name; none where nothing is known of them."""


def read_cell(owner: Field, key: str, cell: object, rules: ColumnRules, facts: Facts) -> Value | None:
    """Return the value that a cell gives a field; None where it holds nothing.

    Raises:
        InvalidValue: it is of another kind.
    """
    if is_missing(cell):
        return None
    if owner.kind in NUMBER_KINDS:
        return _lowest(owner, key, cell, facts)
    match owner.kind:
        case Kind.KEYWORD:
            return _keyword(owner, cell, rules)
        case Kind.KEYWORDS:
            return distinct(_keywords(owner.name, cell, rules)) or None
        case Kind.BOOLEAN:
            return _boolean(owner.name, cell, rules)
        case _:
            return _text(owner, cell, rules)


def texts(cell: object) -> Iterable[str]:
    """Yield the texts of a cell, of all rows that were joined."""
    for each in cell if isinstance(cell, tuple) else (cell,):
        if isinstance(each, str) and each.strip():
            yield each


def mark_of(cells: Iterable[object]) -> DecimalMark:
    """Return what parts the decimals of a column's numbers."""
    return decimal_mark(text for cell in cells for text in texts(cell))


def currencies_of(cells: Iterable[object]) -> tuple[frozenset[str], float]:
    """Return the currencies that a column's prices may be in, and which share of those that name one agree on them.

    Several are possible where a sign of more than one is all that is said, such as "$".
    """
    named = Counter(codes for cell in cells for text in texts(cell) if (codes := currencies_named(text)))
    ranked = [codes for codes, _ in sorted(named.items(), key=lambda each: (-each[1], sorted(each[0])))]
    found = ranked[0] if ranked else frozenset()
    for codes in ranked[1:]:
        found = found & codes or found
    agreeing = sum(count for codes, count in named.items() if codes & found)
    return found, agreeing / max(1, named.total())


def listed(cell: object, separator: str) -> list[object]:
    """Return the parts of a cell that holds a list: a list, a list as text, or texts parted by a separator."""
    if isinstance(cell, list | tuple):
        return [part for each in cell for part in listed(each, separator)]
    if not isinstance(cell, str):
        return [cell]
    if (literal := _literal(cell)) is not None:
        return literal
    parts = cell.split(separator) if separator else [cell]
    return [stripped for part in parts if (stripped := part.strip())]


def _keyword(owner: Field, cell: object, rules: ColumnRules) -> str | None:
    value = cell[0] if isinstance(cell, tuple | list) and cell else cell
    text = plain_text(owner.name, value)
    if rules.first_of:
        text = text.split(rules.first_of)[0].strip()
    return (without_html(text) if rules.html else text) or None


def _text(owner: Field, cell: object, rules: ColumnRules) -> str | None:
    values = (
        cell[:1] if isinstance(cell, tuple) else cell if isinstance(cell, list) and not owner.role else [cell]
    )
    text = " ".join(plain_text(owner.name, each) for each in values)
    return (without_html(text) if rules.html else text) or None


def _keywords(name: str, cell: object, rules: ColumnRules) -> list[str]:
    separator = rules.separator
    if not separator and isinstance(cell, str):
        separator = next((each for each in _SEPARATORS if each in cell), "")
    return [plain_text(name, part) for part in listed(cell, separator)]


def _boolean(name: str, cell: object, rules: ColumnRules) -> bool:
    if isinstance(cell, list | tuple):
        return any(_boolean(name, each, rules) for each in cell)
    if isinstance(cell, bool):
        return cell
    text = fold(plain_text(name, cell).replace("_", " "))
    if text in rules.true:
        return True
    if text in rules.false:
        return False
    said = to_boolean(text)
    if said is None:
        taken = ", ".join(["true", "false", *sorted(rules.true | rules.false)[:6]])
        raise InvalidValue(name, f"must be one of {taken}, got {shown(cell)}")
    return said


def _lowest(owner: Field, key: str, cell: object, facts: Facts) -> float | None:
    """Return the number of a cell, the lowest of the rows that were joined, and of a list of prices."""
    cells = cell if isinstance(cell, tuple) else (cell,)
    numbers = [part for each in cells for part in _single(owner, each) if not is_missing(part)]
    return min((_number(owner, key, each, facts) for each in numbers), default=None)


def _single(owner: Field, cell: object) -> list[object]:
    """Return what a list holds where it can be one number: prices, or one thing."""
    return cell if isinstance(cell, list) and (owner.kind is Kind.MONEY or len(cell) == 1) else [cell]


def _number(owner: Field, key: str, cell: object, facts: Facts) -> float:
    if isinstance(cell, str):
        text, mark = plain_text(owner.name, cell), facts.marks.get(key, "")
        if owner.kind is Kind.MONEY:
            return read_price(owner.name, text, currencies=facts.currencies, mark=mark)
        return read_number(owner.name, text, mark=mark)
    if isinstance(cell, bool) or not isinstance(cell, int | float | Decimal):
        raise InvalidValue(owner.name, f"must be a number, got {shown(cell)}")
    try:
        return float(cell)
    except OverflowError:
        raise InvalidValue(owner.name, f"must be a number, got {shown(cell)}") from None


def _literal(text: str) -> list[object] | None:
    """Return a list that was written as JSON or as Python writes it; None for anything else."""
    stripped = text.strip()
    if not (stripped.startswith("[") and stripped.endswith("]") and len(stripped) <= _MAX_LITERAL):
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(stripped)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return value if isinstance(value, list) else None
    return None
