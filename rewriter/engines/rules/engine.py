"""The router behind the engine's port."""

from rewriter.catalogues import schema_of
from rewriter.engines.port import rules_version
from rewriter.engines.rules.decide import decide
from rewriter.nlu.lexicon import LexiconCache
from rewriter.replies.answers import SOURCE
from vitrine.v1 import rewrite_pb2


class Router:
    """Reads turns by rules; keeps the lexicons of the catalogues that it met last."""

    def __init__(self) -> None:
        self._lexicons = LexiconCache()

    @property
    def version(self) -> str:
        """Name the rules by what they are."""
        return f"{SOURCE}-{rules_version()}"

    async def rewrite(
        self,
        request: rewrite_pb2.RewriteRequest,
        *,
        timeout_s: float,  # noqa: ARG002 - it never waits
    ) -> rewrite_pb2.Rewrite:
        """Return what the turn needs; never fails on a request within the limits."""
        return decide(request, self._lexicons.get(request.facets, schema_of(request)))
