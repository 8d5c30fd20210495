"""A Milvus that asks who calls: the token of the moment is shown, on both ways to it."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from pymilvus import AsyncMilvusClient

from gateway.adapters.milvus.connection import COLLECTION_NOT_FOUND, MilvusConnection, MilvusError, connect
from gateway.adapters.milvus.searching import Asked
from gateway.assembly.access import behind
from gateway.settings import Settings

TIMEOUT_S = 60.0

pytestmark = pytest.mark.milvus_server


@pytest.fixture
async def users() -> AsyncIterator[tuple[AsyncMilvusClient, str, str]]:
    """What administers users, and two of them who may do everything; their passwords are their names."""
    uri = os.environ.get("VITRINE_TEST_MILVUS", "skip: runs by `python tests/contract/milvus_server.py`")
    if uri.startswith("skip: "):
        pytest.skip(uri.removeprefix("skip: "))
    names = [f"u{uuid.uuid4().hex[:12]}" for _ in range(2)]
    async with AsyncMilvusClient(uri, dedicated=True) as owner:
        for name in names:
            await owner.create_user(name, name)
            await owner.grant_role(name, "admin")
        yield owner, *names
        for name in names:
            await owner.drop_user(name)


async def _asked(milvus: MilvusConnection) -> list[object]:
    """Call once by each way; return the codes with which a collection that is not there was refused."""
    vector = np.zeros(4, np.float32)
    asked = Asked("nowhere", expression="", rows=1, columns=())
    codes: list[object] = []
    for call in (
        milvus.call("describe_collection", "nowhere", timeout_s=TIMEOUT_S),
        milvus.search(asked, vector, timeout_s=TIMEOUT_S),
    ):
        with pytest.raises(MilvusError) as refused:
            await call
        codes.append(refused.value.milvus_code)
    return codes


async def test_another_users_token_is_taken_over_without_a_restart(
    users: tuple[AsyncMilvusClient, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the first user is gone its token is refused, and with the second one's in the file the next call is let in."""
    monkeypatch.setattr("gateway.adapters.milvus.clients.LOOK_S", 0)
    owner, first, second = users
    file, fresh = tmp_path / "token", tmp_path / "fresh"
    file.write_text(f"{first}:{first}")
    token = behind(Settings(milvus_token_file=str(file))).milvus_token
    parts = urlsplit(owner._config.uri)
    let_in = [COLLECTION_NOT_FOUND, COLLECTION_NOT_FOUND]
    async with connect(
        f"http://{parts.hostname}:{parts.port}", token=token, tls=None, max_concurrency=4
    ) as milvus:
        assert await _asked(milvus) == let_in
        await owner.drop_user(first)
        # Its proxy forgets a user when it is told to, which may be a moment after the answer.
        async with asyncio.timeout(TIMEOUT_S):
            while set(await _asked(milvus)) & set(let_in):  # noqa: ASYNC110 - nothing tells when
                await asyncio.sleep(0.05)
        fresh.write_text(f"{second}:{second}\n")
        fresh.replace(file)
        assert await _asked(milvus) == let_in
