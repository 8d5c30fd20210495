"""Composed search on real photographs, the way of Fashion200K: "replace black with red".

A query is a photograph and the name of another colour that its audience and article come in. Its own photograph is
left out; right is any photograph of the same audience and article in the wanted colour.

Photographs are found by their pictures alone, and, as the gateway searches an index, by the pictures and the titles in equal
halves. The second needs what the first does not: titles, which mostly say the article and often the colour.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from encoders.photographs.embedder import Embedder
from encoders.photographs.figures import (
    NO_LABEL,
    Embeddings,
    Figures,
    Rows,
    chance_recalls,
    counted,
    labels_of,
    looked_up,
    nearest,
    normalised,
    percent,
    recalls,
)
from encoders.photographs.gallery import Gallery, Outcome, pick_failures
from encoders.photographs.products import DataError

MOST_QUERIES = 20_000
"""Where there are more, so many are drawn from SEED."""
SEED = 0
_WEIGHTS = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Weights of the picture that the sum tries; the text has the rest."""
_FIRST = 5

SENTENCE, WORD = "the sentence", "the new word"
SERVED = "by picture and title"
"""Behind a way that asks both halves of an index; behind WORD, the sum's weight there."""
_SUM = f"sum with {WORD}, its weight chosen on val"
_ORACLE = "oracle: the caption that is wanted"
_WITHIN = "among photographs of the same article"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposedQueries:
    """Queries by their rows of the gallery."""

    sources: Rows
    wanted: Rows
    """Of audience, article and colour, the label that is right."""
    labels: Rows
    """(n,), the label of each row of the gallery."""
    old: tuple[str, ...]
    new: tuple[str, ...]
    captions: tuple[str, ...]
    """What is wanted in words, "red handbags for women": the oracle's query."""

    def texts(self, kind: str) -> list[str]:
        """Return what the text of each query says: a sentence of Fashion200K, or only the new colour."""
        if kind == WORD:
            return list(self.new)
        return [f"replace {old} with {new}" for old, new in zip(self.old, self.new, strict=True)]


def make_queries(gallery: Gallery) -> ComposedQueries:
    """Return a query for every photograph and every other colour of its audience and article.

    Raises:
        DataError: nothing comes in two colours.
    """
    audiences, articles, colours = (gallery.values(field) for field in ("audience", "category", "colour"))
    columns = list(zip(audiences, articles, colours, strict=True))
    offered: dict[tuple[str | None, str], set[str]] = {}
    for audience, article, colour in columns:
        if article is not None and colour is not None:
            offered.setdefault((audience, article), set()).add(colour)
    chosen = [
        (row, new)
        for row, (audience, article, colour) in enumerate(columns)
        if article is not None and colour is not None
        for new in sorted(offered[audience, article] - {colour})
    ]
    if not chosen:
        raise DataError("no article comes in two colours, so no colour can be replaced")
    if len(chosen) > MOST_QUERIES:
        drawn = np.random.default_rng(SEED).choice(len(chosen), MOST_QUERIES, replace=False)
        chosen = [chosen[place] for place in sorted(drawn.tolist())]
    goals = [(columns[row][0], columns[row][1], new) for row, new in chosen]
    labels = labels_of([*columns, *goals])
    return ComposedQueries(
        sources=np.array([row for row, _ in chosen]),
        wanted=labels[len(columns) :],
        labels=labels[: len(columns)],
        old=tuple(columns[row][2] or "" for row, _ in chosen),
        new=tuple(new for _, new in chosen),
        captions=tuple(
            f"{new} {article} for {audience}" if audience else f"{new} {article}"
            for audience, article, new in goals
        ),
    )


def choose_weights(gallery: Gallery, embedder: Embedder) -> dict[str, float]:
    """Return the picture's weight in the sum with each kind of text, SENTENCE and WORD; the latter also for a search `SERVED`.

    It is the one with the best mean of R@1 and R@10 on these photographs: those of the val split.
    """
    queries = make_queries(gallery)
    pictures = gallery.images[queries.sources]
    chosen = {}
    for name, kind, searched in (
        (SENTENCE, SENTENCE, gallery),
        (WORD, WORD, gallery),
        (f"{WORD}, {SERVED}", WORD, as_served(gallery, embedder)),
    ):
        words = texts_of(queries.texts(kind), embedder)
        scores = {}
        for weight in _WEIGHTS:
            figures = _recalls(weighted_sum(pictures, words, weight), searched, queries)
            scores[weight] = sum(_value(figures[cut]) for cut in ("R@1", "R@10"))
        chosen[name] = max(_WEIGHTS, key=scores.__getitem__)
    return chosen


def as_served(gallery: Gallery, embedder: Embedder) -> Gallery:
    """Return the gallery by the mean of picture and title: inner products with it are what the gateway's equal halves give."""
    titles = texts_of([each.title for each in gallery.photographs], embedder)
    return replace(gallery, images=(gallery.images + titles) / 2)


