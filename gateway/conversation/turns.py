"""Turns: what was understood, then the hits or what answers instead, then a reply. A search is a turn without a conversation.

    turn + earlier turns --+-- rewriter, within its budget --> Understanding, checked --> Query --> Retrieval --+
                           |                                                    +--> Comparison, Facts          +--> one of them
                           +-- the turn as it stands, after a head start --> Retrieval -------------------------+

Without a rewriter in time the turn is searched as it stands and the answer says that it was degraded. The limiter sits
round each retrieval, so that no slot is held while the rewriter is waited for.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

from gateway.background import running
from gateway.caches import LruCache
from gateway.conversation.answering import Answering
from gateway.conversation.catalogue_qa import names_a_value
from gateway.conversation.comparison import Comparison
from gateway.conversation.exclusions import disliked, exclusions
from gateway.conversation.head_start import HeadStart
from gateway.conversation.history import PART as HISTORY
from gateway.conversation.history import History
from gateway.conversation.planning import Conversation, as_given, plan, presumed, referred_picture
from gateway.conversation.replies.replying import Facts, Replies
from gateway.documents.library import HandedOver, Library, Quoted
from gateway.errors import SearchError
from gateway.metrics import Metrics
from gateway.model import Deadline, Intent
from gateway.retrieval.clock import StageClock
from gateway.retrieval.pages import page_of
from gateway.retrieval.pipeline import Retrieval
from gateway.retrieval.query import Query, SearchResult
from gateway.sponsoring.sponsors import Sponsoring
from gateway.understanding.rewriting import PART as REWRITE
from gateway.understanding.rewriting import Rewriting
from gateway.understanding.validation import InvalidRewrite, Understanding, rewrite_message
from vitrine.domain.filters import Not, without
from vitrine.domain.routes import Route
from vitrine.domain.schema import Schema
from vitrine.v1 import rewrite_pb2


@dataclass(frozen=True, slots=True)
class Reply:
    """Sentences for the shopper; empty where there is nothing to say."""

    text: str


_PLANS = 256
"""Searches whose reading was turned into a query of late, and is kept as that."""

_TELLING = 3
"""Turns before one whose words tell its language, where its own do not."""

_SERVICE = Understanding(route=Route.CHAT, source="documents", intent=Intent.CONSULT)
"""How a turn is read that asks about the shop's service."""

