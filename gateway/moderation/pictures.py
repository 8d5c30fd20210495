"""Pictures held against the shop's blocked ones, which every gateway keeps in memory, and against a classifier.

    picture -- pixels, by Triton --> hashes ----+
            -- embedding, which a search needs --+--> a copy, a tile or a crop of a blocked picture, or none
            -- pixels --> classifier, an option --> nudity, from 0 to 1

Nothing of a picture is kept. The list in memory is as old as one interval between two looks at the store's version at most.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gateway.errors import DeadlineExceeded, DependencyError, FailedPrecondition, SearchError
from gateway.metrics import Metrics
from gateway.model import Deadline, Embedding
from gateway.moderation.policy import PART, Action, Finding, settle
from gateway.moderation.ports import BlockedImageStore, PictureClassifier, PictureDecoder
from vitrine.image_header import MAX_WORK, inspect_image
from vitrine.moderation.fingerprints import seen_hashes
from vitrine.moderation.judging import Blocklist, Match, Rules

NUDITY = "nudity"

Embed = Callable[[], Awaitable[tuple[str, Embedding]]]
"""Returns the digest of the encoders' manifest and the embedding, (d,), of the picture in question."""

_UPLOADS_AT_ONCE, _PRODUCTS_AT_ONCE = 2, 1
"""Threads that compare pictures. More compare hardly faster and keep Python from whoever answers calls; products have one of their
own, so that no upload waits behind an ingest."""

_READ_TIMEOUT_S = 30.0
_UNCHECKED = (DependencyError, DeadlineExceeded, FailedPrecondition)


