"""Moderation put together: nothing of it, unless the settings ask for it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.api.moderation_servicer import ModerationServicer
from gateway.background import repeated
from gateway.encoders import Encoders
from gateway.errors import FailedPrecondition, SearchError
from gateway.metrics import Metrics
from gateway.model import Deadline, Embedding, EncoderInputs
from gateway.moderation.moderation import Moderation, WordPolicy
from gateway.moderation.pictures import PicturePolicy, Pictures
from gateway.moderation.policy import Action
from gateway.moderation.ports import BlockedImageStore, PictureClassifier, PictureDecoder
from gateway.moderation.screened import ScreenedEncoder
from gateway.ports import Encoder
from gateway.retrieval.pipeline import Retrieval
from gateway.settings import PREFIX, Settings
from vitrine.domain.errors import InvalidValue
from vitrine.moderation.judging import Rules
from vitrine.moderation.words import read_blocked_words
from vitrine.process.settings import InvalidSettings, variable


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureDependencies:
    """What pictures are checked with."""

    store: BlockedImageStore
    decoder: PictureDecoder
    classifier: PictureClassifier | None = None


def open_pictures(
    settings: Settings,
    dependencies: PictureDependencies | None,
    metrics: Metrics,
    paced: Callable[[Encoder], Encoder],
) -> tuple[Pictures | None, Callable[[Encoder], Encoder]]:
    """Return what checks pictures, and what makes encoders those of ingests; None, and `paced`, where none are checked.

    The encoders of ingests then hold what they embed against the blocked pictures, behind the searches as `paced` puts them.
    """
    if dependencies is None or not (settings.moderation_uploads or settings.moderation_catalogue):
        return None, paced
    policy = picture_policy(settings)
    pictures = Pictures(dependencies.store, dependencies.decoder, dependencies.classifier, policy, metrics)
    metrics.blocked_images.set_function(lambda: pictures.blocked)
    if policy.catalogue is Action.OFF:
        return pictures, paced
    return pictures, lambda encoder: ScreenedEncoder(paced(encoder), pictures)


def picture_policy(settings: Settings) -> PicturePolicy:
    """Return what the settings want of pictures."""
    return PicturePolicy(
        uploads=Action(settings.moderation_uploads),
        catalogue=Action(settings.moderation_catalogue),
        rules=Rules(
            copy_bits=settings.moderation_copy_bits,
            tile_bits=settings.moderation_tile_bits,
            crop_bits=settings.moderation_crop_bits,
            crop_similarity=settings.moderation_crop_similarity,
        ),
        nudity=settings.moderation_nudity,
        refuse_unchecked=settings.moderation_unchecked == Action.REFUSE.value,
        budget_s=settings.moderation_budget_ms / 1e3,
    )


def open_moderation(
    settings: Settings,
    pictures: Pictures | None,
    retrieval: Retrieval,
    encoders: Encoders,
    metrics: Metrics,
) -> tuple[Moderation, ModerationServicer]:
    """Return what checks searches, and what answers those who keep the lists; raises InvalidSettings for the file of words."""
    moderation = Moderation(
        pictures=pictures,
        words=_words(settings),
        embed=retrieval.embed_unkept,
        keep=retrieval.keep_embedding,
        metrics=metrics,
    )

    async def manifest(deadline: Deadline) -> str:
        try:
            return (await retrieval.versions(deadline)).model
        except SearchError:
            return ""

    async def embed(image: bytes, deadline: Deadline) -> tuple[str, Embedding]:
        try:
            return await retrieval.embed_unkept(image, deadline)
        except FailedPrecondition:  # there is no index yet: by those that would make the first
            served = await encoders.first(timeout_s=deadline.remaining_s())
            inputs = EncoderInputs(images=[image])
            embedded = await served.encoder.embed(inputs, timeout_s=deadline.remaining_s())
            return served.manifest, embedded.rows[0]

    servicer = ModerationServicer(moderation, embed, manifest, margin_s=settings.deadline_margin_ms / 1e3)
    return moderation, servicer


@asynccontextmanager
async def kept_up(pictures: Pictures | None, interval_s: float) -> AsyncIterator[None]:
    """Keep the blocked pictures in memory as the store has them, until the block is left."""
    if pictures is None:
        yield
        return
    async with repeated("moderation", pictures.refresh, interval_s=interval_s):
        yield


def _words(settings: Settings) -> WordPolicy | None:
    if not settings.moderation_words:
        return None
    try:
        words = read_blocked_words(Path(settings.moderation_words))
    except InvalidValue as error:
        raise InvalidSettings(f"{variable(PREFIX, 'moderation_words')}: {error}") from error
    return WordPolicy(words=words, queries=Action(settings.moderation_queries))
