"""Answers to what searches nothing: products side by side, and what the index knows of the words."""

import functools
from dataclasses import replace

from gateway.conversation.catalogue_qa import facts_about, facts_under
from gateway.conversation.comparison import Comparison, compare
from gateway.conversation.replies.replying import ASKING_S, Facts
from gateway.conversation.replies.templates import Language
from gateway.errors import SearchError
from gateway.model import Deadline, Intent, Sort
from gateway.retrieval.pipeline import Retrieval
from gateway.retrieval.query import Query
from gateway.understanding.validation import Understanding
from vitrine.domain import limits
from vitrine.domain.filters import Filter, both
from vitrine.domain.routes import Route


class Answering:
    """Answers from one index."""

    def __init__(self, retrieval: Retrieval) -> None:
        self._retrieval = retrieval

    async def answer(
        self, understanding: Understanding, query: Query, language: Language, deadline: Deadline
    ) -> Comparison | Facts | None:
        """Return what the index says to a turn that searches nothing: products side by side, or what it knows of the words."""
        retrieval = self._retrieval
        asks = understanding.intent is Intent.CONSULT or not understanding.reply
        consults = understanding.route is Route.CHAT and asks
        if understanding.references and (consults or understanding.route is Route.COMPARE):
            ids = tuple(dict.fromkeys(understanding.references))[: limits.MAX_COMPARED_PRODUCTS]
            schema = await retrieval.schema(deadline)
            compared = compare(await retrieval.stored(ids, deadline), schema, language=language.code)
            if compared is None or not consults:
                return compared
            attributes = tuple(
                (each.field, each.value) for each in understanding.remarks if not each.of_catalogue
            )
            answered = replace(
                compared,
                asked=understanding.filters,
                asked_words=understanding.query,
                asked_attributes=attributes if understanding.query else (),
            )
            return replace(answered, others=await self._others(answered, deadline))
        if not consults:
            return None
        catalogue = await retrieval.catalogue(deadline)
        count = functools.partial(retrieval.count, deadline=deadline)
        if (asked := understanding.filters) is not None:
            ends = functools.partial(self._ends, query, asked, deadline)
            told = await facts_under(asked, query.text, catalogue.schema, count, ends, language=language.code)
            return Facts(told, catalogue.schema, asked)
        facts = await facts_about(
            query.text, catalogue.schema, catalogue.fields, count, language=language.code
        )
        return Facts(facts, catalogue.schema) if facts else None

    async def _others(self, answered: Comparison, deadline: Deadline) -> int | None:
        """Count the products of its kind that are what a single one is asked for and is not; None for nothing to say."""
        instead = answered.instead
        if instead is None:
            return None
        try:
            return await self._retrieval.count(instead, Deadline.after(min(ASKING_S, deadline.remaining_s())))
        except SearchError:
            return None

    async def _ends(
        self, query: Query, asked: Filter, deadline: Deadline, field: str
    ) -> tuple[float | None, float | None]:
        """Return the least and the greatest number of a field among the products that satisfy a condition."""
        numbers: list[float | None] = []
        for descending in (False, True):
            sort = Sort(field=field, descending=descending)
            ordered = replace(
                query,
                filters=both(query.filters, asked),
                sort=sort,
                limit=1,
                offset=0,
                facets=(),
                rewrite=False,
            )
            found = await self._retrieval.search(ordered, deadline)
            value = found.hits[0].product.product.values.get(field) if found.hits else None
            numbers.append(value if isinstance(value, float) else None)
        return numbers[0], numbers[1]
