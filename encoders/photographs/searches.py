"""Searches of a shop's photographs by title, by attribute words, and by another picture."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from encoders.photographs.embedder import Embedder
from encoders.photographs.figures import (
    CUTS,
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
    precisions,
    recalls,
    tied_recalls,
)
from encoders.photographs.gallery import TOWER_ALONE, Gallery, Outcome, pick_failures
from encoders.photographs.products import DataError
from encoders.photographs.vocabulary import (
    ENGLISH,
    LANGUAGES,
    OTHER_LANGUAGES,
    PHRASINGS,
    query,
    query_in_other_words,
)
from vitrine.domain.values import fold

_TEN = 10
_FIRST = 5
MOST_QUERIES = 5_000
"""Where there are more titles or pictures to ask with, so many are drawn from SEED."""
SEED = 0
OTHER_WORDS = "other words"
"""Of `languages`, the outcome of words that no training asks with."""
LEAST_FITTING = 5
"""Products that fit a query of attribute words, at least, for it to be asked."""


def title_to_picture(gallery: Gallery, embedder: Embedder) -> Outcome:
    """Search the photographs by each title among them.

    Raises:
        DataError: no photograph has a title.
    """
    rows = drawn(_first_rows([each.title or None for each in gallery.photographs]))
    if not len(rows):
        raise DataError("no product has a title, so none can be searched by it")
    titles = [gallery.photographs[row].title for row in rows]
    clusters, wanted = gallery.groups[rows], gallery.answers[rows]
    found = nearest(embedder.texts(titles), gallery.images)
    hits = looked_up(gallery.answers, found) == wanted[:, None]
    right = wanted[:, None] == gallery.answers[None, :]
    categories = gallery.labels("category")
    return Outcome(
        asked=f"{len(titles):,} titles of {len(gallery):,} photographs; right is any photograph of the same title or group.",
        ways={
            "chance": counted(chance_recalls(right.sum(axis=1), len(gallery), clusters), clusters),
            "encoders": counted(
                recalls(hits, clusters)
                | _other_category(looked_up(categories, found), categories[rows], clusters),
                clusters,
            ),
            "oracle: attributes known, ties by lot": counted(
                tied_recalls(_agreement(gallery, rows), right, clusters), clusters
            ),
        },
        failures=pick_failures(titles, found, hits, gallery, wanted=rows.tolist()),
    )


def recalls_by_title(
    gallery: Gallery, embed: Callable[[Sequence[str]], Embeddings]
) -> dict[str, float | None]:
    """Return the recalls of `title_to_picture` alone, in percent, where texts are embedded this way; nothing without a title."""
    rows = _first_rows([each.title or None for each in gallery.photographs])
    if not len(rows):
        return {}
    found = nearest(embed([gallery.photographs[row].title for row in rows]), gallery.images)
    hits = looked_up(gallery.answers, found) == gallery.answers[rows][:, None]
    return {f"R@{cut}": percent(hits[:, :cut].any(axis=1), gallery.groups[rows])[0] for cut in CUTS}


def words_to_products(gallery: Gallery, embedder: Embedder) -> Outcome:
    """Search the photographs by "colour article", in the catalogue's words, by picture, by title and by both."""
    asked = _attribute_queries(gallery)
    texts = [f"{colour} {article}" for colour, article in asked.words]
    queries = embedder.texts(texts)
    titles = embedder.texts([each.title for each in gallery.photographs])
    found = nearest(queries, gallery.images)
    ways = {
        "chance": asked.chance(),
        "words that titles share": asked.figures(_by_shared_words(texts, gallery)),
        "encoders, by picture": asked.figures(found),
        "encoders, by title": asked.figures(nearest(queries, titles)),
        "encoders, by both": asked.figures(nearest(queries, normalised(gallery.images + titles))),
    }
    return Outcome(
        asked=(
            f"{len(texts)} pairs of a colour and an article that {LEAST_FITTING} photographs or more of {len(gallery):,} have, "
            '"black belts"; grade 2 is both, 1 the article in another colour. An order by the attributes themselves has 100.'
        ),
        ways=ways,
        failures=pick_failures(texts, found, asked.grades(found) == _BOTH, gallery),
    )


def languages(gallery: Gallery, embedder: Embedder) -> Mapping[str, Outcome]:
    """Ask the same queries of colour and article in the vocabulary's languages, an outcome for each way to put them."""
    named = _attribute_queries(gallery).words
    usual = _usual_audiences(gallery)
    outcomes = {}
    for phrasing in PHRASINGS:
        texts = {
            language: [
                query(
                    language, phrasing, colour=colour, article=article, audience=usual.get((colour, article))
                )
                for colour, article in named
            ]
            for language in LANGUAGES
        }
        outcomes[phrasing] = _one_phrasing(texts, named, gallery, embedder)
    texts = {
        language: [
            query_in_other_words(language, colour=colour, article=article) for colour, article in named
        ]
        for language in OTHER_LANGUAGES
    }
    return outcomes | {OTHER_WORDS: _one_phrasing(texts, named, gallery, embedder)}


