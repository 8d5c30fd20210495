"""A gateway and the real rewriter, before an index of more brands than a request lists."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace

from gateway.adapters.rewriter import GrpcRewriter, open_rewriter
from gateway.testing import PATIENT, FakeIndex, ServedGateway, product, serving
from rewriter import server
from rewriter.engines.rules.engine import Router
from rewriter.linking.linker import Linker
from rewriter.metrics import Metrics
from rewriter.settings import Settings
from vitrine.filter_text import format_filter
from vitrine.v1 import rewrite_pb2, search_pb2, search_pb2_grpc

MANY = 400
"""More than a request lists; ten thousand are learnt in the unit tests, and asked for through the stack."""
WAIT_S = 60.0
LETTERS = "bcdfghjklm"
BRANDS = [f"Qa{''.join(LETTERS[int(digit)] for digit in f'{number:04}')}o" for number in range(MANY)]


@asynccontextmanager
async def rewriter() -> AsyncIterator[GrpcRewriter]:
    """Serve the rules on a free port, and open what asks them."""
    with closing(Linker()) as linker:
        settings = Settings(listen="127.0.0.1:0", grace_s=0)
        async with (
            server.serving(settings, Router(linker), Metrics(), linker=linker) as served,
            open_rewriter(f"127.0.0.1:{served.port}") as adapter,
        ):
            yield adapter


async def read_as(gateway: ServedGateway, text: str) -> tuple[str, list[str]]:
    """Return the conditions that words are read as, and the products that fulfil them."""
    stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
    request = search_pb2.SearchRequest(text=text, rewrite=search_pb2.REWRITE_MODE_AUTO)
    answer = await stub.Search(request, timeout=WAIT_S)
    return format_filter(answer.searched.filter), [hit.product_id for hit in answer.hits]


async def until_read(gateway: ServedGateway, text: str, brand: str) -> tuple[str, list[str]]:
    """Return how words are read as soon as the brand is a condition."""
    async with asyncio.timeout(WAIT_S):
        while brand not in (read := await read_as(gateway, text))[0]:  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.2)
    return read


@dataclass
class OneAddress:
    """The rewriter that stands behind an address now, as a gateway sees it."""

    now: GrpcRewriter

    async def rewrite(
        self, request: rewrite_pb2.RewriteRequest, *, timeout_s: float
    ) -> rewrite_pb2.RewriteResponse:
        """Ask it."""
        return await self.now.rewrite(request, timeout_s=timeout_s)

    async def learn(self, request: rewrite_pb2.LearnRequest, *, timeout_s: float) -> bool:
        """Teach it."""
        return await self.now.learn(request, timeout_s=timeout_s)


async def test_more_brands_than_a_request_lists_are_asked_for_in_words() -> None:
    """The gateway has them learnt beside the calls, and again by a rewriter that takes the place of the first."""
    index = FakeIndex.holding([product(brand, "dress", brand=brand) for brand in BRANDS])
    settings = replace(PATIENT, probe_interval_ms=200)
    async with rewriter() as first, rewriter() as second:
        address = OneAddress(first)
        async with serving(index=index, rewriter=address, settings=settings) as gateway:
            read = await until_read(gateway, "a dress by qabcdfo", "Qabcdfo")
            assert read == ("category=dress and brand=Qabcdfo", ["Qabcdfo"])
            assert (await read_as(gateway, "qabfmmo dresses"))[1] == ["Qabfmmo"]
            assert (await read_as(gateway, "a qabczdo dress"))[
                0
            ] == "category=dress"  # one letter from ten of them
            address.now = second
            assert (await until_read(gateway, "qabbfgo dress", "Qabbfgo"))[1] == ["Qabbfgo"]
