"""What every store of the shop's documents promises: the fake and Milvus."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from gateway.errors import Aborted
from gateway.model import DocumentSet, Passage
from gateway.ports import DocumentStore
from gateway.testing import FakeDocuments

OpenIndex = Callable[..., AbstractAsyncContextManager[Any]]

TIMEOUT_S = 60.0


def _store(index: Any) -> DocumentStore:
    return index.documents if hasattr(index, "documents") else FakeDocuments()


def _set(digest: str, *texts: str, dim: int = 8) -> DocumentSet:
    passages = tuple(
        Passage(
            document="returns.md",
            document_digest=f"d-{digest}",
            title="Returns",
            heading=f"Heading “{i}”\\",
            text=text,
            position=i,
            embedding=np.eye(dim, dtype=np.float32)[i % dim],
        )
        for i, text in enumerate(texts)
    )
    return DocumentSet(digest=digest, manifest="m", passages=passages)


async def test_a_set_is_read_as_it_was_written(open_index: OpenIndex) -> None:
    """Before the first there is none; then texts, order, digests and vectors come back, and none where it was emptied."""
    async with open_index() as index:
        store = _store(index)
        assert await store.digest(timeout_s=TIMEOUT_S) == ""
        assert await store.read(timeout_s=TIMEOUT_S) == DocumentSet()
        wanted = _set("a", 'thirty "days"', "환불은 5일\n둘째 줄", "退货\\" * 100)
        await store.replace(wanted, before="", timeout_s=TIMEOUT_S)
        assert await store.digest(timeout_s=TIMEOUT_S) == "a"
        found = await store.read(timeout_s=TIMEOUT_S)
        assert found == wanted
        assert [each.embedding.tolist() for each in found.passages] == [
            each.embedding.tolist() for each in wanted.passages
        ]
        await store.replace(DocumentSet(), before="a", timeout_s=TIMEOUT_S)
        assert await store.read(timeout_s=TIMEOUT_S) == DocumentSet()


async def test_an_exchange_on_an_outdated_set_is_refused(open_index: OpenIndex) -> None:
    """Who read another set than the one in use writes nothing."""
    async with open_index() as index:
        store = _store(index)
        await store.replace(_set("a", "one"), before="", timeout_s=TIMEOUT_S)
        with pytest.raises(Aborted, match="documents"):
            await store.replace(_set("b", "two"), before="", timeout_s=TIMEOUT_S)
        assert await store.read(timeout_s=TIMEOUT_S) == _set("a", "one")


async def test_readers_see_one_set_and_never_two(open_index: OpenIndex) -> None:
    """While sets of several lengths and vector sizes are exchanged, every answer is one of them, whole."""
    async with open_index() as index:
        store = _store(index)
        sets = [_set(f"s{i}", *[f"text {i}"] * (1 + 3 * i), dim=8 + 8 * (i % 2)) for i in range(4)]
        await store.replace(sets[0], before="", timeout_s=TIMEOUT_S)
        done = asyncio.Event()

        async def read() -> list[DocumentSet]:
            seen = []
            while not done.is_set():
                seen.append(await store.read(timeout_s=TIMEOUT_S))
                await asyncio.sleep(0)
            return seen

        reader = asyncio.create_task(read())
        for before, after in pairwise(sets):
            await store.replace(after, before=before.digest, timeout_s=TIMEOUT_S)
        done.set()
        assert all(each in sets for each in await reader)
        assert await store.read(timeout_s=TIMEOUT_S) == sets[-1]
