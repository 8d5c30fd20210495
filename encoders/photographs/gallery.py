"""Photographs with their embeddings and labels, and what a protocol returns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from encoders.photographs.embedder import Embedder
from encoders.photographs.figures import Embeddings, Figures, Flags, Rows, labels_of, normalised
from encoders.photographs.products import Photograph
from encoders.photographs.vocabulary import FIELDS
from vitrine.domain.values import fold
from vitrine.preprocess import decode_image

_THUMBNAIL = 8
FAILURES = 12
"""Failures that a protocol keeps for its contact sheet, drawn by lot."""
_SHOWN = 5
TOWER_ALONE = "the pretrained image tower alone"
"""The way to answer by a gallery's features."""


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Photographs in the order of their embeddings."""

    photographs: Sequence[Photograph]
    images: Embeddings
    features: Embeddings | None = None
    """What the image tower alone gives, before what is trained here; where it was asked for and the family has one."""

    def __len__(self) -> int:
        return len(self.photographs)

    @cached_property
    def groups(self) -> Rows:
        """Return the group of each, (n,)."""
        return labels_of(each.group for each in self.photographs)

    @cached_property
    def answers(self) -> Rows:
        """Return a label that is equal for photographs of one title or one group, and of what these lead to, (n,)."""
        return _joined(
            [each.title or None for each in self.photographs], [each.group for each in self.photographs]
        )

    @cached_property
    def thumbnails(self) -> Embeddings:
        """Return pixels as embeddings: a picture of 8 x 8, white as nothing; the plain baseline of a picture."""
        pixels = [decode_image(each.picture, size=_THUMBNAIL).reshape(-1) for each in self.photographs]
        return normalised(255.0 - np.array(pixels, dtype=np.float64))

    def values(self, field: str) -> list[str | None]:
        """Return the folded value of a field of FIELDS for each photograph; None where it has none."""
        return [value_of(each, field) for each in self.photographs]

    def labels(self, *fields: str) -> Rows:
        """Return a number for each photograph, equal for equal values of all fields; NO_LABEL where one is missing."""
        columns = [self.values(field) for field in fields]
        return labels_of(None if None in combined else combined for combined in zip(*columns, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A query whose first answer is wrong, to be looked at."""

    asked: str
    reference: bytes | None = None
    wanted: bytes | None = None
    found: tuple[tuple[bytes, str, bool], ...]
    """The first answers: picture, its title, whether it is right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a protocol measured."""

    asked: str
    """What a query is, where it is asked, and what counts as right: a sentence or two."""
    ways: Mapping[str, Figures]
    """Figures by the way to answer: baselines, encoders, oracle."""
    failures: tuple[Failure, ...] = ()


def make_gallery(photographs: Sequence[Photograph], embedder: Embedder, *, features: bool = False) -> Gallery:
    """Embed the photographs; with their features where these are wanted."""
    pictures = [each.picture for each in photographs]
    return Gallery(
        photographs=photographs,
        images=embedder.images(pictures),
        features=embedder.features(pictures) if features else None,
    )


def value_of(photograph: Photograph, field: str) -> str | None:
    """Return the folded value of a field of FIELDS; None where the photograph has none."""
    names = FIELDS[field]
    return next((fold(value) for name in names if (value := photograph.attributes.get(name))), None)


def pick_failures(
    asked: Sequence[str],
    found: Rows,
    hits: Flags,
    gallery: Gallery,
    *,
    references: Sequence[Photograph] | None = None,
    wanted: Sequence[int | None] | None = None,
) -> tuple[Failure, ...]:
    """Return some queries whose first answer is wrong, drawn by lot from a fixed seed.

    Args:
        asked: what each query says, (m,).
        found: (m, 5 or more) rows of the gallery, best first.
        hits: (m, 5 or more), whether they are right.
        gallery: what was searched.
        references: the pictures of the queries, (m,).
        wanted: a row of the gallery for each query that would be right, (m,).
    """
    wrong = np.flatnonzero(~hits[:, 0])
    lots = np.random.default_rng(0).permutation(wrong)[:FAILURES]
    return tuple(
        Failure(
            asked=asked[query],
            reference=references[query].picture if references is not None else None,
            wanted=_picture(gallery, wanted[query]) if wanted is not None else None,
            found=tuple(
                (gallery.photographs[row].picture, _name(gallery.photographs[row]), bool(right))
                for row, right in zip(found[query, :_SHOWN], hits[query, :_SHOWN], strict=True)
                if row >= 0
            ),
        )
        for query in sorted(lots.tolist())
    )


def _picture(gallery: Gallery, row: int | None) -> bytes | None:
    return None if row is None else gallery.photographs[row].picture


def _name(photograph: Photograph) -> str:
    return photograph.title or photograph.attributes.get("label") or photograph.product_id


def _joined(titles: Sequence[str | None], groups: Sequence[str]) -> Rows:
    """Return equal labels for rows of one title or one group, by union of what is linked."""
    parents = list(range(len(groups)))

    def root(row: int) -> int:
        while parents[row] != row:
            parents[row] = parents[parents[row]]
            row = parents[row]
        return row

    first: dict[tuple[str, str], int] = {}
    for row, (title, group) in enumerate(zip(titles, groups, strict=True)):
        for key in (("title", title), ("group", group)):
            if key[1] is not None:
                parents[root(row)] = root(first.setdefault((key[0], key[1]), row))
    return labels_of(root(row) for row in range(len(groups)))