TurnEvent = Understanding | SearchResult | Comparison | Facts | Quoted | HandedOver | Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a turn was read, and the query that it amounts to; None where it searches nothing."""

    understanding: Understanding
    query: Query | None
    degraded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnDependencies:
    """What turns are answered with."""

    retrieval: Retrieval
    search_rewriting: Rewriting
    turn_rewriting: Rewriting
    history: History
    library: Library
    replies: Replies
    metrics: Metrics
    sponsoring: Sponsoring | None = None
    """None: there are no sponsored places."""
    head_start_s: float
    """The least wait for the rewriter before the turn is searched as it stands, in seconds."""


class Turns:
    """Answers searches and turns."""

    def __init__(self, dependencies: TurnDependencies) -> None:
        self._with = dependencies
        self._answering = Answering(dependencies.retrieval)
        self._search_head_start = HeadStart(dependencies.head_start_s)
        self._turn_head_start = HeadStart(dependencies.head_start_s)
        self._planned_before = LruCache[Query, tuple[Understanding, Schema, Reading]](_PLANS)

    async def warm(self) -> None:
        """Have prepared what the first search would wait for."""
        await self._with.search_rewriting.warm()

    async def teach(self) -> None:
        """Have the rewriter learn the values of a catalogue that has many."""
        await self._with.search_rewriting.teach()

    async def search(self, query: Query, deadline: Deadline) -> SearchResult:
        """Answer a search: a turn that nothing came before and that always searches.

        Raises:
            Aborted: the page that it asks for is of an index that was replaced.
            SearchError: as `Retrieval.search`.
        """
        retrieval = self._with.retrieval
        if query.page_token:
            return await retrieval.search(page_of(query, await retrieval.versions(deadline)), deadline)
        if not (query.rewrite and query.text and self._with.search_rewriting.offered):
            return self._shown(await retrieval.search(query, deadline), query)
        query = replace(query, rewrite=False)
        as_it_stands = presumed(query)
        await retrieval.versions(
            deadline
        )  # else a reading from memory waits for them, and a search begins beside it
        request = _asked(query)
        reads = self._read_search(query, request, deadline)
        clock = StageClock()
        if self._with.search_rewriting.remembers(request):
            with clock.stage(REWRITE):
                reading = await reads
            found = await self._found(reading, as_it_stands, None, deadline=deadline, clock=clock)
            return self._shown(found, query, reading.understanding.intent)
        async with AsyncExitStack() as beside:
            reading, raw = await self._read_beside(
                beside, reads, as_it_stands, self._search_head_start, deadline=deadline, clock=clock
            )
            found = await self._found(reading, as_it_stands, raw, deadline=deadline, clock=clock)
            return self._shown(found, query, reading.understanding.intent)

    async def turn(self, query: Query, before: Conversation, deadline: Deadline) -> AsyncIterator[TurnEvent]:
        """Answer a turn after what came before it.

        What asks about the shop's service is answered by its documents, or handed over, and nothing is searched.
        """
        if (served := await self._served(query, deadline)) is not None:
            self._count_served(served)
            yield _SERVICE
            yield served
            yield Reply(served.reply)
            return
        language = self._with.replies.language_of(query, _words_before(before))
        schema = await self._with.retrieval.schema(deadline)
        is_read = bool(query.text) and self._with.turn_rewriting.offered
        as_it_stands = _without_exclusions(presumed(query) if is_read else query, before, None, schema)
        async with AsyncExitStack() as beside:
            clock = StageClock()
            # A turn without words needs no reading, and without a rewriter none was promised.
            if is_read:
                spoken = replace(query, locale=query.locale or language.code)
                reads = self._read_turn(spoken, as_it_stands, before=before, deadline=deadline)
                reading, raw = await self._read_beside(
                    beside, reads, as_it_stands, self._turn_head_start, deadline=deadline, clock=clock
                )
            else:
                reading, raw = Reading(understanding=as_given(query), query=as_it_stands), None
            yield reading.understanding
            if reading.query is None:
                await _ended(raw)
                answer = await self._answering.answer(reading.understanding, query, language, deadline)
                handed = self._handed_over(reading.understanding, query) if answer is None else None
                if (event := answer or handed) is not None:
                    yield event
                own = handed.reply if handed is not None else reading.understanding.reply
                yield Reply(await self._with.replies.to_answer(query, own, answer, language, deadline))
            else:
                found = await self._found(reading, as_it_stands, raw, deadline=deadline, clock=clock)
                result = self._shown(found, query, reading.understanding.intent, visit=before.session_id)
                yield result
                asked = as_it_stands if REWRITE in result.degraded else reading.query
                yield Reply(await self._with.replies.to_search(query, asked, result, language, deadline))

    def _shown(
        self, result: SearchResult, query: Query, intent: Intent = Intent.OTHER, *, visit: str = ""
    ) -> SearchResult:
        """Return the answer with its sponsored places; impressions are counted of who agreed to be known, or of a visit."""
        if self._with.sponsoring is None:
            return result
        who = query.user_id if query.personalise and query.user_id else visit
        said = query.intent if query.intent is not Intent.OTHER else intent
        return self._with.sponsoring.show(result, who=who, intent=said)

    async def _served(self, query: Query, deadline: Deadline) -> Quoted | HandedOver | None:
        """Return what the shop's documents say to a turn; None where it does not ask about the service."""
        if query.image:
            return None

        async def names_products() -> bool:
            catalogue = await self._with.retrieval.catalogue(deadline)
            return names_a_value(query.text, catalogue.schema, catalogue.fields)

        return await self._with.library.consider(query.text, query.locale, names_products, deadline)

    def _handed_over(self, understanding: Understanding, query: Query) -> HandedOver | None:
        """Return what hands a turn over that the rewriter has no answer to but that it is about no products."""
        if understanding.route is not Route.CHAT or understanding.references or query.image:
            return None
        # It explains a word ("what is washed denim?"), or says what is missing to compare products.
        if understanding.reply and understanding.intent in {Intent.CONSULT, Intent.COMPARE}:
            return None
        handed = self._with.library.hand_over(query.text, query.locale)
        if handed is not None:
            self._count_served(handed)
        return handed

    def _count_served(self, served: Quoted | HandedOver) -> None:
        outcome = "quoted" if isinstance(served, Quoted) else "handed_over"
        self._with.metrics.service_questions.labels(outcome).inc()

    async def _read_beside(
        self,
        beside: AsyncExitStack,
        reads: Coroutine[Any, Any, Reading],
        as_it_stands: Query,
        head_start: HeadStart,
        *,
        deadline: Deadline,
        clock: StageClock,
    ) -> tuple[Reading, asyncio.Task[SearchResult] | None]:
        """Wait for a reading; past its head start the turn as it stands is searched beside it."""
        with clock.stage(REWRITE):
            read = await beside.enter_async_context(running(reads))
            await asyncio.wait([read], timeout=head_start.seconds)
            raw = None
            if not read.done():
                search = self._with.retrieval.search(as_it_stands, deadline)
                raw = await beside.enter_async_context(running(search))
            reading = await read
            head_start.learn(useful=REWRITE in reading.degraded or _searches(reading, as_it_stands))
            return reading, raw

    async def _found(
        self,
        reading: Reading,
        as_it_stands: Query,
        raw: asyncio.Task[SearchResult] | None,
        *,
        deadline: Deadline,
        clock: StageClock,
    ) -> SearchResult:
        """Search the interpreted query; if it equals the raw one or fails, return the raw results."""
        assert reading.query is not None, "there is something to search"
        degraded, result = reading.degraded, None
        if not _searches(reading, as_it_stands):
            raw = await _ended(raw)
            try:
                result = await self._with.retrieval.search(reading.query, deadline)
            except SearchError:
                # The shopper's own words may still be answerable, and must not suffer.
                degraded += (REWRITE,)
        if result is None:
            result = await (raw or self._with.retrieval.search(as_it_stands, deadline))
        for stage, seconds in clock.timings().stages_s.items():
            self._with.metrics.stage(result.searched.route.value, stage).observe(seconds)
        clock.add(result.timings)
        return replace(
            result,
            degraded=tuple(dict.fromkeys(result.degraded + degraded)),
            timings=clock.timings(),
        )

    async def _read_search(
        self, query: Query, request: rewrite_pb2.RewriteRequest, deadline: Deadline
    ) -> Reading:
        """Read the words of a search; as it stands, where the words change nothing or have no place in one search."""
        unread = Reading(understanding=as_given(query), query=presumed(query))
        understanding = await self._with.search_rewriting.read(request, deadline=deadline)
        if understanding is None:
            return replace(unread, degraded=(REWRITE,))
        if understanding.route is not query.route:
            return unread
        # The reading of equal words is the same object for as long as it is remembered, and so is the schema.
        schema = await self._with.retrieval.schema(deadline)
        known = self._planned_before.get(query)
        if known is not None and known[0] is understanding and known[1] is schema:
            return known[2]
        reading = await self._planned(understanding, query, Conversation(), deadline)
        if reading is None:
            self._with.search_rewriting.refuse(request)
            return replace(unread, degraded=(REWRITE,))
        if not query.image:
            self._planned_before.put(query, (understanding, schema, reading))
        return reading

    async def _read_turn(
        self, query: Query, as_it_stands: Query, *, before: Conversation, deadline: Deadline
    ) -> Reading:
        """Read a turn with the rewriter; as it stands, where nobody reads it in time."""
        unread = Reading(understanding=as_given(query), query=as_it_stands)
        chosen = await self._with.history.choose(query.text, before.turns, deadline)
        if chosen.degraded:
            self._with.metrics.degraded.labels(HISTORY, "late").inc()
        request = _asked(query, history=chosen.turns)
        understanding = await self._with.turn_rewriting.read(request, deadline=deadline)
        if understanding is None:
            return replace(unread, degraded=(REWRITE,))
        reading = await self._planned(understanding, query, before, deadline)
        if reading is None:
            self._with.turn_rewriting.refuse(request)
            return replace(unread, degraded=(REWRITE,))
        return replace(reading, degraded=(HISTORY,) if chosen.degraded else ())

    async def _planned(
        self, understanding: Understanding, query: Query, before: Conversation, deadline: Deadline
    ) -> Reading | None:
        """Return the reading that an understanding amounts to; None where it lacks what its route needs."""
        schema = await self._with.retrieval.schema(deadline)
        try:
            picture = await referred_picture(understanding, query, before)
            planned = plan(understanding, query, before, schema, picture=picture)
        except InvalidRewrite:
            return None
        if planned is not None:
            planned = _without_exclusions(planned, before, understanding, schema)
        return Reading(understanding=understanding, query=planned)