def picture_to_similar(gallery: Gallery) -> Outcome:
    """Search the photographs by each of them: another product of the same article and colour is right.

    Photographs of the query's own group are left out, for a near-duplicate proves nothing.
    """
    both, article = gallery.labels("category", "colour"), gallery.labels("category")
    same_both, same_article = (_in_other_groups(labels, gallery.groups) for labels in (both, article))
    rows = drawn(np.flatnonzero((same_both > 0) & (both != NO_LABEL)))
    if not len(rows):
        raise DataError("no two products of different groups share an article and a colour")
    banned = gallery.groups[rows], gallery.groups
    totals = np.stack([same_both, same_article - same_both], axis=1)[rows]
    clusters = gallery.groups[rows]
    others = len(gallery) - np.bincount(gallery.groups)[clusters]

    def figures(embeddings: Embeddings) -> tuple[Rows, Figures]:
        found = nearest(embeddings[rows], embeddings, banned=banned)
        grades = _grades(looked_up(both, found), looked_up(article, found), both[rows], article[rows])
        return found, counted(
            precisions(grades, totals, clusters)
            | {"article@10": percent((grades[:, :_TEN] > 0).mean(axis=1), clusters)},
            clusters,
        )

    found, measured = figures(gallery.images)
    hits = looked_up(both, found) == both[rows, None]
    fitting = totals[:, 0]
    return Outcome(
        asked=(
            f"{len(rows):,} photographs among {len(gallery):,}, those of the query's own group left out; grade 2 is the same "
            "article and colour, 1 the article in another colour. An order by the attributes themselves has 100."
        ),
        ways={
            "chance": counted({"P@1": percent(fitting / others, clusters)}, clusters),
            "8 x 8 pixels": figures(gallery.thumbnails)[1],
            **({TOWER_ALONE: figures(gallery.features)[1]} if gallery.features is not None else {}),
            "encoders": measured,
        },
        failures=pick_failures(
            [gallery.photographs[row].title for row in rows],
            found,
            hits,
            gallery,
            references=[gallery.photographs[row] for row in rows],
        ),
    )


_BOTH = 2


class _AttributeQueries:
    """Queries of colour and article with what fits them."""

    def __init__(self, gallery: Gallery, words: Sequence[tuple[str, str]]) -> None:
        self.words = tuple(words)
        pairs = list(zip(gallery.values("colour"), gallery.values("category"), strict=True))
        self._pairs = labels_of([*self.words, *pairs])
        self._articles = labels_of([*(article for _, article in self.words), *gallery.values("category")])
        size = len(self.words)
        same_pair = self._pairs[:size, None] == self._pairs[None, size:]
        same_article = self._articles[:size, None] == self._articles[None, size:]
        self._totals = np.stack([same_pair.sum(axis=1), (same_article & ~same_pair).sum(axis=1)], axis=1)
        self._clusters = np.arange(size)
        self._gallery_size = len(pairs)

    def grades(self, found: Rows) -> Rows:
        """Return 2, 1 or 0 for each row that was found, (m, k)."""
        size = len(self.words)
        return _grades(
            looked_up(self._pairs[size:], found),
            looked_up(self._articles[size:], found),
            self._pairs[:size],
            self._articles[:size],
        )

    def figures(self, found: Rows) -> Figures:
        """Return the figures of what was found, (m, 10 or more)."""
        grades = self.grades(found)
        wrong = percent((grades[:, :_TEN] == 0).mean(axis=1), self._clusters)
        measured = precisions(grades, self._totals, self._clusters)
        return counted(measured | {"other article@10": wrong}, self._clusters)

    def chance(self) -> Figures:
        """Return the precision of a random order."""
        return counted(
            {"P@1": percent(self._totals[:, 0] / self._gallery_size, self._clusters)}, self._clusters
        )


def _attribute_queries(gallery: Gallery) -> _AttributeQueries:
    pairs = list(zip(gallery.values("colour"), gallery.values("category"), strict=True))
    counts: dict[tuple[str, str], int] = {}
    for colour, article in pairs:
        if colour is not None and article is not None:
            counts[colour, article] = counts.get((colour, article), 0) + 1
    chosen = sorted(pair for pair, count in counts.items() if count >= LEAST_FITTING)
    if not chosen:
        raise DataError(f"no colour and article are shared by {LEAST_FITTING} photographs of the split")
    return _AttributeQueries(gallery, chosen)


