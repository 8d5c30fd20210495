"""Moderation as searches meet it: of words first, which asks nobody, then of the picture."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.metrics import Metrics
from gateway.model import Deadline, Embedding
from gateway.moderation.pictures import Pictures
from gateway.moderation.policy import Action, Finding, settle
from vitrine.moderation.words import BlockedWords

_WORDS = "words"


@dataclass(frozen=True, slots=True, kw_only=True)
class WordPolicy:
    """The blocked words, and what becomes of a query that has one; a title that has one is flagged."""

    words: BlockedWords
    queries: Action


class Moderation:
    """Checks what searches and turns bring; without pictures and words, by default, it does nothing."""

    def __init__(
        self,
        *,
        pictures: Pictures | None,
        words: WordPolicy | None,
        embed: Callable[[bytes, Deadline], Awaitable[tuple[str, Embedding]]],
        keep: Callable[[bytes, str, Embedding], None],
        metrics: Metrics,
    ) -> None:
        self.pictures = pictures
        self.words = words
        self._embed = embed
        self._keep = keep
        self._metrics = metrics

    async def query(self, *, text: str, image: bytes, locale: str, deadline: Deadline) -> tuple[str, ...]:
        """Check a query; return what is to be told in `degraded`.

        The embedding that the check took is remembered for the search, once the picture is let through.

        Raises:
            Blocked: its words or its picture are refused.
            SearchError: as `Pictures.upload`.
        """
        self.said(text, locale)
        if not image or self.pictures is None or self.pictures.policy.uploads is Action.OFF:
            return ()
        computed: list[tuple[str, Embedding]] = []

        async def embed() -> tuple[str, Embedding]:
            computed.append(await self._embed(image, deadline))
            return computed[0]

        degraded = await self.pictures.upload(image, embed, deadline)
        for manifest, embedding in computed:
            self._keep(image, manifest, embedding)
        return degraded

    def title(self, product_id: str, field: str, title: str) -> None:
        """Flag a product whose title has a blocked word, of whatever language."""
        if self.words is not None and self.words.words.find(title) is not None:
            finding = Finding(field=field, kind=_WORDS, subject=product_id)
            settle(finding, Action.FLAG, self._metrics)

    def said(self, text: str, locale: str) -> None:
        """Check words that come with a query, such as those of earlier turns; raises Blocked where they are refused."""
        if self.words is not None and self.words.words.find(text, locale) is not None:
            settle(Finding(field="text", kind=_WORDS), self.words.queries, self._metrics)
