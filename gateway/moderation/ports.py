"""The seams of moderation; adapters stand behind them, fakes obey the same contract tests. As `gateway.ports` says of all."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vitrine.moderation.judging import BlockedPicture


class PictureDecoder(Protocol):
    """Decodes pictures where nothing else is harmed by a damaged one."""

    async def pixels(self, images: Sequence[bytes], *, timeout_s: float) -> NDArray[np.uint8]:
        """Return the pictures as the encoder sees them, (n, s, s, 3): fitted into a square and padded with white.

        Raises:
            InvalidQuery: one cannot be decoded; names the field `image` and the reason.
        """
        ...


class PictureClassifier(Protocol):
    """Says what pictures show."""

    async def nudity(self, pixels: NDArray[np.uint8], *, timeout_s: float) -> NDArray[np.float32]:
        """Return for each of the decoded pictures, (n, s, s, 3), how surely it shows nudity: (n,), from 0 to 1."""
        ...


class BlockedImageStore(Protocol):
    """Keeps what the shop's blocked pictures are known by, at most MAX_BLOCKED_IMAGES of them."""

    async def version(self, *, timeout_s: float) -> str:
        """Return what changes with every change of the list; empty where it never was. Cheap: asked every few seconds."""
        ...

    async def read(self, *, timeout_s: float) -> Sequence[BlockedPicture]:
        """Return all blocked pictures by id, with every change that ended before."""
        ...

    async def add(self, pictures: Sequence[BlockedPicture], *, timeout_s: float) -> None:
        """Keep pictures, in the place of those of their ids; durable when this returns.

        Raises:
            InvalidQuery: more than MAX_BLOCKED_IMAGES would be kept; names the field `images`.
            FailedPrecondition: another writer changes the list now.
        """
        ...

    async def remove(self, ids: Sequence[str], *, timeout_s: float) -> list[str]:
        """Remove pictures and return the ids that were there; durable when this returns.

        Raises:
            FailedPrecondition: another writer changes the list now.
        """
        ...
