"""Filters as Milvus expressions, in the subset that Milvus Lite 2.5 and every server since 2.3 read alike.

- Text is stored and asked in one encoding that leaves nothing to escape: the engines' own rules differ (Lite
  matches no escaped newline, and pastes primary keys into SQL as they come).
- Lite knows no `not`: it is carried down to the conditions, where every one has an opposite.
- Lite reads at most about 100 levels: long conjunctions are joined as balanced trees, not as chains.
- Lite takes no integers for a number's field: numbers always carry a point or an exponent.
- A missing number satisfies no condition, nor the opposite of one: every opposite asks whether there is a number.
"""

import heapq
import math
import re
import sys
from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import count
from typing import assert_never
from urllib.parse import unquote

from gateway.adapters.milvus.layout import TOKENS, Layout
from vitrine.domain.filters import AllOf, AnyOf, Equals, Filter, Not, OneOf, Range, Says, Scalar
from vitrine.domain.lexical import form_tokens
from vitrine.domain.schema import NUMBER_KINDS, Field, Kind
from vitrine.domain.values import fold

MISSING = -sys.float_info.max
"""Stands in a number's column for a missing number; no literal of Milvus is smaller."""

LOWEST = math.nextafter(MISSING, 0.0)
"""Stands for the lowest double as well, in rows and in conditions: no number is taken for a missing one, and the two
lowest doubles are one."""

ALWAYS = "part >= 0"
NEVER = "part < 0"

# Control characters, both quotes, the backslash, and the encoding's own sign.
_SPECIAL = re.compile(r"[\x00-\x1f\x7f\"'\\%]")

_MAX_KEY_BYTES = 256
"""Bytes of a keyword that is stored and asked as it is; a longer one is asked by its hash."""


def encode_text(text: str) -> str:
    """Return the text with every character that is special in an expression or in SQL as %XX; injective."""
    return _SPECIAL.sub(lambda match: f"%{ord(match[0]):02X}", text)


def decode_text(text: str) -> str:
    """Undo `encode_text`."""
    return unquote(text) if "%" in text else text


def literal(value: str | float) -> str:
    """Return the value as it stands in an expression; the only place where values enter one."""
    return f'"{encode_text(value)}"' if isinstance(value, str) else repr(float(value))


def keyword_key(keyword: str) -> str:
    """Return by what a keyword is compared: its folded form, or the hash of a long one.

    A hash has a space before it, which no folded form has. The key of no words at all is empty.
    """
    folded = fold(keyword)
    # A bound on the column's length, whatever the encoding and Unicode's own expansions make of a keyword.
    if len(encode_text(folded).encode(errors="surrogatepass")) <= _MAX_KEY_BYTES:
        return folded
    return f" {sha256(folded.encode(errors='surrogatepass')).hexdigest()}"


def filter_expression(node: Filter, layout: Layout) -> str:
    """Return the expression that holds for the rows of the very products that the filter holds for."""
    _, text = _write(node, layout, negated=False)
    return text


def words_expression(words: Sequence[str]) -> str:
    """Return the expression of the products that have one of the tokens."""
    return f"array_contains_any({TOKENS}, [{_literals(words)}])"


def said_expression(forms: Sequence[str]) -> str:
    """Return the expression of the rows that have all words of one of the forms."""
    said = [(1, f"array_contains_all({TOKENS}, [{_literals(form_tokens(form))}])") for form in forms]
    return _join(said, conjunction=False)[1]


def _literals(words: Iterable[str]) -> str:
    return ", ".join(map(literal, words))


def number_present(owner: Field, layout: Layout) -> str:
    """Return the expression of the products that have the number."""
    if layout.has_column(owner):
        return f"{layout.operand(owner)} > {literal(MISSING)}"
    return f"{layout.presence(owner)} == 1"


def number_missing(owner: Field, layout: Layout) -> str:
    """Return the expression of the products that lack the number."""
    if layout.has_column(owner):
        return f"{layout.operand(owner)} == {literal(MISSING)}"
    return f"{layout.presence(owner)} != 1"


