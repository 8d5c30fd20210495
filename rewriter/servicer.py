"""The rewrite service: request to engine to response, within the caller's time and within the limits."""

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, NoReturn

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped] # it has no py.typed
from grpc import aio
from grpc_status import rpc_status

from rewriter.checks import InvalidRequest, check_phrase, check_request
from rewriter.engines.port import Engine, EngineError, Phraser
from rewriter.linking.linker import Linker
from rewriter.linking.vocabularies import TooManyVocabularies
from rewriter.metrics import Metrics
from rewriter.nlu.words import opening
from vitrine.process.logs import log_event
from vitrine.process.tracing import UNTRACED, Span, Tracer, read_traceparent
from vitrine.v1 import query_pb2, rewrite_pb2, rewrite_pb2_grpc

MAX_READ_WORDS = 200
"""Words and commas of a turn that are read: a reader's time grows with them, and no encoder sees more of a query."""

RETRY_AFTER_MS = 100
"""What a refused caller is told to wait."""

REQUEST_ID_HEADER = "x-request-id"
_METHOD = "vitrine.v1.RewriteService/Rewrite"
_PHRASE = "vitrine.v1.RewriteService/Phrase"
_LEARN = "vitrine.v1.RewriteService/Learn"

LEARN_S = 120.0
"""Upper bound on the time of a call that has a vocabulary learnt; the learning itself goes on."""

