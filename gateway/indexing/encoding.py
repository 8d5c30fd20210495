"""Products to vectors: their pictures and their words, as many as one call of an ensemble takes."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gateway.errors import DeadlineExceeded, EncoderError, InvalidQuery, Overloaded, SearchError
from gateway.model import Embedded, Embedding, EncoderInputs, IndexVersion, StoredProduct
from gateway.ports import Encoder
from vitrine.domain.product import Product, encoded_text
from vitrine.tensors import MAX_BATCH_SIZE

EMBED_TIMEOUT_S = 30.0

# Searches go first: an ingest that finds the encoder's queue full, or that waited in it for too long, pauses and
# asks again. A busy machine makes an ingest slower and does not end it.
_RETRY_PAUSES_S = (0.2, 0.8, 3.2, 12.8)

# A PNG of one white pixel.
_SOUND_PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a4944415478da63f80f00010101001cb08c990000000049454e44ae426082"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A product to be written, its picture and fields checked at the door."""

    product: Product
    images: tuple[bytes, ...] = ()

    @property
    def image_bytes(self) -> int:
        """Return the size of all pictures."""
        return sum(map(len, self.images))


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A product that is not written, with the field that breaks a rule."""

    product_id: str
    field: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """What became of the products that were to be encoded."""

    products: Sequence[StoredProduct] = ()
    refusals: Sequence[Refusal] = ()
    cut: int = 0

    @property
    def refused(self) -> set[str]:
        """Return the ids of the products that are refused."""
        return {refusal.product_id for refusal in self.refusals}


async def encode(submissions: Sequence[Submission], encoder: Encoder, version: IndexVersion) -> Encoded:
    """Embed pictures and words; a product is refused if one of its pictures cannot be decoded, or it has neither."""
    texts = [encoded_text(item.product, version.schema) for item in submissions]
    pictures = [image for item in submissions for image in item.images]
    rows = iter(await _embed_pictures(pictures, encoder))
    embedded: list[tuple[Submission, str, list[Embedding]]] = []
    refusals: list[Refusal] = []
    for item, text in zip(submissions, texts, strict=True):
        own = [next(rows) for _ in item.images]
        refusal = _refusal(item, text, own)
        if refusal is not None:
            refusals.append(refusal)
        else:
            embedded.append((item, text, [row for row in own if not isinstance(row, InvalidQuery)]))
    words = await embed_texts([text for _, text, _ in embedded if text], encoder)
    by_text = iter(zip(words.rows, words.cut, strict=True))
    products, cut = [], 0
    for item, text, own_rows in embedded:
        row, was_cut = next(by_text) if text else (np.zeros(version.embedding_dim, np.float32), False)
        cut += was_cut
        products.append(
            StoredProduct(
                product=item.product,
                image_embeddings=np.array(own_rows, np.float32).reshape(-1, version.embedding_dim),
                text_embedding=row,
            )
        )
    return Encoded(products=products, refusals=refusals, cut=cut)


def _refusal(item: Submission, text: str, rows: Sequence[Embedding | InvalidQuery]) -> Refusal | None:
    """Return why a product cannot be indexed; None where it can."""
    for position, row in enumerate(rows):
        if isinstance(row, InvalidQuery):
            name = "image" if position == 0 else f"more_images[{position - 1}]"
            return Refusal(product_id=item.product.id, field=name, reason=row.reason)
    if not item.images and not text:
        reason = "must not be empty where the product has no words that are encoded either"
        return Refusal(product_id=item.product.id, field="image", reason=reason)
    return None


async def embed_texts(texts: Sequence[str], encoder: Encoder) -> Embedded:
    """Embed texts, a batch a call; waits for an encoder that is busy."""
    answers = [
        await _ask(encoder, EncoderInputs(texts=texts[start : start + MAX_BATCH_SIZE]))
        for start in range(0, len(texts), MAX_BATCH_SIZE)
    ]
    rows = [row for answer in answers for row in answer.rows]
    cut = [said for answer in answers for said in answer.cut or (False,) * len(answer.rows)]
    return Embedded(rows=np.array(rows, np.float32), cut=tuple(cut))


async def _embed_pictures(images: Sequence[bytes], encoder: Encoder) -> list[Embedding | InvalidQuery]:
    """Return the embedding of each picture, or why it has none; a batch that fails is halved until that is known."""
    if len(images) > MAX_BATCH_SIZE:
        return [
            *await _embed_pictures(images[:MAX_BATCH_SIZE], encoder),
            *await _embed_pictures(images[MAX_BATCH_SIZE:], encoder),
        ]
    if not images:
        return []
    try:
        return list((await _ask(encoder, EncoderInputs(images=images))).rows)
    except InvalidQuery as error:
        if len(images) == 1:
            return [error]
    except _Unencodable:
        if len(images) == 1:
            return [InvalidQuery("image", "cannot be encoded")]
    middle = len(images) // 2
    return [
        *await _embed_pictures(images[:middle], encoder),
        *await _embed_pictures(images[middle:], encoder),
    ]


class _Unencodable(Exception):  # noqa: N818 - a finding
    """The encoder fails on these pictures, twice, and answers for another one: it is they that are at fault."""


async def _ask(encoder: Encoder, inputs: EncoderInputs) -> Embedded:
    blamed = False
    for pause_s in _RETRY_PAUSES_S:
        try:
            return await _ask_once(encoder, inputs)
        except EncoderError:
            if inputs.images and await _is_well(encoder):
                if blamed:
                    raise _Unencodable from None
                blamed = True
            else:
                await asyncio.sleep(pause_s)
        except (DeadlineExceeded, Overloaded):
            await asyncio.sleep(pause_s)
    return await _ask_once(encoder, inputs)


async def _is_well(encoder: Encoder) -> bool:
    """Return whether the encoder embeds a picture that is known to be sound."""
    try:
        await _ask_once(encoder, EncoderInputs(images=[_SOUND_PICTURE]))
    except SearchError:
        return False
    return True


async def _ask_once(encoder: Encoder, inputs: EncoderInputs) -> Embedded:
    embedded = await encoder.embed(inputs, timeout_s=EMBED_TIMEOUT_S)
    if not np.isfinite(embedded.rows).all():
        raise EncoderError
    return embedded
