"""What the family `paper` learns from: pictures with captions, and texts that lead from one look to another.

A folder in Fashion200K's layout gives its training split as google/tirg pairs it: captions that differ by a word.
Any other catalogue gives its titles as captions; its looks are the values of its keyword fields, and a text leads from
one to another that differs in one of them.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from catalogue.product import CatalogueProduct, PictureBytes, PictureFile
from catalogue.readers.opening import open_catalogue
from catalogue.readers.rows import CatalogueError
from encoders.fashion200k import Fashion200kError, children_by_parent, modification_text, read_images
from vitrine.domain.product import Product
from vitrine.domain.schema import Kind, Role, Schema
from vitrine.preprocess import MAX_IMAGE_BYTES, ImageRejected

LABELS = "labels"
"""The folder by which Fashion200K's layout is known."""

_SPLIT, _TRAINING = "split", "train"
"""A column by which a table keeps rows out of training."""

_LOOKED_AT = frozenset({None, Role.CATEGORY})
"""Roles of the keyword fields that a picture shows; a brand is read from a label, if at all."""

_FEWEST = 2


class TrainingDataError(ValueError):
    """The data cannot be learnt from; says which folder and why."""


Neighbourhood = tuple[tuple[int, str], ...]
"""Looks, each with what tells it from the others: its caption, or its value of a field."""

