"""A collection that is built by the one who holds the lease, with another beside it for what is written meanwhile."""

from collections.abc import AsyncIterator, Awaitable, Callable, Container, Sequence

from gateway.adapters.milvus.lease import Lease
from gateway.adapters.milvus.writer import MilvusWriter
from gateway.model import IndexVersion, StoredDigests, StoredProduct


class MilvusBuild:
    """Obeys `gateway.ports.Build`."""

    def __init__(
        self,
        writer: MilvusWriter,
        changes: MilvusWriter,
        *,
        lease: Lease,
        began: Callable[["MilvusBuild"], Awaitable[None]],
        ended: Callable[["MilvusBuild"], Awaitable[None]],
        fit: Callable[[], Awaitable[None]],
    ) -> None:
        """Write by the writer while the lease holds; `began` is called before the first product, `ended` at the end.

        `fit` makes the vector index that fits the collection.
        """
        self.changes = changes
        self.lease = lease
        self.empty = True
        """Whether nothing was written to it yet."""
        self.writer = writer
        self._began = began
        self._ended = ended
        self._fit = fit
        self._open = True

    @property
    def version(self) -> IndexVersion:
        """Return the identity of the collection."""
        return self.writer.version

    async def digests(self, ids: Sequence[str], *, fresh: bool = False) -> dict[str, StoredDigests]:
        """As the port says."""
        return await self.writer.digests(ids, fresh=fresh)

    async def vectors(self, ids: Sequence[str]) -> dict[str, StoredProduct]:
        """As the port says."""
        return await self.writer.vectors(ids)

    async def entries(self) -> AsyncIterator[dict[str, StoredDigests]]:
        """As the port says."""
        async for page in self.writer.entries():
            yield page

    async def upsert(self, products: Sequence[StoredProduct], *, replaces: bool = True) -> None:
        """As the port says."""
        self.lease.check()
        if self.empty:
            self.empty = False
            await self._began(self)
        await self.writer.upsert(products, replaces=replaces)

    async def insert_file(self, path: str, *, timeout_s: float) -> int:
        """Have the server take in a file as `MilvusWriter.insert_file` does."""
        self.lease.check()
        if self.empty:
            self.empty = False
            await self._began(self)
        return await self.writer.insert_file(path, timeout_s=timeout_s)

    async def delete(self, ids: Sequence[str]) -> int:
        """As the port says."""
        self.lease.check()
        return await self.writer.delete(ids)

    async def retain(self, ids: Container[str]) -> int:
        """As the port says."""
        self.lease.check()
        return await self.writer.retain(ids)

    async def seal(self) -> int:
        """As the port says."""
        self.lease.check()
        return await self.writer.seal()

    async def fit_index(self) -> None:
        """As the port says."""
        self.lease.check()
        await self._fit()

    async def hold(self) -> None:
        """As the port says."""
        if not self.lease.claim.swapping:
            await self.lease.renew(swapping=True)

    async def close(self) -> None:
        """As the port says."""
        if self._open:
            self._open = False
            await self._ended(self)
