"""What every store of blocked pictures promises: the fake and Milvus."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import numpy as np
import pytest

from gateway.errors import InvalidQuery
from gateway.moderation.ports import BlockedImageStore
from gateway.testing import FakeBlocked
from vitrine.domain import limits
from vitrine.moderation.judging import BlockedPicture

OpenIndex = Callable[..., AbstractAsyncContextManager[Any]]

TIMEOUT_S = 60.0


def _store(index: Any) -> BlockedImageStore:
    return index.blocked if hasattr(index, "blocked") else FakeBlocked()


def _blocked(identity: str, label: str = "", *, dim: int = 8) -> BlockedPicture:
    random = np.random.default_rng(int(identity, 16))
    return BlockedPicture(
        id=identity,
        label=label,
        added_ms=1_700_000_000_000,
        manifest="m",
        embedding=random.standard_normal(dim).astype(np.float32),
        copies=random.integers(0, 256, (2, 32), np.uint8),
        windows=random.integers(0, 256, (441, 32), np.uint8),
    )


async def test_blocked_pictures_are_read_as_they_were_added(open_index: OpenIndex) -> None:
    """Hashes, vectors of several lengths and labels come back by id; what is added twice is there once; removal names what was there."""
    async with open_index() as index:
        store = _store(index)
        assert await store.version(timeout_s=TIMEOUT_S) == ""
        assert list(await store.read(timeout_s=TIMEOUT_S)) == []
        assert await store.remove(["77"], timeout_s=TIMEOUT_S) == []
        await store.add([_blocked("b2"), _blocked("0a", 'a "label"\\, 라벨')], timeout_s=TIMEOUT_S)
        before = await store.version(timeout_s=TIMEOUT_S)
        await store.add([_blocked("b2", "again", dim=16)], timeout_s=TIMEOUT_S)
        found = await store.read(timeout_s=TIMEOUT_S)
        assert [(each.id, each.label) for each in found] == [("0a", 'a "label"\\, 라벨'), ("b2", "again")]
        for each, wanted in zip(found, [_blocked("0a"), _blocked("b2", dim=16)], strict=True):
            assert each.embedding.tolist() == wanted.embedding.tolist()
            assert each.copies.tolist() == wanted.copies.tolist()
            assert each.windows.tolist() == wanted.windows.tolist()
        assert await store.version(timeout_s=TIMEOUT_S) not in {"", before}
        assert await store.remove(["b2", "77"], timeout_s=TIMEOUT_S) == ["b2"]
        assert [each.id for each in await store.read(timeout_s=TIMEOUT_S)] == ["0a"]


async def test_no_more_pictures_are_blocked_than_the_limit_says(
    open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that would exceed it is refused whole; one that replaces what is there is not."""
    monkeypatch.setattr(limits, "MAX_BLOCKED_IMAGES", 2)
    async with open_index() as index:
        store = _store(index)
        await store.add([_blocked("a1"), _blocked("a2")], timeout_s=TIMEOUT_S)
        with pytest.raises(InvalidQuery, match="images: at most 2"):
            await store.add([_blocked("a2"), _blocked("a3")], timeout_s=TIMEOUT_S)
        await store.add([_blocked("a2")], timeout_s=TIMEOUT_S)
        assert [each.id for each in await store.read(timeout_s=TIMEOUT_S)] == ["a1", "a2"]