def _words_before(before: Conversation) -> str:
    """Return the words of the last turns, which tell the language of one that does not."""
    return " ".join(logged.turn.text for logged in before.turns[-_TELLING:])


def _asked(query: Query, *, history: Sequence[rewrite_pb2.Turn] = ()) -> rewrite_pb2.RewriteRequest:
    """Return what the rewriter is asked of a query's words."""
    return rewrite_pb2.RewriteRequest(
        text=query.text,
        has_image=bool(query.image),
        product_id=query.product_id,
        history=history,
        locale=query.locale,
    )


def _searches(reading: Reading, as_it_stands: Query) -> bool:
    """Return whether a reading amounts to the turn as it stands."""
    return reading.query is not None and replace(reading.query, source=as_it_stands.source) == as_it_stands


async def _ended(raw: asyncio.Task[SearchResult] | None) -> asyncio.Task[SearchResult] | None:
    """Return the search if it is done; end it otherwise, so that one turn never holds two slots."""
    if raw is None or raw.done():
        return raw
    raw.cancel()
    await asyncio.wait([raw])
    return None


def _without_exclusions(
    query: Query, before: Conversation, understanding: Understanding | None, schema: Schema
) -> Query:
    """Leave out of a search what the shopper rejected up to this turn, and name what they disliked; the rewriter reads no more of it."""
    readings = [logged.turn.rewrite for logged in before.turns]
    if understanding is not None:
        readings.append(rewrite_message(understanding))
    excluded = exclusions(readings, schema)
    soft = without(query.soft_filters, [Not(each) for each in excluded])
    return replace(query, excluded=excluded, disliked=disliked(readings), soft_filters=soft, rewrite=False)