@dataclass(frozen=True, slots=True, kw_only=True)
class PicturePolicy:
    """What an operator chooses."""

    uploads: Action
    catalogue: Action
    rules: Rules
    nudity: float
    """From which score on a picture is unwanted; 0: no classifier is asked."""
    refuse_unchecked: bool
    budget_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was found in a picture."""

    match: Match | None = None
    nudity: float | None = None
    """None where no classifier was asked."""
    unwanted: str = ""
    """The kind of finding; empty where the picture is wanted."""


class Pictures:
    """Checks pictures."""

    def __init__(
        self,
        store: BlockedImageStore,
        decoder: PictureDecoder,
        classifier: PictureClassifier | None,
        policy: PicturePolicy,
        metrics: Metrics,
    ) -> None:
        self.store = store
        self._decoder = decoder
        self.policy = policy
        self._classifier = classifier if policy.nudity else None
        self._metrics = metrics
        self._list: Blocklist | None = None
        self._version = ""
        self._reading = asyncio.Lock()
        self._uploads = ThreadPoolExecutor(_UPLOADS_AT_ONCE, "uploads")
        self._products = ThreadPoolExecutor(_PRODUCTS_AT_ONCE, "products")

    async def idle(self) -> bool:
        """Return whether no picture is blocked and no classifier is asked; reads the list where it never was."""
        if self._list is None:
            await self.refresh()
        return not self.blocked and self._classifier is None

    @property
    def blocked(self) -> int:
        """How many pictures the list in memory has."""
        return 0 if self._list is None else len(self._list)

    async def refresh(self) -> None:
        """Take over a list that was changed; raises what the store raises."""
        async with self._reading:
            deadline = Deadline.after(_READ_TIMEOUT_S)
            version = await self.store.version(timeout_s=deadline.remaining_s())
            if self._list is not None and version == self._version:
                return
            pictures = await self.store.read(timeout_s=deadline.remaining_s()) if version else ()
            self._list = await asyncio.to_thread(Blocklist, pictures)
            self._version = version

    async def upload(self, image: bytes, embed: Embed, deadline: Deadline) -> tuple[str, ...]:
        """Check the picture of a search or a turn; return what is to be told in `degraded`.

        Raises:
            Blocked: it is refused.
            InvalidQuery: it cannot be decoded.
            Overloaded: no embedding was to be had.
            SearchError: it could not be checked, where that is refused.
        """
        budget = Deadline(min(deadline.at, Deadline.after(self.policy.budget_s).at))
        try:
            async with asyncio.timeout(budget.remaining_s()):
                checked = await self.check(image, embed, budget)
        except (*_UNCHECKED, TimeoutError) as error:
            self.unchecked(error)
            return (PART,)
        if checked.unwanted:
            settle(self._finding(checked, "image"), self.policy.uploads, self._metrics)
        return ()

    async def of_catalogue(
        self,
        image: bytes,
        pixels: NDArray[np.uint8],
        embedded: tuple[str, Embedding],
        deadline: Deadline,
        *,
        again: bool,
    ) -> None:
        """Check a picture of a product that was decoded, (s, s, 3), and embedded; `again` is as for `settle`.

        Raises:
            Blocked: it is refused.
        """

        async def embed() -> tuple[str, Embedding]:
            return embedded

        checked = await self._judged(image, pixels, embed, deadline, self._products)
        if checked.unwanted:
            finding = self._finding(checked, "image", subject=hashlib.sha256(image).hexdigest())
            settle(finding, self.policy.catalogue, self._metrics, again=again)

    async def decoded(self, images: Sequence[bytes], *, timeout_s: float) -> NDArray[np.uint8]:
        """Return the pixels of pictures, (n, s, s, 3); raises what the decoder raises."""
        with self._metrics.dependency("decoder"):
            return await self._decoder.pixels(images, timeout_s=timeout_s)

    async def check(self, image: bytes, embed: Embed, deadline: Deadline) -> Checked:
        """Return what is found in a picture; raises what decoding and embedding it raise."""
        if await self.idle():
            return Checked()
        embedding = asyncio.ensure_future(embed())
        try:
            (pixels,) = await self.decoded([image], timeout_s=deadline.remaining_s())
            return await self._judged(image, pixels, lambda: embedding, deadline, self._uploads)
        finally:
            embedding.cancel()
            await asyncio.gather(embedding, return_exceptions=True)

    async def _judged(
        self,
        image: bytes,
        pixels: NDArray[np.uint8],
        embed: Embed,
        deadline: Deadline,
        threads: ThreadPoolExecutor,
    ) -> Checked:
        match = None
        beside = partial(asyncio.get_running_loop().run_in_executor, threads)
        if (blocked := self._list) is not None and len(blocked):
            header = inspect_image(image, max_work=MAX_WORK)
            size = (header.width, header.height)
            seen = await beside(seen_hashes, pixels, size)
            match = await beside(blocked.copy_of, seen, self.policy.rules)
            if match is None:
                manifest, embedding = await embed()
                match = await beside(blocked.crop_of, seen, embedding, manifest, self.policy.rules)
        nudity = None
        if match is None and self._classifier is not None:
            with self._metrics.dependency("classifier"):
                scores = await self._classifier.nudity(pixels[np.newaxis], timeout_s=deadline.remaining_s())
            nudity = float(scores[0])
        unwanted = match.kind.value if match is not None else ""
        if nudity is not None and nudity >= self.policy.nudity:
            unwanted = NUDITY
        return Checked(match=match, nudity=nudity, unwanted=unwanted)

    def _finding(self, checked: Checked, field: str, subject: str = "") -> Finding:
        entry = "" if checked.match is None else checked.match.id
        return Finding(field=field, kind=checked.unwanted, entry=entry, subject=subject)

    def unchecked(self, error: Exception) -> None:
        """Count a picture that could not be checked; raises the error where such are refused."""
        if self.policy.refuse_unchecked:
            if isinstance(error, SearchError):
                raise error
            raise DeadlineExceeded("the picture could not be checked in time") from error
        late = isinstance(error, (TimeoutError, DeadlineExceeded))
        self._metrics.degraded.labels(PART, "late" if late else "unavailable").inc()
