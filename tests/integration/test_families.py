"""Checkpoints that users bring, of every family, on the real engines: from a folder of weights to hits.

Their weights are random, so what is asserted is that vectors of other dims go all the way and mean the same on each
way that leads to them, not that the hits please.
"""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from grpc import aio

from encoders.testing import EMBEDDING_DIM, FAMILIES, FamilyName
from vitrine.v1 import catalogue_pb2, catalogue_pb2_grpc, query_pb2, search_pb2, search_pb2_grpc

pytestmark = pytest.mark.timeout(900)  # the first test of a family also waits for its graphs and its stack

TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A family on the stack, with the catalogue in its index."""

    stack: Any
    repository: Path
    refusal: str
    """What a search was told before the index was made."""
    first: bool
    """Whether there was no index at all then, else that of another family."""


@pytest.fixture(scope="module", params=FAMILIES)
def served(
    request: pytest.FixtureRequest,
    published_family: Callable[[FamilyName], Path],
    serve_models: Callable[[Path], Any],
) -> Served:
    """Every family in turn, over the index that the one before has left."""
    repository = published_family(request.param) / "repository"
    stack = serve_models(repository)
    refused = subprocess.run(
        [sys.executable, "-m", "vitrine", "search", "red dress", "--address", stack.gateway],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    stack.index("--rebuild")
    return Served(
        stack=stack,
        repository=repository,
        refusal=refused.stderr if refused.returncode else "",
        first=request.param == FAMILIES[0],
    )


@pytest.fixture
async def channel(served: Served) -> AsyncIterator[aio.Channel]:
    async with aio.insecure_channel(served.stack.gateway) as channel:
        yield channel


async def search(channel: aio.Channel, **request: Any) -> search_pb2.SearchResponse:
    stub = search_pb2_grpc.SearchServiceStub(channel)
    request = {"rewrite": search_pb2.REWRITE_MODE_OFF, "limit": 5, **request}
    return await stub.Search(search_pb2.SearchRequest(**request), timeout=TIMEOUT_S)


async def a_product(channel: aio.Channel) -> query_pb2.Product:
    found = await search(channel, text="red dress", limit=1)
    stub = catalogue_pb2_grpc.CatalogueServiceStub(channel)
    request = catalogue_pb2.GetProductRequest(product_id=found.hits[0].product_id)
    return (await stub.GetProduct(request, timeout=TIMEOUT_S)).product


def test_an_index_of_other_encoders_is_refused(served: Served) -> None:
    """A search is told which command makes the index that these encoders need."""
    assert "vitrine index" in served.refusal
    assert served.first or "made the index" in served.refusal


async def test_the_index_has_the_familys_dims(served: Served, channel: aio.Channel) -> None:
    """Length of the embeddings and identity of the encoders come from the checkpoint."""
    stub = catalogue_pb2_grpc.CatalogueServiceStub(channel)
    described = await stub.Describe(catalogue_pb2.DescribeRequest(), timeout=TIMEOUT_S)
    manifest = json.loads((served.repository / "manifest.json").read_text())
    assert described.embedding_dim == EMBEDDING_DIM == manifest["identity"]["embedding_dim"]
    assert described.products == 48
    assert described.versions.model == manifest["digest"]


async def test_a_products_own_picture_finds_the_product(channel: aio.Channel, served: Served) -> None:
    """Bytes that are sent and bytes that were indexed have one embedding."""
    product = await a_product(channel)
    picture = (served.stack.catalogue / product.image_uri).read_bytes()
    found = await search(channel, image=picture, weights=query_pb2.Weights(image=1))
    same = [hit for hit in found.hits if hit.product_id == product.id]
    assert [hit.parts.image for hit in same] == [pytest.approx(1, abs=1e-3)]
    assert found.hits[0].parts.image == pytest.approx(1, abs=1e-3)


async def test_a_products_own_words_find_the_product(channel: aio.Channel) -> None:
    """A title that is asked for and a title that was indexed have one embedding."""
    product = await a_product(channel)
    found = await search(channel, text=product.title, weights=query_pb2.Weights(text=1))
    assert found.hits[0].parts.text == pytest.approx(1, abs=1e-3)


async def test_a_change_means_the_same_of_a_picture_and_of_its_product(
    channel: aio.Channel, served: Served
) -> None:
    """Composed from bytes and refined from the stored embedding, a query has the same scores."""
    product = await a_product(channel)
    picture = (served.stack.catalogue / product.image_uri).read_bytes()
    composed = await search(channel, image=picture, text="make it blue", limit=20)
    refined = await search(channel, product_id=product.id, text="make it blue", limit=20)
    assert composed.searched.route == query_pb2.ROUTE_COMPOSED
    assert refined.searched.route == query_pb2.ROUTE_REFINE
    scores = {hit.product_id: hit.score for hit in composed.hits}
    common = [hit for hit in refined.hits if hit.product_id in scores]
    assert len(common) >= 15
    for hit in common:
        assert hit.score == pytest.approx(scores[hit.product_id], abs=1e-3)
