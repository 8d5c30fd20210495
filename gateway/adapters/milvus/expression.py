"""Filters as Milvus expressions, in the subset that Milvus Lite 2.5 and every server since 2.3 read alike.

- Text is stored and asked in one encoding that leaves nothing to escape: the engines' own rules differ (Lite
  matches no escaped newline, and pastes primary keys into SQL as they come).
- Lite knows no `not`: it is carried down to the conditions, where every one has an opposite.
- Lite reads at most about 100 levels: long conjunctions are joined as balanced trees, not as chains.
- Lite takes no integers for a number's field: numbers always carry a point or an exponent.
"""

import heapq
import re
from collections.abc import Iterable, Sequence
from itertools import count
from typing import assert_never
from urllib.parse import unquote

from gateway.model import AllOf, AnyOf, Equals, Filter, Not, OneOf, Range

# Control characters, both quotes, the backslash, and the encoding's own sign.
_SPECIAL = re.compile(r"[\x00-\x1f\x7f\"'\\%]")


def encode_text(text: str) -> str:
    """Give the text with every character that is special in an expression or in SQL as %XX; injective."""
    return _SPECIAL.sub(lambda match: f"%{ord(match[0]):02X}", text)


def decode_text(text: str) -> str:
    """Undo `encode_text`."""
    return unquote(text) if "%" in text else text


def literal(value: str | float) -> str:
    """Give the value as it stands in an expression; the only place where values enter one."""
    return f'"{encode_text(value)}"' if isinstance(value, str) else repr(float(value))


def milvus_expression(node: Filter) -> str:
    """Give the expression that holds for the very products that the filter holds for."""
    _, text = _write(node, negated=False)
    return text


def _write(node: Filter, *, negated: bool) -> tuple[int, str]:
    """Give the expression of the filter or of its opposite, after the height of the expression's tree."""
    match node:
        case Equals(field, value):
            return 1, f"{field} {'!=' if negated else '=='} {literal(value)}"
        case OneOf(field, values):
            listed = ", ".join(map(literal, values))
            return 1, f"{field} {'not in' if negated else 'in'} [{listed}]"
        case Range():
            return _join([(1, bound) for bound in _bounds(node, negated=negated)], conjunction=not negated)
        case AllOf(parts):
            return _join([_write(part, negated=negated) for part in parts], conjunction=not negated)
        case AnyOf(parts):
            return _join([_write(part, negated=negated) for part in parts], conjunction=negated)
        case Not(part):
            return _write(part, negated=not negated)
        case _:
            assert_never(node)


def _bounds(node: Range, *, negated: bool) -> Iterable[str]:
    if node.minimum is not None:
        at_least, below = (">", "<=") if node.exclusive_minimum else (">=", "<")
        yield f"{node.field} {below if negated else at_least} {literal(node.minimum)}"
    if node.maximum is not None:
        at_most, above = ("<", ">=") if node.exclusive_maximum else ("<=", ">")
        yield f"{node.field} {above if negated else at_most} {literal(node.maximum)}"


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
