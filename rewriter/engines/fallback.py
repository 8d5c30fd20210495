"""An engine with another that stands in for it."""

import logging
from collections.abc import Callable

from rewriter.engines.port import Engine, EngineError, Failure
from vitrine.domain.limits import MAX_SOURCE_LENGTH
from vitrine.process.logs import log_event
from vitrine.v1 import rewrite_pb2

_logger = logging.getLogger(__name__)


class Fallback:
    """Asks one engine and, when that fails, another, which then says in `source` for whom it stood in and why.

    A share of the time, `reserve_s`, is kept for the other one.
    """

    def __init__(
        self,
        engine: Engine,
        other: Engine,
        *,
        name: str,
        reserve_s: float,
        on_failure: Callable[[Failure], None],
    ) -> None:
        self._engine = engine
        self._other = other
        self._name = name
        self._reserve_s = reserve_s
        self._on_failure = on_failure

    @property
    def version(self) -> str:
        """Return the versions of both."""
        return f"{self._engine.version}, {self._other.version}"

    async def rewrite(self, request: rewrite_pb2.RewriteRequest, *, timeout_s: float) -> rewrite_pb2.Rewrite:
        """Return what the turn needs; raises EngineError only when both engines fail."""
        own_s = timeout_s - self._reserve_s
        try:
            return await self._engine.rewrite(request, timeout_s=max(0.0, own_s))
        except EngineError as error:
            log_event(_logger, logging.WARNING, "engine_failed", engine=self._name, failure=str(error))
            self._on_failure(error.failure)
            rewrite = await self._other.rewrite(request, timeout_s=self._reserve_s)
            rewrite.failure = error.failure.value
            reason = f" ({error.failure.value}: {self._name})"
            rewrite.source = (rewrite.source + reason)[:MAX_SOURCE_LENGTH]
            return rewrite