FAILURE = "vocabulary"
"""Why a reading is not to be kept: it was read without the vocabulary that its request names."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
"""Other ids are not logged."""

_logger = logging.getLogger(__name__)

_Context = aio.ServicerContext[Any, Any]


class Overloaded(Exception):  # noqa: N818 - refused at the door; no work was done
    """As many calls are being answered as may be."""


class RewriteServicer(rewrite_pb2_grpc.RewriteServiceServicer):
    """Answers Rewrite, Phrase and Learn; at most `max_in_flight` calls at once."""

    def __init__(
        self,
        engine: Engine,
        metrics: Metrics,
        *,
        phraser: Phraser | None = None,
        linker: Linker | None = None,
        max_in_flight: int,
        default_timeout_s: float,
        max_timeout_s: float,
        tracer: Tracer = UNTRACED,
    ) -> None:
        self._engine = engine
        self._metrics = metrics
        self._phraser = phraser
        self._linker = linker
        self._max_in_flight = max_in_flight
        self._default_timeout_s = default_timeout_s
        self._max_timeout_s = max_timeout_s
        self._tracer = tracer
        self._in_flight = 0

    async def Rewrite(  # noqa: N802 - gRPC's name
        self, request: rewrite_pb2.RewriteRequest, context: _Context
    ) -> rewrite_pb2.RewriteResponse:
        """Answer one turn."""
        traceparent = read_traceparent(context.invocation_metadata() or ())
        with self._tracer.served(_METHOD, traceparent) as span:
            return await self._respond(request, context, span)

    async def Phrase(  # noqa: N802 - gRPC's name
        self, request: rewrite_pb2.PhraseRequest, context: _Context
    ) -> rewrite_pb2.PhraseResponse:
        """Put one reply into other words."""
        traceparent = read_traceparent(context.invocation_metadata() or ())
        with self._tracer.served(_PHRASE, traceparent) as span:
            if self._phraser is None:
                await self._refuse(
                    context,
                    span,
                    grpc.StatusCode.UNIMPLEMENTED,
                    "no model that writes: REWRITER_ENGINE=openai",
                )
            async with self._call(context, span):
                check_phrase(request)
                timeout_s = self._timeout(context.time_remaining())
                reply = await self._phraser.phrase(request, timeout_s=timeout_s)
        return rewrite_pb2.PhraseResponse(reply=reply)

    async def Learn(  # noqa: N802 - gRPC's name
        self, request: rewrite_pb2.LearnRequest, context: _Context
    ) -> rewrite_pb2.LearnResponse:
        """Learn the values of a catalogue that has many."""
        traceparent = read_traceparent(context.invocation_metadata() or ())
        with self._tracer.served(_LEARN, traceparent) as span:
            if self._linker is None:
                await self._refuse(context, span, grpc.StatusCode.UNIMPLEMENTED, "links no words")
            async with self._call(context, span), asyncio.timeout(LEARN_S):
                learnt = await self._linker.learn(request)
        return rewrite_pb2.LearnResponse(learnt=learnt)

    async def _respond(
        self, request: rewrite_pb2.RewriteRequest, context: _Context, span: Span
    ) -> rewrite_pb2.RewriteResponse:
        """Answer one turn, or end the call with what was wrong."""
        async with self._call(context, span):
            with self._metrics.request_seconds.time():
                rewrite, unknown = await self._answer(
                    request, context.time_remaining(), request_id=_request_id(context)
                )
        return rewrite_pb2.RewriteResponse(
            rewrite=rewrite, model_version=self._engine.version, unknown_vocabulary=unknown
        )

    @asynccontextmanager
    async def _call(self, context: _Context, span: Span) -> AsyncIterator[None]:
        """Hold a slot for a call and count it, or end it with what was wrong."""
        refuse = partial(self._refuse, context, span)
        try:
            with self._slot():
                yield
        except InvalidRequest as error:
            violation = error_details_pb2.BadRequest.FieldViolation(
                field=error.field, description=error.reason
            )
            details = error_details_pb2.BadRequest(field_violations=[violation])
            await refuse(grpc.StatusCode.INVALID_ARGUMENT, str(error), details)
        except (Overloaded, TooManyVocabularies):
            details = error_details_pb2.RetryInfo(retry_delay=Duration(nanos=RETRY_AFTER_MS * 1_000_000))
            await refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many calls", details)
        except TimeoutError:
            await refuse(grpc.StatusCode.DEADLINE_EXCEEDED, "not learnt in time")
        except EngineError as error:
            log_event(_logger, logging.ERROR, "no_engine", failure=str(error))
            await refuse(grpc.StatusCode.UNAVAILABLE, "no engine answered")
        self._count(grpc.StatusCode.OK, span)

    async def _answer(
        self, request: rewrite_pb2.RewriteRequest, remaining_s: float | None, *, request_id: str
    ) -> tuple[rewrite_pb2.Rewrite, bool]:
        """Return the reading of a turn, and whether it names a vocabulary that is not known."""
        started = time.perf_counter()
        check_request(request)
        request = as_read(request)
        unknown = self._linker is not None and not self._linker.knows(request)
        rewrite = await self._engine.rewrite(request, timeout_s=self._timeout(remaining_s))
        if unknown and not rewrite.failure:
            rewrite.failure = FAILURE
        route = query_pb2.Route.Name(rewrite.route)
        self._metrics.rewrites.labels(route).inc()
        log_event(
            _logger,
            logging.INFO,
            "rewritten",
            request_id=request_id,
            route=route,
            source=rewrite.source,
            characters=len(request.text),
            turns=len(request.history),
            duration_ms=round((time.perf_counter() - started) * 1e3, 2),
        )
        return rewrite, unknown

    def _timeout(self, remaining_s: float | None) -> float:
        return min(self._default_timeout_s if remaining_s is None else remaining_s, self._max_timeout_s)

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if self._in_flight >= self._max_in_flight:
            raise Overloaded
        self._in_flight += 1
        self._metrics.in_flight.set(self._in_flight)
        try:
            yield
        finally:
            self._in_flight -= 1
            self._metrics.in_flight.set(self._in_flight)

    async def _refuse(
        self, context: _Context, span: Span, code: grpc.StatusCode, message: str, *details: Message
    ) -> NoReturn:
        """End the call with a rich status."""
        self._count(code, span)
        status = status_pb2.Status(code=code.value[0], message=message)
        for detail in details:
            status.details.add().Pack(detail)
        await context.abort_with_status(rpc_status.to_status(status))
        raise AssertionError("abort_with_status raises")

    def _count(self, code: grpc.StatusCode, span: Span) -> None:
        self._metrics.requests.labels(code.name).inc()
        span.end(
            {"rpc.system": "grpc", "rpc.grpc.status_code": code.value[0]},
            fault=code.name if code is grpc.StatusCode.UNAVAILABLE else "",
        )


def as_read(request: rewrite_pb2.RewriteRequest) -> rewrite_pb2.RewriteRequest:
    """Return the request with the words of its turn that are read; the rest of a longer one is left alone."""
    read = opening(request.text, MAX_READ_WORDS)
    if len(read) == len(request.text):
        return request
    cut = rewrite_pb2.RewriteRequest()
    cut.CopyFrom(request)
    cut.text = read
    return cut


def _request_id(context: _Context) -> str:
    """Return the caller's id of the request; empty where it sent none, or one that is no id."""
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID_HEADER and isinstance(value, str) and _REQUEST_ID.fullmatch(value):
            return value
    return ""
