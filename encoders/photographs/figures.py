"""Figures of retrieval with their standard errors: recall, precision, graded gain, and what chance would give.

A figure is `[percent, standard error]`. Queries that come from one product are no independent trials: the standard
error is that of a mean over clusters, which is the usual one where every cluster has one query.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Embeddings = NDArray[np.float32]
"""(n, d), L2-normalised."""
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]
Figure = list[float | None]
"""Percent and its standard error, which is None where there is but one cluster; of several trainings the mean of both,
then the lowest and the highest percent."""
Figures = dict[str, Figure | int]

CUTS = (1, 10, 50)
NO_LABEL = -1
_BATCH = 1024


def normalised(vectors: NDArray[np.floating[Any]]) -> Embeddings:
    """Return the rows at length 1; a row of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)


def labels_of(values: Iterable[Hashable | None]) -> Rows:
    """Return a number for each value, equal for equal values, counted from 0; NO_LABEL for None."""
    numbers: dict[Hashable, int] = {}
    return np.array(
        [NO_LABEL if value is None else numbers.setdefault(value, len(numbers)) for value in values],
        dtype=np.int64,
    )


def nearest(
    queries: Embeddings,
    gallery: Embeddings,
    *,
    count: int = max(CUTS),
    banned: tuple[Rows, Rows] | None = None,
    allowed: tuple[Rows, Rows] | None = None,
) -> Rows:
    """Return the rows of the gallery with the largest inner products, int64 (m, count or n), best first.

    Ties keep the gallery's order. What is left out comes last, as NO_LABEL.

    Args:
        queries: (m, d).
        gallery: (n, d).
        count: of rows, at most n.
        banned: labels of the queries (m,) and of the gallery (n,): a row of the query's own label is left out.
        allowed: likewise: a row of another label is left out.
    """
    found = []
    for start in range(0, len(queries), _BATCH):
        rows = slice(start, start + _BATCH)
        scores = queries[rows] @ gallery.T
        if banned is not None:
            scores[banned[0][rows, None] == banned[1][None, :]] = -np.inf
        if allowed is not None:
            scores[allowed[0][rows, None] != allowed[1][None, :]] = -np.inf
        best = np.argsort(-scores, axis=1, kind="stable")[:, :count]
        best[np.isneginf(np.take_along_axis(scores, best, axis=1))] = NO_LABEL
        found.append(best)
    return np.concatenate(found).astype(np.int64) if found else np.empty((0, 0), np.int64)


def looked_up(labels: Rows, found: Rows) -> Rows:
    """Return the labels of the rows that were found; NO_LABEL where nothing was."""
    return np.where(found == NO_LABEL, NO_LABEL, labels[found])


def percent(values: NDArray[np.floating[Any]] | Flags, clusters: Rows) -> Figure:
    """Return the mean in percent and its standard error over clusters.

    Args:
        values: (m,), from 0 to 1.
        clusters: (m,), equal for queries that are no independent trials.
    """
    mean = float(np.mean(values))
    _, places = np.unique(clusters, return_inverse=True)
    sums = np.bincount(places, weights=np.asarray(values, dtype=np.float64) - mean)
    size = len(sums)
    if size < 2:  # noqa: PLR2004 - one cluster says nothing about others
        return [round(100 * mean, 2), None]
    error = np.sqrt(size / (size - 1) * np.sum(sums**2)) / len(values)
    return [round(100 * mean, 2), round(100 * float(error), 2)]


def recalls(hits: Flags, clusters: Rows) -> Figures:
    """Return the share of queries with a hit among the first 1, 10 and 50.

    Args:
        hits: (m, 50 or fewer), whether what was found is right, best first.
        clusters: (m,).
    """
    return {f"R@{cut}": percent(hits[:, :cut].any(axis=1), clusters) for cut in CUTS}


def chance_recalls(fitting: Rows, size: int, clusters: Rows) -> Figures:
    """Return the recalls that a random order of the gallery is expected to have.

    Args:
        fitting: (m,), how many of the gallery are right.
        size: of the gallery.
        clusters: (m,).
    """
    sizes = np.full_like(fitting, size)
    return _expected({cut: _hit_chance(fitting, sizes, cut) for cut in CUTS}, clusters)


def tied_recalls(agreement: NDArray[np.integer[Any]], right: Flags, clusters: Rows) -> Figures:
    """Return the recalls that an order by `agreement` is expected to have, where ties are broken at random.

    Args:
        agreement: (m, n), higher is better.
        right: (m, n).
        clusters: (m,).
    """
    chances: dict[int, NDArray[np.float64]] = {cut: np.zeros(len(agreement)) for cut in CUTS}
    for query, (levels, fits) in enumerate(zip(agreement, right, strict=True)):
        for cut in CUTS:
            chances[cut][query] = _tied_chance(levels, fits, cut)
    return _expected(chances, clusters)


def precisions(grades: Rows, totals: Rows, clusters: Rows) -> Figures:
    """Return P@1, P@10 and nDCG@10 of graded answers.

    P@10 is the share of the first ten that have the best grade; where fewer than ten in the gallery have it, it is
    the share of those, so that 100 can always be reached. The gain of nDCG is the grade.

    Args:
        grades: (m, 10 or more), of what was found, best first; 0 is wrong.
        totals: (m, g), how many of the gallery have grade g, g-1, ... 1: the best grade first.
        clusters: (m,).
    """
    top = totals.shape[1]
    cut = min(10, grades.shape[1])
    best = grades == top
    discounts = 1 / np.log2(np.arange(cut) + 2)
    gained = (grades[:, :cut] * discounts).sum(axis=1)
    # The best order has the grades one after another: row i has the grade whose cumulated count first exceeds i.
    bounds = np.cumsum(totals, axis=1)
    ideal = (top - (np.arange(cut)[None, :, None] >= bounds[:, None, :]).sum(axis=2)).clip(min=0)
    possible = np.maximum((ideal * discounts).sum(axis=1), 1e-12)
    fitting = np.clip(totals[:, 0], 1, cut)
    return {
        "P@1": percent(best[:, 0], clusters),
        "P@10": percent(best[:, :cut].sum(axis=1) / fitting, clusters),
        "nDCG@10": percent(gained / possible, clusters),
    }


def counted(figures: Mapping[str, Figure | int], clusters: Sequence[int] | Rows) -> Figures:
    """Return the figures with the number of queries behind them."""
    return {**figures, "queries": len(clusters)}


def _expected(chances: Mapping[int, NDArray[np.float64]], clusters: Rows) -> Figures:
    return {f"R@{cut}": percent(values, clusters) for cut, values in chances.items()}


def _hit_chance(fitting: Rows, sizes: Rows, draws: int) -> NDArray[np.float64]:
    """Return the chance that `draws` out of `sizes`, without putting back, hold one of `fitting`."""
    missed = np.ones(len(fitting))
    for drawn in range(draws):
        left = sizes - drawn
        missed *= np.where(left > 0, np.maximum(left - fitting, 0) / np.maximum(left, 1), 1.0)
    return 1 - missed


def _tied_chance(levels: NDArray[np.integer[Any]], fits: Flags, cut: int) -> float:
    """Return the chance that the first `cut` by level, ties in random order, hold one that fits."""
    above = 0
    for level in np.unique(levels)[::-1]:
        tied = levels == level
        size, fitting = int(tied.sum()), int(fits[tied].sum())
        draws = min(size, cut - above)
        if fitting:
            return float(_hit_chance(np.array([fitting]), np.array([size]), draws)[0])
        above += size
        if above >= cut:
            break
    return 0.0
