"""The reply to a turn that was answered: made after the hits were sent, so that it can say what was found.

It says nothing that the search or the index did not: how many products fit, by which conditions, what was left out.
What it still has to ask the index has little time, and without an answer the reply goes without the number.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from gateway.conversation.catalogue_qa import Fact
from gateway.conversation.comparison import Comparison
from gateway.conversation.replies.answers import comparison_sentences, counted, fact_sentences
from gateway.conversation.replies.phrasing import PART, Phrasing
from gateway.conversation.replies.searches import Searched, count_of, sentences
from gateway.conversation.replies.templates import Language, Languages
from gateway.conversation.replies.wording import Wording
from gateway.documents.topics import language_of, recognised
from gateway.errors import SearchError
from gateway.metrics import Metrics
from gateway.model import Deadline
from gateway.retrieval.pipeline import Retrieval
from gateway.retrieval.query import Query, SearchResult
from vitrine.domain import limits
from vitrine.domain.filters import Filter
from vitrine.domain.routes import ROUTES
from vitrine.domain.schema import Role, Schema

_LEAD = 2
"""Common words by which another language than the locale's is told."""

ASKING_S = 0.2
"""Longest wait for the index before a reply."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the index knows of a question's words."""

    facts: tuple[Fact, ...]
    schema: Schema
    asked: Filter | None = None
    """What the question asks for; the first fact is how many products satisfy it."""


class Replies:
    """Writes replies."""

    def __init__(
        self,
        retrieval: Retrieval,
        languages: Languages,
        metrics: Metrics,
        *,
        phrasing: Phrasing | None = None,
    ) -> None:
        self._retrieval = retrieval
        self._languages = languages
        self._metrics = metrics
        self._phrasing = phrasing

    def language_of(self, query: Query, earlier: str) -> Language:
        """Return the language of a turn: that of its words, else of its locale, else of earlier words, else English.

        One word that another language has too, as in "el paso boots", tells nothing against a locale.
        """
        spoken = query.locale.partition("-")[0].lower()
        if spoken in self._languages and spoken not in recognised():
            return self._languages.of(spoken)
        otherwise = query.locale or language_of(earlier)
        return self._languages.of(language_of(query.text, otherwise, lead=_LEAD if query.locale else 0))

    async def to_search(
        self, query: Query, asked: Query, result: SearchResult, language: Language, deadline: Deadline
    ) -> str:
        """Return the reply to a turn that searched; `asked` is the query before anything was left out of it."""
        searched = Searched(result=result, asked=asked, found=count_of(result))
        searched = await self._looked_up(searched, deadline)
        said = sentences(searched, Wording(language, result.versions.schema))
        return await self._phrased(_joined(language, said), query, language, deadline)

    async def to_answer(
        self,
        query: Query,
        own: str,
        answer: Comparison | Facts | None,
        language: Language,
        deadline: Deadline,
    ) -> str:
        """Return the reply to a turn that searched nothing: what the index says of it, else the rewriter's own."""
        match answer:
            case None:
                return own or language.say("ask-anything")
            case Comparison():
                said = [*comparison_sentences(answer, Wording(language, answer.schema))]
            case Facts(facts, schema, asked):
                wording = Wording(language, schema)
                told = fact_sentences(facts, wording) if asked is None else counted(facts, asked, wording)
                said = [*([own] if own else []), *told]
        return await self._phrased(_joined(language, said), query, language, deadline)

    async def _phrased(self, draft: str, query: Query, language: Language, deadline: Deadline) -> str:
        if self._phrasing is None or not draft:
            return draft
        return await self._phrasing.phrased(draft, query.text, language, deadline)

    async def _looked_up(self, searched: Searched, deadline: Deadline) -> Searched:
        """Ask the index for what the hits do not tell; what it does not say in time is left unsaid."""
        soon = Deadline.after(min(ASKING_S, deadline.remaining_s()))
        query, retrieval = searched.result.searched, self._retrieval
        try:
            if not searched.result.hits:
                return replace(searched, fields=(await retrieval.catalogue(soon)).fields)
            if ROUTES[query.route].product:
                products = await retrieval.stored([query.product_id], soon)
                schema = searched.result.versions.schema
                return replace(
                    searched, title="".join(each.product.text(schema, Role.TITLE) for each in products)
                )
            if searched.found is None and query.conditions is not None:
                return replace(searched, found=await retrieval.count(query.conditions, soon))
        except SearchError:
            self._metrics.degraded.labels(PART, "late").inc()
        return searched


def _joined(language: Language, said: Iterable[str]) -> str:
    """Return sentences as one reply, as many of them as fit."""
    reply = ""
    for sentence in said:
        longer = f"{reply}{language.say('sentence-gap')}{sentence}" if reply else sentence
        if len(longer) > limits.MAX_REPLY_LENGTH:
            break
        reply = longer
    return reply
