"""Who compares pictures, and how many at once: no upload waits behind an ingest, and calls are answered meanwhile."""

import asyncio
import io
import threading
import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gateway.metrics import Metrics
from gateway.model import Deadline, Embedding
from gateway.moderation import pictures as checking
from gateway.moderation.pictures import PicturePolicy, Pictures
from gateway.moderation.policy import Action
from gateway.testing import FakeBlocked, FakeDecoder
from vitrine.moderation.fingerprints import Seen, blocked_hashes, seen_hashes
from vitrine.moderation.judging import BlockedPicture, Rules

MANY = 40
"""More than any default pool has threads."""
SCENE = np.kron(np.arange(16, dtype=np.uint8).reshape(4, 4, 1) * 16, np.ones((56, 56, 3), np.uint8))
AWAY = np.array([0.0, 1.0], np.float32)


async def embed() -> tuple[str, Embedding]:
    return "m", np.array([1.0, 0.0], np.float32)


@pytest.fixture
async def pictures() -> Pictures:
    kept = blocked_hashes(SCENE, (224, 224))
    assert kept is not None
    store = FakeBlocked()
    blocked = BlockedPicture(
        id="b", label="", added_ms=1, manifest="m", embedding=AWAY, copies=kept.copies, windows=kept.windows
    )
    await store.add([blocked], timeout_s=60)
    rules = Rules(copy_bits=20, tile_bits=16, crop_bits=24, crop_similarity=0.9)
    policy = PicturePolicy(
        uploads=Action.REFUSE,
        catalogue=Action.REFUSE,
        rules=rules,
        nudity=0.0,
        refuse_unchecked=True,
        budget_s=60.0,
    )
    return Pictures(store, FakeDecoder(), None, policy, Metrics())


def upload() -> bytes:
    file = io.BytesIO()
    Image.fromarray(
        SCENE.transpose(1, 0, 2)[::-1] // 2 + np.arange(224, dtype=np.uint8)[:, None, None] // 3
    ).save(file, "PNG")
    return file.getvalue()


async def test_an_upload_waits_behind_no_ingest(pictures: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the pictures of an ingest are compared, however many, a shopper's is compared and let through."""
    image, let_on = upload(), threading.Event()

    def seen(pixels: NDArray[np.uint8], size: tuple[int, int]) -> Seen:
        if pixels is ingested:
            let_on.wait()
        return seen_hashes(pixels, size)

    monkeypatch.setattr(checking, "seen_hashes", seen)
    (ingested,) = await pictures.decoded([image], timeout_s=60)
    await pictures.idle()
    known = await embed()
    deadline = Deadline.after(600)
    ingest = [
        asyncio.create_task(pictures.of_catalogue(image, ingested, known, deadline, again=False))
        for _ in range(MANY)
    ]
    try:
        assert await pictures.upload(image, embed, deadline) == ()
        assert not any(each.done() for each in ingest)
    finally:
        let_on.set()
        await asyncio.gather(*ingest)


async def test_few_uploads_are_compared_at_once(pictures: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many uploads at once two are compared, also where their callers have gone meanwhile; the others wait."""
    here, most, lock = 0, 0, threading.Lock()

    def seen(*_: Any) -> Seen:
        nonlocal here, most
        with lock:
            here += 1
            most = max(most, here)
        time.sleep(0.02)
        with lock:
            here -= 1
        raise ValueError("seen enough")

    monkeypatch.setattr(checking, "seen_hashes", seen)
    image = upload()
    await pictures.idle()
    uploads = [asyncio.create_task(pictures.upload(image, embed, Deadline.after(600))) for _ in range(MANY)]
    await asyncio.wait(uploads, return_when=asyncio.FIRST_COMPLETED)
    for each in uploads[: MANY // 2]:
        each.cancel()
    await asyncio.gather(*uploads, return_exceptions=True)
    assert most <= checking._UPLOADS_AT_ONCE
