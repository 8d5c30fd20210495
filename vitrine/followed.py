"""A channel of gRPC over TLS that takes over exchanged certificates: those of authorities, and the client's own pair.

gRPC reads them when a channel is made and never again. So a channel is made anew when a file was exchanged: calls that
are under way end on the one before, and the next ones begin on the new one.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from grpc import ChannelConnectivity, aio

from vitrine.process.files import stamp
from vitrine.process.logs import log_event

LOOK_S = 1.0
"""At least so long between two looks at the files; a call looks, and nothing else."""
ENDING_S = 60.0
"""What calls that are under way get when the files were exchanged: no search, turn or inference lasts longer."""

_logger = logging.getLogger(__name__)


class FollowedChannel(aio.Channel):
    """Makes its channel anew when one of the files was exchanged.

    `make` raises ValueError for files that cannot be used. The first time that is raised here; later it is logged, and the
    channel before stays in use.
    """

    def __init__(self, make: Callable[[], aio.Channel], *files: Path) -> None:
        self._make = make
        self._files = files
        self._stamp = stamp(*files)
        self._channel = make()
        self._look_at = time.monotonic() + LOOK_S
        self._ending: set[asyncio.Task[None]] = set()

    def _now(self) -> aio.Channel:
        """Return the channel of the files as they are."""
        if (now := time.monotonic()) < self._look_at:
            return self._channel
        self._look_at = now + LOOK_S
        if (found := stamp(*self._files)) != self._stamp:
            # Set before they are read: what changes meanwhile is seen by the next look.
            self._stamp = found
            self._exchange()
        return self._channel

    def _exchange(self) -> None:
        try:
            made = self._make()
        except ValueError as error:
            log_event(_logger, logging.ERROR, "certificate_refused", reason=str(error))
            return
        log_event(_logger, logging.INFO, "certificate_exchanged", file=str(self._files[0]))
        before, self._channel = self._channel, made
        ending = asyncio.get_running_loop().create_task(before.close(ENDING_S))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    def _calling(self, kind: str, *method: Any, **serializers: Any) -> Any:
        channel = calling = None

        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal channel, calling
            if (now := self._now()) is not channel:
                channel, calling = now, getattr(now, kind)(*method, **serializers)
            return calling(*args, **kwargs)

        return call

    def unary_unary(self, *method: Any, **serializers: Any) -> Any:
        """Return what calls the method, as aio.Channel does."""
        return self._calling("unary_unary", *method, **serializers)

    def unary_stream(self, *method: Any, **serializers: Any) -> Any:
        """As above."""
        return self._calling("unary_stream", *method, **serializers)

    def stream_unary(self, *method: Any, **serializers: Any) -> Any:
        """As above."""
        return self._calling("stream_unary", *method, **serializers)

    def stream_stream(self, *method: Any, **serializers: Any) -> Any:
        """As above."""
        return self._calling("stream_stream", *method, **serializers)

    async def close(self, grace: float | None = None) -> None:
        """Close the channel in use, and those that are ending at once."""
        for ending in tuple(self._ending):
            ending.cancel()
        await asyncio.gather(*self._ending, return_exceptions=True)
        await self._channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> ChannelConnectivity:  # noqa: FBT001, FBT002 - gRPC's own
        """Return the state of the channel in use."""
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: ChannelConnectivity) -> None:
        """Wait until the channel in use has another state."""
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait until the channel in use is connected."""
        await self._channel.channel_ready()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
