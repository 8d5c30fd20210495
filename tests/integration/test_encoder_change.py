"""Encoders are changed under live load: beside the old ones, with an index of their own; and without warning."""

import asyncio
import json
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnx
import pytest
from grpc import aio
from numpy.typing import NDArray
from pyarrow import parquet
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from export.manifest import file_digest
from export.model_config import read_config, stamp, write_config
from stack import triton_runtime
from stack.processes import unlink_shared_memory
from stack.settings import Settings
from vitrine.repository import MANIFEST_FILE, identity_digest, published_files
from vitrine.tensors import EMBED_TEXT, EMBEDDING, ENCODERS, MAX_BATCH_SIZE
from vitrine.v1 import catalogue_pb2, catalogue_pb2_grpc, search_pb2, search_pb2_grpc

from .tritons import start_triton

PATIENCE_S = 120.0
CALL_S = 60.0
EXACT = 5e-3
"""Of a score: a batch of another size moves an int8 embedding a little; the opposite embedding is off by far more."""
COLOURS = ("red", "blue", "green", "black", "white")
KINDS = ("dress", "top", "jacket", "skirt", "hat", "bag")

Vectors = NDArray[np.float32]


def publish_opposite(published: Path, folder: Path) -> None:
    """Publish encoders whose embeddings are the opposite ones, under a manifest of their own."""
    shutil.copytree(published, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for spec in ENCODERS:
        path = folder / spec.name / "1/model.onnx"
        model = onnx.load(path)
        output = model.graph.output[0].name
        for node in model.graph.node:
            node.output[:] = [f"{name}_before" if name == output else name for name in node.output]
        model.graph.node.append(onnx.helper.make_node("Neg", [f"{output}_before"], [output]))
        onnx.save(model, path)
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    identity = manifest["identity"] | {"weights": {"all": "opposite"}}
    digest = identity_digest(identity)
    for path in folder.glob("*/config.pbtxt"):
        config = read_config(path)
        stamp(config, digest)
        write_config(path, config)
    ours = [path for path in published_files(folder) if path.name != MANIFEST_FILE]
    files = {path.relative_to(folder).as_posix(): file_digest(path) for path in ours}
    (folder / MANIFEST_FILE).write_text(
        json.dumps(manifest | {"digest": digest, "identity": identity, "files": files})
    )


def digest_of(repository: Path) -> str:
    digest: str = json.loads((repository / MANIFEST_FILE).read_text())["digest"]
    return digest


@asynccontextmanager
async def running_triton(settings: Settings) -> AsyncIterator[None]:
    """Run a Triton beside the stack's."""
    triton_runtime.prepare(settings.state)
    process = await asyncio.to_thread(
        start_triton,
        triton_runtime.command(settings, settings.state),
        triton_runtime.environment(os.environ),
        address=settings.triton_grpc,
        log=settings.state / "triton.log",
        prefix=settings.prefix,
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()
        unlink_shared_memory(settings.prefix)


@dataclass
class Balancer:
    """Stands for a Kubernetes service: connections go to the current address, and end when it changes."""

    target: str
    address: str = ""
    _open: list[asyncio.StreamWriter] = field(default_factory=list)

    def switch(self, target: str) -> None:
        """Send everybody elsewhere."""
        self.target = target
        for writer in self._open:
            writer.close()
        self._open.clear()

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        host, _, port = self.target.rpartition(":")
        try:
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.close()
            return
        self._open += [writer, far_writer]
        await asyncio.gather(_carry(reader, far_writer), _carry(far_reader, writer))


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def balanced(target: str) -> AsyncIterator[Balancer]:
    """Run a balancer."""
    balancer = Balancer(target)
    server = await asyncio.start_server(balancer.connect, "127.0.0.1", 0)
    balancer.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield balancer
    finally:
        server.close()
        balancer.switch("")
        await asyncio.sleep(0.2)  # connections see that they ended


@dataclass(frozen=True, slots=True)
class Found:
    """The first hit of an answer."""

    text: str
    product_id: str
    parts: tuple[float, float]
    model: str


@dataclass
class Shopper:
    """Searches all the time, every other time for words that nobody searched before."""

    search: Any
    tag: str
    found: list[Found] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    async def go_on(self) -> None:
        """Search until cancelled."""
        for i in range(1_000_000):
            words = f"{COLOURS[i % 5]} {KINDS[i % 6]}"
            await self.ask(f"{words} {self.tag} {i}" if i % 2 else words)
            await asyncio.sleep(0.01)

    async def ask(self, text: str) -> None:
        """Search once."""
        request = search_pb2.SearchRequest(text=text, limit=1, rewrite=search_pb2.REWRITE_MODE_OFF)
        try:
            answer = await self.search.Search(request, timeout=CALL_S)
        except aio.AioRpcError as error:
            self.failed.append(f"{error.code().name}: {error.details()}")
            return
        (hit,) = answer.hits
        self.found.append(
            Found(text, hit.product_id, (hit.parts.text, hit.parts.image), answer.versions.model)
        )


async def embed(triton: str, texts: Sequence[str]) -> Vectors:
    """Embed texts by a Triton, with nothing of the gateway between."""
    rows = []
    async with InferenceServerClient(triton) as client:
        for start in range(0, len(texts), MAX_BATCH_SIZE):
            batch = np.array(
                [[text.encode()] for text in texts[start : start + MAX_BATCH_SIZE]], dtype=object
            )
            tensor = InferInput("text", list(batch.shape), "BYTES")
            tensor.set_data_from_numpy(batch)
            answer = await client.infer(EMBED_TEXT.name, [tensor], client_timeout=CALL_S)
            rows.append(np.asarray(answer.as_numpy(EMBEDDING.name)))
    return np.concatenate(rows)


async def wrong(
    found: Sequence[Found], triton: str, stored: Mapping[str, tuple[Vectors, Vectors]]
) -> list[Found]:
    """Return the answers that an exact search does not give.

    Opposite words and opposite products have the products of the others: both pairs answer alike, and a mixture of them
    has scores of the other sign.
    """
    texts = sorted({each.text for each in found})
    vectors = dict(zip(texts, await embed(triton, texts), strict=True))

    def parts(text: str, product_id: str) -> tuple[float, float]:
        words, picture = stored[product_id]
        return float(vectors[text] @ words), float(vectors[text] @ picture)

    def is_right(each: Found) -> bool:
        best = max(sum(parts(each.text, product_id)) for product_id in stored)
        exact = parts(each.text, each.product_id)
        return bool(np.allclose(each.parts, exact, atol=EXACT) and sum(exact) > best - EXACT)

    return [each for each in found if not is_right(each)]


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it holds."""
    give_up = time.monotonic() + PATIENCE_S
    while not await holds():
        assert time.monotonic() < give_up, "it does not come to pass"
        await asyncio.sleep(0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A stack whose gateway reaches its Triton through a balancer, and may reach another beside it."""

    stack: Any
    balancer: Balancer
    second: Settings
    channel: aio.Channel

    @property
    def search(self) -> Any:
        """Give the service that searches."""
        return search_pb2_grpc.SearchServiceStub(self.channel)

    @property
    def catalogue(self) -> Any:
        """Give the service that writes."""
        return catalogue_pb2_grpc.CatalogueServiceStub(self.channel)

    async def index(self, *options: str) -> None:
        """Index the catalogue."""
        await asyncio.to_thread(self.stack.index, *options)

    async def stored(self) -> dict[str, tuple[Vectors, Vectors]]:
        """Read the vectors of all products."""
        ids = parquet.read_table(self.stack.catalogue / "products.parquet")["id"].to_pylist()
        vectors = {}
        for product_id in ids:
            request = catalogue_pb2.GetProductRequest(product_id=product_id)
            answer = await self.catalogue.GetProduct(request, timeout=CALL_S)
            words, picture = (
                np.frombuffer(raw, "<f4") for raw in (answer.text_embedding, answer.image_embedding)
            )
            vectors[product_id] = words, picture
        return vectors

    async def second_answers(self) -> bool:
        """Tell whether the Triton beside serves."""
        try:
            await embed(self.second.triton_grpc, ["ready"])
        except InferenceServerException:
            return False
        return True


@asynccontextmanager
async def scene(starter: Any, repository: Path, second: Settings) -> AsyncIterator[Scene]:
    """Bring the stack up with the catalogue in its index; the second Triton is not there yet."""
    publish_opposite(repository, second.repository)
    async with balanced(starter.triton) as balancer:
        own = {
            "GATEWAY_TRITON": balancer.address,
            "GATEWAY_TRITON_NEXT": second.triton_grpc,
            "GATEWAY_LEXICAL_SHARE": "0",
            "GATEWAY_PICTURE_CATEGORY_PRECISION": "0",
        }
        stack = await asyncio.to_thread(starter.start, repository, own)
        async with aio.insecure_channel(stack.gateway, options=[("grpc.enable_retries", 0)]) as channel:
            ready = Scene(stack=stack, balancer=balancer, second=second, channel=channel)
            await ready.index()
            yield ready


@pytest.mark.timeout(900)
async def test_encoders_change_without_an_outage(
    stack_starter: Any, model_repository: Path, second_triton: Settings
) -> None:
    """Beside the old ones, with an index of their own, there and back: none of the searches meanwhile fails or is wrong.

    Exchanged without warning, searches are refused, none is answered wrongly then or from memory later, and an ingest
    that is open ends before it writes what the others computed.
    """
    async with scene(stack_starter, model_repository, second_triton) as at:
        old, new = digest_of(model_repository), digest_of(second_triton.repository)
        stored = await at.stored()
        shopper = Shopper(at.search, "live")
        load = [asyncio.create_task(shopper.go_on()) for _ in range(2)]

        async def answers_with(manifest: str) -> None:
            seen = len(shopper.found)

            async def holds() -> bool:
                later = shopper.found[seen:]
                return len(later) >= 20 and all(each.model == manifest for each in later[-20:])

            await until(holds)

        await answers_with(old)
        async with running_triton(at.second):
            await until(at.second_answers)
            await at.index("--rebuild")
            await answers_with(new)
            await at.catalogue.RestoreIndex(catalogue_pb2.RestoreIndexRequest(), timeout=CALL_S)
            await answers_with(old)
            for task in load:
                task.cancel()
            await asyncio.gather(*load, return_exceptions=True)
            assert shopper.failed == []
            assert {each.model for each in shopper.found} == {old, new}
            assert await wrong(shopper.found, at.stack.triton, stored) == []
            await _exchange_without_warning(at, stored)


async def _exchange_without_warning(at: Scene, stored: Mapping[str, tuple[Vectors, Vectors]]) -> None:
    surprised = Shopper(at.search, "surprise")
    texts = [f"{colour} {kind} surprise" for colour in COLOURS for kind in KINDS]
    acknowledged, exchanged = asyncio.Event(), asyncio.Event()

    async def products() -> AsyncIterator[catalogue_pb2.UpsertProductsRequest]:
        yield _product("before")
        await exchanged.wait()
        yield _product("after")

    stream = at.catalogue.UpsertProducts(products(), timeout=PATIENCE_S)
    assert (await stream.read()).written == 1
    acknowledged.set()
    at.balancer.switch(at.second.triton_grpc)
    exchanged.set()
    for text in texts:
        await surprised.ask(text)
    assert surprised.found == []
    assert len(surprised.failed) == len(texts)
    assert any(said.startswith("FAILED_PRECONDITION: encoders") for said in surprised.failed)
    with pytest.raises(aio.AioRpcError) as caught:
        await stream.read()
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    at.balancer.switch(at.stack.triton)

    async def serves() -> bool:
        again = Shopper(at.search, "again")
        await again.ask("is it back")
        return bool(again.found)

    await until(serves)
    back = Shopper(at.search, "back")
    for text in texts:
        await back.ask(text)
    assert back.failed == []
    assert await wrong(back.found, at.stack.triton, await _with(at, stored, "before")) == []
    with pytest.raises(aio.AioRpcError) as missing:
        await at.catalogue.GetProduct(catalogue_pb2.GetProductRequest(product_id="after"), timeout=CALL_S)
    assert missing.value.code() is grpc.StatusCode.NOT_FOUND


async def _with(
    at: Scene, stored: Mapping[str, tuple[Vectors, Vectors]], product_id: str
) -> dict[str, tuple[Vectors, Vectors]]:
    """Return the stored vectors with those of a product of words alone, embedded by the old encoders."""
    (words,) = await embed(at.stack.triton, [_product(product_id).product.product.title])
    return {**stored, product_id: (words, np.zeros_like(words))}


def _product(product_id: str) -> catalogue_pb2.UpsertProductsRequest:
    request = catalogue_pb2.UpsertProductsRequest()
    request.product.product.id = product_id
    request.product.product.title = "an umbrella"
    return request
