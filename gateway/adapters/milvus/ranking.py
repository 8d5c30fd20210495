"""The best products of a query, in an order that the vectors alone decide.

Milvus finds the nearest rows; in which order it returns rows of almost equal distance, and which of them it leaves
out, differs by engine, by segment and by the number that was asked for. So the scores are computed here, in double
precision from the vectors that come with the rows, and as many rows are asked for as make the last product's place
certain. The order is by score, rounded to 9 decimals, then by id.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.adapters.milvus.found import Found
from gateway.adapters.milvus.layout import DOCUMENT, VECTOR
from gateway.adapters.milvus.reading import Reading
from gateway.adapters.milvus.rows import read_key, row_key, to_product
from gateway.model import Embedding, Hit, Weights

MAX_ROWS = 16_384
"""Rows that Milvus returns for one search at most."""

_MARGIN_ROWS = 16
_GROWTH = 4

_DECIMALS = 9
"""Of a score, in the order: sums of equal vectors are equal, whatever the last bits do."""

_UNCERTAINTY = 4e-6
"""By how much Milvus's single precision may misplace a row, for weights whose sum is 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is asked of both halves of the vectors."""

    image: NDArray[np.float64]
    text: NDArray[np.float64]
    weights: Weights

    @property
    def vector(self) -> Embedding:
        """Return the vector whose inner product with a row's is the score."""
        halves = [self.weights.image * self.image, self.weights.text * self.text]
        vector: Embedding = np.concatenate(halves).astype(np.float32)
        return vector

    @property
    def uncertainty(self) -> float:
        """Return by how much Milvus may misplace a row."""
        return _UNCERTAINTY * max(1.0, abs(self.weights.image) + abs(self.weights.text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A product's best row."""

    product_id: str
    part: int
    score: float
    image_score: float
    text_score: float
    vector: Embedding = field(repr=False)
    row: Mapping[str, Any] = field(repr=False)
    """The columns that were asked for."""

    @property
    def place(self) -> tuple[float, str]:
        """Return what orders products: the best score first, then the id."""
        return -self.score, self.product_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The best products, and whether they are all that fulfil the conditions."""

    candidates: Sequence[Candidate]
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scores:
    """Of rows, (n,) each."""

    image: NDArray[np.float64]
    text: NDArray[np.float64]
    total: NDArray[np.float64]


_Place = tuple[float, str, int, int]
"""What orders rows: the score, negated, the product's id, the number of the picture; and which of the rows it is."""


async def rank(
    reading: Reading,
    query: Query,
    *,
    expression: str,
    limit: int,
    columns: Sequence[str] = (),
    documents: bool = False,
) -> Ranking:
    """Return the `limit` best products that fulfil the expression, each with its best picture and the columns.

    With `documents` the whole products come too, with as many of them as the first answer holds: see `to_hits`.
    """
    asked = min(limit + limit // 8 + _MARGIN_ROWS, MAX_ROWS)
    wanted = [VECTOR, *columns]
    rows: dict[str, Mapping[str, Any]] = {}
    while True:
        first = DOCUMENT if documents and not rows else ()
        found = await reading.search(
            query.vector, expression=expression, rows=asked, columns=[*wanted, *first]
        )
        rows = {key: rows.get(key, row) for key, row in zip(found.keys, found.rows, strict=True)}
        scored = _scored(found.vectors, query)
        best = _best_rows(found.keys, scored.total)
        exhausted = len(found) < asked
        cut = -best[limit - 1][0] if len(best) >= limit else float("-inf")
        lowest = float(scored.total.min()) if len(found) else float("-inf")
        if exhausted or cut > lowest + query.uncertainty or asked == MAX_ROWS:
            return Ranking(
                candidates=[_candidate(place, found, scored, rows) for place in best[:limit]],
                complete=exhausted and len(best) <= limit,
            )
        asked = min(_GROWTH * asked, MAX_ROWS)


async def to_hits(reading: Reading, candidates: Sequence[Candidate]) -> tuple[Hit, ...]:
    """Return the hits; what their rows lack is fetched. A product that has gone meanwhile is left out."""
    lacking = [row_key(each.product_id) for each in candidates if not _is_whole(each.row)]
    fetched = await reading.by_keys(lacking, DOCUMENT) if lacking else {}
    hits = []
    for each in candidates:
        row = each.row if _is_whole(each.row) else fetched.get(row_key(each.product_id))
        if row is not None:
            hits.append(_hit(each, row))
    return tuple(hits)


def _is_whole(row: Mapping[str, Any]) -> bool:
    """Return whether the row makes its product: the columns of a document are asked for together, or the values alone."""
    return DOCUMENT[-1] in row


def _hit(candidate: Candidate, row: Mapping[str, Any]) -> Hit:
    half = len(candidate.vector) // 2
    product = to_product(
        candidate.product_id, row, images=candidate.vector[None, :half], text=candidate.vector[half:]
    )
    return Hit(
        product=product,
        score=candidate.score,
        text_score=candidate.text_score,
        image_score=candidate.image_score,
        image_index=candidate.part,
    )


def _scored(vectors: Embedding, query: Query) -> _Scores:
    """Return the scores of the rows."""
    half = vectors.shape[1] // 2
    # The sum of a row does not depend on its place among others, as BLAS's would.
    products = vectors.astype(np.float64) * np.concatenate([query.image[:half], query.text[:half]])
    images, texts = products[:, :half].sum(axis=1), products[:, half:].sum(axis=1)
    return _Scores(image=images, text=texts, total=query.weights.text * texts + query.weights.image * images)


def _best_rows(keys: Sequence[str], scores: NDArray[np.float64]) -> list[_Place]:
    """Return the best row of each product, the best product first."""
    best: dict[str, _Place] = {}
    for i, (key, score) in enumerate(zip(keys, scores.tolist(), strict=True)):
        product_id, part = read_key(key)
        place = (-round(score, _DECIMALS), product_id, part, i)
        other = best.get(product_id)
        if other is None or place < other:
            best[product_id] = place
    return sorted(best.values())


def _candidate(
    place: _Place, found: Found, scored: _Scores, rows: Mapping[str, Mapping[str, Any]]
) -> Candidate:
    negated, product_id, part, i = place
    return Candidate(
        product_id=product_id,
        part=part,
        score=-negated,
        image_score=float(scored.image[i]),
        text_score=float(scored.text[i]),
        vector=found.vectors[i],
        row=rows[found.keys[i]],
    )
