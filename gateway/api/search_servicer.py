"""The search service: request to value, slot, pipeline, value to response; nothing else happens here."""

from collections.abc import AsyncIterator
from typing import Any

from grpc import aio

from catalogue.product import TEXT_FIELDS
from gateway.api.requests import TurnCall, read_search, read_turn
from gateway.api.responses import comparison_message, facts_message, rewrite_message, search_message
from gateway.context import current_call
from gateway.conversation.comparison import Comparison
from gateway.conversation.planning import Conversation
from gateway.conversation.sessions import LoggedTurn
from gateway.conversation.turns import Conversations, Facts, Reply, TurnEvent
from gateway.retrieval.admission import Limiter
from gateway.retrieval.pipeline import SearchPipeline
from gateway.retrieval.query import SearchResult
from gateway.understanding.validation import Understanding
from vitrine.v1 import search_pb2, search_pb2_grpc

_Context = aio.ServicerContext[Any, Any]


class SearchServicer(search_pb2_grpc.SearchServiceServicer):
    """Answers Search and Converse."""

    def __init__(
        self,
        pipeline: SearchPipeline,
        conversations: Conversations,
        limiter: Limiter,
        *,
        rewrite_by_default: bool,
    ) -> None:
        self._pipeline = pipeline
        self._conversations = conversations
        self._limiter = limiter
        self._rewrite_by_default = rewrite_by_default

    async def Search(  # noqa: N802 - gRPC's name
        self,
        request: search_pb2.SearchRequest,
        context: _Context,  # noqa: ARG002 - gRPC's signature
    ) -> search_pb2.SearchResponse:
        """Answer one query."""
        call = current_call()
        search = await read_search(request, rewrite_by_default=self._rewrite_by_default)
        async with self._limiter.slot(call.deadline):
            result = await self._pipeline.search(search.query, call.deadline)
        _note(result)
        return search_message(result, fields=search.fields, request_id=call.request_id)

    async def Converse(  # noqa: N802 - gRPC's name
        self,
        request: search_pb2.ConverseRequest,
        context: _Context,  # noqa: ARG002 - gRPC's signature
    ) -> AsyncIterator[search_pb2.ConverseResponse]:
        """Answer one turn: what was understood, then the hits, then the reply."""
        deadline = current_call().deadline
        turn = await read_turn(request)
        if turn.history:
            async with self._limiter.slot(deadline):
                before = Conversation(turns=tuple(LoggedTurn(turn=earlier) for earlier in turn.history))
                async for event in self._conversations.turn(turn.query, before, deadline):
                    yield _turn_message(event, turn, "")
            return
        async with (
            self._limiter.slot(deadline),
            self._conversations.session(turn.session_id, turn.query.user_id, deadline) as session,
        ):
            async for event in self._conversations.turn_in_session(turn.query, session, deadline):
                yield _turn_message(event, turn, session.id)


def _turn_message(event: TurnEvent, turn: TurnCall, session_id: str) -> search_pb2.ConverseResponse:
    response = search_pb2.ConverseResponse(session_id=session_id)
    match event:
        case Understanding():
            _note_reading(event)
            response.understood.CopyFrom(rewrite_message(event))
        case SearchResult():
            _note(event)
            response.result.CopyFrom(
                search_message(event, fields=turn.fields, request_id=current_call().request_id)
            )
        case Comparison():
            response.comparison.CopyFrom(comparison_message(event))
        case Facts(facts):
            response.facts.CopyFrom(facts_message(facts))
        case Reply(text):
            response.reply = text
    return response


def _note_reading(understanding: Understanding) -> None:
    """Tell the call's log line how the turn was read; of remarks, only the catalogue's own values."""
    current_call().notes.update(
        route=understanding.route.value,
        source=understanding.source,
        intent=understanding.intent.value,
        sentiment=understanding.sentiment.value,
        remarks=[
            {"field": remark.field, "value": remark.value, "polarity": remark.polarity.value}
            for remark in understanding.remarks
            if remark.field in TEXT_FIELDS
        ],
    )


def _note(result: SearchResult) -> None:
    """Tell the call's log line how it was answered."""
    current_call().notes.update(
        route=result.searched.route.value,
        source=result.searched.source,
        hits=len(result.hits),
        disliked=[[each.field, each.value] for each in result.searched.disliked],
        degraded=list(result.degraded),
        stages_ms={stage: round(seconds * 1e3, 2) for stage, seconds in result.timings.stages_s.items()},
        index=result.versions.index,
    )
