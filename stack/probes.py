"""Probes: each asks a service a real question and raises what is wrong with the answer.

ProbeError       no answer, or a wrong one
├── Broken       it will never answer again
├── Slow         no answer in time
├── Busy         it says that it is overloaded
└── NotReady     it is well and waits for another service
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import grpc
import grpc.aio
import numpy as np
import tritonclient.grpc.aio as triton_client
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pymilvus.grpc_gen import milvus_pb2, milvus_pb2_grpc

from stack.processes import dead_children
from vitrine.tensors import EMBED_TEXT
from vitrine.v1 import rewrite_pb2, rewrite_pb2_grpc

TIMEOUT_S = 5.0
"""What one probe may last: a hundred times an inference on the idle machine."""

STRIKES_OUT = 30
"""A service is restarted when the strikes of failures in a row reach this; one right answer clears them."""

QUESTION = "dress"

CHANNEL_OPTIONS = (("grpc.use_local_subchannel_pool", 1),)
"""Every probe connects anew; a shared pool would make it wait out the back-off of the probe before."""

COLLECTION_NOT_FOUND = 100
"""Milvus's code."""

FOUND, TOO_MANY_REQUESTS, SERVICE_UNAVAILABLE = 200, 429, 503
"""HTTP's codes."""

Probe = Callable[[int], Awaitable[None]]
"""Asks the service that runs as the pid; returns when it is well and raises a ProbeError when it is not."""


class ProbeError(Exception):
    """The service gave no answer, or a wrong one: three of these in a row."""

    strikes = 10


class Broken(ProbeError):  # noqa: N818 - a finding, read as "the service is broken"
    """The service cannot mend itself: one is enough."""

    strikes = STRIKES_OUT


class Slow(ProbeError):  # noqa: N818
    """The answer did not come in time: ten in a row, a bit over a minute."""

    strikes = 3


class Busy(ProbeError):  # noqa: N818
    """The service refused because it is overloaded: a minute of nothing else."""

    strikes = 1


class NotReady(ProbeError):  # noqa: N818
    """The service waits for another one; restarting it would not help."""

    strikes = 0


async def within(probe: Awaitable[None], timeout_s: float = TIMEOUT_S) -> None:
    """Await a probe for so long, and translate what it raises into one ProbeError."""
    try:
        async with asyncio.timeout(timeout_s):
            await probe
    except TimeoutError:
        raise Slow(f"no answer within {timeout_s:g} s") from None
    except grpc.RpcError as error:
        raise _translated(error) from error


def triton(address: str) -> Probe:
    """Probe Triton by embedding a word, and by looking for dead Python backends.

    Those take no part in the server's own readiness: it says "ready" for ever after one died.
    """

    async def probe(pid: int) -> None:
        if dead := dead_children(pid):
            raise Broken(f"a Python backend died: {dead[0]}")
        async with triton_client.InferenceServerClient(address, channel_args=CHANNEL_OPTIONS) as client:
            try:
                await _embed_word(client)
            except triton_client.InferenceServerException as error:
                raise _translated_triton(error) from error

    return probe


def milvus(target: str) -> Probe:
    """Probe Milvus by listing its collections and counting the rows of the first."""

    async def probe(_: int) -> None:
        async with _channel(target) as channel:
            stub = milvus_pb2_grpc.MilvusServiceStub(channel)
            listing = await stub.ShowCollections(milvus_pb2.ShowCollectionsRequest(), timeout=TIMEOUT_S)
            if listing.status.code:
                raise ProbeError(f"cannot list collections: {listing.status.reason}")
            for name in listing.collection_names[:1]:
                await _count_rows(stub, name)

    return probe


def rewriter(address: str) -> Probe:
    """Probe the rewriter by rewriting a query."""

    async def probe(_: int) -> None:
        async with _channel(address) as channel:
            await _require_serving(channel)
            stub = rewrite_pb2_grpc.RewriteServiceStub(channel)
            answer = await stub.Rewrite(rewrite_pb2.RewriteRequest(text=QUESTION), timeout=TIMEOUT_S)
            if not answer.rewrite.query:
                raise ProbeError(f"rewrote {QUESTION!r} into nothing")

    return probe


def serving(address: str) -> Probe:
    """Probe a gRPC server by its health service."""

    async def probe(_: int) -> None:
        async with _channel(address) as channel:
            await _require_serving(channel)

    return probe


def page(address: str) -> Probe:
    """Probe the storefront by fetching the page, and its word on the gateway behind it."""

    async def probe(_: int) -> None:
        try:
            async with aiohttp.ClientSession(f"http://{address}") as session:
                for path in ("/", "/healthz"):
                    async with session.get(path) as answer:
                        _require_found(path, answer.status)
        except aiohttp.ClientError as error:
            raise ProbeError(str(error)) from error

    return probe


def _channel(target: str) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS)


async def _embed_word(client: triton_client.InferenceServerClient) -> None:
    if not await client.is_server_ready():
        raise ProbeError("the server is not ready")
    word = triton_client.InferInput(EMBED_TEXT.inputs[0].name, [1, 1], EMBED_TEXT.inputs[0].dtype)
    word.set_data_from_numpy(np.array([[QUESTION.encode()]], dtype=np.object_))
    answer = await client.infer(EMBED_TEXT.name, [word], client_timeout=TIMEOUT_S)
    embedding = answer.as_numpy(EMBED_TEXT.outputs[0].name)
    if embedding is None or embedding.shape[:-1] != (1,) or not np.isfinite(embedding).all():
        raise ProbeError(f"{EMBED_TEXT.name} gave no finite embedding of one row")


async def _count_rows(stub: milvus_pb2_grpc.MilvusServiceStub, collection: str) -> None:
    request = milvus_pb2.QueryRequest(collection_name=collection, output_fields=["count(*)"])
    answer = await stub.Query(request, timeout=TIMEOUT_S)
    # Between the listing and the count the collection may have been dropped.
    if answer.status.code not in {0, COLLECTION_NOT_FOUND}:
        raise ProbeError(f"cannot count the rows of {collection}: {answer.status.reason}")


async def _require_serving(channel: grpc.aio.Channel) -> None:
    stub: Any = health_pb2_grpc.HealthStub(channel)  # its type stubs leave the methods out
    answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise NotReady(f"health says {health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)}")


def _require_found(path: str, status: int) -> None:
    if status == SERVICE_UNAVAILABLE:
        raise NotReady("the gateway does not answer it")
    if status == TOO_MANY_REQUESTS:
        raise NotReady("the gateway is busy")
    if status != FOUND:
        raise ProbeError(f"GET {path} answers {status}")


def _translated(error: grpc.RpcError) -> ProbeError:
    code, details = error.code(), error.details()
    kind = {
        grpc.StatusCode.DEADLINE_EXCEEDED: Slow,
        grpc.StatusCode.RESOURCE_EXHAUSTED: Busy,
    }.get(code, ProbeError)
    return kind(f"{code.name}: {details}")


def _translated_triton(error: triton_client.InferenceServerException) -> ProbeError:
    status, message = str(error.status()), error.message()
    # A full queue and an expired wait in it are UNAVAILABLE, as an absent server is; only the words differ.
    if "Exceeds maximum queue size" in message or "timeout expired" in message:
        return Busy(message)
    if "Stub process" in message:
        return Broken(message)
    if "DEADLINE_EXCEEDED" in status:
        return Slow(message)
    return ProbeError(f"{status.removeprefix('StatusCode.')}: {message}")
