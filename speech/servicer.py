"""The speech service: a recording, decoded and heard within the caller's time; nothing of it is kept or logged."""

import asyncio
import logging
import re
import time
from functools import partial
from typing import Any, NoReturn, Protocol

import grpc
import numpy as np
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped] # it has no py.typed
from grpc import aio
from grpc_status import rpc_status

from speech.desk import Desk, Overloaded
from speech.engines.port import NOTHING, SAMPLE_RATE, Engine, EngineError, Samples
from speech.metrics import Metrics
from vitrine.audio_header import AudioRejected, inspect_audio
from vitrine.process.logs import log_event
from vitrine.process.tracing import UNTRACED, Span, Tracer, read_traceparent, span
from vitrine.v1 import speech_pb2, speech_pb2_grpc

RETRY_AFTER_S = 2
"""What a refused caller is told to wait: about one recording's time."""

FAINTEST = 0.003
"""The loudest sample of what is silence for sure: 50 decibels below the loudest there can be."""

REQUEST_ID_HEADER = "x-request-id"
_METHOD = "vitrine.v1.SpeechService/Transcribe"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_LANGUAGE = re.compile(r"[a-z]{2,3}|")

_logger = logging.getLogger(__name__)

_Context = aio.ServicerContext[Any, Any]


class Decodes(Protocol):
    """Makes samples of a recording."""

    async def decode(self, audio: bytes) -> Samples:
        """Return the samples; raises AudioRejected."""

    async def prepare(self) -> None:
        """Get ready for the next one."""


class SpeechServicer(speech_pb2_grpc.SpeechServiceServicer):
    """Answers Transcribe."""

    def __init__(
        self,
        engine: Engine,
        decoder: Decodes,
        desk: Desk,
        metrics: Metrics,
        *,
        default_timeout_s: float,
        max_timeout_s: float,
        tracer: Tracer = UNTRACED,
    ) -> None:
        self._engine = engine
        self._decoder = decoder
        self._desk = desk
        self._metrics = metrics
        self._default_timeout_s = default_timeout_s
        self._max_timeout_s = max_timeout_s
        self._tracer = tracer
        metrics.hearing.set_function(lambda: desk.hearing)
        metrics.waiting.set_function(lambda: desk.waiting)

    async def Transcribe(  # noqa: N802 - gRPC's name
        self, request: speech_pb2.TranscribeRequest, context: _Context
    ) -> speech_pb2.TranscribeResponse:
        """Hear one recording, or end the call with what was wrong."""
        traceparent = read_traceparent(context.invocation_metadata() or ())
        with self._tracer.served(_METHOD, traceparent) as current:
            refuse = partial(self._refuse, context, current)
            try:
                with self._metrics.request_seconds.time():
                    async with asyncio.timeout(self._timeout_s(context)):
                        answer = await self._answer(request, request_id=_request_id(context))
            except AudioRejected as error:
                await refuse(grpc.StatusCode.INVALID_ARGUMENT, f"audio: {error.reason}", _bad("audio", error))
            except Overloaded:
                details = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=RETRY_AFTER_S))
                await refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many recordings wait", details)
            except TimeoutError:
                await refuse(grpc.StatusCode.DEADLINE_EXCEEDED, "it was not heard in time")
            except EngineError as error:
                log_event(_logger, logging.ERROR, "no_engine", failure=str(error))
                await refuse(grpc.StatusCode.UNAVAILABLE, "no engine answered")
            self._count(grpc.StatusCode.OK, current)
            return answer

    async def _answer(
        self, request: speech_pb2.TranscribeRequest, *, request_id: str
    ) -> speech_pb2.TranscribeResponse:
        started = time.perf_counter()
        header = inspect_audio(request.audio)
        language = request.language if _LANGUAGE.fullmatch(request.language) else ""
        async with self._desk.place():
            with span("decode"):
                samples = await self._decoder.decode(request.audio)
            with span("hear"):
                silent = float(np.abs(samples).max(initial=0.0)) < FAINTEST
                heard = NOTHING if silent else await self._engine.transcribe(samples, language=language)
        await self._decoder.prepare()
        seconds = len(samples) / SAMPLE_RATE
        outcome = "understood" if heard.text else "nothing"
        self._metrics.transcripts.labels(outcome).inc()
        self._metrics.audio_seconds.inc(seconds)
        log_event(
            _logger,
            logging.INFO,
            "heard",
            request_id=request_id,
            outcome=outcome,
            container=header.format,
            seconds=round(seconds, 2),
            duration_ms=round((time.perf_counter() - started) * 1e3, 2),
        )
        return speech_pb2.TranscribeResponse(
            text=heard.text, language=heard.language, seconds=seconds, model_version=self._engine.version
        )

    def _timeout_s(self, context: _Context) -> float:
        remaining_s = context.time_remaining()
        return min(self._default_timeout_s if remaining_s is None else remaining_s, self._max_timeout_s)

    async def _refuse(
        self, context: _Context, current: Span, code: grpc.StatusCode, message: str, *details: Message
    ) -> NoReturn:
        """End the call with a rich status."""
        self._count(code, current)
        status = status_pb2.Status(code=code.value[0], message=message)
        for detail in details:
            status.details.add().Pack(detail)
        await context.abort_with_status(rpc_status.to_status(status))
        raise AssertionError("abort_with_status raises")

    def _count(self, code: grpc.StatusCode, current: Span) -> None:
        self._metrics.requests.labels(code.name).inc()
        current.end(
            {"rpc.system": "grpc", "rpc.grpc.status_code": code.value[0]},
            fault=code.name if code is grpc.StatusCode.UNAVAILABLE else "",
        )


def _bad(field: str, error: AudioRejected) -> Message:
    violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=error.reason)
    return error_details_pb2.BadRequest(field_violations=[violation])  # type: ignore[no-any-return] # untyped import


def _request_id(context: _Context) -> str:
    """Return the caller's id of the request; empty where it sent none, or one that is no id."""
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID_HEADER and isinstance(value, str) and _REQUEST_ID.fullmatch(value):
            return value
    return ""
