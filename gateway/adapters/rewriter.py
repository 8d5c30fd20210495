"""The rewriter over gRPC, on loopback or in the next pod."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import grpc
from grpc import aio

from gateway.adapters.channels import CHANNEL_OPTIONS
from gateway.context import hop_metadata
from gateway.errors import DeadlineExceeded
from gateway.ports import RewriterUnavailable
from vitrine.channels import Tls, open_channel
from vitrine.process.tracing import span
from vitrine.v1 import rewrite_pb2, rewrite_pb2_grpc

_MAX_ANSWER = [("grpc.max_receive_message_length", 64_000)]
"""What a rewriter says is short; more than this is none."""


@asynccontextmanager
async def open_rewriter(address: str, *, tls: Tls | None = None) -> AsyncIterator["GrpcRewriter"]:
    """Open the rewriter; one that is not there yet is connected to when it comes."""
    async with open_channel(address, tls, options=[*CHANNEL_OPTIONS, *_MAX_ANSWER]) as channel:
        yield GrpcRewriter(rewrite_pb2_grpc.RewriteServiceStub(channel))


class GrpcRewriter:
    """Implements gateway.ports.Rewriter and Phraser."""

    def __init__(self, stub: "rewrite_pb2_grpc.RewriteServiceAsyncStub") -> None:
        self._stub = stub

    async def rewrite(
        self, request: rewrite_pb2.RewriteRequest, *, timeout_s: float
    ) -> rewrite_pb2.RewriteResponse:
        """Return what the turn needs; RewriterUnavailable for every failure but lateness."""
        with _asking("Rewrite"):
            return await self._stub.Rewrite(request, timeout=timeout_s, metadata=hop_metadata())

    async def learn(self, request: rewrite_pb2.LearnRequest, *, timeout_s: float) -> bool:
        """Have a rewriter learn a vocabulary; RewriterUnavailable for every failure but lateness."""
        with _asking("Learn"):
            answer = await self._stub.Learn(request, timeout=timeout_s, metadata=hop_metadata())
            return answer.learnt

    async def phrase(self, request: rewrite_pb2.PhraseRequest, *, timeout_s: float) -> str:
        """Return what the rewriter's model says; RewriterUnavailable for every failure but lateness."""
        with _asking("Phrase"):
            answer = await self._stub.Phrase(request, timeout=timeout_s, metadata=hop_metadata())
            return answer.reply


@contextmanager
def _asking(method: str) -> Iterator[None]:
    with span(f"rewriter {method}", **{"peer.service": "rewriter"}):
        try:
            yield
        except aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise DeadlineExceeded("the rewriter did not answer in time") from error
            raise RewriterUnavailable from error
