"""A rewriter in memory, and a gateway over the fakes on loopback."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from grpc import aio

from gateway.adapters.memory_sessions import memory_sessions
from gateway.conversation.sessions import SessionStore
from gateway.edge.interceptors import Edge
from gateway.errors import DeadlineExceeded
from gateway.metrics import Metrics
from gateway.model import StoredProduct
from gateway.ports import EventStore, Phraser, Rewriter, RewriterUnavailable, Transcriber
from gateway.settings import Settings
from gateway.sponsoring.store import CampaignStore
from gateway.testing.blocked import FakeBlocked, FakeDecoder
from gateway.testing.documents import FakeDocuments
from gateway.testing.encoder import FakeEncoder
from gateway.testing.index import FakeIndex
from vitrine.process.tracing import UNTRACED, Tracer
from vitrine.v1 import rewrite_pb2

PATIENT = Settings(
    rewrite_budget_ms=30_000,
    rewrite_budget_floor_ms=30_000,
    converse_budget_ms=30_000,
    converse_budget_floor_ms=30_000,
    history_timeout_ms=30_000,
)
"""On a busy machine a fake is late too, and few tests are about that."""


@dataclass
class FakeRewriter:
    """Answers with what `answer` gives."""

    answer: Callable[[rewrite_pb2.RewriteRequest], rewrite_pb2.Rewrite]
    fails: bool = False
    delay_s: float = 0.0
    version: str = ""
    requests: list[rewrite_pb2.RewriteRequest] = field(default_factory=list)
    learnt: dict[bytes, bytes] = field(default_factory=dict)
    """The vocabularies that it knows, by digest."""

    async def rewrite(
        self, request: rewrite_pb2.RewriteRequest, *, timeout_s: float
    ) -> rewrite_pb2.RewriteResponse:
        """Return the answer; fails and dawdles as it was told to."""
        self.requests.append(request)
        if self.delay_s > timeout_s:
            await asyncio.sleep(timeout_s)
            raise DeadlineExceeded("the fake did not answer in time")
        await asyncio.sleep(self.delay_s)
        if self.fails:
            raise RewriterUnavailable
        unknown = bool(request.vocabulary) and request.vocabulary not in self.learnt
        return rewrite_pb2.RewriteResponse(
            rewrite=self.answer(request), model_version=self.version, unknown_vocabulary=unknown
        )

    async def learn(
        self,
        request: rewrite_pb2.LearnRequest,
        *,
        timeout_s: float,  # noqa: ARG002 - the port's signature
    ) -> bool:
        """Take a vocabulary; fails as it was told to."""
        if self.fails:
            raise RewriterUnavailable
        known = request.digest in self.learnt
        self.learnt[request.digest] = request.vocabulary
        return not known


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedGateway:
    """A gateway that serves, and a channel to it."""

    address: str
    catalogue_address: str
    """The same one where the catalogue has no listener of its own."""
    channel: aio.Channel
    metrics: Metrics
    edge: Edge


@asynccontextmanager
async def serving(
    *,
    products: Iterable[StoredProduct] = (),
    encoder: FakeEncoder | None = None,
    next_encoder: FakeEncoder | None = None,
    index: FakeIndex | None = None,
    rewriter: Rewriter | None = None,
    phraser: Phraser | None = None,
    transcriber: Transcriber | None = None,
    sessions: SessionStore | None = None,
    documents: FakeDocuments | None = None,
    events: EventStore | None = None,
    blocked: FakeBlocked | None = None,
    decoder: FakeDecoder | None = None,
    campaigns: CampaignStore | None = None,
    settings: Settings | None = None,
    tracer: Tracer = UNTRACED,
    port: int = 0,
    warm_up: bool = False,
) -> AsyncIterator[ServedGateway]:
    """Serve a gateway over the fakes on a port of loopback, by default any that is free; without settings, one that is patient with the rewriter.

    With `warm_up` the rewriter is asked what nobody has asked the gateway.
    """
    # Imported here since tests of the index alone need no gateway.
    from gateway.assembly.moderation import PictureDependencies  # noqa: PLC0415
    from gateway.assembly.serving import Dependencies, serving_gateway  # noqa: PLC0415

    index = FakeIndex.holding(products) if index is None else index
    settings = replace(settings or PATIENT, listen=f"127.0.0.1:{port}", rewrite_warm_up=int(warm_up))
    dependencies = Dependencies(
        encoder=FakeEncoder() if encoder is None else encoder,
        next_encoder=next_encoder,
        index=index,
        administrator=index,
        documents=documents or FakeDocuments(),
        rewriter=rewriter,
        phraser=phraser,
        transcriber=transcriber,
        sessions=sessions or memory_sessions(settings),
        events=events,
        pictures=PictureDependencies(store=blocked or FakeBlocked(), decoder=decoder or FakeDecoder()),
        campaigns=campaigns,
    )
    async with serving_gateway(settings, dependencies, tracer=tracer) as gateway:
        address = f"127.0.0.1:{gateway.port}"
        # A channel of its own: otherwise channels to equal ports of different tests share their connections.
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
        async with aio.insecure_channel(address, options=options) as channel:
            yield ServedGateway(
                address=address,
                catalogue_address=f"127.0.0.1:{gateway.listeners.catalogue.port}",
                channel=channel,
                metrics=gateway.metrics,
                edge=gateway.edge,
            )
