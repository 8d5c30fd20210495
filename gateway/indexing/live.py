"""Writes to the index in use, by any number of gateways, while another may rebuild it.

A write is acknowledged once it is where readers will find it, whatever happens next:

    write to the collection in use -> ask where the index stands -> no rebuild: acknowledge
                                                                 -> a rebuild: write beside it too, and ask again
                                                                 -> a swap that begins: wait for its end, and ask again
                                                                 -> another collection is in use: ABORTED

Where the index stands is asked after the write, so a rebuild that it does not name began after it, and takes its
products from a source that its caller chose later. What is written beside a rebuild is taken over by it at its end,
over the products of its own source (rebuild.py).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import numpy as np

from gateway.encoders import Encoders
from gateway.errors import Aborted, FailedPrecondition, VectorIndexError
from gateway.indexing.encoding import Submission
from gateway.indexing.ingest import write_products
from gateway.model import Change, IndexVersion, StoredProduct
from gateway.ports import CollectionWriter, IndexAdministrator
from vitrine.domain.product import Product
from vitrine.domain.schema import changes

DELETED = "deleted"
"""The digest of what stands beside a rebuild for a product that was deleted; no product has it."""

_ENCODERS_TIMEOUT_S = 5.0
_SWAP_POLL_S = 0.1

Beside = Callable[[CollectionWriter], Awaitable[None]]
"""Writes into the collection that takes the changes."""


class LiveWrites:
    """Sees to it that what is written to the collection in use is in the one after it too."""

    def __init__(
        self, administrator: IndexAdministrator, encoders: Encoders, writer: CollectionWriter
    ) -> None:
        self._administrator = administrator
        self._encoders = encoders
        self._writer = writer

    async def begin(self) -> None:
        """Refuse to begin, with FailedPrecondition, where a rebuild is under way that cannot take what is written."""
        change = (await self._administrator.standing()).change
        if change is not None and change.changes:
            beside = await self._administrator.changes(change)
            if beside is not None:
                await self._check_beside(beside.version)

    async def settle(self, submissions: Sequence[Submission]) -> None:
        """Return once the products that were written may be acknowledged.

        Raises:
            Aborted: another collection is in use than they were written to.
            FailedPrecondition: a rebuild is under way that cannot take them.
        """

        async def write(beside: CollectionWriter) -> None:
            await self._check_beside(beside.version)
            served = await self._encoders.of(beside.version.manifest, timeout_s=_ENCODERS_TIMEOUT_S)
            await write_products(submissions, encoder=served.encoder, writer=beside, donor=self._writer)

        await self._settle(write)

    async def settle_deletion(self, ids: Sequence[str]) -> None:
        """Return once the deletion of the products may be acknowledged; raises as `settle` does."""

        async def write(beside: CollectionWriter) -> None:
            await beside.upsert([_deleted(product_id, beside.version) for product_id in ids])

        await self._settle(write)

    async def _settle(self, write: Beside) -> None:
        done = 0
        while True:
            standing = await self._administrator.standing()
            if standing.in_use != self._writer.version.collection:
                raise Aborted(
                    "index",
                    f"{self._writer.version.collection} was replaced by {standing.in_use}: send again what was not"
                    " acknowledged",
                )
            change = standing.change
            if change is None or (not change.swapping and (not change.changes or change.token == done)):
                return
            if change.swapping:
                await asyncio.sleep(_SWAP_POLL_S)
            elif await self._write_beside(change, write):
                done = change.token

    async def _write_beside(self, change: Change, write: Beside) -> bool:
        """Write beside the rebuild; False where it has ended meanwhile."""
        beside = await self._administrator.changes(change)
        if beside is None:
            return False
        try:
            await write(beside)
        except VectorIndexError:
            now = (await self._administrator.standing()).change
            if now is not None and now.token == change.token:
                raise
            return False
        return True

    async def _check_beside(self, version: IndexVersion) -> None:
        if changes(self._writer.version.schema, version.schema).breaking:
            raise FailedPrecondition(
                "a rebuild with another schema is under way: products can be written again when it has ended"
            )
        try:
            await self._encoders.of(version.manifest, timeout_s=_ENCODERS_TIMEOUT_S)
        except FailedPrecondition:
            raise FailedPrecondition(
                "a rebuild with encoders that do not serve here is under way: products can be written again when it"
                " has ended"
            ) from None


def _deleted(product_id: str, version: IndexVersion) -> StoredProduct:
    return StoredProduct(
        product=Product(id=product_id),
        digest=DELETED,
        vectors_digest=DELETED,
        image_embeddings=np.zeros((0, version.embedding_dim), np.float32),
        text_embedding=np.zeros(version.embedding_dim, np.float32),
    )
