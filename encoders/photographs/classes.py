"""Photographs that people took: which article it is, by words alone and with labelled photographs at hand."""

from collections.abc import Sequence

import numpy as np

from encoders.photographs.embedder import Embedder
from encoders.photographs.figures import (
    Embeddings,
    Figures,
    Flags,
    Rows,
    counted,
    labels_of,
    nearest,
    normalised,
    percent,
)
from encoders.photographs.gallery import (
    FAILURES,
    TOWER_ALONE,
    Failure,
    Gallery,
    Outcome,
    pick_failures,
    value_of,
)
from encoders.photographs.products import DataError, Photograph
from encoders.photographs.vocabulary import label_text

_TOP = 5
_PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0)
"""Ridge penalties that the linear classifier tries on the val split."""


def customers_photos(train: Gallery, val: Gallery, test: Gallery, embedder: Embedder) -> Outcome:
    """Name the class of each photograph of the test split; train and val are the labelled photographs.

    Raises:
        DataError: the photographs are all of one class, or have none.
    """
    names = sorted({label for label in train.values("label") if label is not None})
    if len(names) < 2:  # noqa: PLR2004 - a choice needs two
        raise DataError(
            f"the photographs have {len(names)} class in their column `label`; naming it needs two or more"
        )
    known = {name: number for number, name in enumerate(names)}
    learnt, chosen_on, wanted = (
        np.array([known.get(value or "", len(names)) for value in each.values("label")])
        for each in (train, val, test)
    )
    words = embedder.texts([label_text(name) for name in names])
    zero_shot = nearest(test.images, words, count=len(names))
    usual = np.bincount(learnt, minlength=len(names)).argmax()
    answers = {
        "the most frequent class": np.full((len(test), 1), usual),
        "8 x 8 pixels, nearest prototype": _by_prototype(train.thumbnails, learnt, test.thumbnails),
        "by words": zero_shot,
        "nearest prototype, labels seen": _by_prototype(train.images, learnt, test.images),
        "oracle: linear classifier, labels seen": _by_classifier(
            (train.images, learnt), (val.images, chosen_on), test.images
        ),
    }
    return Outcome(
        asked=(
            f"{len(test):,} photographs that people took, {len(names)} classes. Prototypes and classifier see {len(train):,} labelled "
            "photographs of the training split; by words none is shown, which is zero-shot where the family's training saw none. One cloth was often photographed several times: errors are larger than they look."
        ),
        ways={name: _class_figures(first[:, 0], wanted, test.groups) for name, first in answers.items()},
        failures=_failures(
            test.photographs, zero_shot[:, 0] == wanted, [names[row] for row in zero_shot[:, 0]]
        ),
    )


def groceries(products: Gallery, photos: Gallery, labelled: Gallery, embedder: Embedder) -> Outcome:
    """Find the product that a photograph shows, among products with a picture, a title and a description.

    Args:
        products: one for each fine class.
        photos: of the test split; each shows one of the products.
        labelled: photographs of the training split, for the oracle.
        embedder: the encoders.
    """
    fine = labels_of([*products.values("fine"), *photos.values("fine"), *labelled.values("fine")])
    coarse = labels_of([*products.values("coarse"), *photos.values("coarse")])
    size = len(products)
    titles = embedder.texts([each.title for each in products.photographs])
    described = embedder.texts([f"{each.title}. {each.description}" for each in products.photographs])
    wanted, shown = fine[size : size + len(photos)], coarse[size:]
    answers = {
        "8 x 8 pixels": nearest(photos.thumbnails, products.thumbnails, count=_TOP),
        "by the products' pictures": nearest(photos.images, products.images, count=_TOP),
        "by title": nearest(photos.images, titles, count=_TOP),
        "by title and description": nearest(photos.images, described, count=_TOP),
        "by picture and title": nearest(photos.images, normalised(products.images + titles), count=_TOP),
        "by picture, title and description": nearest(
            photos.images, normalised(products.images + described), count=_TOP
        ),
    }
    if photos.features is not None and products.features is not None:
        answers[TOWER_ALONE] = nearest(photos.features, products.features, count=_TOP)
    ways = {"chance": _chance(size, photos)}
    for name, found in answers.items():
        ways[name] = _grocery_figures(
            fine[:size][found] == wanted[:, None], coarse[:size][found] == shown[:, None], photos
        )
    by_label = _by_prototype(labelled.images, fine[size + len(photos) :], photos.images, count=_TOP)
    ways["oracle: nearest prototype, labels seen"] = _grocery_figures(
        by_label == wanted[:, None], None, photos
    )
    both = answers["by picture and title"]
    return Outcome(
        asked=(
            f"{len(photos):,} photographs taken in shops, {size} products; fine is the product itself, coarse its kind. "
            "Labels of photographs are shown to the oracle alone; what a family's training saw, its card says."
        ),
        ways=ways,
        failures=pick_failures(
            [each.attributes.get("fine", "") for each in photos.photographs],
            both,
            fine[:size][both] == wanted[:, None],
            products,
            references=photos.photographs,
            wanted=[int(np.flatnonzero(fine[:size] == each)[0]) for each in wanted],
        ),
    )


