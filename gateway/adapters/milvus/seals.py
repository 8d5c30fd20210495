"""How many products a collection holds at least: what a damaged file is told by.

A seal is a count, less what was deleted since. Several writers may delete at once, so each deletion is a row of its own
beside the seal, written before the products go: a kill in between leaves the seal too low, never too high.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from secrets import token_hex

from gateway.adapters.milvus.lease import Claims
from gateway.adapters.milvus.ledger import MilvusLedger
from gateway.model import Deadline

_ENDED = 1
"""The number of a deletion that has ended; before it is 0."""


class Seals:
    """Keeps the seals of an index's collections."""

    def __init__(self, ledger: MilvusLedger) -> None:
        self._ledger = ledger
        self._sealing = Claims(ledger, prefix="sealing/")

    async def read(self, collection: str, *, timeout_s: float) -> int:
        """Return the least number of products that the collection holds."""
        rows = await self._ledger.read_all(collection, timeout_s=timeout_s)
        _, sealed = rows.get(collection, (0, "0"))
        deleted = sum(
            int(products) for key, (_, products) in rows.items() if key.startswith(f"{collection}/")
        )
        return int(sealed) - deleted

    async def write(self, collection: str, count: Callable[[], Awaitable[int]], *, timeout_s: float) -> int:
        """Seal the collection with what `count` says, which is returned; left as it is while another seals it."""
        deadline = Deadline.after(timeout_s)
        turn = await self._sealing.try_once("sealing", timeout_s=deadline.remaining_s())
        if turn is None:
            return await count()
        try:
            rows = await self._ledger.read_all(f"{collection}/", timeout_s=deadline.remaining_s())
            products = await count()
            turn.check()
            await self._ledger.write(collection, str(products), timeout_s=turn.remaining_s)
            for key, (number, _) in rows.items():
                if number == _ENDED:
                    await self._ledger.forget(key, timeout_s=deadline.remaining_s())
        finally:
            await turn.release()
        return products

    @asynccontextmanager
    async def deleting(self, collection: str, products: int, *, timeout_s: float) -> AsyncIterator[None]:
        """Lower the seal while, and after, that many products are deleted."""
        key = f"{collection}/{token_hex(8)}"
        await self._ledger.put(key, 0, str(products), timeout_s=timeout_s)
        yield
        await self._ledger.put(key, _ENDED, str(products), timeout_s=timeout_s)

    async def forget(self, collection: str, *, timeout_s: float) -> None:
        """Keep nothing of the collection any longer."""
        deadline = Deadline.after(timeout_s)
        await self._ledger.forget(collection, timeout_s=timeout_s)
        for key in await self._ledger.read_all(f"{collection}/", timeout_s=deadline.remaining_s()):
            await self._ledger.forget(key, timeout_s=deadline.remaining_s())
