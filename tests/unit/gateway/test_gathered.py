"""Texts that are encoded by one call: each search gets what it would have got alone."""

import asyncio

import numpy as np

from gateway.model import Embedded, EncoderInputs
from gateway.retrieval.gathered import GatheredEncoder
from gateway.testing import FakeEncoder, embed_picture
from vitrine.tensors import MAX_BATCH_SIZE

REFERENCE = embed_picture(b"a picture")[np.newaxis]


async def together(encoder: FakeEncoder, *inputs: EncoderInputs) -> list[Embedded]:
    gathered = GatheredEncoder(encoder, calls_at_once=1)
    return await asyncio.gather(*(gathered.embed(each, timeout_s=60) for each in inputs))


def rows(call: EncoderInputs) -> tuple[int, int, int]:
    """Return how many texts, pictures and references a call has."""
    references = () if call.references is None else call.references
    return len(call.texts or ()), len(call.images or ()), len(references)


async def test_each_text_gets_its_own_row() -> None:
    """Rows, what was cut and who computed it belong to their text; no row holds the others in memory."""
    encoder = FakeEncoder(delay_s=0.01, words=3)
    texts = ["red dress", "a long blue dress for the summer", "hat", "shoes"]
    inputs = [EncoderInputs(texts=[text]) for text in texts]
    answers = await together(encoder, *inputs)
    assert [rows(call) for call in encoder.embed_calls] == [(1, 0, 0), (3, 0, 0)]
    for answer, asked in zip(answers, inputs, strict=True):
        alone = await encoder.embed(asked, timeout_s=60)
        np.testing.assert_array_equal(answer.rows, alone.rows)
        assert (answer.cut, answer.manifest) == (alone.cut, alone.manifest)
    assert all(answer.rows.base is None for answer in answers[1:])


async def test_what_changes_a_reference_goes_with_its_like() -> None:
    """Another ensemble encodes it; a batch keeps texts and references in step."""
    encoder = FakeEncoder(delay_s=0.01)
    references = [REFERENCE, -REFERENCE, 0 * REFERENCE]
    changes = [EncoderInputs(texts=[f"in {i}"], references=each) for i, each in enumerate(references)]
    words = [EncoderInputs(texts=["red"]), EncoderInputs(texts=["blue"])]
    answers = await together(encoder, *changes, *words)
    assert sorted(rows(call) for call in encoder.embed_calls) == [
        (1, 0, 0),
        (1, 0, 0),
        (1, 0, 1),
        (2, 0, 2),
    ]
    for answer, asked in zip(answers, [*changes, *words], strict=True):
        np.testing.assert_array_equal(answer.rows, (await encoder.embed(asked, timeout_s=60)).rows)


async def test_a_call_is_no_larger_than_a_batch() -> None:
    """What exceeds one goes with the call after it."""
    encoder = FakeEncoder(delay_s=0.01)
    await together(encoder, *(EncoderInputs(texts=[f"text {i}"]) for i in range(MAX_BATCH_SIZE + 3)))
    assert [rows(call)[0] for call in encoder.embed_calls] == [1, MAX_BATCH_SIZE, 2]


async def test_pictures_and_batches_go_as_they_are(jpeg: bytes) -> None:
    """They wait for nobody."""
    encoder = FakeEncoder(delay_s=0.01)
    inputs = [
        EncoderInputs(images=[jpeg]),
        EncoderInputs(texts=["red"], images=[jpeg]),
        EncoderInputs(texts=["red", "blue"]),
    ]
    await together(encoder, *inputs, *inputs)
    assert [rows(call) for call in encoder.embed_calls] == 2 * [(0, 1, 0), (1, 1, 0), (2, 0, 0)]
