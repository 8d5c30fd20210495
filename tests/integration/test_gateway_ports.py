"""The fakes of gateway.testing held against the real adapters: what one promises, the other keeps."""

import io
import socket
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gateway.adapters.rewriter import open_rewriter
from gateway.adapters.triton import open_triton
from gateway.errors import DeadlineExceeded, InvalidQuery
from gateway.model import EncoderInputs
from gateway.ports import Encoder, Rewriter
from gateway.testing import FakeEncoder, FakeRewriter
from gateway.understanding.validation import understand
from vitrine.domain.schema_files import shipped_schema
from vitrine.tensors import EMBEDDING_DIM
from vitrine.v1 import query_pb2, rewrite_pb2

TIMEOUT_S = 60.0


@pytest.fixture(params=["fake", pytest.param("triton", marks=pytest.mark.stack)])
async def encoder(request: pytest.FixtureRequest) -> AsyncIterator[Encoder]:
    """Give each implementation of the port."""
    if request.param == "fake":
        yield FakeEncoder()
        return
    stack: Any = request.getfixturevalue("stack")
    async with open_triton(stack.triton) as real:
        yield real


@pytest.fixture(params=["fake", pytest.param("router", marks=pytest.mark.stack)])
async def rewriter(request: pytest.FixtureRequest) -> AsyncIterator[Rewriter]:
    """Give each implementation of the port."""
    if request.param == "fake":
        yield FakeRewriter(
            lambda turn: rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query=turn.text), version="fake"
        )
        return
    stack: Any = request.getfixturevalue("stack")
    async with open_rewriter(stack.rewriter) as real:
        yield real


def picture(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (80, 60), colour).save(buffer, "JPEG")
    return buffer.getvalue()


def references(rows: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    vectors = np.random.default_rng(7).standard_normal((rows, EMBEDDING_DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def all_kinds(rows: int) -> list[EncoderInputs]:
    """Give inputs for every ensemble, with that many rows."""
    texts = [f"red dress {row}" for row in range(rows)]
    images = [picture(("red", "green", "blue")[row % 3]) for row in range(rows)]
    return [
        EncoderInputs(texts=texts),
        EncoderInputs(images=images),
        EncoderInputs(images=images, texts=texts),
        EncoderInputs(references=references(rows), texts=texts),
    ]


async def test_rows_are_unit_vectors_alone_and_in_a_batch(encoder: Encoder) -> None:
    """Every kind of input gives float32 rows of length 1; row 0 is the same alone as among others."""
    for many, alone in zip(all_kinds(5), all_kinds(1), strict=True):
        rows = (await encoder.embed(many, timeout_s=TIMEOUT_S)).rows
        assert (rows.shape, rows.dtype) == ((5, EMBEDDING_DIM), np.float32)
        assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(5), abs=1e-3)
        row = (await encoder.embed(alone, timeout_s=TIMEOUT_S)).rows[0]
        assert float(row @ rows[0]) == pytest.approx(1.0, abs=1e-4)


async def test_different_words_differ(encoder: Encoder) -> None:
    """Two texts have two embeddings."""
    red, blue = (
        await encoder.embed(EncoderInputs(texts=["red dress", "blue shoes"]), timeout_s=TIMEOUT_S)
    ).rows
    assert float(red @ blue) < 0.999


async def test_a_bad_picture_is_the_callers(encoder: Encoder) -> None:
    """What cannot be decoded is an invalid `image` with a reason, alone and beside good ones."""
    for images in ([b"no picture"], [picture("red"), b"no picture"]):
        with pytest.raises(InvalidQuery) as refused:
            await encoder.embed(EncoderInputs(images=images), timeout_s=TIMEOUT_S)
        assert refused.value.field == "image"
        assert "JPEG, PNG or WebP" in refused.value.reason


async def test_time_that_is_up_is_told_as_such(encoder: Encoder) -> None:
    """A call without enough time raises DeadlineExceeded, and the next one is answered."""
    if isinstance(encoder, FakeEncoder):
        encoder.delay_s = 0.05
    with pytest.raises(DeadlineExceeded):
        await encoder.embed(EncoderInputs(texts=["red dress"]), timeout_s=1e-4)
    assert len((await encoder.embed(EncoderInputs(texts=["red dress"]), timeout_s=TIMEOUT_S)).rows) == 1


async def test_the_manifest_has_a_name(encoder: Encoder) -> None:
    """Encoders have an identity, the same whenever asked."""
    manifest = await encoder.manifest(timeout_s=TIMEOUT_S)
    assert manifest
    assert await encoder.manifest(timeout_s=TIMEOUT_S) == manifest


async def test_the_length_of_the_embeddings_is_told(encoder: Encoder) -> None:
    """An index is made for rows of that length."""
    (row,) = (await encoder.embed(EncoderInputs(texts=["red dress"]), timeout_s=TIMEOUT_S)).rows
    assert await encoder.embedding_dim(timeout_s=TIMEOUT_S) == len(row)


async def test_a_rewrite_passes_the_gateways_checks(rewriter: Rewriter) -> None:
    """A plain turn gives an answer that the gateway can use."""
    request = rewrite_pb2.RewriteRequest(
        text="a red dress", facets=[rewrite_pb2.Facet(field="colour", values=["red", "blue"])]
    )
    response = await rewriter.rewrite(request, timeout_s=TIMEOUT_S)
    assert response.model_version
    understanding = understand(response.rewrite, shown=(), fields=(), schema=shipped_schema())
    assert "dress" in understanding.query


async def test_a_rewriter_that_is_late_says_so(rewriter: Rewriter) -> None:
    """A call that outlasts its time raises DeadlineExceeded; a silent listener stands for a rewriter that hangs."""
    if isinstance(rewriter, FakeRewriter):
        rewriter.delay_s = 1.0
        await _expect_lateness(rewriter)
        return
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with open_rewriter(f"127.0.0.1:{listener.getsockname()[1]}") as hanging:
            await _expect_lateness(hanging)


async def _expect_lateness(rewriter: Rewriter) -> None:
    with pytest.raises(DeadlineExceeded):
        await rewriter.rewrite(rewrite_pb2.RewriteRequest(text="a red dress"), timeout_s=0.1)
