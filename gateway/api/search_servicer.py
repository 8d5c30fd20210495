"""The search service: request to value, turn, value to response."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any

from grpc import aio

from gateway.api.recommending import read_recommend, recommend_message
from gateway.api.requests import SearchCall, TurnCall, read_search, read_turn
from gateway.api.responses import (
    answer_message,
    comparison_message,
    facts_message,
    hand_over_message,
    search_message,
    transcript_message,
)
from gateway.caches import LruCache
from gateway.context import current_call
from gateway.conversation.comparison import Comparison
from gateway.conversation.conversations import Conversations
from gateway.conversation.hearing import Hearing, Spoken
from gateway.conversation.planning import Conversation
from gateway.conversation.replies.replying import Facts
from gateway.conversation.sessions import LoggedTurn
from gateway.conversation.turns import Reply, TurnEvent, Turns
from gateway.documents.library import HandedOver, Quoted
from gateway.feedback.experiments import Experiment
from gateway.feedback.recommending import Recommended, Recommender
from gateway.model import Deadline, Transcript
from gateway.moderation.moderation import Moderation
from gateway.retrieval.pages import words_in
from gateway.retrieval.query import Bucket, Query, SearchResult
from gateway.understanding.validation import Understanding, rewrite_message
from vitrine.v1 import recommend_pb2, search_pb2, search_pb2_grpc

_READ, _READ_BYTES = 256, 1_024
"""Searches that were checked of late and are kept, and the bytes of one at most."""

_Context = aio.ServicerContext[Any, Any]


class SearchServicer(search_pb2_grpc.SearchServiceServicer):
    """Answers Search, Converse and Recommend."""

    def __init__(
        self,
        turns: Turns,
        conversations: Conversations,
        hearing: Hearing,
        recommender: Recommender,
        *,
        rewrite_by_default: bool,
        shares: Mapping[str, float],
        answer_token: Callable[[str], str],
        answered: Callable[[SearchResult, str, str], str],
        experiment: Experiment,
        moderation: Moderation,
    ) -> None:
        self._turns = turns
        self._conversations = conversations
        self._hearing = hearing
        self._recommender = recommender
        self._rewrite_by_default = rewrite_by_default
        self._shares = shares
        self._answer_token = answer_token
        self._answered = answered
        self._experiment = experiment
        self._moderation = moderation
        self._read = LruCache[bytes, SearchCall](_READ)

    async def warm(self) -> None:
        """Have prepared what the first search would wait for."""
        await self._turns.warm()

    async def teach(self) -> None:
        """Have the rewriter learn the values of a catalogue that has many."""
        await self._turns.teach()

    async def Search(  # noqa: N802 - gRPC's name
        self,
        request: search_pb2.SearchRequest,
        context: _Context,  # noqa: ARG002 - gRPC's signature
    ) -> search_pb2.SearchResponse:
        """Answer one query."""
        call = current_call()
        search = await self._read_search(request)
        query = self._in_bucket(search.query, call.request_id)
        spoken = await self._allowed(
            await self._hearing.hear(query, search.audio, call.deadline), call.deadline
        )
        result = spoken.told(await self._turns.search(spoken.query, call.deadline))
        _note(result, spoken.query)
        response = search_message(
            result,
            request=spoken.query,
            fields=search.fields,
            request_id=call.request_id,
            shares=self._shares,
        )
        if spoken.heard is not None:
            response.heard.CopyFrom(transcript_message(spoken.heard))
        response.bucket = self._experiment.told(result.searched.bucket)
        response.answer_token = self._answered(result, call.request_id, response.bucket)
        return response

    async def Recommend(  # noqa: N802 - gRPC's name
        self,
        request: recommend_pb2.RecommendRequest,
        context: _Context,  # noqa: ARG002 - gRPC's signature
    ) -> search_pb2.RecommendResponse:
        """Answer without a query."""
        call = current_call()
        ask, fields = read_recommend(request)
        recommended = await self._recommender.recommend(ask, call.deadline)
        _note_recommended(recommended)
        response = recommend_message(
            recommended, fields=fields, request_id=call.request_id, shares=self._shares
        )
        response.answer_token = self._answer_token(call.request_id)
        return response

    async def Converse(  # noqa: N802 - gRPC's name
        self,
        request: search_pb2.ConverseRequest,
        context: _Context,  # noqa: ARG002 - gRPC's signature
    ) -> AsyncIterator[search_pb2.ConverseResponse]:
        """Answer one turn: what was heard and understood, then the hits, then the reply."""
        deadline = current_call().deadline
        turn = await read_turn(request)
        spoken = await self._allowed(
            await self._hearing.hear(self._in_bucket(turn.query, ""), turn.audio, deadline), deadline
        )
        turn = replace(turn, query=spoken.query)
        for earlier in turn.history:
            self._moderation.said(earlier.text, turn.query.locale)
        if turn.history:
            before = Conversation(turns=tuple(LoggedTurn(turn=earlier) for earlier in turn.history))
            async for event in _after(spoken, self._turns.turn(turn.query, before, deadline)):
                yield self._message(event, turn, "")
            return
        async with self._conversations.session(turn.session_id, turn.query.user_id, deadline) as session:
            async for event in _after(spoken, self._conversations.turn(turn.query, session, deadline)):
                yield self._message(event, turn, session.id)

    async def _read_search(self, request: search_pb2.SearchRequest) -> SearchCall:
        """Check a search; one that equals an earlier one by nobody in particular was checked already. Raises InvalidQuery."""
        small = not (request.image or request.audio or request.user_id)
        data = request.SerializeToString() if small and request.ByteSize() <= _READ_BYTES else b""
        known = self._read.get(data)
        if known is None:
            known = await read_search(request, rewrite_by_default=self._rewrite_by_default)
            if data:
                self._read.put(data, known)
        return known

    def _in_bucket(self, query: Query, request_id: str) -> Query:
        """Return the query with its shopper's bucket; a further page has that of the first one."""
        bucket = self._experiment.bucket(query.user_id, request_id)
        return query if bucket is query.bucket else replace(query, bucket=bucket)

    async def _allowed(self, spoken: Spoken, deadline: Deadline) -> Spoken:
        """Return what moderation lets through, before anything of it is searched or kept; raises Blocked."""
        _note_hearing(spoken)
        query = spoken.query
        if query.page_token:
            self._moderation.said(words_in(query.page_token), query.locale)
        degraded = await self._moderation.query(
            text=query.text, image=query.image, locale=query.locale, deadline=deadline
        )
        return replace(spoken, degraded=(*spoken.degraded, *degraded)) if degraded else spoken

    def _message(
        self, event: Transcript | TurnEvent, turn: TurnCall, session_id: str
    ) -> search_pb2.ConverseResponse:
        response = search_pb2.ConverseResponse(session_id=session_id)
        match event:
            case Transcript():
                response.heard.CopyFrom(transcript_message(event))
            case Understanding():
                _note_reading(event)
                response.understood.CopyFrom(rewrite_message(event))
            case SearchResult():
                _note(event, turn.query)
                result = search_message(
                    event,
                    request=turn.query,
                    fields=turn.fields,
                    request_id=current_call().request_id,
                    shares=self._shares,
                )
                # A page of a turn is asked for in words, "show me more", or as a search of its own.
                result.next_page_token = ""
                bucket = event.searched.bucket if turn.query.user_id else Bucket.NONE
                result.bucket = self._experiment.told(bucket)
                result.answer_token = self._answered(event, result.request_id, result.bucket)
                response.result.CopyFrom(result)
            case Comparison():
                response.comparison.CopyFrom(comparison_message(event))
            case Facts(facts):
                response.facts.CopyFrom(facts_message(facts))
            case Quoted() | HandedOver():
                _add_service(response, event)
            case Reply(text):
                response.reply = text
        return response


