"""`python -m encoders photographs`: every protocol that the data allow, on the test split, with its baselines.

titles and pictures           title -> picture, words -> products, picture -> similar, composed, languages
pictures with a label         customers' photographs -> class
both, with a fine class       photographs taken in shops -> product
relative captions (JSONL)     sentences that people wrote, on the first set of products
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from catalogue.readers.opening import TABLE_ENDINGS, open_catalogue
from catalogue.readers.rows import CatalogueError
from encoders.photographs.classes import customers_photos, groceries, product_of_each
from encoders.photographs.composed import choose_weights, composed
from encoders.photographs.embedder import Embedder
from encoders.photographs.gallery import Gallery, Outcome, make_gallery, value_of
from encoders.photographs.products import TEST, TRAIN, VAL, DataError, Photograph, read_photographs
from encoders.photographs.relative import (
    RelativeCaption,
    is_relative_captions,
    people_say_a_colour,
    read_relative_captions,
)
from encoders.photographs.searches import (
    OTHER_WORDS,
    languages,
    picture_to_similar,
    title_to_picture,
    words_to_products,
)
from encoders.photographs.sheets import draw_sheet

PROTOCOL = 3
"""Raise it where a change makes other figures of the same data and weights: results before it are stale."""

PRODUCTS, CUSTOMERS, GROCERIES = KINDS = ("products", "customers", "groceries")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """One catalogue, read whole; pictures stay encoded."""

    name: str
    kind: str
    """PRODUCTS, CUSTOMERS or GROCERIES."""
    photographs: tuple[Photograph, ...]
    digest: str

    def of(self, *splits: str) -> list[Photograph]:
        """Return the photographs of some splits."""
        return [each for each in self.photographs if each.split in splits]


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """All that is measured on."""

    sets: tuple[DataSet, ...]
    captions: tuple[RelativeCaption, ...]
    notes: Mapping[str, int]

    def digests(self) -> dict[str, str]:
        """Return what names the content, by name of the set."""
        found = {each.name: each.digest for each in self.sets}
        if self.captions:
            found["relative captions"] = _digest(repr(each) for each in self.captions)
        return found


def read_data(paths: Sequence[Path]) -> Data:
    """Read catalogues; of a folder with several tables, each that is one.

    Raises:
        DataError: there is none, or one cannot be used.
    """
    notes = Counter[str]()
    sets: list[DataSet] = []
    captions: list[RelativeCaption] = []
    for path in paths:
        for file in _catalogues_in(path):
            if is_relative_captions(file):
                captions += read_relative_captions(file)
            else:
                sets.append(_read_set(file, notes))
    if not sets:
        raise DataError(f"{', '.join(map(str, paths))}: no catalogue with pictures")
    sets.sort(key=lambda each: KINDS.index(each.kind))
    return Data(sets=tuple(sets), captions=tuple(captions), notes=notes)


def measure(data: Data, embedder: Embedder, sheets: Path | None) -> dict[str, Any]:
    """Measure what the data allow; draw failures as contact sheets into a folder, where one is named.

    Returns:
        By protocol: what was asked, and figures by the way to answer. What the data do not allow is said instead.
    """
    results: dict[str, Any] = {}
    for each in data.sets:
        for name, run in _protocols(each, data.captions, embedder).items():
            key = name if name not in results else f"{name}, {each.name}"
            print(f"{each.name}: {name}", flush=True)
            try:
                outcome = run()
            except DataError as error:
                results[key] = {"asked": f"Left out: {error}.", "ways": {}}
                continue
            results[key] = {"asked": outcome.asked, "ways": outcome.ways}
            if outcome.failures and sheets is not None:
                draw_sheet(outcome.failures, sheets / f"{each.name}-{_file_name(name)}.jpg")
    return results


def kind_of(photographs: Sequence[Photograph]) -> str:
    """Return what a set of photographs is, by what its rows have.

    Raises:
        DataError: the rows have neither titles nor labels.
    """
    titled = [each for each in photographs if each.title]
    classed = [each for each in photographs if not each.title and value_of(each, "fine")]
    if titled and classed:
        return GROCERIES
    if titled:
        return PRODUCTS
    if any(value_of(each, "label") for each in photographs):
        return CUSTOMERS
    raise DataError("the rows have no title and no column `label`: nothing can be asked of them")


def _protocols(
    data: DataSet, captions: Sequence[RelativeCaption], embedder: Embedder
) -> dict[str, Callable[[], Outcome]]:
    if data.kind == CUSTOMERS:
        return {"customers' photographs": lambda: _customers(data, embedder)}
    if data.kind == GROCERIES:
        return {"groceries": lambda: _groceries(data, embedder)}
    test = cache(lambda: _gallery(data, embedder, TEST, features=True))
    best = cache(lambda: choose_weights(_gallery(data, embedder, VAL), embedder))
    in_languages = cache(lambda: languages(test(), embedder))
    protocols: dict[str, Callable[[], Outcome]] = {
        "title to picture": lambda: title_to_picture(test(), embedder),
        "attribute words to products": lambda: words_to_products(test(), embedder),
        "languages: words": lambda: in_languages()["words"],
        "languages: a sentence": lambda: in_languages()["sentence"],
        "languages: with the audience": lambda: in_languages()["audience"],
        "languages: other words for the article": lambda: in_languages()[OTHER_WORDS],
        "picture to the same article and colour": lambda: picture_to_similar(test()),
        "composed: replace one colour with another": lambda: composed(test(), embedder, best()),
    }
    if captions:
        protocols["relative captions that people wrote"] = lambda: people_say_a_colour(
            captions, test(), embedder, best()
        )
    return protocols


def _customers(data: DataSet, embedder: Embedder) -> Outcome:
    train, val, test = (_gallery(data, embedder, split) for split in (TRAIN, VAL, TEST))
    return customers_photos(train, val, test, embedder)


def _groceries(data: DataSet, embedder: Embedder) -> Outcome:
    products = product_of_each([each for each in data.photographs if each.title])
    sold = {value_of(each, "fine") for each in products}
    photos = {
        split: [each for each in data.of(split) if not each.title and value_of(each, "fine") in sold]
        for split in (TRAIN, TEST)
    }
    if not all(photos.values()):
        raise DataError(f"{data.name} has no photographs of its products in the splits {TRAIN} and {TEST}")
    return groceries(
        make_gallery(products, embedder, features=True),
        make_gallery(photos[TEST], embedder, features=True),
        make_gallery(photos[TRAIN], embedder),
        embedder,
    )


def _gallery(data: DataSet, embedder: Embedder, split: str, *, features: bool = False) -> Gallery:
    photographs = data.of(split)
    if not photographs:
        raise DataError(f"{data.name} has no photographs in the split {split}")
    return make_gallery(photographs, embedder, features=features)


def _catalogues_in(path: Path) -> list[Path]:
    """Return the path itself where it is one catalogue, else the tables of the folder."""
    if not path.is_dir():
        return [path]
    try:
        open_catalogue(path)
    except CatalogueError as error:
        tables = sorted(each for each in path.iterdir() if each.suffix.lower() in TABLE_ENDINGS)
        if len(tables) < 2:  # noqa: PLR2004 - the readers open a folder with one
            raise DataError(str(error)) from None
        return tables
    return [path]


def _read_set(path: Path, notes: Counter[str]) -> DataSet:
    photographs = tuple(read_photographs(path, notes=notes))
    if not photographs:
        raise DataError(f"{path}: no product with a picture")
    try:
        kind = kind_of(photographs)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    digest = _digest(
        f"{each.product_id}|{each.title}|{each.description}|{sorted(each.attributes.items())}|{each.group}|{each.split}|"
        f"{hashlib.sha256(each.picture).hexdigest()}"
        for each in photographs
    )
    return DataSet(name=path.stem, kind=kind, photographs=photographs, digest=digest)


def _digest(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode(errors="surrogatepass") + b"\n")
    return digest.hexdigest()[:16]


def _file_name(name: str) -> str:
    return "-".join("".join(letter if letter.isalnum() else " " for letter in name).split())
