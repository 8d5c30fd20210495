"""The shop's documents as this gateway knows them: read anew when they were exchanged, and asked without a call.

All passages together are small (`vitrine.domain.limits`), so they are ranked here, exactly; the index keeps them.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np

from gateway.documents.ranking import PassageRanking, Scored, similarities
from gateway.documents.topics import Terms, language_of, sentence, terms_of
from gateway.errors import SearchError
from gateway.logs import log_event
from gateway.metrics import Metrics
from gateway.model import Deadline, DocumentSet, Embedding
from gateway.ports import DocumentReader
from vitrine.domain import limits

CLOSE = 0.05
"""A second passage is quoted where it scores so close to the best one."""

_MAX_QUESTION = 300
"""Characters of a question; who says more than this asks for a person anyway."""

_TIMEOUT_S = 10.0

_PERSON = Terms(topics=frozenset({"#person"}), words=(), asks=True, service=True, subject=True)
"""What asks for how to reach a person."""

_logger = logging.getLogger(__name__)

EmbedWords = Callable[[str, Deadline], Awaitable[tuple[str, Embedding]]]
"""Return the digest of the encoders' manifest and the embedding, (d,), of words."""


@dataclass(frozen=True, slots=True)
class Quoted:
    """What the documents say to a question, the best passage first, and a sentence before it."""

    passages: tuple[Scored, ...]
    reply: str


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A question about the service that no document answers."""

    topics: tuple[str, ...]
    reply: str
    contact: Scored | None = None
    """What the documents say of how to reach a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRules:
    """When a passage answers."""

    least: float
    """The score from which on a passage answers: below it nobody knows."""
    share: float
    """What the cosine similarity of the embeddings counts for beside the words."""


@dataclass(frozen=True, slots=True)
class _Known:
    documents: DocumentSet
    ranking: PassageRanking
    vectors: Embedding | None


class Library:
    """Answers questions about the shop's service from its documents."""

    def __init__(
        self, store: DocumentReader, rules: DocumentRules, embed: EmbedWords, metrics: Metrics
    ) -> None:
        self._store = store
        self._rules = rules
        self._embed = embed
        self._metrics = metrics
        self._known = _known(DocumentSet())

    @property
    def digest(self) -> str:
        """Return the digest of the documents that are known; empty where there are none."""
        return self._known.documents.digest

    async def refresh(self) -> None:
        """Read the documents where they were exchanged; while the index does not answer, those that are known stay."""
        try:
            if await self._store.digest(timeout_s=_TIMEOUT_S) != self.digest:
                self._known = _known(await self._store.read(timeout_s=_TIMEOUT_S))
                log_event(_logger, logging.INFO, "documents_read", passages=len(self._known.ranking))
        except SearchError as error:
            log_event(_logger, logging.WARNING, "documents_not_read", error=str(error))

    async def consider(
        self, words: str, locale: str, names_products: Callable[[], Awaitable[bool]], deadline: Deadline
    ) -> Quoted | HandedOver | None:
        """Return what the documents say to a turn's words; None where they do not ask about the service.

        What no passage answers is handed over if its words can mean nothing but the service, and `names_products` says
        that they name none of the catalogue's values.
        """
        known = self._known
        if not known.documents.digest or not words or len(words) > _MAX_QUESTION:
            return None
        language = language_of(words, locale)
        terms = terms_of(words, language=language)
        if not _asks_of_service(terms):
            return None
        if quoted := await self._quoted(words, terms, known, deadline):
            title = quoted[0].passage.title
            return Quoted(quoted, sentence("answered", language, title=title))
        if not terms.service or await names_products():
            return None
        return _handed_over(known, terms, language)

    def hand_over(self, words: str, locale: str) -> HandedOver | None:
        """Return what hands a turn over that means no products after all; None where it does not ask about the service."""
        known = self._known
        if not known.documents.digest or not words or len(words) > _MAX_QUESTION:
            return None
        language = language_of(words, locale)
        terms = terms_of(words, language=language)
        return _handed_over(known, terms, language) if _asks_of_service(terms) else None

    async def _quoted(
        self, words: str, terms: Terms, known: _Known, deadline: Deadline
    ) -> tuple[Scored, ...]:
        """Return the passages that answer, the best first."""
        cosines = await self._similarities(words, known, deadline)
        ranked = known.ranking.rank(
            terms, similarities=cosines, share=self._rules.share, limit=limits.MAX_QUOTED
        )
        best = [each for each in ranked if each.score >= self._rules.least]
        return tuple(each for each in best if each.score >= best[0].score - CLOSE)

    async def _similarities(self, words: str, known: _Known, deadline: Deadline) -> Embedding | None:
        """Return the cosines with the passages; None where they do not count, or other encoders made the vectors."""
        if not self._rules.share or known.vectors is None:
            return None
        try:
            manifest, embedding = await self._embed(words, deadline)
        except SearchError:
            manifest = ""
        if manifest != known.documents.manifest:
            self._metrics.degraded.labels("documents", "encoders").inc()
            return None
        return similarities(embedding, known.vectors)


def _asks_of_service(terms: Terms) -> bool:
    """Whether a turn asks about the service: it names a topic and asks, or is nothing but a topic's name."""
    return terms.subject and (terms.asks or (terms.service and not terms.words))


def _handed_over(known: _Known, terms: Terms, language: str) -> HandedOver:
    topics = tuple(sorted(topic.removeprefix("#") for topic in terms.topics))
    contact = known.ranking.rank(_PERSON, limit=1)
    return HandedOver(topics, sentence("unknown", language), next(iter(contact), None))


def _known(documents: DocumentSet) -> _Known:
    embeddings = [each.embedding for each in documents.passages if each.embedding is not None]
    whole = embeddings and len(embeddings) == len(documents.passages)
    return _Known(documents, PassageRanking(documents.passages), np.stack(embeddings) if whole else None)