def _add_service(response: search_pb2.ConverseResponse, event: Quoted | HandedOver) -> None:
    """Put what the shop's documents say into a response, and note it in the call's log line."""
    if isinstance(event, Quoted):
        current_call().notes.update(quotes=len(event.passages))
        response.answer.CopyFrom(answer_message(event))
    else:
        current_call().notes.update(handed_over=list(event.topics))
        response.hand_over.CopyFrom(hand_over_message(event))


async def _after(spoken: Spoken, events: AsyncIterator[TurnEvent]) -> AsyncIterator[Transcript | TurnEvent]:
    """Yield what was heard, if anything was said, and then the events of the turn."""
    if spoken.heard is not None:
        yield spoken.heard
    async for event in events:
        yield spoken.told(event) if isinstance(event, SearchResult) else event


def _note_hearing(spoken: Spoken) -> None:
    """Note in the call's log line whether anything was heard, and never what."""
    if spoken.seconds:
        heard = spoken.heard
        current_call().notes.update(
            heard=heard is not None and bool(heard.text),
            language="" if heard is None else heard.language,
            spoken_s=0.0 if heard is None else round(heard.seconds, 2),
            hear_ms=round(spoken.seconds * 1e3, 2),
        )


def _note_reading(understanding: Understanding) -> None:
    """Note in the call's log line how the turn was read: names and numbers, since every word may be the shopper's."""
    current_call().notes.update(
        route=understanding.route.value,
        source=understanding.source,
        intent=understanding.intent.value,
        sentiment=understanding.sentiment.value,
        remarks=len(understanding.remarks),
    )


def _note_recommended(recommended: Recommended) -> None:
    """Note in the call's log line what was recommended, and never to whom."""
    result = recommended.result
    current_call().notes.update(
        kind=recommended.kind.name.lower(),
        hits=len(result.hits),
        degraded=list(result.degraded),
        stages_ms={stage: round(seconds * 1e3, 2) for stage, seconds in result.timings.stages_s.items()},
        index=result.versions.index,
    )


def _note(result: SearchResult, request: Query) -> None:
    """Note in the call's log line how it was answered."""
    # What a page token says is its caller's to write.
    source = "page" if request.page_token else result.searched.source
    current_call().notes.update(
        route=result.searched.route.value,
        source=source,
        hits=len(result.hits),
        excluded=len(result.searched.excluded),
        degraded=list(result.degraded),
        stages_ms={stage: round(seconds * 1e3, 2) for stage, seconds in result.timings.stages_s.items()},
        index=result.versions.index,
    )
