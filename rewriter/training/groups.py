"""The kinds of turns: what each does, when it can be said and how often, and the phrases that say it."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from rewriter.answer_schema import NONE
from rewriter.engines.model.plan import Act, Money

PHRASES = Path(__file__).parent / "phrases"
LANGUAGES = ("en", "es", "zh", "ko")


@dataclass(frozen=True, slots=True)
class Group:
    """A kind of turn: what it does, when it can be said, how often."""

    act: Act
    states: str
    """Letters of the states: f(irst), t(ext), d (product), p(icture), i(mage), x (pointed)."""
    weight: float
    money: Money = Money.NONE


GROUPS: Mapping[str, Group] = MappingProxyType(
    {
        "search": Group(Act.SEARCH, "ftdp", 5),
        "instead": Group(Act.SEARCH, "tdp", 3),
        "change": Group(Act.CHANGE, "tdpx", 9),
        "change_named": Group(Act.CHANGE, "tdp", 7),
        "narrow": Group(Act.NARROW, "tdp", 8),
        "price": Group(Act.NARROW, "tdp", 0.6, Money.UNDER),
        "price_upto": Group(Act.NARROW, "tdp", 1.2, Money.UP_TO),
        "price_over": Group(Act.NARROW, "tdp", 0.4, Money.OVER),
        "price_from": Group(Act.NARROW, "tdp", 0.4, Money.FROM),
        "price_about": Group(Act.NARROW, "tdp", 0.4, Money.ABOUT),
        "price_between": Group(Act.NARROW, "tdp", 0.5, Money.BETWEEN),
        "cheaper": Group(Act.NARROW, "tdpx", 2, Money.CHEAPER),
        "cheaper_named": Group(Act.SIMILAR, "tdp", 1.2, Money.CHEAPER),
        "dearer": Group(Act.NARROW, "tdp", 0.6, Money.DEARER),
        "cheapest": Group(Act.NARROW, "tdp", 0.6, Money.CHEAPEST),
        "dearest": Group(Act.NARROW, "tdp", 0.4, Money.DEAREST),
        "similar": Group(Act.SIMILAR, "tdpx", 1.5),
        "similar_named": Group(Act.SIMILAR, "tdp", 3),
        "picture": Group(Act.PICTURE, "i", 4),
        "picture_change": Group(Act.PICTURE, "i", 9),
        "picture_back": Group(Act.PICTURE, "p", 5),
        "search_cheapest": Group(Act.SEARCH, "ft", 0.6, Money.CHEAPEST),
        "compare": Group(Act.COMPARE, "tdp", 3),
        "describe": Group(Act.DESCRIBE, "tdp", 2),
        "define": Group(Act.DEFINE, "ftdp", 1.2),
        "advise": Group(Act.ADVISE, "tdp", 2),
        "stock": Group(Act.STOCK, "ftdp", 0.7),
        "match": Group(Act.SEARCH, "tdp", 1.2),
        "allow": Group(Act.NARROW, "tdp", 0.6),
        "suggest": Group(Act.SEARCH, "ftdp", 0.8),
        "fault": Group(Act.NARROW, "tdp", 1.4),
        "greet": Group(Act.GREET, "ft", 0.8),
        "thank": Group(Act.THANK, "tdp", 1.2),
        "leave": Group(Act.LEAVE, "td", 0.7),
        "service": Group(Act.SERVICE, "ftdp", 1.7),
        "reset": Group(Act.RESET, "tdp", 0.7),
    }
)
STATE_LETTERS = MappingProxyType(
    {"first": "f", "text": "t", "product": "d", "picture": "p", "image": "i", "pointed": "x"}
)
BARE = frozenset(
    {
        "greet",
        "thank",
        "leave",
        "service",
        "reset",
        "define",
        "describe",
        "compare",
        "advise",
        "fault",
        "stock",
    }
)
"""Groups to which nothing is added."""

INTENTS = MappingProxyType(
    {
        Act.COMPARE: "compare",
        Act.DESCRIBE: "consult",
        Act.DEFINE: "consult",
        Act.ADVISE: "consult",
        Act.STOCK: "consult",
        Act.GREET: NONE,
        Act.THANK: NONE,
        Act.LEAVE: NONE,
        Act.SERVICE: NONE,
        Act.RESET: NONE,
    }
)
"""Why one asks who does this; any other act is there to buy."""


@cache
def phrases(language: str) -> Mapping[str, Mapping[str, Sequence[str]]]:
    """Read the parts of a tongue from its files, each with its phrases for training and those held out."""
    parts: dict[str, dict[str, list[str]]] = {}
    for path in sorted(PHRASES.glob(f"{language}*.toml")):
        for name, lists in tomllib.loads(path.read_text(encoding="utf-8")).items():
            known = parts.setdefault(name, {})
            for half, listed in lists.items():
                known.setdefault(half, []).extend(listed)
    return MappingProxyType(parts)
