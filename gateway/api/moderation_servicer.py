"""vitrine.v1.ModerationService: keeps what the shop refuses, and says what would be refused."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from grpc import aio

from gateway.api.images import check_image
from gateway.context import current_call, time_for_hop
from gateway.errors import FailedPrecondition, InvalidQuery, as_invalid_query
from gateway.model import Deadline
from gateway.moderation.keeping import EmbedPicture, Keeping, ToBlock
from gateway.moderation.moderation import Moderation
from gateway.moderation.pictures import Pictures
from gateway.texts import check_text
from vitrine.domain import limits
from vitrine.domain.product import check_identifier
from vitrine.moderation.judging import BlockedPicture
from vitrine.v1 import moderation_pb2, moderation_pb2_grpc

_Context = aio.ServicerContext[Any, Any]


class ModerationServicer(moderation_pb2_grpc.ModerationServiceServicer):
    """Answers ModerationService."""

    def __init__(
        self,
        moderation: Moderation,
        embed: EmbedPicture,
        manifest: Callable[[Deadline], Awaitable[str]],
        *,
        margin_s: float,
    ) -> None:
        """Take what searches are held against, and what embeds a picture by the encoders of the index.

        `manifest` gives those encoders' manifest, empty where it is not to be had.
        """
        self._moderation = moderation
        self._embed = embed
        self._manifest = manifest
        self._margin_s = margin_s

    async def AddBlockedImages(  # noqa: N802 - gRPC's name
        self, request: moderation_pb2.AddBlockedImagesRequest, context: _Context
    ) -> moderation_pb2.AddBlockedImagesResponse:
        """Block pictures."""
        del context
        keeping = self._keeping()
        if not 1 <= len(request.images) <= limits.MAX_BLOCKED_AT_ONCE:
            raise InvalidQuery(
                "images", f"must be 1 to {limits.MAX_BLOCKED_AT_ONCE}, got {len(request.images)}"
            )
        wanted: list[ToBlock] = []
        places: list[int] = []
        answer = moderation_pb2.AddBlockedImagesResponse(ids=[""] * len(request.images))
        for position, each in enumerate(request.images):
            label = f"images[{position}].label"
            check_text(label, each.label, limit=limits.MAX_BLOCKED_LABEL_LENGTH)
            try:
                wanted.append(ToBlock(await check_image(each.image), each.label))
                places.append(position)
            except InvalidQuery as error:
                answer.refused.add(position=position, reason=error.reason)
        for position, outcome in zip(places, await keeping.add(wanted, self._deadline()), strict=True):
            if isinstance(outcome, InvalidQuery):
                answer.refused.add(position=position, reason=outcome.reason)
            else:
                answer.ids[position] = outcome
        current_call().notes.update(blocked=len(set(answer.ids) - {""}))
        return answer

    async def RemoveBlockedImages(  # noqa: N802
        self, request: moderation_pb2.RemoveBlockedImagesRequest, context: _Context
    ) -> moderation_pb2.RemoveBlockedImagesResponse:
        """Block pictures no longer."""
        del context
        keeping = self._keeping()
        if not 1 <= len(request.ids) <= limits.MAX_BLOCKED_LISTED:
            raise InvalidQuery("ids", f"must be 1 to {limits.MAX_BLOCKED_LISTED:,}, got {len(request.ids):,}")
        with as_invalid_query():
            for i, each in enumerate(request.ids):
                check_identifier(f"ids[{i}]", each, limit=limits.MAX_BLOCKED_ID_LENGTH)
        removed = await keeping.remove(list(dict.fromkeys(request.ids)), self._deadline())
        current_call().notes.update(unblocked=len(removed))
        return moderation_pb2.RemoveBlockedImagesResponse(removed=removed)

    async def ListBlockedImages(  # noqa: N802
        self, request: moderation_pb2.ListBlockedImagesRequest, context: _Context
    ) -> moderation_pb2.ListBlockedImagesResponse:
        """Return a page of the blocked pictures."""
        del context
        keeping = self._keeping()
        if not 0 <= request.page_size <= limits.MAX_BLOCKED_LISTED:
            raise InvalidQuery(
                "page_size", f"must be from 0 to {limits.MAX_BLOCKED_LISTED:,}, got {request.page_size}"
            )
        with as_invalid_query():
            check_identifier("page_token", request.page_token, limit=limits.MAX_BLOCKED_ID_LENGTH)
        pictures = await keeping.listed(self._deadline())
        size = request.page_size or limits.DEFAULT_BLOCKED_LISTED
        after = [each for each in pictures if each.id > request.page_token]
        manifest = await self._manifest(self._deadline())
        return moderation_pb2.ListBlockedImagesResponse(
            images=[_listed(each, manifest) for each in after[:size]],
            next_page_token=after[size - 1].id if len(after) > size else "",
            total=len(pictures),
        )

    async def CheckImage(  # noqa: N802
        self, request: moderation_pb2.CheckImageRequest, context: _Context
    ) -> moderation_pb2.CheckImageResponse:
        """Return what a picture resembles."""
        del context
        pictures = self._pictures()
        image = await check_image(request.image)
        deadline = self._deadline()
        checked = await pictures.check(image, functools.partial(self._embed, image, deadline), deadline)
        answer = moderation_pb2.CheckImageResponse(
            blocked=bool(checked.unwanted), kind=checked.unwanted, nudity=checked.nudity
        )
        if (match := checked.match) is not None:
            answer.MergeFrom(
                moderation_pb2.CheckImageResponse(
                    id=match.id, label=match.label, distance=match.distance, similarity=match.similarity
                )
            )
        return answer

    async def CheckText(  # noqa: N802
        self, request: moderation_pb2.CheckTextRequest, context: _Context
    ) -> moderation_pb2.CheckTextResponse:
        """Return which entry of the list is in a text."""
        del context
        if self._moderation.words is None:
            raise FailedPrecondition(
                "words are not moderated here: the setting GATEWAY_MODERATION_WORDS names no file"
            )
        text = check_text("text", request.text, limit=limits.MAX_QUERY_LENGTH)
        entry = self._moderation.words.words.find(text, request.locale)
        return moderation_pb2.CheckTextResponse(blocked=entry is not None, entry=entry or "")

    def _pictures(self) -> Pictures:
        if self._moderation.pictures is None:
            raise FailedPrecondition(
                "pictures are not moderated here: set GATEWAY_MODERATION_UPLOADS or GATEWAY_MODERATION_CATALOGUE"
            )
        return self._moderation.pictures

    def _keeping(self) -> Keeping:
        return Keeping(self._pictures(), self._embed)

    def _deadline(self) -> Deadline:
        return Deadline.after(time_for_hop(current_call().deadline, margin_s=self._margin_s))


def _listed(picture: BlockedPicture, manifest: str) -> moderation_pb2.BlockedImage:
    message = moderation_pb2.BlockedImage(
        id=picture.id, label=picture.label, outdated=bool(manifest) and picture.manifest != manifest
    )
    message.added.FromMilliseconds(picture.added_ms)
    return message
