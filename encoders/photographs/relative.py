"""What people wrote of how one garment differs from another, asked of a shop's photographs.

Where the sentences' own pictures are not at hand, the wanted picture is unknown. What can be measured is whether a
sentence that names a colour moves a photograph of that kind of garment to others of the kind in the colour.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from encoders.photographs.composed import SEED, SENTENCE, texts_of, weighted_sum
from encoders.photographs.embedder import Embedder
from encoders.photographs.figures import (
    NO_LABEL,
    Embeddings,
    Figures,
    Rows,
    counted,
    labels_of,
    looked_up,
    nearest,
    percent,
)
from encoders.photographs.gallery import Gallery, Outcome, pick_failures
from encoders.photographs.products import TEST, DataError, draw_split
from encoders.photographs.vocabulary import COLOUR_WORDS, NEGATIONS, RELATIVE_ARTICLES
from vitrine.domain.values import fold

_KEYS = frozenset({"category", "candidate", "target", "captions"})
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_MOST_WORDS = 8
_QUERIES = 2_000
_TEN = 10


@dataclass(frozen=True, slots=True)
class RelativeCaption:
    """A sentence that says how a target differs from a candidate."""

    category: str
    candidate: str
    target: str
    text: str
    split: str
    """By the hash of the folded sentence: equal sentences are in one split, so words of the test split were not seen."""


def read_relative_captions(path: Path) -> Iterator[RelativeCaption]:
    """Yield every sentence of a JSON Lines file in FashionIQ's shape: category, candidate, target, captions.

    Raises:
        DataError: the file cannot be read, or a line is of another shape.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                yield from _read_line(f"{path}:{number}", line)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def is_relative_captions(path: Path) -> bool:
    """Return whether a file begins as one of relative captions does."""
    if path.suffix not in {".jsonl", ".ndjson"}:
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        try:
            row = json.loads(file.readline())
        except ValueError:
            return False
    return isinstance(row, dict) and row.keys() >= _KEYS


def named_colour(text: str) -> str | None:
    """Return the one colour that a short sentence asks for; None where it names several, none, or says what is not."""
    words = [word.casefold() for word in _WORD.findall(text)]
    named = {COLOUR_WORDS[word] for word in words if word in COLOUR_WORDS}
    if len(words) > _MOST_WORDS or len(named) != 1 or not NEGATIONS.isdisjoint(words):
        return None
    return next(iter(named))


def people_say_a_colour(
    captions: Sequence[RelativeCaption], gallery: Gallery, embedder: Embedder, best: Mapping[str, float]
) -> Outcome:
    """Measure sentences of the captions' test split that name a colour, on photographs of the test split.

    Raises:
        DataError: no sentence fits a photograph.
    """
    queries = _draw_queries(captions, gallery)
    rows, texts, colours = (list(column) for column in zip(*queries, strict=True))
    sources = np.array(rows)
    pictures = gallery.images[sources]
    said = texts_of(texts, embedder)
    own = gallery.values("colour")
    replaced = [f"replace {own[row]} with {colour}" for row, colour in zip(rows, colours, strict=True)]
    articles = gallery.values("category")
    named = texts_of(
        [f"{colour} {articles[row]}" for row, colour in zip(rows, colours, strict=True)], embedder
    )
    asked = {
        "picture alone": pictures,
        "sentence alone": said,
        "sum with the sentence": weighted_sum(pictures, said, 0.5),
        "sum with the sentence, the weight of composed search": weighted_sum(pictures, said, best[SENTENCE]),
        "fusion": embedder.compose(pictures, texts),
        'fusion, told "replace A with B" instead': embedder.compose(pictures, replaced),
        "oracle: colour and article as words": named,
    }
    measured = {name: _measure(embedded, sources, colours, gallery) for name, embedded in asked.items()}
    found, hits = measured["fusion"][1:]
    return Outcome(
        asked=(
            f"{len(queries):,} pairs of a photograph among {len(gallery):,} and a sentence that people wrote of another pair of "
            f"garments of its kind and that names one colour ({len(set(texts)):,} sentences, seed {SEED}); right is the same "
            "article in that colour. The pictures of which the sentences were written are not in the data."
        ),
        ways={name: figures for name, (figures, _, _) in measured.items()},
        failures=pick_failures(
            texts, found, hits, gallery, references=[gallery.photographs[row] for row in rows]
        ),
    )


def _draw_queries(captions: Sequence[RelativeCaption], gallery: Gallery) -> list[tuple[int, str, str]]:
    """Return rows of the gallery with a sentence and its colour; only what is found in the colour is asked for."""
    columns = list(zip(gallery.values("category"), gallery.values("colour"), strict=True))
    there = set(columns)
    rows: dict[str, list[int]] = {}
    for row, (article, _) in enumerate(columns):
        rows.setdefault(article or "", []).append(row)
    sentences = {
        (each.category, each.text, colour)
        for each in captions
        if each.split == TEST and (colour := named_colour(each.text)) is not None
    }
    pairs = [
        (row, text, colour)
        for category, text, colour in sorted(sentences)
        for article in RELATIVE_ARTICLES.get(category, ())
        if (article, colour) in there
        for row in rows.get(article, ())
        if columns[row][1] not in {colour, None}
    ]
    if not pairs:
        raise DataError("no sentence of the test split names a colour that its kind of garment has here")
    size = min(_QUERIES, len(pairs))
    drawn = np.random.default_rng(SEED).choice(len(pairs), size, replace=False)
    return [pairs[place] for place in sorted(drawn.tolist())]


def _measure(
    embedded: Embeddings, sources: Rows, wanted: Sequence[str], gallery: Gallery
) -> tuple[Figures, Rows, np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]:
    articles = gallery.labels("category")
    colours = labels_of([*gallery.values("colour"), *wanted])
    found = nearest(embedded, gallery.images, banned=(sources, np.arange(len(gallery))))
    coloured = looked_up(colours[: len(gallery)], found) == colours[len(gallery) :, None]
    same = looked_up(articles, found) == articles[sources][:, None]
    hits = coloured & same & (found != NO_LABEL)
    clusters = gallery.groups[sources]
    fitting = (
        (colours[None, : len(gallery)] == colours[len(gallery) :, None])
        & (articles[None, :] == articles[sources][:, None])
    ).sum(axis=1)
    figures: Figures = {
        "P@1": percent(hits[:, 0], clusters),
        "P@10": percent(hits[:, :_TEN].sum(axis=1) / np.clip(fitting, 1, _TEN), clusters),
        "the colour@10": percent(coloured[:, :_TEN].mean(axis=1), clusters),
        "other article@10": percent((~same[:, :_TEN]).mean(axis=1), clusters),
    }
    return counted(figures, sources), found, hits


def _read_line(place: str, line: str) -> Iterator[RelativeCaption]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise DataError(f"{place}: no valid JSON: {error}") from None
    if not isinstance(row, dict) or not row.keys() >= _KEYS or not isinstance(row["captions"], list):
        raise DataError(f"{place}: must be an object with {', '.join(sorted(_KEYS))}, captions a list")
    for text in row["captions"]:
        split = draw_split(f"sentence:{fold(str(text))}")
        yield RelativeCaption(
            str(row["category"]), str(row["candidate"]), str(row["target"]), str(text), split
        )
