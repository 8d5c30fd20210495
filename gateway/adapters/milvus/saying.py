"""What products say of themselves, as a condition: by the keys of the rows that say it.

Milvus Lite knows no negation of what an array holds. So the rows that have the words are asked for first, and what they deny is
looked at here.
"""

from gateway.adapters.milvus.expression import (
    NEVER,
    conjunction,
    decode_text,
    filter_expression,
    said_expression,
)
from gateway.adapters.milvus.layout import ID, WORDS
from gateway.adapters.milvus.reading import Reading
from gateway.adapters.milvus.rows import with_keys, without_keys
from vitrine.domain.filters import Filter, Not, Says, both, conjuncts
from vitrine.domain.lexical import denials

MAX_SAYING = 10_000
"""Rows that one condition names, those of the lowest keys; where more say a word, the others are not left out."""


async def whole_expression(filters: Filter | None, reading: Reading) -> str:
    """Return the expression of a filter; empty for none."""
    plain, said = _parted(filters)
    expression = "" if plain is None else filter_expression(plain, reading.layout)
    for condition, negated in said:
        keys = await _saying(condition, reading, expression)
        named = without_keys(keys) if negated else with_keys(keys) if keys else NEVER
        expression = conjunction(expression, named)
    return expression


def _parted(filters: Filter | None) -> tuple[Filter | None, list[tuple[Says, bool]]]:
    """Return a filter without what it says of products' words, and that, each with whether it is negated."""
    plain: Filter | None = None
    said: list[tuple[Says, bool]] = []
    for part in conjuncts(filters):
        match part:
            case Says():
                said.append((part, False))
            case Not(Says() as inner):
                said.append((inner, True))
            case _:
                plain = both(plain, part)
    return plain, said


async def _saying(condition: Says, reading: Reading, expression: str) -> list[str]:
    """Return the keys of the rows that say one of the forms and do not deny it."""
    if not condition.forms:
        return []
    denied = frozenset(denials(condition.forms))
    keys: list[str] = []
    async for page in reading.scan(conjunction(said_expression(condition.forms), expression), [WORDS]):
        keys += [row[ID] for row in page if denied.isdisjoint(map(decode_text, row[WORDS]["tokens"]))]
        if len(keys) >= MAX_SAYING:
            break
    return keys[:MAX_SAYING]
