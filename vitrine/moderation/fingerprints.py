"""Perceptual hashes of pictures: 256 bits each, by which a copy is found that was cropped, scaled, compressed or mirrored.

A hash is that of PDQ (Facebook, "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm", 2019) without its
filter: luminance at 64 x 64 pixels, the 16 x 16 lowest frequencies of its two-dimensional DCT-II less the constant ones, each bit whether
one is over their median. Two pictures are as far apart as their hashes differ, in bits of 256; of pictures that have
nothing to do with each other about half differ.

A crop moves everything, and a hash with it. So a blocked picture is kept as the hashes of what a crop would leave of it, on a
grid, and nothing more: no pixel can be had back from them.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

BITS = 256
HASH_BYTES = BITS // 8
_SIDE = 64
_FREQUENCIES = 16

_MOST_CROPPED = 0.25
"""Of a side, that a window leaves out: what lies inside of a crop of a fifth, on the grid."""
_CROP_STEP = 0.05
_BORDER_TOLERANCE = 24
"""Of 255, that a border's luminance may differ from its corner's: what JPEG makes of one colour."""
_BORDER_STRAYS = 0.02
"""Share of a row's pixels that may differ by more."""
_MOST_BORDERS = 3
"""Borders in each other that are taken off."""
_SMALLEST = 24
"""Pixels of a side that are left at least of what is hashed."""
_LEAST_CONTRAST = 6.0
"""Standard deviation of the luminance, of 255, under which a picture shows nothing."""
_SLIVERS = tuple((lo, hi) for lo in (0.0, _CROP_STEP / 2) for hi in (0.0, _CROP_STEP / 2))
"""What is cut off the two ends of a side, before the best cut is searched for (`aligning`)."""
_ODD = np.where(np.arange(1, _FREQUENCIES + 1) % 2, np.float32(-1), np.float32(1))
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601

Hashes = NDArray[np.uint8]
"""(n, 32): a hash a row."""
Plane = NDArray[np.float32]
"""(h, w): the luminance of a picture."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a picture is blocked by."""

    copies: Hashes
    """(a, 32): as it is and without its borders."""
    windows: Hashes
    """(b, 32): what crops would leave of it, the whole first."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a picture is compared by."""

    whole: Hashes
    """(a, 32): as it is and without its borders, each mirrored and turned by quarters too."""
    fine: Hashes
    """(b, 32): the same with a sliver of each side cut off or not, which lie between the windows of a blocked picture."""
    tiles: Hashes
    """(c, 32): halves and quarters, each mirrored too."""
    picture: Plane
    """(h, w): the picture without padding."""
    scaled: Plane
    """(n, 64, 64): as it is and without its borders."""
    shares: tuple[float, ...]
    """(n,): how much of the picture's area each of these has."""

    def start(self, row: int) -> tuple[int, bool, tuple[float, float, float, float]]:
        """Return what a row of `fine` is the hash of: which of the scaled, whether mirrored, and what top, bottom, left and right lack."""
        side = len(_SLIVERS)
        rest, across = divmod(row, side)
        rest, along = divmod(rest, side)
        mirror, which = divmod(rest, len(self.scaled))
        return which, bool(mirror), (*_SLIVERS[along], *_SLIVERS[across])


def blocked_hashes(pixels: NDArray[np.uint8], size: tuple[int, int]) -> Kept | None:
    """Return the hashes by which a picture is kept; None where it has too little contrast to be told from others.

    `pixels` is the decoded square, (s, s, 3); `size` is the width and height of the picture as its header tells it.
    """
    plane = _unpadded(pixels, size)
    copies = scaled(_telling([plane, *without_borders(plane)]))
    if not len(copies):
        return None
    return Kept(_packed(_frequencies(copies, _WHOLE)), _packed(_frequencies(scaled([plane]), _windows())))


