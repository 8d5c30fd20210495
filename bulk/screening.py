"""Moderation of a bulk run: what its workers embed is held against the pictures that were blocked when the run began."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass

from bulk.errors import BulkError
from gateway.adapters.triton import TritonEncoder
from gateway.assembly.moderation import picture_policy
from gateway.errors import FailedPrecondition
from gateway.metrics import Metrics
from gateway.moderation.pictures import PicturePolicy, Pictures
from gateway.moderation.policy import Action
from gateway.moderation.ports import BlockedImageStore, PictureDecoder
from gateway.moderation.screened import ScreenedEncoder
from gateway.ports import Encoder
from gateway.settings import Settings
from vitrine.moderation.judging import BlockedPicture


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """What pictures of products are held against; goes to the workers with the run."""

    policy: PicturePolicy
    blocked: tuple[BlockedPicture, ...]

    @property
    def digest(self) -> str:
        """Tell it from what other pictures, or the same ones by other rules, would be: parts of a run outlast it."""
        policy = self.policy
        ruled = (policy.catalogue.value, *astuple(policy.rules), policy.nudity, policy.refuse_unchecked)
        blocked = sorted((each.id, each.added_ms, each.manifest) for each in self.blocked)
        return hashlib.sha256(json.dumps([ruled, blocked]).encode()).hexdigest()

    def of(self, encoder: Encoder, decoder: PictureDecoder) -> Encoder:
        """Return an encoder that refuses or flags as a gateway's own ingests do."""
        classifier = decoder if isinstance(decoder, TritonEncoder) else None
        return ScreenedEncoder(
            encoder, Pictures(_Snapshot(self.blocked), decoder, classifier, self.policy, Metrics())
        )


async def open_screening(
    settings: Settings, store: BlockedImageStore, *, by_triton: bool, timeout_s: float
) -> Screening | None:
    """Return what a run's pictures are held against; None where products are not moderated.

    Raises:
        BulkError: nudity is to be found, and no Triton embeds that could say of it.
        SearchError: the blocked pictures cannot be read.
    """
    policy = picture_policy(settings)
    if policy.catalogue is Action.OFF:
        return None
    if policy.nudity and not by_triton:
        raise BulkError(
            "GATEWAY_MODERATION_NUDITY asks for Triton's classifier: give --triton and no --repository"
        )
    return Screening(policy=policy, blocked=tuple(await store.read(timeout_s=timeout_s)))


class _Snapshot:
    """The blocked pictures as they were when the run began; obeys `BlockedImageStore`, and lets nobody change them."""

    def __init__(self, blocked: Sequence[BlockedPicture]) -> None:
        self._blocked = blocked

    async def version(self, *, timeout_s: float) -> str:
        """As the port says."""
        del timeout_s
        return "of the run" if self._blocked else ""

    async def read(self, *, timeout_s: float) -> Sequence[BlockedPicture]:
        """As the port says."""
        del timeout_s
        return self._blocked

    async def add(self, pictures: Sequence[BlockedPicture], *, timeout_s: float) -> None:
        """Refuse it."""
        del pictures, timeout_s
        raise _unchanging()

    async def remove(self, ids: Sequence[str], *, timeout_s: float) -> list[str]:
        """Refuse it."""
        del ids, timeout_s
        raise _unchanging()


def _unchanging() -> FailedPrecondition:
    return FailedPrecondition("a run changes no list of blocked pictures; the gateway does")