Values = tuple[tuple[str, str], ...]
"""What a picture shows: name and value of each keyword field that the product has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """n pictures, each with its caption and its look; looks are numbers from 0."""

    pictures: tuple[PictureFile | PictureBytes, ...]
    captions: tuple[str, ...]
    looks: tuple[int, ...]
    neighbourhoods: tuple[Neighbourhood, ...]
    """Looks that are one change apart, two at least."""
    say: Callable[[str, str], str]
    """Returns the text that leads from what tells one look of a neighbourhood to what tells another."""
    left_out: int = 0
    """Rows without a picture on this machine or without a caption."""
    unreadable: frozenset[int] = frozenset()
    """Rows whose picture cannot be read, and that are not drawn."""

    def without(self, rows: Collection[int]) -> "Examples":
        """Return the same without these rows, whose pictures cannot be read; the others keep their numbers."""
        lost = set(self.looks) - {look for row, look in enumerate(self.looks) if row not in rows}
        kept = (tuple(each for each in near if each[0] not in lost) for near in self.neighbourhoods)
        return replace(
            self,
            unreadable=frozenset(rows),
            neighbourhoods=tuple(near for near in kept if len(near) >= _FEWEST),
        )


@dataclass(frozen=True, slots=True)
class Turn:
    """A picture, the text that changes it, and a picture of the outcome; pictures are rows."""

    source: int
    text: str
    target: int


class TurnSource:
    """Draws turns: a look that has neighbours, one of them, and a picture of each."""

    def __init__(self, examples: Examples) -> None:
        self._examples = examples
        self._rows: defaultdict[int, list[int]] = defaultdict(list)
        for row, look in enumerate(examples.looks):
            if row not in examples.unreadable:
                self._rows[look].append(row)
        self._near: defaultdict[int, list[tuple[Neighbourhood, str]]] = defaultdict(list)
        for neighbourhood in examples.neighbourhoods:
            for look, told_by in neighbourhood:
                self._near[look].append((neighbourhood, told_by))
        self._looks = list(self._near)

    def draw(self, rng: random.Random, *, count: int) -> list[Turn]:
        """Draw so many turns."""
        return [self._turn(look, rng) for look in rng.choices(self._looks, k=count)]

    def _turn(self, look: int, rng: random.Random) -> Turn:
        neighbourhood, told_by = rng.choice(self._near[look])
        outcome, other = rng.choice([each for each in neighbourhood if each[0] != look])
        text = self._examples.say(told_by, other)
        return Turn(rng.choice(self._rows[look]), text, rng.choice(self._rows[outcome]))


def read_examples(data: Path) -> Examples:
    """Read the examples of a folder or file.

    Raises:
        TrainingDataError: it cannot be read, has no captions, or no two of its looks differ by one change.
    """
    try:
        examples = _of_fashion200k(data) if (data / LABELS).is_dir() else _of_catalogue(data)
    except (CatalogueError, Fashion200kError) as error:
        raise TrainingDataError(str(error)) from None
    if len(examples.pictures) < _FEWEST:
        raise TrainingDataError(
            f"{data}: {len(examples.pictures)} pictures with a caption, {examples.left_out:,} rows without"
        )
    if not examples.neighbourhoods:
        raise TrainingDataError(
            f"{data}: no change can be learnt: of {len(set(examples.looks)):,} looks no two differ by one word or field"
        )
    return examples


def read_picture(picture: PictureFile | PictureBytes) -> bytes:
    """Return a picture's bytes.

    Raises:
        ImageRejected: the file cannot be read, or is over the limit.
    """
    if isinstance(picture, PictureBytes):
        return picture.data
    try:
        if picture.path.stat().st_size > MAX_IMAGE_BYTES:
            raise ImageRejected(f"{picture.path} is over the limit of {MAX_IMAGE_BYTES:,} bytes")
        return picture.path.read_bytes()
    except OSError as error:
        raise ImageRejected(f"{picture.path}: {error.strerror}") from None


def _of_fashion200k(root: Path) -> Examples:
    images = read_images(root, _TRAINING)
    captions = tuple(image.caption for image in images)
    numbers = {caption: number for number, caption in enumerate(dict.fromkeys(captions))}
    parents = children_by_parent(captions).values()
    return Examples(
        pictures=tuple(PictureFile(root / image.path) for image in images),
        captions=captions,
        looks=tuple(numbers[caption] for caption in captions),
        neighbourhoods=tuple(tuple((numbers[child], child) for child in children) for children in parents),
        say=modification_text,
    )


def _of_catalogue(path: Path) -> Examples:
    opened = open_catalogue(path)
    kept: list[tuple[PictureFile | PictureBytes, str, Values]] = []
    left_out = 0
    for row in opened.rows:
        if not isinstance(row, CatalogueProduct) or not _is_training(row.product):
            left_out += not isinstance(row, CatalogueProduct)
            continue
        caption = row.product.text(opened.schema, Role.TITLE)
        pictures = [each for each in row.pictures if isinstance(each, PictureFile | PictureBytes)]
        if caption and pictures:
            kept += [(picture, caption, _look(row.product, opened.schema)) for picture in pictures]
        else:
            left_out += 1
    numbers = {look: number for number, look in enumerate(dict.fromkeys(look for _, _, look in kept))}
    return Examples(
        pictures=tuple(picture for picture, _, _ in kept),
        captions=tuple(caption for _, caption, _ in kept),
        looks=tuple(numbers[look] for _, _, look in kept),
        neighbourhoods=_neighbourhoods(numbers),
        say=lambda old, new: f"replace {old} with {new}",
        left_out=left_out,
    )


def _is_training(product: Product) -> bool:
    named = product.attributes.get(_SPLIT) or product.values.get(_SPLIT) or _TRAINING
    return named == _TRAINING


def _look(product: Product, schema: Schema) -> Values:
    shown = [owner.name for owner in schema if owner.kind is Kind.KEYWORD and owner.role in _LOOKED_AT]
    values = [(name, product.values.get(name)) for name in shown if name != _SPLIT]
    return tuple((name, value) for name, value in values if isinstance(value, str))


def _neighbourhoods(numbers: Mapping[Values, int]) -> tuple[Neighbourhood, ...]:
    """Return the looks that differ in the value of one field, each with its value."""
    alike: defaultdict[Values, list[tuple[int, str]]] = defaultdict(list)
    for look, number in numbers.items():
        for place, (name, value) in enumerate(look):
            alike[(*look[:place], (name, ""), *look[place + 1 :])].append((number, value))
    return tuple(tuple(found) for found in alike.values() if len(found) >= _FEWEST)