def seen_hashes(pixels: NDArray[np.uint8], size: tuple[int, int]) -> Seen:
    """Return what a picture is compared by; the arguments are those of `blocked_hashes`."""
    plane = _unpadded(pixels, size)
    telling = _telling([plane, *without_borders(plane)])
    whole = scaled(telling)
    tiles = scaled(_telling(tile for part in _tiles(plane) for tile in (part, *without_borders(part))))
    return Seen(
        whole=_packed(_with_quarters(_with_mirrored(_frequencies(whole, _WHOLE)))),
        fine=_packed(_with_mirrored(_frequencies(whole, _slivers()))),
        tiles=_packed(_with_mirrored(_frequencies(tiles, _WHOLE))),
        picture=plane,
        scaled=whole,
        shares=tuple(each.size / plane.size for each in telling),
    )


def whole_hashes(planes: Sequence[Plane]) -> Hashes:
    """Return the hashes of pictures of any size, and then of each mirrored, (2 * n, 32)."""
    return _packed(_with_mirrored(_frequencies(scaled(planes), _WHOLE)))


def signs(hashes: Hashes) -> NDArray[np.float32]:
    """Return the bits of hashes, (n, 32), as -1 and 1, (n, 256): the product of two differs from 256 by twice their distance."""
    return np.unpackbits(hashes, axis=1).astype(np.float32) * 2 - 1


def _unpadded(pixels: NDArray[np.uint8], size: tuple[int, int]) -> Plane:
    """Return the luminance without the white that `vitrine.preprocess` pads with; a file's metadata may have turned the picture."""
    side = pixels.shape[0]
    plane: Plane = pixels.astype(np.float32) @ _LUMA
    for width, height in (size, size[::-1]):
        scale = side / max(width, height)
        wide, high = max(1, round(width * scale)), max(1, round(height * scale))
        left, top = (side - wide) // 2, (side - high) // 2
        inner = (slice(top, top + high), slice(left, left + wide))
        outer = np.ones((side, side), np.bool_)
        outer[inner] = False
        if (pixels[outer] == 255).all():  # noqa: PLR2004 - white
            return plane[inner]
    return plane


def without_borders(plane: Plane) -> Iterator[Plane]:
    """Yield the picture without its first border of one colour, then without the one within it."""
    for _ in range(_MOST_BORDERS):
        inner = _trimmed(plane)
        if inner is None:
            return
        plane = inner
        yield plane


