"""Several gateways behind one address, and clients that spread their calls."""

import asyncio

import pytest

from gateway.settings import Settings
from gateway.testing import ServedGateway, product, serving
from tests.ports import free_port
from vitrine.client import VitrineClient
from vitrine.process.settings import InvalidSettings
from vitrine.v1.search_pb2 import SearchRequest

PRODUCTS = (product("p1", "red dress"),)


def searches(gateway: ServedGateway) -> float:
    """Return how many searches a gateway has answered."""
    labels = {"method": "Search", "code": "OK"}
    return gateway.metrics.registry.get_sample_value("vitrine_gateway_requests_total", labels) or 0.0


async def test_gateways_with_an_address_of_their_own_share_another() -> None:
    """A list of their own addresses spreads one client's calls, and one of them is enough for the address that they share."""
    shared, one, other = free_port(), free_port(), free_port()

    def settings(own: int) -> Settings:
        return Settings(own_listen=f"127.0.0.1:{own}")

    async with serving(products=PRODUCTS, settings=settings(one), port=shared) as first:
        async with (
            serving(products=PRODUCTS, settings=settings(other), port=shared) as second,
            VitrineClient(f"ipv4:127.0.0.1:{one},127.0.0.1:{other}", timeout_s=30) as client,
            asyncio.timeout(30),
        ):
            while not (searches(first) and searches(second)):
                await client.search(SearchRequest(text="dress"))
        async with VitrineClient(f"127.0.0.1:{shared}", timeout_s=30) as client:
            assert (await client.search(SearchRequest(text="red dress"))).hits


async def test_two_gateways_on_one_port_are_a_mistake() -> None:
    """Without an address of its own the second one does not start."""
    shared = free_port()
    async with serving(products=PRODUCTS, port=shared):
        with pytest.raises(RuntimeError, match=str(shared)):
            async with serving(products=PRODUCTS, port=shared):
                pass


def test_an_own_address_is_held_to_the_same_rules() -> None:
    """One that others can reach needs callers, as the shared one does."""
    with pytest.raises(InvalidSettings, match="GATEWAY_CALLERS must name"):
        Settings(own_listen="0.0.0.0:7721")
