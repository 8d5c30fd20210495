"""Products by their ids, those that were shown of late from memory."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager

from gateway.caches import LruCache
from gateway.context import time_for_hop
from gateway.errors import NotFound
from gateway.metrics import Metrics
from gateway.model import Deadline, Hit, StoredProduct
from gateway.ports import VectorIndex
from gateway.retrieval.query import Versions


class ProductLookup:
    """Looks products up; whoever writes in this process says so with `forget`, other writers are noticed after `ttl_s`."""

    def __init__(
        self,
        index: VectorIndex,
        *,
        entries: int,
        ttl_s: float,
        margin_s: float,
        metrics: Metrics,
        asking: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        self._index = index
        self._margin_s = margin_s
        self._metrics = metrics
        self._asking = asking
        self.writes = 0
        """Counts the writes that this process told of."""
        self._cache = LruCache[tuple[str, str], StoredProduct](entries, ttl_s=ttl_s)

    async def product(self, product_id: str, versions: Versions, deadline: Deadline) -> StoredProduct:
        """Return a product with its vectors, of an index that these encoders made.

        Raises:
            NotFound: there is none.
            IndexSwapped: other encoders made the index that is in use now.
        """
        collection = versions.index
        cached = self._cache.get((collection, product_id))
        self._metrics.cache("product", hit=cached is not None)
        if cached is not None:
            return cached
        before = self.writes
        found = await self.products([product_id], deadline, manifest=versions.model)
        if not found:
            raise NotFound("product_id", f"product {product_id!r}")
        if before == self.writes:  # else this may be what was just written over
            self._cache.put((collection, product_id), found[0])
        return found[0]

    async def products(
        self, ids: Sequence[str], deadline: Deadline, *, manifest: str = ""
    ) -> list[StoredProduct]:
        """Return the products that exist, in the order of the ids; with a manifest, of an index of those encoders."""
        with self._asking("index"):
            timeout_s = time_for_hop(deadline, margin_s=self._margin_s)
            return await self._index.get(ids, manifest=manifest, timeout_s=timeout_s)

    def remember(self, hits: Iterable[Hit], collection: str) -> None:
        """Keep the products of hits whose first picture matched: a change to one of them costs no look-up."""
        for hit in hits:
            if hit.image_index == 0 and hit.product.image_embeddings is not None:
                self._cache.put((collection, hit.product.id), hit.product)

    def forget(self, ids: Iterable[str], collection: str) -> None:
        """Keep products no longer: they were written or deleted."""
        self.writes += 1
        for product_id in ids:
            self._cache.forget((collection, product_id))
