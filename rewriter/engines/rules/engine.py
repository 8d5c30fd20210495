"""The router behind the engine's port."""

from rewriter.engines.port import rules_version
from rewriter.engines.rules.decide import decide
from rewriter.linking.linker import Linker
from rewriter.replies.answers import SOURCE
from vitrine.v1 import rewrite_pb2


class Router:
    """Reads turns by rules, with their words linked to the values of the catalogue."""

    def __init__(self, linker: Linker | None = None) -> None:
        self._linker = linker or Linker()

    @property
    def version(self) -> str:
        """Name the rules by what they are."""
        return f"{SOURCE}-{rules_version()}{self._linker.version}"

    async def rewrite(self, request: rewrite_pb2.RewriteRequest, *, timeout_s: float) -> rewrite_pb2.Rewrite:
        """Return what the turn needs; never fails on a request within the limits."""
        linked = await self._linker.link(request, timeout_s=timeout_s)
        return linked.marked(decide(linked.request, linked.lexicon))
