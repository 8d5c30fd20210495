"""`python -m encoders fields`: what the pictures of a catalogue tell of its fields, and what keeping the category is worth.

Reading: the products of train and val are those whose values are known, those of test the ones that the shop left empty.
Both ways of `vitrine.attributes.fitting` are fitted as an index fits them and measured on test.

Keeping the category: each product of test that has a value is asked for in another value of the field ("replace A with B"),
ranked by both halves of the products' vectors as the service does, over all other products. Of the first five it is
counted how many are of the reference's category and how many have the value that was asked for: with no condition, with
the category that was read in the picture where it was read, and with the catalogue's own.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.photographs.embedder import Embedder
from encoders.photographs.figures import Embeddings, Rows
from encoders.photographs.gallery import Gallery, make_gallery
from encoders.photographs.measure import DataSet
from encoders.photographs.products import TEST, TRAIN, VAL, DataError, Photograph
from vitrine.attributes.fitting import FOLDS, OTHER, Sample, fit_familiarity, fit_field, fit_ways
from vitrine.attributes.reader import FieldReader, Reading, Unread, softmax
from vitrine.domain.values import fold

PROTOCOL = 1
MAX_KNOWN = 8_192
"""As an index learns from at most."""
MAX_VALUES = 256
QUERIES = 600
FIRST = 5
CHANGED = "colour"

Texts = NDArray[np.str_]


def measure_fields(
    data: DataSet, embedder: Embedder, *, precision: float = 0.9, most: int = MAX_KNOWN
) -> dict[str, Any]:
    """Return the figures of a data set by field, and those of keeping the category.

    `most` known products are learnt from, drawn by lot from a fixed seed.

    Raises:
        DataError: a split is empty.
    """
    if not data.of(TRAIN, VAL) or not data.of(TEST):
        raise DataError(f"{data.name} has no photographs to learn from, or none to measure on")
    learnt = data.of(TRAIN, VAL)
    lots = np.random.default_rng(0).permutation(len(learnt))[:most]
    known = make_gallery([learnt[row] for row in sorted(lots.tolist())], embedder)
    asked = make_gallery(data.of(TEST), embedder)
    names = sorted({name for each in known.photographs for name in each.attributes})
    familiarity = fit_familiarity(known.images)
    return {
        "products": {"known": len(known), "asked": len(asked)},
        "unfamiliar": round(100 * float((~familiarity.known(asked.images)).mean()), 2),
        "fields": {name: _field(name, known, asked, embedder, precision) for name in names},
        "category": _keeping(known, asked, embedder, precision),
    }


def _field(name: str, known: Gallery, asked: Gallery, embedder: Embedder, precision: float) -> dict[str, Any]:
    """Return what was said of each way before, and what came true on test; or why the field is left alone."""
    fitted = _fit([each.attributes.get(name) for each in known.photographs], known, embedder)
    if fitted is None:
        return {"left": "no product has a value"}
    values, anchors, sample = fitted
    chosen = fit_field(name, values, anchors, sample, precision=precision)
    if isinstance(chosen, Unread) and "precision" not in chosen.reason:
        return {"values": len(values), "labelled": chosen.measured.labelled, "left": chosen.reason}
    truth = [each.attributes.get(name) for each in asked.photographs]
    there = [row for row, value in enumerate(truth) if value]
    if not there:
        return {
            "values": len(values),
            "labelled": len(sample.labels),
            "left": "no product of the test has a value",
        }
    places = {fold(value): place for place, value in enumerate(values)}
    labels = np.array([places.get(fold(truth[row] or ""), OTHER) for row in there])
    return {
        "values": len(values),
        "labelled": len(sample.labels),
        "asked": len(there),
        "chosen": chosen.method if isinstance(chosen, FieldReader) else "",
        "ways": {
            reader.method: _figures(reader, asked.images[there], labels)
            for reader in fit_ways(name, values, anchors, sample, precision=precision)
        },
    }


def _figures(reader: FieldReader, pictures: Embeddings, labels: Rows) -> dict[str, float | None]:
    shares = softmax(reader.scores.of(pictures) / reader.temperature)
    right = shares.argmax(axis=1) == labels
    read = shares.max(axis=1) >= reader.threshold
    return {
        "all right": _percent(right.mean()),
        "said precision": _percent(reader.measured.precision),
        "said coverage": _percent(reader.measured.coverage),
        "precision": _percent(right[read].mean()) if read.any() else None,
        "coverage": _percent(read.mean()),
    }


@dataclass(frozen=True, slots=True)
class _Truth:
    """What is right: of the gallery, (n,), and of the queries, (m,)."""

    categories: Texts
    changed: Texts
    own: Texts
    wanted: Texts


def _keeping(
    known: Gallery, asked: Gallery, embedder: Embedder, precision: float
) -> dict[str, dict[str, float]]:
    """Return the shares of the first hits by the condition that they satisfy; nothing where the data lack the fields."""
    pairs = _changes(asked.photographs)
    fitted = _fit([each.category for each in known.photographs], known, embedder)
    if not pairs or fitted is None:
        return {}
    rows = np.array([row for row, _ in pairs])
    gallery = [*asked.photographs, *known.photographs]
    scores = _scores(pairs, np.concatenate([asked.images, known.images]), gallery, embedder)
    categories = np.array([fold(each.category) for each in gallery])
    truth = _Truth(
        categories,
        np.array([fold(each.attributes.get(CHANGED, "")) for each in gallery]),
        categories[rows],
        np.array([fold(value) for _, value in pairs]),
    )
    reader = fit_field("category", *fitted, precision=precision)
    readings: list[Reading | None] = (
        reader.read(asked.images[rows]) if isinstance(reader, FieldReader) else [None] * len(rows)
    )
    wishes: dict[str, Sequence[str]] = {
        "no condition": [""] * len(rows),
        "the category read in the picture": [
            fold(each.value) if each is not None else "" for each in readings
        ],
        "the catalogue's category": truth.own.tolist(),
    }
    return {
        name: {
            "queries": len(rows),
            "with a condition": _percent(np.mean([bool(each) for each in wish])),
            **_graded(scores, wish, truth),
        }
        for name, wish in wishes.items()
    }


def _scores(
    pairs: Sequence[tuple[int, str]], images: Embeddings, gallery: Sequence[Photograph], embedder: Embedder
) -> Embeddings:
    """Return (m, n) scores as the service ranks by default; a reference is no answer to itself."""
    rows = np.array([row for row, _ in pairs])
    texts = [f"replace {gallery[row].attributes[CHANGED]} with {value}" for row, value in pairs]
    queries = embedder.compose(images[rows], texts)
    titles = embedder.texts([each.title for each in gallery])
    scores: Embeddings = 0.5 * queries @ images.T + 0.5 * queries @ titles.T
    scores[np.arange(len(rows)), rows] = -np.inf
    return scores


def _graded(scores: Embeddings, wish: Sequence[str], truth: _Truth) -> dict[str, float]:
    """Return the shares of the first hits that are of the reference's category, and that have the change."""
    same: list[bool] = []
    changed: list[bool] = []
    for row, condition in enumerate(wish):
        allowed = truth.categories == condition if condition else np.ones(len(truth.categories), np.bool_)
        # A wish that nothing satisfies is given up.
        ranked = np.where(allowed, scores[row], -np.inf) if allowed.any() else scores[row]
        best = [hit for hit in np.argsort(-ranked, kind="stable")[:FIRST] if np.isfinite(ranked[hit])]
        same += [truth.categories[hit] == truth.own[row] for hit in best]
        changed += [truth.changed[hit] == truth.wanted[row] for hit in best]
    both = np.array(same) & np.array(changed)
    return {
        "same category": _percent(np.mean(same)),
        "has the change": _percent(np.mean(changed)),
        "both": _percent(both.mean()),
    }