def composed(gallery: Gallery, embedder: Embedder, best: Mapping[str, float]) -> Outcome:
    """Measure the fusion beside what needs none, and the caption of what is wanted.

    Args:
        gallery: the test split.
        embedder: the encoders.
        best: the weights that `choose_weights` chose on the val split.
    """
    queries = make_queries(gallery)
    pictures = gallery.images[queries.sources]
    sentences, words = (texts_of(queries.texts(kind), embedder) for kind in (SENTENCE, WORD))
    fused = embedder.compose(pictures, queries.texts(SENTENCE))
    clusters = gallery.groups[queries.sources]
    fitting = np.bincount(queries.labels, minlength=queries.wanted.max() + 1)[queries.wanted]
    asked = {
        "picture alone": pictures,
        "sentence alone": sentences,
        "sum with the sentence": weighted_sum(pictures, sentences, 0.5),
        "sum with the new word": weighted_sum(pictures, words, 0.5),
        f"sum with {SENTENCE}, its weight chosen on val": weighted_sum(pictures, sentences, best[SENTENCE]),
        _SUM: weighted_sum(pictures, words, best[WORD]),
        "fusion": fused,
        _ORACLE: texts_of(queries.captions, embedder),
    }
    ways = {"chance": chance_recalls(fitting, len(gallery) - 1, clusters)}
    ways |= {name: _figures(embedded, gallery, queries) for name, embedded in asked.items()}
    ways[f"fusion, {_WITHIN}"] = _figures(fused, gallery, queries, within=True)
    served = as_served(gallery, embedder)
    asked[_SUM] = weighted_sum(pictures, words, best[f"{WORD}, {SERVED}"])
    for name in (_SUM, "fusion", _ORACLE):
        ways[f"{name}, {SERVED}"] = _figures(asked[name], served, queries)
    ways[f"fusion, {SERVED}, {_WITHIN}"] = _figures(fused, served, queries, within=True)
    found = _found(fused, gallery, queries)
    return Outcome(
        asked=(
            f"{len(queries.sources):,} queries from {len(np.unique(queries.sources)):,} photographs among {len(gallery):,}: "
            "every other colour that the audience and article come in; right is any photograph of these in the wanted colour."
        ),
        ways={name: counted(figures, clusters) for name, figures in ways.items()},
        failures=pick_failures(
            queries.texts(SENTENCE),
            found,
            looked_up(queries.labels, found) == queries.wanted[:, None],
            gallery,
            references=[gallery.photographs[row] for row in queries.sources],
            wanted=[int(np.flatnonzero(queries.labels == label)[0]) for label in queries.wanted],
        ),
    )


def recalls_by_change(
    gallery: Gallery, compose: Callable[[Embeddings, Sequence[str]], Embeddings]
) -> dict[str, float | None]:
    """Return the recalls of `composed` alone, in percent; nothing where no article comes in two colours."""
    try:
        queries = make_queries(gallery)
    except DataError:
        return {}
    fused = compose(gallery.images[queries.sources], queries.texts(SENTENCE))
    return {name: _value(figure) for name, figure in _recalls(fused, gallery, queries).items()}


def texts_of(texts: Sequence[str], embedder: Embedder) -> Embeddings:
    """Embed texts of which many are equal, each once."""
    distinct = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    return embedder.texts(list(distinct))[[distinct[text] for text in texts]]


def weighted_sum(pictures: Embeddings, texts: Embeddings, weight: float) -> Embeddings:
    """Return the normalised sum of pictures and texts, the pictures with this weight and the texts with the rest."""
    return normalised(weight * pictures + (1 - weight) * texts)


def _found(embedded: Embeddings, gallery: Gallery, queries: ComposedQueries, *, within: bool = False) -> Rows:
    own = np.arange(len(gallery))
    articles = gallery.labels("category")
    return nearest(
        embedded,
        gallery.images,
        banned=(queries.sources, own),
        allowed=(articles[queries.sources], articles) if within else None,
    )


def _recalls(embedded: Embeddings, gallery: Gallery, queries: ComposedQueries) -> Figures:
    found = _found(embedded, gallery, queries)
    hits = looked_up(queries.labels, found) == queries.wanted[:, None]
    return recalls(hits, gallery.groups[queries.sources])


def _figures(
    embedded: Embeddings, gallery: Gallery, queries: ComposedQueries, *, within: bool = False
) -> Figures:
    """Return recalls, and which share of the first five has the colour, and another article."""
    found = _found(embedded, gallery, queries, within=within)
    clusters = gallery.groups[queries.sources]
    hits = looked_up(queries.labels, found) == queries.wanted[:, None]
    articles = gallery.labels("category")
    wanted = articles[queries.sources]
    colours = labels_of([*gallery.values("colour"), *queries.new])
    coloured = looked_up(colours[: len(gallery)], found) == colours[len(gallery) :, None]
    shown = (found != NO_LABEL)[:, :_FIRST]
    amounts = np.maximum(shown.sum(axis=1), 1)
    other = (looked_up(articles, found) != wanted[:, None])[:, :_FIRST] & shown
    measured: Mapping[str, list[float | None]] = {
        f"the colour@{_FIRST}": percent(coloured[:, :_FIRST].sum(axis=1) / amounts, clusters),
        f"other article@{_FIRST}": percent(other.sum(axis=1) / amounts, clusters),
    }
    return {**recalls(hits, clusters), **measured}


def _value(figure: list[float | None] | int) -> float:
    assert isinstance(figure, list)
    assert figure[0] is not None
    return figure[0]
