"""Learns from an index what its pictures tell: a bounded sample of its products, then one fit a field.

ids of the collection -> the sample -> mean embedding of each one's pictures, and its values
    -> words of the values embedded -> fitted and measured field by field (vitrine.attributes.fitting)
"""

import asyncio
import hashlib
import heapq
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from gateway.errors import DeadlineExceeded
from gateway.indexing.encoding import embed_texts
from gateway.model import Embedding, StoredProduct
from gateway.ports import CollectionWriter, Encoder
from vitrine.attributes.fitting import FOLDS, OTHER, Sample, fit_familiarity, fit_field
from vitrine.attributes.reader import FieldReader, Measured, PictureReader, Unread
from vitrine.domain.product import Product, encoded_text
from vitrine.domain.schema import KEYWORD_KINDS, Field, Schema
from vitrine.domain.values import Value, fold

MAX_SAMPLE = 8_192
"""Products that are learnt from; with their vectors some tens of megabytes."""
MAX_VALUES = 256
"""Values of a field that are told apart, the most frequent ones."""
LEARN_TIMEOUT_S = 300.0

_PAGE = 256
"""Products whose vectors are fetched at once."""
_LEAST = 8
"""Products with a picture, below which not even a mean can be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a product of the sample."""

    product: Product
    """As the shop says it."""
    picture: Embedding
    """(d,), the normalised mean of its pictures."""
    fold: int


def readable(schema: Schema) -> tuple[Field, ...]:
    """Return the fields that pictures may tell: those of keywords."""
    return tuple(each for each in schema.stored if each.kind in KEYWORD_KINDS)


async def learn(
    writer: CollectionWriter, encoder: Encoder, fields: Sequence[Field], *, precision: float
) -> PictureReader:
    """Return what reads the fields in pictures like those of the collection.

    Raises:
        DeadlineExceeded: it took longer than LEARN_TIMEOUT_S.
        DependencyError: the index or the encoder did not answer.
    """
    try:
        async with asyncio.timeout(LEARN_TIMEOUT_S):
            known = await sample(writer)
            if len(known) < _LEAST:
                return PictureReader(unread=tuple(_too_few(each, len(known)) for each in fields))
            pictures = np.stack([each.picture for each in known])
            familiarity = await asyncio.to_thread(fit_familiarity, pictures)
            fitted = [await _learn_field(each, known, encoder, precision) for each in fields]
    except TimeoutError:
        raise DeadlineExceeded(f"learning from the pictures took more than {LEARN_TIMEOUT_S:g} s") from None
    return PictureReader(
        familiarity=familiarity,
        fields={each.field: each for each in fitted if isinstance(each, FieldReader)},
        unread=tuple(each for each in fitted if isinstance(each, Unread)),
    )


async def sample(writer: CollectionWriter, *, most: int = MAX_SAMPLE) -> list[Known]:
    """Return products with a picture, `most` at most, chosen by a hash of their ids and in its order."""
    chosen: list[tuple[int, str]] = []
    async for page in writer.entries():
        for product_id in page:
            ranked = (-_hash(product_id), product_id)
            if len(chosen) < most:
                heapq.heappush(chosen, ranked)
            else:
                heapq.heappushpop(chosen, ranked)
    ids = [product_id for _, product_id in sorted(chosen, reverse=True)]
    return [each async for each in _known(writer, ids)]


def mean_picture(stored: StoredProduct) -> Embedding | None:
    """Return the normalised mean of a product's pictures, (d,); None where it has none."""
    rows = stored.image_embeddings
    if rows is None or not len(rows):
        return None
    mean = rows.mean(axis=0)
    length = float(np.linalg.norm(mean))
    return (mean / length).astype(np.float32) if length > 0 else None


async def _known(writer: CollectionWriter, ids: Sequence[str]) -> AsyncIterator[Known]:
    schema = writer.version.schema
    for start in range(0, len(ids), _PAGE):
        found = await writer.vectors(ids[start : start + _PAGE])
        for stored in found.values():
            picture = mean_picture(stored)
            if picture is not None:
                said = stored.product.said
                words = encoded_text(said, schema) or stored.id
                yield Known(product=said, picture=picture, fold=_hash(fold(words)) % FOLDS)


async def _learn_field(
    owner: Field, known: Sequence[Known], encoder: Encoder, precision: float
) -> FieldReader | Unread:
    labelled = [(each, value) for each in known if (value := _label(each.product.values.get(owner.name)))]
    values = _spellings(value for _, value in labelled)[:MAX_VALUES]
    if not labelled:
        return Unread(
            field=owner.name, reason="no product with a picture has a value", measured=Measured(labelled=0)
        )
    places = {fold(value): place for place, value in enumerate(values)}
    sampled = Sample(
        pictures=np.stack([each.picture for each, _ in labelled]),
        labels=np.array([places.get(fold(value), OTHER) for _, value in labelled], np.int64),
        folds=np.array([each.fold for each, _ in labelled], np.int64),
    )
    anchors = (await embed_texts(values, encoder)).rows
    return await asyncio.to_thread(fit_field, owner.name, values, anchors, sampled, precision=precision)


def _label(value: Value | None) -> str:
    """Return the one keyword that a product has; empty where it has none or several."""
    if isinstance(value, tuple):
        return value[0] if len(value) == 1 else ""
    return value if isinstance(value, str) else ""


def _spellings(values: Iterable[str]) -> list[str]:
    """Return the distinct values in their most frequent spelling, the most frequent first."""
    spellings = Counter(values)
    counts: Counter[str] = Counter()
    shown: dict[str, str] = {}
    for value, count in sorted(spellings.items(), key=lambda pair: (-pair[1], pair[0])):
        counts[fold(value)] += count
        shown.setdefault(fold(value), value)
    return [shown[folded] for folded, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]


def _too_few(owner: Field, pictures: int) -> Unread:
    return Unread(
        field=owner.name,
        reason=f"{pictures:,} products have a picture, and {_LEAST} are needed",
        measured=Measured(labelled=0),
    )


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "big")
