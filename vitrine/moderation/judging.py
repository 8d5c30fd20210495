"""Whether a picture is one that was blocked: the one decision, over a block list that lies in memory.

Two gates, one after the other:

- **A copy** has nearly the hash of a blocked picture, as it is or without borders, mirrored or not; a **tile** of it may, where it is a collage.
- **A crop** is near one of the windows of a blocked picture, and its embedding is near that picture's. Only the nearest
  by embedding are looked at, so what it costs is bounded.

The second gate needs an embedding by the encoders that embedded the blocked picture; the first needs none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitrine.moderation.fingerprints import BITS, Hashes, Seen, signs

MAX_CANDIDATES = 16
"""Blocked pictures whose windows one picture is compared with, the nearest by embedding."""

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
    """The same of a crop."""
    crop_similarity: float
    """Cosine similarity that a crop has at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockedPicture:
    """What is kept of a blocked picture; the picture cannot be made of it."""

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
        crops = self.crops(seen, embedding, manifest, rules.crop_similarity)
        nearest = min(crops, key=lambda each: each.distance, default=None)
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

    def crops(self, seen: Seen, embedding: Vector, manifest: str, similarity: float) -> list[Near]:
        """Return the nearest blocked pictures by embedding, and how far the nearest window of each is."""
        if manifest not in self._embeddings or not len(seen.fine):
            return []
        rows, vectors = self._embeddings[manifest]
        similarities = vectors @ embedding
        nearest = np.argsort(-similarities)[:MAX_CANDIDATES]
        own = signs(seen.fine)
        return [
            Near(
                int(rows[i]),
                _distance((own @ signs(self._pictures[rows[i]].windows).T).max()),
                float(similarities[i]),
            )
            for i in nearest
            if similarities[i] >= similarity
        ]

    def _match(self, near: Near, kind: Kind) -> Match:
        picture = self._pictures[near.row]
        return Match(
            id=picture.id,
            label=picture.label,
            kind=kind,
            distance=near.distance,
            similarity=near.similarity,
        )


def _distance(agreed: np.floating[Any]) -> int:
    """Return the bits that differ, of the product of two rows of signs."""
    return int(BITS - agreed) // 2