def product_of_each(products: Sequence[Photograph]) -> list[Photograph]:
    """Return the first product of each fine class."""
    first: dict[str, Photograph] = {}
    for each in products:
        value = value_of(each, "fine")
        if value is not None:
            first.setdefault(value, each)
    return list(first.values())


def _by_prototype(images: Embeddings, labels: Rows, queries: Embeddings, *, count: int = 1) -> Rows:
    """Return the labels whose photographs have the nearest mean, (m, count), best first."""
    names = np.unique(labels)
    means = normalised(np.stack([images[labels == name].mean(axis=0) for name in names]))
    return np.asarray(names[nearest(queries, means, count=count)])


def _by_classifier(train: tuple[Embeddings, Rows], val: tuple[Embeddings, Rows], queries: Embeddings) -> Rows:
    """Return the labels by ridge regression on the embeddings, its penalty chosen on the val split, (m, 1)."""
    images, labels = _with_bias(train[0]), train[1]
    goals = np.eye(labels.max() + 1)[labels]
    products, sums = images.T @ images, images.T @ goals
    fits = [np.linalg.solve(products + penalty * np.eye(len(products)), sums) for penalty in _PENALTIES]
    scores = [np.mean((_with_bias(val[0]) @ fit).argmax(axis=1) == val[1]) for fit in fits]
    best = fits[int(np.argmax(scores))]
    named: Rows = (_with_bias(queries) @ best).argmax(axis=1)
    return named[:, None]


def _with_bias(images: Embeddings) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.concatenate([images, np.ones((len(images), 1))], axis=1)


def _class_figures(found: Rows, wanted: Rows, clusters: Rows) -> Figures:
    right = found == wanted
    classes = [right[wanted == name].mean() for name in np.unique(wanted)]
    return counted(
        {
            "right": percent(right, clusters),
            "mean over classes": [round(100 * float(np.mean(classes)), 2), None],
            "worst class": [round(100 * float(np.min(classes)), 2), None],
        },
        clusters,
    )


def _grocery_figures(fine: Flags, coarse: Flags | None, photos: Gallery) -> Figures:
    clusters = np.arange(len(photos))
    figures: Figures = {
        "fine top 1": percent(fine[:, 0], clusters),
        "fine top 5": percent(fine.any(axis=1), clusters),
    }
    if coarse is not None:
        figures["coarse top 1"] = percent(coarse[:, 0], clusters)
        figures["other kind@5"] = percent((~coarse).mean(axis=1), clusters)
    return counted(figures, clusters)


def _chance(size: int, photos: Gallery) -> Figures:
    figures: Figures = {
        "fine top 1": [round(100 / size, 2), None],
        "fine top 5": [round(100 * _TOP / size, 2), None],
    }
    return counted(figures, range(len(photos)))


def _failures(photographs: Sequence[Photograph], right: Flags, said: Sequence[str]) -> tuple[Failure, ...]:
    """Return photographs that were named wrongly, drawn by lot from a fixed seed."""
    wrong = np.random.default_rng(0).permutation(np.flatnonzero(~right))[:FAILURES]
    return tuple(
        Failure(
            asked=f"{value_of(photographs[row], 'label')} is taken for: {said[row]}",
            reference=photographs[row].picture,
            found=(),
        )
        for row in sorted(wrong.tolist())
    )
