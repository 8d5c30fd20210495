"""Lays a picture over a blocked one: the cut, and the turn, by which their hashes differ least.

A crop lies between the windows that a blocked picture is kept by, and each percent of a side that it is beside one costs bits: as many as
make another product of the same pose. So where a crop is near a window, the picture is cut a little more on each of its sides, in ever
smaller steps, until its hash is nearest to that window's: an exhaustive search of the 81 neighbours a step, on the upload's side
alone, so that nothing more is kept of a blocked picture. A picture that was turned by some degrees is turned back first.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vitrine.moderation.fingerprints import (
    BITS,
    Hashes,
    Plane,
    basis,
    hashed,
    mirrored,
    scaled,
    whole_hashes,
    without_borders,
)

_STEPS = (0.025, 0.0125, 0.00625)
"""Of a side, by which a picture is cut more or less; the last ones are under a pixel and a half of 224."""
_TURNS = tuple(range(-10, 11, 2))
"""Degrees that a picture is turned back by, in search of the right ones."""
_TURN_STEPS = (1.0, 0.5)
_TURNED_SIDE = 112
"""Pixels of the longer side of what was turned; the hash needs 64."""

Signs = NDArray[np.float32]
"""(256,): the bits of a hash, as -1 and 1."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What is taken off a picture, as shares of its sides."""

    top: float = 0.0
    bottom: float = 0.0
    left: float = 0.0
    right: float = 0.0

    @property
    def left_over(self) -> float:
        """The share of the picture's area that is left."""
        return (1 - self.top - self.bottom) * (1 - self.left - self.right)


@dataclass(frozen=True, slots=True)
class Laid:
    """How a picture lies over a blocked one."""

    distance: int
    """Bits of 256."""
    cut: Cut
    turn: float = 0.0
    """Degrees that it was turned back by."""


@dataclass(frozen=True, slots=True)
class Turned:
    """A picture turned back by several angles, each with its borders taken off and as what is surely inside of it."""

    hashes: Hashes
    """(2 * n, 32): of each, and then of each mirrored."""
    turns: tuple[float, ...]
    """(n,): degrees."""
    inner: tuple[bool, ...]
    """(n,): whether it is the inside alone."""


def lay(plane: Plane, wanted: Signs, *, mirror: bool, start: Cut) -> Laid:
    """Return the cut of a picture, (64, 64), that is nearest to a hash, searched from a first cut."""
    best = Laid(BITS, start)
    for step in _STEPS:
        rows = _around(best.cut.top, best.cut.bottom, step)
        columns = _around(best.cut.left, best.cut.right, step)
        high = np.einsum("mfs,st->mft", np.stack([basis(lo, 1 - hi) for lo, hi in rows]), plane)
        both = np.einsum(
            "mft,kgt->mkfg", high, np.stack([basis(lo, 1 - hi) for lo, hi in columns]), optimize=True
        )
        agreed = hashed(mirrored(both) if mirror else both) @ wanted
        nearest = int(agreed.argmax())
        row, column = divmod(nearest, len(columns))
        # The cut that one searches on from is among those that are tried.
        best = Laid(int(BITS - agreed[nearest]) // 2, Cut(*rows[row], *columns[column]))
    return best


def turned_back(picture: Plane) -> Turned:
    """Return what a picture, (h, w), is where it was turned by up to ten degrees."""
    planes, turns, inner = [], [], []
    for turn in _TURNS:
        if turn:
            for inside, plane in enumerate(_turned(picture, turn)):
                planes.append(plane)
                turns.append(float(turn))
                inner.append(bool(inside))
    return Turned(whole_hashes(planes), tuple(turns), tuple(inner))


def lay_turned(picture: Plane, wanted: Signs, *, turn: float, inner: bool, mirror: bool) -> Laid:
    """Return the turn and the cut of a picture, (h, w), that are nearest to a hash, searched from a first turn."""

    def laid(degrees: float) -> Laid:
        plane = _turned(picture, degrees)[inner]
        return replace(lay(scaled([plane])[0], wanted, mirror=mirror, start=Cut()), turn=degrees)

    best = laid(turn)
    for step in _TURN_STEPS:
        tried = [laid(best.turn - step), laid(best.turn + step)]
        best = min([best, *tried], key=lambda each: each.distance)
    return best


def _around(first: float, last: float, step: float) -> list[tuple[float, float]]:
    moves = (-step, 0.0, step)
    return [(max(0.0, first + i), max(0.0, last + j)) for i in moves for j in moves]


def _turned(picture: Plane, degrees: float) -> tuple[Plane, Plane]:
    """Return a picture turned by an angle, without the corners' colour around it, and the largest part of it that has no corner."""
    high, wide = picture.shape
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    width, height = wide * cosine + high * abs(sine), wide * abs(sine) + high * cosine
    scale = min(1.0, _TURNED_SIDE / max(width, height))
    across = _centred(width, scale)[np.newaxis]
    along = _centred(height, scale)[:, np.newaxis]
    whole = _sampled(
        picture,
        sine * across + cosine * along + high / 2 - 0.5,
        cosine * across - sine * along + wide / 2 - 0.5,
    )
    share = min(wide / width, high / height)
    rows, columns = whole.shape
    top = round(rows * (1 - share * high / height) / 2)
    left = round(columns * (1 - share * wide / width) / 2)
    trimmed = whole
    for inside in without_borders(whole):
        trimmed = inside
    return trimmed, whole[top : rows - top, left : columns - left]


def _centred(length: float, scale: float) -> NDArray[np.float32]:
    """Return the places of the pixels of a scaled side, from its middle, in those of the picture."""
    count = max(2, round(length * scale))
    places: NDArray[np.float32] = (((np.arange(count) + 0.5) / count - 0.5) * length).astype(np.float32)
    return places


def _sampled(picture: Plane, rows: Plane, columns: Plane) -> Plane:
    """Return a picture's values between its pixels; outside of it is the colour of its corner."""
    high, wide = picture.shape
    framed = np.full((high + 2, wide + 2), np.median(picture[:3, :3]), np.float32)
    framed[1:-1, 1:-1] = picture
    rows, columns = np.clip(rows + 1, 0, high + 0.999), np.clip(columns + 1, 0, wide + 0.999)
    row, column = rows.astype(np.intp), columns.astype(np.intp)
    down, aside = rows - row, columns - column
    upper = framed[row, column] * (1 - aside) + framed[row, column + 1] * aside
    lower = framed[row + 1, column] * (1 - aside) + framed[row + 1, column + 1] * aside
    values: Plane = upper * (1 - down) + lower * down
    return values
