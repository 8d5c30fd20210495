"""Blocked pictures in memory, and a decoder that is Triton's own code."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gateway.errors import InvalidQuery, SearchError
from gateway.testing.encoder import work
from vitrine.domain import limits
from vitrine.moderation.judging import BlockedPicture
from vitrine.preprocess import ImageRejected, decode_image


@dataclass
class FakeBlocked:
    """Obeys `gateway.moderation.ports.BlockedImageStore`; fails as it was told to."""

    held: dict[str, BlockedPicture] = field(default_factory=dict)
    error: SearchError | None = None
    changes: int = 0
    reads: int = 0

    async def version(self, *, timeout_s: float) -> str:
        """Return how often the list was changed."""
        await work(0.0, timeout_s, self.error)
        return str(self.changes) if self.changes else ""

    async def read(self, *, timeout_s: float) -> Sequence[BlockedPicture]:
        """Return the pictures that are held."""
        await work(0.0, timeout_s, self.error)
        self.reads += 1
        return [self.held[each] for each in sorted(self.held)]

    async def add(self, pictures: Sequence[BlockedPicture], *, timeout_s: float) -> None:
        """Hold more pictures."""
        await work(0.0, timeout_s, self.error)
        together = self.held | {each.id: each for each in pictures}
        if len(together) > limits.MAX_BLOCKED_IMAGES:
            raise InvalidQuery("images", f"at most {limits.MAX_BLOCKED_IMAGES:,} may be blocked")
        self.held = together
        self.changes += 1

    async def remove(self, ids: Sequence[str], *, timeout_s: float) -> list[str]:
        """Hold pictures no longer."""
        await work(0.0, timeout_s, self.error)
        removed = [each for each in ids if self.held.pop(each, None) is not None]
        self.changes += 1
        return removed


@dataclass
class FakeDecoder:
    """Obeys `gateway.moderation.ports.PictureDecoder` in this process."""

    size: int = 64
    error: SearchError | None = None
    delay_s: float = 0.0

    async def pixels(self, images: Sequence[bytes], *, timeout_s: float) -> NDArray[np.uint8]:
        """Return the decoded pictures."""
        await work(self.delay_s, timeout_s, self.error)
        try:
            return np.stack([decode_image(image, size=self.size) for image in images])
        except ImageRejected as error:
            raise InvalidQuery("image", error.reason) from None