def _trimmed(plane: Plane) -> Plane | None:
    """Return the picture without rows and columns at its edges of its corner's luminance; None where there are none."""
    strays = np.abs(plane - np.median(plane[:3, :3])) > _BORDER_TOLERANCE
    rows = np.flatnonzero(strays.mean(1) > _BORDER_STRAYS)
    columns = np.flatnonzero(strays.mean(0) > _BORDER_STRAYS)
    if not len(rows) or not len(columns):
        return None
    inner = plane[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return inner if inner.shape != plane.shape and min(inner.shape) >= _SMALLEST else None


def _tiles(plane: Plane) -> Iterator[Plane]:
    """Yield the halves and the quarters."""
    high, wide = plane.shape
    rows = [slice(0, high), slice(0, high // 2), slice(high - high // 2, high)]
    columns = [slice(0, wide), slice(0, wide // 2), slice(wide - wide // 2, wide)]
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            tile = plane[row, column]
            if (i or j) and min(tile.shape) >= _SMALLEST:
                yield tile


def _telling(planes: Iterable[Plane]) -> list[Plane]:
    """Return those that show something: the hash of one even colour is noise."""
    return [plane for plane in planes if plane.std() >= _LEAST_CONTRAST]


def scaled(planes: Sequence[Plane]) -> Plane:
    """Return planes of any size at 64 x 64, (n, 64, 64)."""
    resampled = [
        _resampling(0, each.shape[0], each.shape[0]) @ each @ _resampling(0, each.shape[1], each.shape[1]).T
        for each in planes
    ]
    return np.stack(resampled) if resampled else np.empty((0, _SIDE, _SIDE), np.float32)


def _frequencies(planes: Plane, bases: Plane) -> Plane:
    """Return the lowest frequencies of every window whose sides are two of the bases, (m, 16, 64): (n * m * m, 16, 16)."""
    high = np.einsum("mfs,nst->nmft", bases, planes, optimize=True)
    both: Plane = np.einsum("nmft,kgt->nmkfg", high, bases, optimize=True)
    return both.reshape(-1, _FREQUENCIES, _FREQUENCIES)


def mirrored(frequencies: Plane) -> Plane:
    """Return the frequencies of the mirrored pictures, (..., 16, 16): every other one across changes its sign. The windows are mirrored with them."""
    flipped: Plane = frequencies * _ODD
    return flipped


def hashed(frequencies: Plane) -> NDArray[np.float32]:
    """Return the hashes of lowest frequencies, (..., 16, 16), as -1 and 1, (n, 256)."""
    flat = frequencies.reshape(-1, BITS)
    return np.where(flat > np.median(flat, axis=1, keepdims=True), np.float32(1), np.float32(-1))


def _with_mirrored(frequencies: Plane) -> Plane:
    return np.concatenate([frequencies, mirrored(frequencies)])


def _with_quarters(frequencies: Plane) -> Plane:
    """Add what pictures have that were turned by quarters, where these and the mirrored ones are there."""
    halves = np.concatenate([frequencies, frequencies * _ODD[:, np.newaxis]])
    return np.concatenate([halves, halves.swapaxes(1, 2)])


def _packed(frequencies: Plane) -> Hashes:
    return np.packbits(hashed(frequencies) > 0, axis=1)


@lru_cache(maxsize=4)
def window_shares(count: int) -> NDArray[np.float32]:
    """Return how much of a picture's area each of so many windows has, (count,); fewer ones are those of an earlier, smaller grid."""
    side = math.isqrt(count)
    lengths = np.array([1 - lo - hi for lo, hi in _grid()[:side]], np.float32)
    return np.outer(lengths, lengths).reshape(-1)


@lru_cache(maxsize=1)
def _windows() -> Plane:
    """Return the bases of what crops leave of a side, on a grid, (n, 16, 64)."""
    return np.stack([basis(lo, 1 - hi) for lo, hi in _grid()])


def _grid() -> list[tuple[float, float]]:
    """Return what windows leave out at the two ends of a side, those that leave out the least first."""
    steps = round(_MOST_CROPPED / _CROP_STEP)
    return [
        (before * _CROP_STEP, (taken - before) * _CROP_STEP)
        for taken in range(steps + 1)
        for before in range(taken + 1)
    ]


@lru_cache(maxsize=1)
def _slivers() -> Plane:
    """Return the bases of a side with and without half a step of the grid at its ends, (4, 16, 64)."""
    return np.stack([basis(lo, 1 - hi) for lo, hi in _SLIVERS])


@lru_cache(maxsize=1024)
def basis(lo: float, hi: float) -> Plane:
    """Return what makes the lowest frequencies of a part of a side, (16, 64): a DCT-II of its 64 values."""
    frequency = np.arange(1, _FREQUENCIES + 1)[:, np.newaxis]
    place = 2 * np.arange(_SIDE)[np.newaxis] + 1
    cosines = np.cos(np.pi * frequency * place / (2 * _SIDE))
    made: Plane = (cosines @ _resampling(lo * _SIDE, hi * _SIDE, _SIDE)).astype(np.float32)
    return made


@lru_cache(maxsize=1024)
def _resampling(start: float, end: float, length: int) -> Plane:
    """Return what makes 64 values of those from start to end of a row, (64, length): means over areas, or between neighbours."""
    step = (end - start) / _SIDE
    centres = start + step * (np.arange(_SIDE) + 0.5) - 0.5
    reach = max(step, 1.0)
    weights = np.maximum(0, reach - np.abs(centres[:, np.newaxis] - np.arange(length)[np.newaxis]))
    kernel: Plane = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return kernel


_WHOLE = basis(0, 1)[np.newaxis]
