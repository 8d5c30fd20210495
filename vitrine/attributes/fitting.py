"""Fits what reads a field in pictures: two ways to score, calibrated on products that neither had seen.

`words` asks no labels: a value scores by the cosine of the picture with the value's own words. `products` asks the
products whose value is known: their mean embedding, drawn towards the value's words where there are few of them, under
their common covariance (linear discriminant analysis). Each is measured on folds of products that it was not made of;
products of the same words lie in one fold, for they are often one product in two colours. The better one is taken, and
no value is read below the confidence at which it was right often enough.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vitrine.attributes.reader import (
    Embedding,
    Familiarity,
    FieldReader,
    LinearScores,
    Measured,
    Scores,
    Unread,
    softmax,
)

FOLDS = 5
LEAST_LABELLED = 50
"""Products with a known value, below which no precision can be told."""
LEAST_READ = 20
"""Products of the held-out folds that a threshold must be measured on."""
LEAST_CONFIDENCE = 0.5
"""No value is read below it, however often it would have been right."""
FAMILIAR_SHARE = 0.995
"""Share of the catalogue's own pictures that count as known."""

_PULL = 4.0
"""Products that the words of a value weigh as much as."""
_SHRINKAGE = 0.1
"""Share of the covariance that is its mean variance in every direction."""
_TEMPERATURES = np.geomspace(0.003, 300.0, 101)
_Z = 1.2816
"""Of the normal distribution: the true precision lies over the lower bound nine times in ten."""

Labels = NDArray[np.int64]
"""(n,), places in the values; OTHER for a product whose value is none of them."""
OTHER = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Products with a picture and a known value of one field."""

    pictures: Embedding
    """(n, d)."""
    labels: Labels
    folds: Labels
    """(n,), which fold each product is in."""


@dataclass(frozen=True, slots=True)
class _Method:
    name: str
    scores: Scores
    """(n, values), each row by what was made of other folds."""
    final: LinearScores


@dataclass(frozen=True, slots=True)
class _Calibrated:
    method: _Method
    temperature: float
    threshold: float
    measured: Measured


def fit_field(
    name: str, values: Sequence[str], anchors: Embedding, sample: Sample, *, precision: float
) -> FieldReader | Unread:
    """Fit what reads a field, or say why its values cannot be read at that precision.

    `anchors` are the embeddings of the values' words, (values, d).
    """
    measured = Measured(labelled=len(sample.labels))
    if reason := _unfit(sample, values, precision):
        return Unread(field=name, reason=reason, measured=measured)
    best = max(
        fit_ways(name, values, anchors, sample, precision=precision), key=lambda each: each.measured.coverage
    )
    if not best.measured.coverage:
        return Unread(
            field=name, reason=f"no confidence gives a precision of {precision:g}", measured=measured
        )
    return best


def fit_ways(
    name: str, values: Sequence[str], anchors: Embedding, sample: Sample, *, precision: float
) -> list[FieldReader]:
    """Fit each way to read a field, of a sample that `fit_field` takes; one that reads nothing has a coverage of 0."""
    methods = (_words(sample, anchors), _products(sample, anchors))
    return [
        FieldReader(
            field=name,
            values=tuple(values),
            scores=each.method.final,
            temperature=each.temperature,
            threshold=each.threshold,
            measured=each.measured,
            method=each.method.name,
        )
        for each in (_calibrated(method, sample.labels, precision) for method in methods)
    ]


def fit_familiarity(pictures: Embedding) -> Familiarity:
    """Fit what tells the catalogue's pictures from others, (n, d)."""
    half = len(pictures) // 2
    # The limit is taken on pictures that the distance was not made of: those it was made of are nearer.
    made = _familiarity(pictures[:half])
    limit = float(np.quantile(made.distances(pictures[half:]), FAMILIAR_SHARE))
    return replace(made, limit=limit)


def _familiarity(pictures: Embedding) -> Familiarity:
    centre = pictures.mean(axis=0)
    covariance = _shrunk(np.cov((pictures - centre).T.astype(np.float64), bias=True))
    lengths, directions = np.linalg.eigh(covariance)
    whitening = (directions / np.sqrt(lengths)).astype(np.float32)
    return Familiarity(centre=centre, whitening=whitening, limit=float("inf"))


def _unfit(sample: Sample, values: Sequence[str], precision: float) -> str:
    """Return why nothing can be fitted; empty where it can."""
    labelled = len(sample.labels)
    if labelled < LEAST_LABELLED:
        return f"{labelled:,} products with a picture have a value, and {LEAST_LABELLED} are needed"
    if len(values) < 2:  # noqa: PLR2004 - one value tells nothing apart
        return "all products that have a value have the same one"
    named = sample.labels[sample.labels != OTHER]
    if len(named) < LEAST_LABELLED:
        return (
            f"{len(named):,} products have one of the {len(values)} most frequent values: there are too many"
        )
    if len(np.unique(sample.folds[sample.labels != OTHER])) < 2:  # noqa: PLR2004 - one to learn from, one to measure on
        return "all products have the same words: nothing is left to measure on"
    most = np.bincount(named, minlength=len(values)).max()
    if most / labelled >= precision:
        return f"{most / labelled:.0%} of the products have the same value: a picture would add nothing"
    return ""