def _one_phrasing(
    texts: Mapping[str, Sequence[str | None]],
    named: Sequence[tuple[str, str]],
    gallery: Gallery,
    embedder: Embedder,
) -> Outcome:
    """Ask in each language what the table has words for; it has them for all languages or for none."""
    known = [row for row, text in enumerate(texts[ENGLISH]) if text is not None]
    if not known:
        return Outcome(
            asked="Left out: the vocabulary has no word for the colours and articles of this data.", ways={}
        )
    asked = _AttributeQueries(gallery, [named[row] for row in known])
    queries = {language: [text for text in said if text is not None] for language, said in texts.items()}
    found = {language: nearest(embedder.texts(said), gallery.images) for language, said in queries.items()}
    ways = {language: asked.figures(rows) for language, rows in found.items()}
    english = ways[ENGLISH]["P@10"]
    for figures in ways.values():
        figures["share of English P@10"] = _share(figures["P@10"], english)
    example = next(text for text in texts[ENGLISH] if text is not None)
    return Outcome(
        asked=f'{len(known)} queries such as "{example}", by picture, in the words of vocabulary.toml.',
        ways=ways,
        failures=pick_failures(
            [text for said in queries.values() for text in said],
            np.concatenate(list(found.values())),
            np.concatenate([asked.grades(rows) == _BOTH for rows in found.values()]),
            gallery,
        ),
    )


def _share(figure: object, whole: object) -> list[float | None]:
    assert isinstance(figure, list)
    assert isinstance(whole, list)
    return [round(100 * figure[0] / whole[0], 1) if whole[0] else None, None]


def _usual_audiences(gallery: Gallery) -> dict[tuple[str | None, str | None], str | None]:
    """Return for each colour and article the audience that most of its photographs have."""
    counts: dict[tuple[str | None, str | None], dict[str | None, int]] = {}
    columns = zip(*(gallery.values(field) for field in ("colour", "category", "audience")), strict=True)
    for colour, article, audience in columns:
        of_pair = counts.setdefault((colour, article), {})
        of_pair[audience] = of_pair.get(audience, 0) + 1
    return {pair: max(of_pair, key=lambda each: of_pair[each]) for pair, of_pair in counts.items()}


def _grades(both: Rows, article: Rows, wanted_both: Rows, wanted_article: Rows) -> Rows:
    same_article = (article == wanted_article[:, None]).astype(np.int64)
    return np.where(both == wanted_both[:, None], _BOTH, same_article)


def _first_rows(values: Sequence[str | None]) -> Rows:
    first: dict[str, int] = {}
    for row, value in enumerate(values):
        if value is not None:
            first.setdefault(value, row)
    return np.array(list(first.values()), dtype=np.int64)


def drawn(rows: Rows) -> Rows:
    """Return the rows, or MOST_QUERIES of them by lot from SEED, in their order."""
    if len(rows) <= MOST_QUERIES:
        return rows
    return np.sort(np.random.default_rng(SEED).choice(rows, MOST_QUERIES, replace=False))


def _in_other_groups(labels: Rows, groups: Rows) -> Rows:
    """Return for each row how many rows of other groups have its label."""
    pairs = labels_of(zip(labels.tolist(), groups.tolist(), strict=True))
    _, places = np.unique(labels, return_inverse=True)
    return np.asarray(np.bincount(places)[places] - np.bincount(pairs)[pairs])


def _agreement(gallery: Gallery, rows: Rows) -> NDArray[np.int8]:
    """Return how many attributes each photograph shares with the row's, (m, n)."""
    names = dict.fromkeys(name for each in gallery.photographs for name in each.attributes)
    agreement = np.zeros((len(rows), len(gallery)), dtype=np.int8)
    for name in names:
        labels = labels_of(each.attributes.get(name) for each in gallery.photographs)
        agreement += labels[rows, None] == labels[None, :]
    return agreement


def _other_category(found: Rows, wanted: Rows, clusters: Rows) -> Figures:
    return {f"other article@{_FIRST}": percent((found[:, :_FIRST] != wanted[:, None]).mean(axis=1), clusters)}


def _by_shared_words(texts: Sequence[str], gallery: Gallery) -> Rows:
    """Return the photographs by how many words of the text their titles have, the catalogue's order within ties."""
    titles = [set(fold(each.title).split()) for each in gallery.photographs]
    shared = np.array([[len(set(text.split()) & title) for title in titles] for text in texts])
    return np.argsort(-shared, axis=1, kind="stable").astype(np.int64)
