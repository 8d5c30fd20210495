"""An exact index beside the real one: numpy over the vectors of what was written.

It knows of every product when its write was sent and when it was acknowledged, so that it can tell of an answer that
came meanwhile what must be in it and what may be.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vitrine.domain.filters import Filter, matches
from vitrine.domain.product import Product

Vector = NDArray[np.float32]

TOLERANCE = 1e-4
"""Between a score of ours and one of the service, whose encoder batches otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """The two halves of a product's rows."""

    images: Vector
    """(pictures, dim); a row of zeros for none."""
    text: Vector

    def score(self, query: Vector, *, text_weight: float, image_weight: float) -> float:
        """Return the score of the picture that matches best."""
        image = float((self.images.astype(np.float64) @ query.astype(np.float64)).max())
        return (
            text_weight * float(self.text.astype(np.float64) @ query.astype(np.float64))
            + image_weight * image
        )


@dataclass(slots=True, kw_only=True)
class Held:
    """A product, and from when to when it was certainly or perhaps in the index."""

    product: Product
    vectors: Vectors
    sent: float = -math.inf
    acknowledged: float = math.inf
    delete_sent: float = math.inf
    delete_acknowledged: float = math.inf

    def must(self, begun: float, ended: float) -> bool:
        """Whether it was in the index all the time between."""
        return self.acknowledged <= begun and self.delete_sent > ended

    def may(self, begun: float, ended: float) -> bool:
        """Whether it was perhaps in the index at some time between."""
        return self.sent <= ended and self.delete_acknowledged > begun


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A query, and when it was under way."""

    vector: Vector
    text_weight: float
    image_weight: float
    filters: Filter | None
    limit: int
    begun: float
    ended: float


@dataclass(slots=True)
class ExactIndex:
    """What was written, by id."""

    held: dict[str, Held] = field(default_factory=dict)

    def wrong(self, asked: Asked, hits: Sequence[tuple[str, float]]) -> str:
        """Say what is wrong with an answer; empty where it is the exact one."""
        scores = [score for _, score in hits]
        if scores != sorted(scores, reverse=True):
            return "the hits are not in the order of their scores"
        if len({id_ for id_, _ in hits}) != len(hits):
            return "a product comes twice"
        for id_, score in hits:
            if said := self._wrong_hit(asked, id_, score):
                return said
        # A product that is deleted while the answer is made is left out of it.
        changing = any(
            held.may(asked.begun, asked.ended) and not held.must(asked.begun, asked.ended)
            for held in list(self.held.values())
        )
        short = len(hits) < asked.limit and not changing
        least = -math.inf if short else scores[-1] if scores else math.inf
        return self._missing(asked, {id_ for id_, _ in hits}, least)

    def lost(self, present: Mapping[str, bool], begun: float, ended: float) -> list[str]:
        """Return the acknowledged writes that are not there, and the acknowledged deletes that are; read between."""
        gone = [
            f"{id_}: acknowledged, and not there"
            for id_, there in present.items()
            if not there and self.held[id_].must(begun, ended)
        ]
        back = [
            f"{id_}: its deletion was acknowledged, and it is there"
            for id_, there in present.items()
            if there and self.held[id_].delete_acknowledged <= begun
        ]
        return gone + back

    def _wrong_hit(self, asked: Asked, id_: str, score: float) -> str:
        held = self.held.get(id_)
        if held is None or not held.may(asked.begun, asked.ended):
            return f"{id_} was not in the index"
        if asked.filters is not None and not matches(asked.filters, held.product):
            return f"{id_} does not satisfy the filter"
        own = self._score(asked, held)
        return "" if abs(own - score) <= TOLERANCE else f"{id_} has the score {score}, and must have {own}"

    def _missing(self, asked: Asked, found: set[str], least: float) -> str:
        for id_, held in list(self.held.items()):
            if id_ in found or not held.must(asked.begun, asked.ended):
                continue
            if asked.filters is not None and not matches(asked.filters, held.product):
                continue
            if (own := self._score(asked, held)) > least + TOLERANCE:
                return f"{id_} is missing: its score is {own}, and that of the last hit {least}"
        return ""

    def _score(self, asked: Asked, held: Held) -> float:
        return held.vectors.score(
            asked.vector, text_weight=asked.text_weight, image_weight=asked.image_weight
        )
