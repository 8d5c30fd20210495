"""How often a product is chosen where it is looked at, whatever place it was given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.retrieval.ranker_file import MAX_PRODUCTS
from ranking.log import Judged
from ranking.propensity import PositionBias

PRIOR = 5.0
"""Looks that every product is given in advance at the usual rate, so that few events say little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Popularity:
    """Rates by product, and the usual one, which is that of an unknown product."""

    rates: Mapping[str, float]
    usual: float


def popularity(judged: Sequence[Judged], bias: PositionBias) -> Popularity:
    """Return (choices + PRIOR * usual) / (looks + PRIOR) of each product, a place counting as many looks as its propensity."""
    looks: dict[str, float] = {}
    choices: dict[str, int] = {}
    for each in judged:
        seen = bias.propensities(each.positions)
        for product_id, chance, chosen in zip(each.product_ids, seen, each.chosen, strict=True):
            looks[product_id] = looks.get(product_id, 0.0) + float(chance)
            choices[product_id] = choices.get(product_id, 0) + int(chosen)
    usual = sum(choices.values()) / max(1e-9, sum(looks.values()))
    most_seen = sorted(looks, key=lambda name: (-looks[name], name))[:MAX_PRODUCTS]
    rates = {name: (choices[name] + PRIOR * usual) / (looks[name] + PRIOR) for name in most_seen}
    return Popularity(rates={name: float(f"{rate:.5g}") for name, rate in rates.items()}, usual=usual)
