"""Words matched exactly: the tokens of a product, and those of a query.

A token is a folded word without the punctuation around it. One with signs inside is there as it is written, without
them, and in its parts: "WH-1000XM4" is wh-1000xm4, wh1000xm4 and 1000xm4. A keyword and an id are tokens as a whole too.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from vitrine.domain.product import Product
from vitrine.domain.schema import KEYWORD_KINDS, Schema
from vitrine.domain.values import fold

MAX_TOKENS = 256
"""Tokens of one product; the fields' order decides which stay."""

MAX_TOKEN_LENGTH = 128
"""Characters of a token; longer words are no words."""

MAX_QUERY_TOKENS = 32
"""Tokens of one query."""

_EDGES = re.compile(r"^\W+|\W+$")
_PARTS = re.compile(r"[^\W_]+")
_MIN_PART = 3
"""Characters of the shortest part of a word that is a token by itself."""


def product_tokens(product: Product, schema: Schema) -> tuple[str, ...]:
    """Return the tokens of a product's id, of the fields that the schema searches by their words, and of its caption."""
    found = dict.fromkeys(_whole(product.id))
    found |= dict.fromkeys(_words(product.id))
    for owner in schema.lexical:
        value = product.values.get(owner.name)
        for text in (value,) if isinstance(value, str) else value if isinstance(value, tuple) else ():
            if owner.kind in KEYWORD_KINDS:
                found |= dict.fromkeys(_whole(text))
            found |= dict.fromkeys(_words(text))
    found |= dict.fromkeys(_words(product.caption))
    return tuple(found)[:MAX_TOKENS]


def says(forms: Sequence[str], product: Product, fields: Iterable[str]) -> bool:
    """Return whether the product's words say one of the forms, all its words, and do not deny it.

    A product denies what it says where one of its words is a negation ("without", "sin") or the denied word itself
    ("hoodless", "nut-free"): of a title "dress without pockets" nobody knows which word "without" belongs to, and to hide a
    product that is wanted is worse than to show one that is not.
    """
    held = _tokens_of(product, fields)
    return any(held.issuperset(form_tokens(form)) for form in forms) and held.isdisjoint(denials(forms))


def form_tokens(form: str) -> tuple[str, ...]:
    """Return the tokens of which a product must have all to say a word or phrase."""
    return tuple(dict.fromkeys(_PARTS.findall(fold(form))))


def denials(forms: Sequence[str]) -> tuple[str, ...]:
    """Return the tokens of which a product that has one denies the forms."""
    words, endings = _denials()
    denied = (token + ending for form in forms for token in form_tokens(form)[-1:] for ending in endings)
    return (*words, *dict.fromkeys(denied))


@cache
def _denials() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the words that deny something, and the endings that make a word deny itself."""
    tables = tomllib.loads(Path(__file__).with_name("denials.toml").read_text(encoding="utf-8"))
    return tuple(map(fold, tables["words"].split())), tuple(map(fold, tables["endings"].split()))


def _tokens_of(product: Product, fields: Iterable[str]) -> set[str]:
    found = {*_words(product.id), *_words(product.caption)}
    for name in fields:
        value = product.values.get(name)
        for text in (value,) if isinstance(value, str) else value if isinstance(value, tuple) else ():
            found.update(_words(text))
    return found


def query_tokens(text: str) -> tuple[str, ...]:
    """Return the tokens of a query; the first one is the query as a whole, by which an id or a keyword is found."""
    return tuple(dict.fromkeys([*_whole(text), *_words(text)]))[:MAX_QUERY_TOKENS]


def matched_share(wanted: Sequence[tuple[str, float]], product: Product, schema: Schema) -> float:
    """Return which share of the tokens' weights the product has, from 0 to 1; 0 where no token has a weight."""
    total = sum(weight for _, weight in wanted)
    held = set(product_tokens(product, schema))
    return sum(weight for token, weight in wanted if token in held) / total if total > 0 else 0.0


def _whole(text: str) -> Iterator[str]:
    folded = fold(text)
    if 0 < len(folded) <= MAX_TOKEN_LENGTH:
        yield folded


def _words(text: str) -> Iterator[str]:
    for word in fold(text).split(" "):
        bare = _EDGES.sub("", word)
        if not 0 < len(bare) <= MAX_TOKEN_LENGTH:
            continue
        yield bare
        parts = _PARTS.findall(bare)
        if len(parts) > 1:
            yield "".join(parts)
            yield from (part for part in parts if len(part) >= _MIN_PART)
