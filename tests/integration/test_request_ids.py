"""One request's id in the logs of every process that it reaches."""

import asyncio
import io
import uuid
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio
from PIL import Image

from vitrine.v1 import search_pb2, search_pb2_grpc

TIMEOUT_S = 60.0


async def said(log: Path, words: str) -> bool:
    """Wait until a log says it; a process writes its line when the answer is on its way."""
    for _ in range(1_200):
        if words in log.read_text(errors="replace"):  # noqa: ASYNC240 - some kilobytes
            return True
        await asyncio.sleep(0.05)
    return False


def damaged_picture() -> bytes:
    """A JPEG whose header is sound, and whose pixels are not all there."""
    buffer = io.BytesIO()
    Image.effect_noise((200, 200), 80).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()[: buffer.tell() // 2]


@pytest.mark.stack
async def test_a_requests_id_reaches_the_rewriter_and_triton(stack: Any) -> None:
    """The gateway, the rewriter and Triton name the caller's id in their logs."""
    logs = stack.settings.state / "logs"
    async with aio.insecure_channel(stack.gateway) as channel:
        search = search_pb2_grpc.SearchServiceStub(channel).Search
        read, refused = (f"test-{uuid.uuid4().hex}" for _ in range(2))
        request = search_pb2.SearchRequest(text=f"a red dress {read}", rewrite=search_pb2.REWRITE_MODE_AUTO)
        answer = await search(request, metadata=(("x-request-id", read),), timeout=TIMEOUT_S)
        assert answer.request_id == read
        with pytest.raises(aio.AioRpcError) as error:
            await search(
                search_pb2.SearchRequest(image=damaged_picture()),
                metadata=(("x-request-id", refused),),
                timeout=TIMEOUT_S,
            )
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert await said(logs / "gateway.log", f'"request_id":"{read}"')
    assert await said(logs / "rewriter.log", f'"request_id": "{read}"')
    assert await said(logs / "triton.log", f"request {refused} refused: image: is truncated or damaged")
