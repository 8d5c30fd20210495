"""Sends a catalogue to the service and keeps count of what became of it."""

import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from catalogue.product import Product
from catalogue.readers.fashion200k import label_files
from catalogue.readers.opening import OpenCatalogue
from catalogue.readers.rows import RowError
from vitrine.client import VitrineClient
from vitrine.preprocess import MAX_IMAGE_BYTES
from vitrine.v1 import catalogue_pb2, query_pb2

MAX_REFUSALS = 20
"""How many refusals a report quotes; all of them are counted."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that is not in the index, and why."""

    where: str
    """The file and line of a row that could not be read, or the id of a product."""
    field: str
    reason: str

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.where, self.field, self.reason)))


@dataclass(slots=True)
class Report:
    """What became of the rows so far."""

    written: int = 0
    unchanged: int = 0
    unreadable: int = 0
    """Rows refused here."""
    refused: int = 0
    """Products refused by the service."""
    index: str = ""
    """What readers use now; known at the end."""
    ended: bool = False
    """Whether the service has answered to the last product."""
    refusals: list[Refusal] = field(default_factory=list)

    @property
    def indexed(self) -> int:
        """Products of this catalogue that are durable."""
        return self.written + self.unchanged

    @property
    def rejected(self) -> int:
        """Rows that are not in the index."""
        return self.unreadable + self.refused

    def refuse(self, refusal: Refusal, rows: int = 1) -> None:
        """Count rows that are not sent."""
        self.unreadable += rows
        self._quote(refusal)

    def acknowledge(self, answer: catalogue_pb2.UpsertProductsResponse) -> None:
        """Take the service's counts, which are of the whole stream so far."""
        self.written, self.unchanged, self.refused = answer.written, answer.unchanged, answer.rejected
        self.index = answer.index
        for error in answer.errors:
            self._quote(Refusal(f"product {error.product_id}", error.field, error.reason))

    def _quote(self, refusal: Refusal) -> None:
        if len(self.refusals) < MAX_REFUSALS:
            self.refusals.append(refusal)


async def send_catalogue(
    client: VitrineClient,
    catalogue: OpenCatalogue,
    report: Report,
    *,
    rebuild: bool,
    rebuild_if_stale: bool = False,
    timeout_s: float,
    progress: Callable[[int], None],
) -> None:
    """Send every product and keep the report; `progress` takes the rows that are done with.

    A picture is read when its turn comes: the transport's flow control holds the reading back, so that a slow
    service does not fill this process's memory.

    Raises:
        VitrineError: the service failed; what the report counts as indexed is durable.
        CatalogueError, OSError: the catalogue cannot be read any further.
    """
    answers = client.upsert(
        _products(catalogue, report),
        rebuild=rebuild,
        rebuild_if_stale=rebuild_if_stale,
        source=source_digest(catalogue.source),
        timeout_s=timeout_s,
    )
    async for answer in answers:
        report.acknowledge(answer)
        progress(report.indexed + report.rejected)
    report.ended = True


def source_digest(source: Path) -> str:
    """Name the catalogue as it is now, so that a rebuild goes on only with the files that it began with."""
    digest = hashlib.sha256()
    for path in [source] if source.is_file() else label_files(source):
        status = path.stat()
        digest.update(f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


async def _products(catalogue: OpenCatalogue, report: Report) -> AsyncIterator[catalogue_pb2.ProductInput]:
    for row in catalogue.rows:
        if isinstance(row, RowError):
            report.refuse(Refusal(f"{row.file}:{row.line}", row.field, row.reason), row.rows)
            continue
        try:
            image = _read_image(row.image)
        except ValueError as error:
            report.refuse(Refusal(f"product {row.id}", "image", str(error)))
        else:
            yield catalogue_pb2.ProductInput(product=_message(row), image=image)


def _read_image(path: Path) -> bytes:
    """Read a picture; raises ValueError for one that would break the stream, or that cannot be read."""
    try:
        size = path.stat().st_size
        if size > MAX_IMAGE_BYTES:
            raise ValueError(f"{path} has {size:,} bytes; the limit is {MAX_IMAGE_BYTES:,}")
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error


def _message(product: Product) -> query_pb2.Product:
    return query_pb2.Product(
        id=product.id,
        title=product.title,
        category=product.category,
        colour=product.colour,
        pattern=product.pattern,
        brand=product.brand,
        price=product.price,
        image_uri=str(product.image.resolve()),
        attributes=product.attributes,
    )
