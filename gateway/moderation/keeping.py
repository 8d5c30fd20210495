"""The list of blocked pictures as its keepers see it: pictures come in, hashes and an embedding are what is kept."""

import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from gateway.errors import InvalidQuery
from gateway.model import Deadline, Embedding
from gateway.moderation.pictures import Pictures
from vitrine.image_header import MAX_WORK, inspect_image
from vitrine.moderation.fingerprints import blocked_hashes
from vitrine.moderation.judging import BlockedPicture

EmbedPicture = Callable[[bytes, Deadline], Awaitable[tuple[str, Embedding]]]
"""Returns the digest of the encoders' manifest and the embedding, (d,), of a picture."""


@dataclass(frozen=True, slots=True)
class ToBlock:
    """A picture that was checked at the door."""

    image: bytes
    label: str


class Keeping:
    """Changes and lists what is blocked; this gateway's own searches know of a change when its call returns."""

    def __init__(self, pictures: Pictures, embed: EmbedPicture) -> None:
        self._pictures = pictures
        self._embed = embed

    async def add(self, wanted: Sequence[ToBlock], deadline: Deadline) -> list[str | InvalidQuery]:
        """Block pictures and return the id of each, or why it cannot be blocked.

        Raises:
            InvalidQuery: more would be blocked than may be.
            SearchError: as embedding and storing do; nothing of the request is blocked then.
        """
        outcomes: list[str | InvalidQuery] = []
        pictures: dict[str, BlockedPicture] = {}
        for each in wanted:
            try:
                picture = await self._picture(each, deadline)
            except InvalidQuery as error:
                outcomes.append(error)
                continue
            pictures[picture.id] = picture
            outcomes.append(picture.id)
        if pictures:
            await self._pictures.store.add(list(pictures.values()), timeout_s=deadline.remaining_s())
            await self._pictures.refresh()
        return outcomes

    async def remove(self, ids: Sequence[str], deadline: Deadline) -> list[str]:
        """Block pictures no longer; return the ids that were there."""
        removed = await self._pictures.store.remove(ids, timeout_s=deadline.remaining_s())
        await self._pictures.refresh()
        return removed

    async def listed(self, deadline: Deadline) -> Sequence[BlockedPicture]:
        """Return all blocked pictures by id."""
        return await self._pictures.store.read(timeout_s=deadline.remaining_s())

    async def _picture(self, wanted: ToBlock, deadline: Deadline) -> BlockedPicture:
        header = inspect_image(wanted.image, max_work=MAX_WORK)
        (pixels,) = await self._pictures.decoded([wanted.image], timeout_s=deadline.remaining_s())
        hashes = blocked_hashes(pixels, (header.width, header.height))
        if hashes is None:
            raise InvalidQuery(
                "image", "shows too little to be told from other pictures: it has hardly any contrast"
            )
        manifest, embedding = await self._embed(wanted.image, deadline)
        return BlockedPicture(
            id=hashlib.sha256(wanted.image).hexdigest()[:32],
            label=wanted.label,
            added_ms=int(time.time() * 1e3),
            manifest=manifest,
            embedding=embedding,
            copies=hashes.copies,
            windows=hashes.windows,
        )
