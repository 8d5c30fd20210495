"""The workers: a chunk's rows to a part of the run's folder, its pictures decoded and all of it embedded."""

import asyncio
import pickle
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bulk.chunks import NUMBER, ROWS
from bulk.onnx import OnnxEncoder
from bulk.parts import BadRow, Part, decode_part, encode_part
from bulk.screening import Screening
from bulk.work import Work, part_name
from catalogue.indexing import product_input
from catalogue.product import CatalogueProduct
from catalogue.readers.rows import RowError
from catalogue.report import Report
from gateway.adapters.triton import TritonEncoder, open_triton
from gateway.api.catalogue_servicer import read_input
from gateway.encoders import Encoders
from gateway.indexing.encoding import Encoded, Refusal, Submission, encode
from gateway.indexing.ingest import digests_of, signed
from gateway.model import IndexVersion
from gateway.ports import Encoder
from vitrine.channels import Tls
from vitrine.domain.schema import Schema
from vitrine.tensors import MAX_BATCH_SIZE

_ENCODERS_TIMEOUT_S = 30.0
_AT_ONCE = 4
"""Calls of a worker to Triton, so that it has something to batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderPlace:
    """Where embeddings are made."""

    repository: str = ""
    """A published model repository, whose graphs are run in the workers; empty: Triton is asked."""
    triton: str = ""
    """HOST:PORT."""
    tls: Tls | None = None
    screening: Screening | None = None
    """What the pictures are held against; None: nothing."""

    async def open(self, stack: AsyncExitStack) -> OnnxEncoder | TritonEncoder:
        """Open the encoder for as long as the stack lives."""
        if self.repository:
            return OnnxEncoder(Path(self.repository))
        return await stack.enter_async_context(open_triton(self.triton, tls=self.tls))


class ChunkEncoder:
    """Embeds chunks; Ray keeps one a worker, and makes another where one dies."""

    def __init__(self, work: Work, version: IndexVersion, place: EncoderPlace) -> None:
        self._work = work
        self._version = version
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._encoder = self._runner.run(self._open(place))

    def __call__(self, chunk: dict[str, Any]) -> dict[str, Any]:
        """Write the chunk's part, unless it is there, and return its number."""
        number, rows = int(chunk[NUMBER][0]), chunk[ROWS][0]
        if rows and not self._is_there(number):
            part = self._runner.run(embed_rows(pickle.loads(rows), self._encoder, self._version))  # noqa: S301
            self._work.write(part_name(number), encode_part(part, self._version))
        return {NUMBER: [number]}

    async def _open(self, place: EncoderPlace) -> Encoder:
        opened = await place.open(self._stack)
        encoder = opened if place.screening is None else place.screening.of(opened, opened)
        served = await Encoders([encoder]).of(self._version.manifest, timeout_s=_ENCODERS_TIMEOUT_S)
        return served.encoder

    def _is_there(self, number: int) -> bool:
        """Whether the part was written and can be read: this may be the second try of a chunk."""
        try:
            decode_part(self._work.read(part_name(number)), self._version)
        except (FileNotFoundError, ValueError):
            return False
        return True


async def embed_rows(
    rows: Sequence[CatalogueProduct | RowError], encoder: Encoder, version: IndexVersion
) -> Part:
    """Return what became of the rows.

    Raises:
        DependencyError: the encoder failed, again after several pauses.
    """
    report = Report(most_quoted=len(rows))
    submissions, bad = await _submissions(rows, version.schema, report)
    batches = [submissions[i : i + MAX_BATCH_SIZE] for i in range(0, len(submissions), MAX_BATCH_SIZE)]
    room = asyncio.Semaphore(_AT_ONCE)

    async def encode_batch(batch: Sequence[Submission]) -> Encoded:
        async with room:
            return await encode(batch, encoder, version)

    encoded = await asyncio.gather(*map(encode_batch, batches))
    digests = digests_of(submissions, version)
    refused = [_bad_product(refusal) for each in encoded for refusal in each.refusals]
    return Part(
        products=tuple(signed(product, digests[product.id]) for each in encoded for product in each.products),
        bad=(*bad, *refused),
        cut=sum(each.cut for each in encoded),
        lost_pictures=report.lost_pictures,
    )


async def _submissions(
    rows: Sequence[CatalogueProduct | RowError], schema: Schema, report: Report
) -> tuple[list[Submission], list[BadRow]]:
    submissions, bad = [], []
    for row in rows:
        if isinstance(row, RowError):
            where = f"{row.file}:{row.line}"
            bad.append(BadRow(where=where, field=row.field, reason=row.reason, rows=row.rows))
            continue
        message = product_input(row, schema, report)
        if message is None:
            continue
        item = await read_input(message, schema)
        if isinstance(item, Refusal):
            bad.append(_bad_product(item))
        else:
            submissions.append(item)
    return submissions, bad + [BadRow(where=r.where, field=r.field, reason=r.reason) for r in report.refusals]


def _bad_product(refusal: Refusal) -> BadRow:
    return BadRow(where=f"product {refusal.product_id}", field=refusal.field, reason=refusal.reason)