def conjunction(*expressions: str) -> str:
    """Join expressions that must all hold; empty ones hold always."""
    joined = [(1, each) for each in expressions if each]
    return _join(joined, conjunction=True)[1] if joined else ""


def _write(node: Filter, layout: Layout, *, negated: bool) -> tuple[int, str]:
    """Return the expression of the filter or of its opposite, after the height of the expression's tree."""
    match node:
        case Equals(field, value):
            return _write_values(layout.field(field), (value,), layout, negated=negated)
        case OneOf(field, values):
            return _write_values(layout.field(field), values, layout, negated=negated)
        case Range():
            owner = layout.field(node.field)
            bounds = [(1, bound) for bound in _bounds(node, layout.operand(owner), negated=negated)]
            joined = _join(bounds, conjunction=not negated)
            return _join([joined, (1, number_present(owner, layout))], conjunction=True)
        case AllOf(parts):
            return _join([_write(part, layout, negated=negated) for part in parts], conjunction=not negated)
        case AnyOf(parts):
            return _join([_write(part, layout, negated=negated) for part in parts], conjunction=negated)
        case Not(part):
            return _write(part, layout, negated=not negated)
        case Says():
            raise TypeError("what products say is asked for by keys (gateway.adapters.milvus.saying)")
        case _:
            assert_never(node)


def _write_values(
    owner: Field, values: Sequence[Scalar], layout: Layout, *, negated: bool
) -> tuple[int, str]:
    if owner.kind in NUMBER_KINDS:
        numbers = [max(float(value), LOWEST) for value in values]
        listed = (1, _listed(layout.operand(owner), numbers, negated=negated))
        return _join([listed, (1, number_present(owner, layout))], conjunction=True) if negated else listed
    if owner.kind is Kind.BOOLEAN:
        return 1, _listed(layout.operand(owner), [boolean_key(value) for value in values], negated=negated)
    # An empty keyword is nobody's: a missing one is stored as such.
    keys = list(dict.fromkeys(key for value in values if (key := keyword_key(str(value)))))
    if owner.kind is Kind.KEYWORD or not keys:
        return 1, _listed(layout.operand(owner), keys, negated=negated)
    operator = "!=" if negated else "=="
    entries = [(1, f"{layout.operand(owner)}[{literal(key)}] {operator} 1") for key in keys]
    return _join(entries, conjunction=negated)


def boolean_key(value: Scalar) -> str:
    """Return how a boolean is stored and asked."""
    return "true" if value else "false"


def _listed(operand: str, values: Sequence[str | float], *, negated: bool) -> str:
    if not values:
        return ALWAYS if negated else NEVER
    if len(values) == 1:
        return f"{operand} {'!=' if negated else '=='} {literal(values[0])}"
    return f"{operand} {'not in' if negated else 'in'} [{', '.join(map(literal, values))}]"


def _bounds(node: Range, operand: str, *, negated: bool) -> Iterable[str]:
    if node.minimum is not None:
        at_least, below = (">", "<=") if node.exclusive_minimum else (">=", "<")
        yield f"{operand} {below if negated else at_least} {literal(max(node.minimum, LOWEST))}"
    if node.maximum is not None:
        at_most, above = ("<", ">=") if node.exclusive_maximum else ("<=", ">")
        yield f"{operand} {above if negated else at_most} {literal(max(node.maximum, LOWEST))}"


def _join(parts: Sequence[tuple[int, str]], *, conjunction: bool) -> tuple[int, str]:
    """Join the lowest two again and again, so that the height grows with the logarithm of the number of parts."""
    operator = "and" if conjunction else "or"
    order = count()
    heap = [(height, next(order), text) for height, text in parts]
    heapq.heapify(heap)
    while len(heap) > 1:
        _, _, left = heapq.heappop(heap)
        height, _, right = heapq.heappop(heap)
        heapq.heappush(heap, (height + 1, next(order), f"({left}) {operator} ({right})"))
    ((height, _, text),) = heap
    return height, text
