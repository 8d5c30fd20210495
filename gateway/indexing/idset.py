"""Ids of products, millions of them, in eight bytes each."""

import hashlib
from array import array
from secrets import token_bytes
from typing import Self

import numpy as np
from numpy.typing import NDArray

_TAIL = 1 << 16
"""Hashes that are kept beside the sorted ones before they are merged into them."""


class IdSet:
    """A set of ids by 64-bit hashes with a key of this process: two ids of ten million are one with odds of 3 in a million.

    Where that happens a count differs by one and whoever compares counts refuses to go on; nothing is lost by it.
    """

    _key = token_bytes(16)

    def __init__(self) -> None:
        self._sorted: NDArray[np.uint64] = np.empty(0, np.uint64)
        self._tail = array("Q")

    def add(self, product_id: str) -> None:
        """Add an id."""
        self._tail.append(self._hash(product_id))
        # In proportion to what is there, so that all merges together cost little.
        if len(self._tail) >= max(_TAIL, len(self._sorted) // 4):
            self._merge()

    def __contains__(self, product_id: object) -> bool:
        hashes = self._merge()
        wanted = np.uint64(self._hash(str(product_id)))
        place = int(np.searchsorted(hashes, wanted))
        return place < len(hashes) and bool(hashes[place] == wanted)

    def __len__(self) -> int:
        return len(self._merge())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IdSet) and np.array_equal(self._merge(), other._merge())

    __hash__ = None  # type: ignore[assignment] # it changes

    def __or__(self, other: Self) -> "IdSet":
        return _of(np.union1d(self._merge(), other._merge()))

    def __sub__(self, other: Self) -> "IdSet":
        return _of(np.setdiff1d(self._merge(), other._merge(), assume_unique=True))

    def _merge(self) -> NDArray[np.uint64]:
        if self._tail:
            tail = np.frombuffer(self._tail, np.uint64)
            self._sorted = np.union1d(self._sorted, tail)
            self._tail = array("Q")
        return self._sorted

    def _hash(self, product_id: str) -> int:
        digest = hashlib.blake2b(product_id.encode(errors="surrogatepass"), digest_size=8, key=self._key)
        return int.from_bytes(digest.digest(), "little")


def _of(hashes: NDArray[np.uint64]) -> IdSet:
    made = IdSet()
    made._sorted = hashes  # noqa: SLF001 - its own maker
    return made