def _words(sample: Sample, anchors: Embedding) -> _Method:
    """Score by the words alone; the pictures' mean is taken out, since some words are near to all pictures."""
    final = LinearScores(
        centre=sample.pictures.mean(axis=0), weights=anchors, offsets=np.zeros(len(anchors), np.float32)
    )
    return _Method("words", final.of(sample.pictures), final)


def _products(sample: Sample, anchors: Embedding) -> _Method:
    """Score by the products of other folds."""
    scores = np.zeros((len(sample.labels), len(anchors)))
    for held in _held_out(sample.folds):
        scores[held] = _discriminant(sample, ~held, anchors).of(sample.pictures[held])
    everything = np.ones(len(sample.labels), np.bool_)
    return _Method("products", scores, _discriminant(sample, everything, anchors))


def _held_out(folds: Labels) -> Iterator[NDArray[np.bool_]]:
    for fold in np.unique(folds):
        yield folds == fold


def _discriminant(sample: Sample, used: NDArray[np.bool_], anchors: Embedding) -> LinearScores:
    """Return the linear discriminant of the used products: x' S^-1 m - m' S^-1 m / 2 + ln p for each value's mean m."""
    used = used & (sample.labels != OTHER)
    pictures, labels = sample.pictures[used].astype(np.float64), sample.labels[used]
    counts = np.bincount(labels, minlength=len(anchors)).astype(np.float64)
    centre = pictures.mean(axis=0)
    pictures = pictures - centre
    sums = np.zeros(anchors.shape)
    np.add.at(sums, labels, pictures)
    means = (sums + _PULL * _expected(anchors, sums, counts)) / (counts + _PULL)[:, None]
    scatter = _shrunk(np.cov((pictures - means[labels]).T, bias=True))
    weights = np.linalg.solve(scatter, means.T).T
    priors = np.log((counts + 1) / (counts.sum() + len(counts)))
    return LinearScores(
        centre=centre.astype(np.float32),
        weights=weights.astype(np.float32),
        offsets=(priors - (weights * means).sum(axis=1) / 2).astype(np.float32),
    )


def _expected(anchors: Embedding, sums: Scores, counts: Scores) -> Scores:
    """Return where the words alone put each value's mean: the words' directions, scaled to fit the means that are known.

    Zero where words and pictures disagree.
    """
    centred = anchors.astype(np.float64) - anchors.mean(axis=0)
    lengths = float((counts[:, None] * centred * centred).sum())
    scale = max(0.0, float((sums * centred).sum())) / max(lengths, 1e-12)
    expected: Scores = scale * centred
    return expected


def _shrunk(covariance: Scores) -> Scores:
    dim = len(covariance)
    mean = max(float(np.trace(covariance)) / dim, 1e-9)
    shrunk: Scores = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * mean * np.eye(dim)
    return shrunk


def _calibrated(method: _Method, labels: Labels, precision: float) -> _Calibrated:
    """Fit temperature and threshold on the held-out scores."""
    named = labels != OTHER
    temperature = min(_TEMPERATURES, key=lambda each: _loss(method.scores[named] / each, labels[named]))
    shares = softmax(method.scores / temperature)
    confidences = shares.max(axis=1)
    right = shares.argmax(axis=1) == labels
    threshold, measured = _threshold(confidences, right, precision)
    return _Calibrated(method, float(temperature), threshold, measured)


def _loss(scores: Scores, labels: Labels) -> float:
    """Return the mean negative logarithm of the share of the right value."""
    shares = softmax(scores)[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(shares, 1e-12)).mean())


def _threshold(confidences: Scores, right: NDArray[np.bool_], precision: float) -> tuple[float, Measured]:
    """Return the lowest confidence over which the precision holds, by its lower bound, and what was measured there."""
    order = np.argsort(-confidences, kind="stable")
    read = np.arange(1, len(order) + 1)
    correct = np.cumsum(right[order])
    # Where equal confidences end: none of them can be parted.
    ends = np.append(np.diff(confidences[order]) < 0, True)
    good = (
        ends
        & (confidences[order] >= LEAST_CONFIDENCE)
        & (read >= LEAST_READ)
        & (_lower_bound(correct / read, read) >= precision)
    )
    if not good.any():
        return float("inf"), Measured(labelled=len(order))
    last = int(np.flatnonzero(good)[-1])
    measured = Measured(
        labelled=len(order),
        precision=float(correct[last] / read[last]),
        coverage=float(read[last] / len(order)),
    )
    return float(confidences[order][last]), measured


def _lower_bound(shares: Scores, counts: NDArray[np.int64]) -> Scores:
    """Return the lower end of Wilson's interval of a share of so many."""
    spread = _Z * np.sqrt(shares * (1 - shares) / counts + (_Z / (2 * counts)) ** 2)
    bound: Scores = (shares + _Z**2 / (2 * counts) - spread) / (1 + _Z**2 / counts)
    return bound
