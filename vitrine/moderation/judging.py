"""Whether a picture is one that was blocked: the one decision, over a block list that lies in memory.

Two gates, one after the other:

- **A copy** has nearly the hash of a blocked picture, as it is or without borders, mirrored or not; a **tile** of it may, where it is a collage.
- **A crop**, or a picture that was turned by some degrees, is very near to one of the windows of a blocked picture once it was laid
  over it (`aligning`), and its embedding is near that picture's. Only the nearest by embedding are looked at, and of these only
  the ones that are roughly near already are laid over, so what it costs is bounded.

The second gate needs an embedding by the encoders that embedded the blocked picture; the first needs none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitrine.moderation.aligning import Cut, Laid, lay, lay_turned, turned_back
from vitrine.moderation.fingerprints import BITS, Hashes, Seen, signs, window_shares

MAX_CANDIDATES = 16
"""Blocked pictures whose windows one picture is compared with, the nearest by embedding."""
_LAID_OVER = 4
"""Of them, how many a picture is laid over, the roughly nearest."""
_STARTS = 2
"""First cuts that are tried with each."""
_ROUGHLY = 48
"""Bits of 256 that a crop differs by at most before it is laid over: as all crops that were measured do, and few other pictures."""
_ROUGHLY_TURNED = 60
"""The same of a picture that was turned back by nearly the right angle."""
_LACKING = 0.8
"""By how much less similar a crop may be for what it lacks of the picture, as a share of its area; embeddings of crops are."""
_TURNING = 0.03
"""The same for each degree that a picture was turned by."""
_MOST_ALLOWED = 0.3
"""The most of both together."""
_TURNED_STARTS = 2
"""First angles and windows that are tried for a turned picture."""

Vector = NDArray[np.float32]


class Kind(Enum):
    """How a picture resembles a blocked one."""

    COPY = "copy"
    TILE = "tile"
    CROP = "crop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How near is near; docs/benchmarks.md has what these find."""

    copy_bits: int
    """Bits of 256 that the hash of a copy differs by at most."""
    tile_bits: int
    """The same of a half or a quarter."""
    crop_bits: int
    """The same of a crop or a turned picture, laid over the blocked one."""
    crop_similarity: float
    """Cosine similarity that these have at least where nothing was cut off; what lacks a part may have less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockedPicture:
    """What is kept of a blocked picture: hashes and an embedding, never a pixel."""

    id: str
    label: str
    added_ms: int
    """Unix time."""
    manifest: str
    """Digest of the manifest of the encoders that embedded it."""
    embedding: Vector
    """(d,), L2-normalised."""
    copies: Hashes
    """(a, 32): of the picture as it is and without borders."""
    windows: Hashes
    """(b, 32): of what crops leave of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The blocked picture that a picture resembles."""

    id: str
    label: str
    kind: Kind
    distance: int
    """Bits of 256."""
    similarity: float | None
    """Cosine similarity of the embeddings; None where the hash sufficed."""


@dataclass(frozen=True, slots=True)
class Near:
    """How near a blocked picture is."""

    row: int
    """Its place in the list."""
    distance: int
    """Bits of 256."""
    similarity: float | None
    """Cosine similarity of the embeddings, where they were compared."""
    allowed: float = 0.0
    """By how much less similar it may be, for what is cut off and how it is turned."""

    @property
    def likeness(self) -> float:
        """The similarity and what is allowed for; 0 where embeddings were not compared."""
        return 0.0 if self.similarity is None else self.similarity + self.allowed


class Blocklist:
    """Blocked pictures as arrays; never changed once it is made."""

    def __init__(self, pictures: Sequence[BlockedPicture] = ()) -> None:
        self._pictures = tuple(pictures)
        self._copies = signs(np.concatenate([each.copies for each in pictures])) if pictures else None
        self._owners = np.repeat(np.arange(len(pictures)), [len(each.copies) for each in pictures])
        self._embeddings: dict[str, tuple[NDArray[np.intp], Vector]] = {}
        for manifest in {each.manifest for each in pictures}:
            rows = [row for row, each in enumerate(pictures) if each.manifest == manifest]
            vectors = np.stack([pictures[row].embedding for row in rows])
            self._embeddings[manifest] = np.array(rows, np.intp), vectors

    def __len__(self) -> int:
        return len(self._pictures)

    def copy_of(self, seen: Seen, rules: Rules) -> Match | None:
        """Return the blocked picture that this one, or a tile of it, is a copy of."""
        for kind, hashes, bits in (
            (Kind.COPY, seen.whole, rules.copy_bits),
            (Kind.TILE, seen.tiles, rules.tile_bits),
        ):
            nearest = self.nearest(hashes)
            if nearest is not None and nearest.distance <= bits:
                return self._match(nearest, kind)
        return None

    def crop_of(self, seen: Seen, embedding: Vector, manifest: str, rules: Rules) -> Match | None:
        """Return the blocked picture that this one is a crop of; `embedding`, (d,), is by the encoders of that manifest."""
        crops = self.crops(seen, embedding, manifest, similarity=rules.crop_similarity, bits=rules.crop_bits)
        alike = [each for each in crops if each.likeness >= rules.crop_similarity]
        nearest = min(alike, key=lambda each: each.distance, default=None)
        if nearest is None or nearest.distance > rules.crop_bits:
            return None
        return self._match(nearest, Kind.CROP)

    def nearest(self, hashes: Hashes) -> Near | None:
        """Return the blocked picture with the copy that is nearest to one of the hashes, (n, 32)."""
        if self._copies is None or not len(hashes):
            return None
        agreed = (signs(hashes) @ self._copies.T).max(0)
        row = int(agreed.argmax())
        return Near(int(self._owners[row]), _distance(agreed[row]), None)

    def crops(
        self, seen: Seen, embedding: Vector, manifest: str, *, similarity: float, bits: int
    ) -> list[Near]:
        """Return the nearest blocked pictures by embedding that are roughly near, and how far each is once the picture is laid over it.

        Whether it was turned is tried where it is within so many bits of none.
        """
        if manifest not in self._embeddings or not len(seen.fine):
            return []
        rows, vectors = self._embeddings[manifest]
        similarities = vectors @ embedding
        least = similarity - _MOST_ALLOWED
        nearest = [i for i in np.argsort(-similarities)[:MAX_CANDIDATES] if similarities[i] >= least]
        if not nearest:
            return []
        chosen = [(int(rows[i]), float(similarities[i])) for i in nearest]
        windows = [signs(self._pictures[row].windows) for row, _ in chosen]
        cropped = _cropped(seen, chosen, windows)
        if any(each.distance <= bits and each.likeness >= similarity for each in cropped):
            return cropped
        return cropped + self._turned(seen, chosen, windows)

    def _turned(
        self, seen: Seen, chosen: Sequence[tuple[int, float]], windows: Sequence[Vector]
    ) -> list[Near]:
        """Return those of the chosen pictures that a picture is near to once it is turned back."""
        turned = turned_back(seen.picture)
        hashes = signs(turned.hashes)
        found = []
        for (row, similarity), own in zip(chosen, windows, strict=True):
            wanted = np.concatenate([signs(self._pictures[row].copies), own])
            agreed = hashes @ wanted.T
            best = divmod(int(agreed.argmax()), len(wanted))
            found.append((_distance(agreed[best]), row, similarity, best[0], wanted[best[1]]))
        near = []
        for rough, row, similarity, place, wanted in sorted(found, key=lambda each: each[0])[:_TURNED_STARTS]:
            if rough > _ROUGHLY_TURNED:
                break
            mirror, which = divmod(place, len(turned.turns))
            laid = lay_turned(
                seen.picture, wanted, turn=turned.turns[which], inner=turned.inner[which], mirror=bool(mirror)
            )
            near.append(_near(row, similarity, laid, lacking=0.0))
        return near

    def _match(self, near: Near, kind: Kind) -> Match:
        picture = self._pictures[near.row]
        return Match(
            id=picture.id,
            label=picture.label,
            kind=kind,
            distance=near.distance,
            similarity=near.similarity,
        )


def _cropped(seen: Seen, chosen: Sequence[tuple[int, float]], windows: Sequence[Vector]) -> list[Near]:
    """Return those of the chosen pictures, each with its similarity, that a picture is near to once it is cut."""
    own = signs(seen.fine)
    found = []
    for (row, similarity), kept in zip(chosen, windows, strict=True):
        agreed = own @ kept.T
        best = np.argpartition(-agreed, _STARTS, axis=None)[:_STARTS]
        found.append(
            (_distance(agreed.max()), row, similarity, kept, [divmod(int(i), len(kept)) for i in best])
        )
    near = []
    for rough, row, similarity, kept, starts in sorted(found, key=lambda each: each[0])[:_LAID_OVER]:
        if rough > _ROUGHLY:
            break
        laid = min((_laid(seen, kept, *start) for start in starts), key=lambda each: each[0].distance)
        near.append(_near(row, similarity, laid[0], lacking=laid[1]))
    return near


def _laid(seen: Seen, windows: Vector, place: int, window: int) -> tuple[Laid, float]:
    """Return how a picture lies over a window of a blocked one, and which share of the blocked one's area it lacks."""
    which, mirror, edges = seen.start(place)
    laid = lay(seen.scaled[which], windows[window], mirror=mirror, start=Cut(*edges))
    covered = window_shares(len(windows))[window] / (laid.cut.left_over * seen.shares[which])
    return laid, max(0.0, 1 - float(covered))


def _near(row: int, similarity: float, laid: Laid, *, lacking: float) -> Near:
    allowed = min(_MOST_ALLOWED, _LACKING * lacking + _TURNING * abs(laid.turn))
    return Near(row, laid.distance, similarity, allowed)


def _distance(agreed: np.floating[Any]) -> int:
    """Return the bits that differ, of the product of two rows of signs."""
    return int(BITS - agreed) // 2