def _changes(photographs: Sequence[Photograph]) -> list[tuple[int, str]]:
    """Return references with the value that they are wanted in, drawn by lot from a fixed seed.

    Each is asked for in a value that another product of its category has.
    """
    by_category: dict[str, set[str]] = {}
    for each in photographs:
        if each.category and each.attributes.get(CHANGED):
            by_category.setdefault(fold(each.category), set()).add(each.attributes[CHANGED])
    lots = np.random.default_rng(0)
    pairs = []
    for row in lots.permutation(len(photographs)).tolist():
        each = photographs[row]
        colour = each.attributes.get(CHANGED, "")
        others = sorted(by_category.get(fold(each.category), set()) - {colour}) if colour else []
        if others:
            pairs.append((row, others[int(lots.integers(len(others)))]))
    return pairs[:QUERIES]


def _fit(
    labels: Sequence[str | None], known: Gallery, embedder: Embedder
) -> tuple[list[str], Embeddings, Sample] | None:
    """Return the values, their embeddings and the sample, as an index makes them (gateway/indexing/learning.py)."""
    rows = [row for row, label in enumerate(labels) if label]
    if not rows:
        return None
    counts: Mapping[str, int] = Counter(fold(labels[row] or "") for row in rows)
    written = {fold(labels[row] or ""): labels[row] or "" for row in rows}
    values = sorted(counts, key=lambda each: (-counts[each], each))[:MAX_VALUES]
    places = {value: place for place, value in enumerate(values)}
    sample = Sample(
        pictures=known.images[rows],
        labels=np.array([places.get(fold(labels[row] or ""), OTHER) for row in rows], np.int64),
        folds=known.groups[rows].astype(np.int64) % FOLDS,
    )
    return [written[value] for value in values], embedder.texts([written[value] for value in values]), sample


def _percent(share: float | np.floating[Any]) -> float:
    return round(100 * float(share), 1)
