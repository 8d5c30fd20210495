"""The client's calls of ModerationService."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from grpc import aio

from vitrine.channels import Metadata
from vitrine.v1 import moderation_pb2, moderation_pb2_grpc


class ModerationCalls:
    """Part of VitrineClient: every method takes `timeout_s` and raises VitrineError, as all of its do."""

    _catalogue_channel: aio.Channel
    _timeout_s: float

    if TYPE_CHECKING:

        def _metadata(self) -> Metadata: ...
        def _translated(self, channel: aio.Channel | None = None) -> AbstractContextManager[None]: ...

    async def add_blocked_images(
        self, request: moderation_pb2.AddBlockedImagesRequest, *, timeout_s: float | None = None
    ) -> moderation_pb2.AddBlockedImagesResponse:
        """Block pictures, at most 32; what the answer names is blocked."""
        with self._translated(self._catalogue_channel):
            return await self._moderation.AddBlockedImages(
                request, timeout=timeout_s or self._timeout_s, metadata=self._metadata()
            )

    async def remove_blocked_images(
        self, request: moderation_pb2.RemoveBlockedImagesRequest, *, timeout_s: float | None = None
    ) -> moderation_pb2.RemoveBlockedImagesResponse:
        """Block pictures no longer; unknown ids are passed over."""
        with self._translated(self._catalogue_channel):
            return await self._moderation.RemoveBlockedImages(
                request, timeout=timeout_s or self._timeout_s, metadata=self._metadata()
            )

    async def list_blocked_images(
        self, request: moderation_pb2.ListBlockedImagesRequest, *, timeout_s: float | None = None
    ) -> moderation_pb2.ListBlockedImagesResponse:
        """Return a page of the blocked pictures."""
        with self._translated(self._catalogue_channel):
            return await self._moderation.ListBlockedImages(
                request, timeout=timeout_s or self._timeout_s, metadata=self._metadata()
            )

    async def check_image(
        self, request: moderation_pb2.CheckImageRequest, *, timeout_s: float | None = None
    ) -> moderation_pb2.CheckImageResponse:
        """Return whether a picture resembles a blocked one, and which."""
        with self._translated(self._catalogue_channel):
            return await self._moderation.CheckImage(
                request, timeout=timeout_s or self._timeout_s, metadata=self._metadata()
            )

    async def check_text(
        self, request: moderation_pb2.CheckTextRequest, *, timeout_s: float | None = None
    ) -> moderation_pb2.CheckTextResponse:
        """Return whether a text has a blocked word, and which."""
        with self._translated(self._catalogue_channel):
            return await self._moderation.CheckText(
                request, timeout=timeout_s or self._timeout_s, metadata=self._metadata()
            )

    @property
    def _moderation(self) -> "moderation_pb2_grpc.ModerationServiceAsyncStub":
        return moderation_pb2_grpc.ModerationServiceStub(self._catalogue_channel)
