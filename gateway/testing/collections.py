"""The collections of the index in memory."""

from collections.abc import AsyncIterator, Container, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.errors import Aborted
from gateway.model import IndexVersion, StoredDigests, StoredProduct
from vitrine.domain.filters import Filter, matches
from vitrine.domain.lexical import product_tokens

if TYPE_CHECKING:
    from gateway.testing.index import FakeIndex


@dataclass
class FakeCollection:
    """A collection in memory; writes are durable at once."""

    version: IndexVersion
    source: str = ""
    products: dict[str, StoredProduct] = field(default_factory=dict)

    async def digests(self, ids: Sequence[str], *, fresh: bool = False) -> dict[str, StoredDigests]:
        """Return the digests of those products that are there."""
        del fresh
        return {
            i: StoredDigests(digest=self.products[i].digest, vectors_digest=self.products[i].vectors_digest)
            for i in ids
            if i in self.products
        }

    async def vectors(self, ids: Sequence[str]) -> dict[str, StoredProduct]:
        """Return those products that are there."""
        return {i: self.products[i] for i in ids if i in self.products}

    async def entries(self) -> AsyncIterator[dict[str, StoredDigests]]:
        """Yield the digests of all products."""
        yield await self.digests(list(self.products))

    async def upsert(self, products: Sequence[StoredProduct], *, replaces: bool = True) -> None:
        """Write products."""
        del replaces  # what it stands for costs nothing here
        self.products.update({product.id: product for product in products})

    async def delete(self, ids: Sequence[str]) -> int:
        """Delete products; return how many there were."""
        return sum(self.products.pop(i, None) is not None for i in set(ids))

    async def retain(self, ids: Container[str]) -> int:
        """Delete every product but these; return how many there were."""
        return await self.delete([i for i in self.products if i not in ids])

    async def seal(self) -> int:
        """Return the number of products."""
        return len(self.products)

    def satisfying(self, filters: Filter | None, words: Sequence[str] = ()) -> list[StoredProduct]:
        """Return the products that fulfil the condition and have one of the words, where there are any."""
        return [
            each
            for each in self.products.values()
            if (filters is None or matches(filters, each.product))
            and (not words or not set(words).isdisjoint(product_tokens(each.product, self.version.schema)))
        ]


@dataclass
class FakeBuild:
    """A collection that is being built; implements Build."""

    collection: FakeCollection
    changes: FakeCollection
    index: "FakeIndex"
    token: int
    swapping: bool = False

    @property
    def version(self) -> IndexVersion:
        """Return the identity of the collection."""
        return self.collection.version

    def check(self) -> None:
        """Raise Aborted where the lease was lost."""
        if self.index.build_held is not self:
            raise Aborted("index", "the rebuild lost its lease and another writer may go on: begin again")

    async def digests(self, ids: Sequence[str], *, fresh: bool = False) -> dict[str, StoredDigests]:
        """Return the digests of those products that are there."""
        return await self.collection.digests(ids, fresh=fresh)

    async def vectors(self, ids: Sequence[str]) -> dict[str, StoredProduct]:
        """Return those products that are there."""
        return await self.collection.vectors(ids)

    async def entries(self) -> AsyncIterator[dict[str, StoredDigests]]:
        """Yield the digests of all products."""
        async for page in self.collection.entries():
            yield page

    async def upsert(self, products: Sequence[StoredProduct], *, replaces: bool = True) -> None:
        """Write products; other unfinished rebuilds are dropped before the first."""
        self.check()
        self.index.unfinished = [self.collection]
        await self.collection.upsert(products, replaces=replaces)

    async def delete(self, ids: Sequence[str]) -> int:
        """Delete products; return how many there were."""
        self.check()
        return await self.collection.delete(ids)

    async def retain(self, ids: Container[str]) -> int:
        """Delete every product but these; return how many there were."""
        self.check()
        return await self.collection.retain(ids)

    async def seal(self) -> int:
        """Return the number of products."""
        self.check()
        return await self.collection.seal()

    async def fit_index(self) -> None:
        """Do nothing: what is in memory is searched exactly."""
        self.check()

    async def hold(self) -> None:
        """Have nothing else acknowledged."""
        self.check()
        self.swapping = True

    async def close(self) -> None:
        """Give the lease back."""
        if self.index.build_held is self:
            self.index.build_held = None
            if not self.collection.products and self.collection in self.index.unfinished:
                self.index.unfinished.remove(self.collection)
