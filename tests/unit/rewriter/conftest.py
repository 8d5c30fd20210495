"""One small catalogue, and conversations about it, for every test of the rewriter."""

from collections.abc import AsyncIterator

import pytest

from rewriter.engines.fallback import Fallback
from rewriter.engines.model.engine import open_language_model
from rewriter.engines.port import Engine
from rewriter.engines.rules.engine import Router
from rewriter.linking.linker import Linker
from rewriter.settings import Settings
from vitrine.v1 import query_pb2, rewrite_pb2

FACETS = (
    rewrite_pb2.Facet(
        field="category", values=["dress", "top", "skirt", "jacket", "trousers", "shoes", "bag", "hat"]
    ),
    rewrite_pb2.Facet(
        field="colour",
        values=["black", "white", "grey", "red", "burgundy", "blue", "navy", "yellow", "green", "beige"],
    ),
    rewrite_pb2.Facet(field="pattern", values=["plain", "striped", "polka-dot", "checked", "floral"]),
    rewrite_pb2.Facet(field="brand", values=["Acme", "Next", "Red Fox", "Harbour and Sons", "Only"]),
)

BLUE = query_pb2.Product(
    id="b1", title="blue striped long-sleeve midi dress", category="dress", colour="blue", pattern="striped",
    brand="Acme", price=60, attributes={"sleeve": "long-sleeve", "length": "midi"},
)  # fmt: skip
RED = query_pb2.Product(
    id="r2", title="red floral sleeveless mini dress", category="dress", colour="red", pattern="floral",
    brand="Next", price=45,
)  # fmt: skip
NAVY = query_pb2.Product(
    id="n3", title="navy plain short-sleeve maxi dress", category="dress", colour="navy", pattern="plain", price=80
)  # fmt: skip


@pytest.fixture(scope="session")
def facets() -> tuple[rewrite_pb2.Facet, ...]:
    """Give the values that the catalogue holds."""
    return FACETS


@pytest.fixture(scope="session")
def shown() -> tuple[query_pb2.Product, ...]:
    """Give three dresses, as a turn shows them: blue at 60, red at 45, navy at 80."""
    return (BLUE, RED, NAVY)


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    """Open what reads turns: the embedded model with the rules behind it, without the sentence encoder."""
    linker = Linker()
    certainty = Settings().model_least_certainty
    async with open_language_model(rows=1, waiting=4, least_certainty=certainty, linker=linker) as model:
        yield Fallback(model, Router(linker), name="model", reserve_s=0.01, on_failure=lambda _: None)
    linker.close()
