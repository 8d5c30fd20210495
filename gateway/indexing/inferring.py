"""Fills what the shop left empty with what the pictures tell, once a stream's products are written.

    learnt from the collection (learning.py) -> the stream's products, page by page -> their vectors read
        -> empty fields filled, captions made -> what changed written over, with the vectors that are there

Nothing is embedded again but the captions of products without words. What the shop says is never written over: each
product is taken back to what the shop says first, so that what is read today replaces what was read before.
"""

import hashlib
import json
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from gateway.errors import SearchError
from gateway.indexing.encoding import embed_texts
from gateway.indexing.idset import IdSet
from gateway.indexing.ingest import TOLD, plain
from gateway.indexing.learning import learn, mean_picture, readable
from gateway.model import StoredProduct
from gateway.ports import CollectionWriter, Encoder
from vitrine.attributes.captions import caption_of
from vitrine.attributes.reader import Measured, PictureReader, Reading
from vitrine.domain.product import BY_FIELDS, Product, encoded_text
from vitrine.domain.schema import Field, Kind, Schema

_AT_ONCE = 100
"""Products with all their vectors, some megabytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """What a stream asks to be read in its pictures."""

    fields: tuple[str, ...] = ()
    all_fields: bool = False
    precision: float = 0.9
    captions: bool = False

    def wanted(self, schema: Schema) -> tuple[Field, ...]:
        """Return the fields to read, those that the schema gives keywords."""
        return tuple(each for each in readable(schema) if self.all_fields or each.name in self.fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What became of one field."""

    field: str
    products: int
    empty: int
    measured: Measured
    reason: str = ""


@dataclass(slots=True)
class InferenceReport:
    """What pictures told of a stream's products."""

    filled: tuple[Filled, ...] = ()
    captions: int = 0
    failure: str = ""


@dataclass(slots=True)
class _Tally:
    read: Counter[str] = field(default_factory=Counter)
    empty: Counter[str] = field(default_factory=Counter)
    captions: int = 0


class Inferring:
    """Reads the pictures of a stream's products and writes what they tell."""

    def __init__(self, writer: CollectionWriter, encoder: Encoder, wanted: Inference) -> None:
        self._writer = writer
        self._encoder = encoder
        self._wanted = wanted
        self._schema = writer.version.schema
        self._fields = wanted.wanted(self._schema)
        self._tally = _Tally()
        self.report = InferenceReport()
        self.reader = PictureReader()

    async def run(
        self, stream: IdSet, settle: Callable[[], Awaitable[None]]
    ) -> AsyncGenerator[tuple[str, ...], None]:
        """Yield the ids of the products that were written over, page by page; `report` is whole at the end.

        A failure of the encoder or of the index ends it: the products stay as they are, and the report says why.
        """
        try:
            self.reader = await learn(
                self._writer, self._encoder, self._fields, precision=self._wanted.precision
            )
            async for page in self._writer.entries():
                ids = [product_id for product_id in page if product_id in stream]
                for start in range(0, len(ids), _AT_ONCE):
                    written = await self._fill(ids[start : start + _AT_ONCE])
                    await settle()
                    yield written
        except SearchError as error:
            self.report.failure = str(error)
        self.report.filled = tuple(self._filled())
        self.report.captions = self._tally.captions

    def _filled(self) -> list[Filled]:
        reasons = {each.field: each for each in self.reader.unread}
        made = []
        for each in self._fields:
            reader, unread = self.reader.fields.get(each.name), reasons.get(each.name)
            made.append(
                Filled(
                    field=each.name,
                    products=self._tally.read[each.name],
                    empty=self._tally.empty[each.name],
                    measured=reader.measured
                    if reader
                    else unread.measured
                    if unread
                    else Measured(labelled=0),
                    reason=unread.reason if unread else "",
                )
            )
        return made

    async def _fill(self, ids: Sequence[str]) -> tuple[str, ...]:
        """Write over what the pictures of these products tell; return those that it changed."""
        stored = [*(await self._writer.vectors(ids)).values()]
        pictures = [mean_picture(each) for each in stored]
        shown = [each for each, picture in zip(stored, pictures, strict=True) if picture is not None]
        rows = np.array([picture for picture in pictures if picture is not None], np.float32)
        readings = self.reader.read(rows)
        told = [self._told(each.product.said, found) for each, found in zip(shown, readings, strict=True)]
        changed = [
            (each, product) for each, product in zip(shown, told, strict=True) if product != each.product
        ]
        return await self._write([await self._with_words(each, product) for each, product in changed])

    def _told(self, said: Product, found: Mapping[str, Reading]) -> Product:
        """Return the product with what its pictures tell."""
        values = dict(said.values)
        read = []
        for owner in self._fields:
            if owner.name in said.values:
                continue
            self._tally.empty[owner.name] += 1
            reading = found.get(owner.name)
            if reading is not None:
                values[owner.name] = (reading.value,) if owner.kind is Kind.KEYWORDS else reading.value
                read.append(owner.name)
        self._tally.read.update(read)
        product = replace(said, values=values, inferred=tuple(read))
        if self._wanted.captions and not said.caption:
            caption = caption_of(product, self._schema)
            product = replace(product, caption=caption, caption_by=BY_FIELDS if caption else "")
            self._tally.captions += bool(caption)
        return product

    async def _with_words(self, stored: StoredProduct, product: Product) -> StoredProduct:
        """Return the product with its vectors: a caption that is its only words is embedded."""
        before, words = encoded_text(stored.product, self._schema), encoded_text(product, self._schema)
        text = stored.text_embedding
        if words != before:
            assert text is not None, "vectors come with their products"
            text = (await embed_texts([words], self._encoder)).rows[0] if words else np.zeros_like(text)
        mark = _mark(product)
        caption_is_words = bool(
            product.caption_by == BY_FIELDS and words and not encoded_text(product.said, self._schema)
        )
        return replace(
            stored,
            product=product,
            text_embedding=text,
            digest=plain(stored.digest) + mark,
            vectors_digest=plain(stored.vectors_digest) + (mark if caption_is_words else ""),
        )

    async def _write(self, products: Sequence[StoredProduct]) -> tuple[str, ...]:
        """Write the products but those that another writer has changed since they were read."""
        if not products:
            return ()
        now = await self._writer.digests([each.id for each in products], fresh=True)
        current = [
            each for each in products if each.id in now and plain(now[each.id].digest) == plain(each.digest)
        ]
        if current:
            await self._writer.upsert(current)
        return tuple(each.id for each in current)


def _mark(product: Product) -> str:
    """Return what the digest has beside that of what the shop says; empty where the pictures told nothing."""
    if product == product.said:
        return ""
    told = [[name, product.values[name]] for name in product.inferred]
    identity = json.dumps([told, product.caption if product.caption_by == BY_FIELDS else ""])
    return TOLD + hashlib.sha256(identity.encode()).hexdigest()[:16]
