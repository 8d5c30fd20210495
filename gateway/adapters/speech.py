"""The speech service over gRPC, on loopback or in the next pod."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2  # type: ignore[import-untyped] # it has no py.typed
from grpc import aio
from grpc_status import rpc_status

from gateway.adapters.channels import CHANNEL_OPTIONS
from gateway.context import hop_metadata
from gateway.errors import DeadlineExceeded, InvalidQuery, Overloaded, SearchError, SpeechError
from gateway.model import Transcript
from vitrine.channels import Tls, open_channel
from vitrine.domain.limits import MAX_TRANSCRIPT_LENGTH
from vitrine.process.tracing import span
from vitrine.v1 import speech_pb2, speech_pb2_grpc

FIELD = "audio"

_MAX_ANSWER = [("grpc.max_receive_message_length", 16_000)]
"""What is said in half a minute is short; more than this is none."""
_RETRY_S = 2.0
_MOST_RETRY_S = 30.0


@asynccontextmanager
async def open_speech(address: str, *, tls: Tls | None = None) -> AsyncIterator["GrpcTranscriber"]:
    """Open the speech service; one that is not there yet is connected to when it comes."""
    async with open_channel(address, tls, options=[*CHANNEL_OPTIONS, *_MAX_ANSWER]) as channel:
        yield GrpcTranscriber(speech_pb2_grpc.SpeechServiceStub(channel))


class GrpcTranscriber:
    """Implements gateway.ports.Transcriber."""

    def __init__(self, stub: "speech_pb2_grpc.SpeechServiceAsyncStub") -> None:
        self._stub = stub

    async def transcribe(self, audio: bytes, *, language: str, timeout_s: float) -> Transcript:
        """Return what was said; SpeechError for every failure that is neither the recording's, nor lateness, nor load."""
        request = speech_pb2.TranscribeRequest(audio=audio, language=language)
        with span("speech Transcribe", **{"peer.service": "speech"}):
            try:
                answer = await self._stub.Transcribe(request, timeout=timeout_s, metadata=hop_metadata())
            except aio.AioRpcError as error:
                raise _translated(error) from error
        return Transcript(
            text=answer.text[:MAX_TRANSCRIPT_LENGTH],
            language=answer.language,
            seconds=answer.seconds,
        )


def _translated(error: aio.AioRpcError) -> SearchError:
    match error.code():
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceeded("what was said was not heard in time")
        case grpc.StatusCode.INVALID_ARGUMENT if reason := _reason(error):
            return InvalidQuery(FIELD, reason)
        case grpc.StatusCode.RESOURCE_EXHAUSTED if (wait_s := _wait_s(error)) is not None:
            return Overloaded("too many recordings wait to be heard", retry_after_s=wait_s)
    return SpeechError()


def _reason(error: aio.AioRpcError) -> str:
    """Return what is wrong with the recording; empty where the status does not say."""
    request = error_details_pb2.BadRequest()
    for violation in request.field_violations if _detail(error, request) else ():
        if violation.field == FIELD:
            return str(violation.description)
    return ""


def _wait_s(error: aio.AioRpcError) -> float | None:
    """Return what the service asks to wait; None where it says nothing, as gRPC's own refusals do not."""
    info = error_details_pb2.RetryInfo()
    if not _detail(error, info):
        return None
    return min(max(info.retry_delay.ToMilliseconds() / 1e3, 0.0), _MOST_RETRY_S) or _RETRY_S


def _detail(error: aio.AioRpcError, into: Message) -> bool:
    """Fill in the first detail of this kind; False where there is none."""
    try:
        status = rpc_status.from_call(error)  # type: ignore[arg-type] # it has what is asked of a call
    except ValueError:
        return False
    return status is not None and any(detail.Unpack(into) for detail in status.details)
