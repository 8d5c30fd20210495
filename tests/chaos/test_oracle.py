"""The exact index finds every kind of wrong answer, and takes what may be while something changes."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.chaos.oracle import Asked, ExactIndex, Held, Vectors
from vitrine.domain.filters import Equals
from vitrine.domain.product import Product


def held(id_: str, image: float, colour: str = "red", **times: float) -> Held:
    """A product whose one picture has this share of the query's direction."""
    product = Product(id=id_, values={"colour": colour}, attributes={}, image_uris=())
    images = np.array([[image, math.sqrt(1 - image**2)]], np.float32)
    moments = {"sent": 0.0, "acknowledged": 1.0} | times
    return Held(product=product, vectors=Vectors(images=images, text=np.zeros(2, np.float32)), **moments)


def index(*products: Held) -> ExactIndex:
    return ExactIndex({each.product.id: each for each in products})


ASKED = Asked(
    vector=np.array([1, 0], np.float32),
    text_weight=0.5,
    image_weight=0.5,
    filters=None,
    limit=2,
    begun=10.0,
    ended=11.0,
)
THREE = (held("a", 0.8), held("b", 0.6), held("c", 0.4))
RIGHT = (("a", 0.4), ("b", 0.3))


@pytest.mark.parametrize(
    ("hits", "said"),
    [
        (RIGHT, ""),
        ((("b", 0.3), ("a", 0.4)), "order"),
        ((("a", 0.4), ("a", 0.4)), "twice"),
        ((("a", 0.4), ("x", 0.3)), "x was not in the index"),
        ((("a", 0.4), ("b", 0.35)), "b has the score"),
        ((("a", 0.4), ("c", 0.2)), "b is missing"),
        ((("a", 0.4),), "b is missing"),
    ],
)
def test_an_answer_is_the_exact_one_or_wrong(hits: tuple[tuple[str, float], ...], said: str) -> None:
    """Order, scores, strangers and gaps are seen."""
    found = index(*THREE).wrong(ASKED, hits)
    assert (said in found) if said else (found == "")


def test_a_filter_holds_for_every_hit() -> None:
    """A hit that does not satisfy the filter is wrong, and one that does must be there."""
    some = index(held("a", 0.8, "blue"), held("b", 0.6), held("c", 0.4))
    asked = replace(ASKED, filters=Equals("colour", "red"))
    assert "filter" in some.wrong(asked, RIGHT)
    assert some.wrong(asked, (("b", 0.3), ("c", 0.2))) == ""


@pytest.mark.parametrize(
    "times",
    [{"sent": 10.5, "acknowledged": math.inf}, {"delete_sent": 10.5}, {"delete_sent": 9.0}],
)
def test_what_changes_meanwhile_may_be_there_or_not(times: dict[str, float]) -> None:
    """A write or deletion that is under way while the answer is made binds it to neither."""
    some = index(held("a", 0.8, **times), *THREE[1:])
    assert some.wrong(ASKED, RIGHT) == ""
    assert some.wrong(ASKED, (("b", 0.3), ("c", 0.2))) == ""


def test_what_was_deleted_before_is_wrong() -> None:
    """A product whose deletion was acknowledged before the question is no hit."""
    some = index(held("a", 0.8, delete_sent=5.0, delete_acknowledged=6.0), *THREE[1:])
    assert "a was not in the index" in some.wrong(ASKED, RIGHT)


def test_lost_writes_and_deletions_are_told() -> None:
    """What was acknowledged must be there, and what was deleted must not."""
    deleted = held("b", 0.6, delete_sent=5.0, delete_acknowledged=6.0)
    some = index(held("a", 0.8), deleted, held("c", 0.4, delete_sent=10.5), held("d", 0.1))
    lost = some.lost({"a": False, "b": True, "c": False, "d": True}, 10.0, 11.0)
    assert lost == ["a: acknowledged, and not there", "b: its deletion was acknowledged, and it is there"]
