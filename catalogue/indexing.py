"""Sends a catalogue to the service and keeps count of what became of it."""

import asyncio
import hashlib
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from catalogue.captioning import CaptionWriter, captioned
from catalogue.fetching.addresses import FetchError
from catalogue.fetching.fetcher import PictureFetcher
from catalogue.product import CatalogueProduct, Picture, PictureBytes, PictureFile, PictureUrl
from catalogue.readers.opening import OpenCatalogue
from catalogue.readers.rows import RowError
from catalogue.report import Refusal, Report
from vitrine.client import VitrineClient
from vitrine.domain import limits
from vitrine.domain.messages import product_message, schema_message
from vitrine.domain.product import Product, encoded_text
from vitrine.domain.schema import KEYWORD_KINDS, Schema
from vitrine.domain.values import Value, fold
from vitrine.preprocess import MAX_IMAGE_BYTES, ImageRejected, inspect_image
from vitrine.v1 import catalogue_pb2

MAX_MESSAGE_BYTES = 11_500_000
"""Bytes of a product with its pictures; the service takes a little more."""

_AHEAD = 16
"""Products whose pictures are fetched before their turn."""
_LEFT_OUT = "further pictures left out"


@dataclass(slots=True)
class _Loaded:
    """The pictures of a product that can be sent, and those that are on the web alone."""

    sent: list[tuple[Picture, bytes]] = field(default_factory=list)
    urls: list[PictureUrl] = field(default_factory=list)
    losses: list[tuple[str, str]] = field(default_factory=list)
    """Field and reason."""
    left_out: int = 0
    """Pictures over the limit."""


async def send_catalogue(
    client: VitrineClient,
    catalogue: OpenCatalogue,
    report: Report,
    *,
    rebuild: bool,
    rebuild_if_stale: bool = False,
    confirm_shrink: bool = False,
    fetcher: PictureFetcher | None = None,
    inference: catalogue_pb2.InferenceOptions | None = None,
    captions: CaptionWriter | None = None,
    timeout_s: float,
    progress: Callable[[int], None],
) -> None:
    """Send every product and keep the report; `progress` takes the rows that are done with.

    A picture is read when its turn comes: the transport's flow control holds the reading back, so that a slow
    service does not fill this process's memory. With a fetcher, the pictures of a few products are fetched ahead; so are
    captions, where somebody writes them.

    Raises:
        VitrineError: the service failed; what the report counts as indexed is durable.
        CatalogueError, OSError: the catalogue cannot be read any further.
    """
    report.notes = catalogue.notes
    products = _products(catalogue, report, fetcher)
    if captions is not None:
        products = captioned(products, captions, lambda reason: report.note(f"no caption: {reason}"))
    answers = client.upsert(
        products,
        rebuild=rebuild,
        rebuild_if_stale=rebuild_if_stale,
        confirm_shrink=confirm_shrink,
        source=source_digest(catalogue.files, catalogue.schema),
        schema=schema_message(catalogue.schema),
        inference=inference,
        timeout_s=timeout_s,
    )
    async for answer in answers:
        report.acknowledge(answer)
        progress(report.indexed + report.rejected)
    report.ended = True


def source_digest(files: Iterable[Path], schema: Schema) -> str:
    """Name the catalogue as it is now, so that a rebuild goes on only with what it began with."""
    digest = hashlib.sha256(f"{schema.digest}\n".encode())
    for path in files:
        status = path.stat()
        digest.update(f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


class FacetValues:
    """Counts the values of each facet, to tell of one that has more than the service counts."""

    def __init__(self, schema: Schema, *, most: int = limits.MAX_COUNTED_VALUES) -> None:
        self._most = most
        # Hashes: 100,000 of them take a few megabytes, whatever the values are.
        self._seen: dict[str, set[int]] = {
            name: set() for name, owner in schema.facets.items() if owner.kind in KEYWORD_KINDS
        }

    def see(self, product: Product, notes: Counter[str]) -> None:
        """Count a product's values, and note the first time that a facet has too many."""
        for name in [*self._seen]:
            value = product.values.get(name, ())
            self._seen[name].update(hash(fold(each)) for each in _keywords(value))
            if len(self._seen[name]) > self._most:
                del self._seen[name]
                notes[
                    f"facet {name} has more than {self._most:,} values, and no more are counted: `facet = false` turns"
                    " it off"
                ] = 1


def _keywords(value: Value) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else (value,) if isinstance(value, str) else ()


async def _products(
    catalogue: OpenCatalogue, report: Report, fetcher: PictureFetcher | None
) -> AsyncGenerator[catalogue_pb2.ProductInput, None]:
    facets = FacetValues(catalogue.schema)
    async for row, fetched in _fetched(catalogue.rows, fetcher):
        message = product_input(row, catalogue.schema, report, fetched=fetched)
        if message is not None:
            assert isinstance(row, CatalogueProduct)
            facets.see(row.product, report.notes)
            yield message


def product_input(
    row: CatalogueProduct | RowError,
    schema: Schema,
    report: Report,
    *,
    fetched: Mapping[str, Path | str] = MappingProxyType({}),
) -> catalogue_pb2.ProductInput | None:
    """Return what is sent of a row, its pictures read; None for a row that is refused, which the report then holds.

    `fetched` has the files of pictures that are URLs, or why they were not fetched.
    """
    if isinstance(row, RowError):
        report.refuse(Refusal(f"{row.file}:{row.line}", row.field, row.reason), row.rows)
        return None
    loaded = _load(row, fetched)
    where = f"product {row.product.id}"
    if not loaded.sent and not encoded_text(row.product, schema):
        report.refuse(Refusal(where, *_why_nothing(loaded)))
        return None
    report.urls += len(loaded.urls)
    for name, reason in loaded.losses:
        report.lose(Refusal(where, name, reason))
    return _input(row, loaded, schema, report)


async def _fetched(
    rows: Iterable[CatalogueProduct | RowError], fetcher: PictureFetcher | None
) -> AsyncIterator[tuple[CatalogueProduct | RowError, Mapping[str, Path | str]]]:
    """Yield the rows in order, with the files of the pictures that were fetched, or why they were not."""
    if fetcher is None:
        for row in rows:
            yield row, {}
        return
    ahead: deque[tuple[CatalogueProduct | RowError, asyncio.Task[dict[str, Path | str]]]] = deque()
    try:
        for row in rows:
            ahead.append((row, asyncio.create_task(_fetch(row, fetcher))))
            if len(ahead) >= _AHEAD:
                first, task = ahead.popleft()
                yield first, await task
        while ahead:
            first, task = ahead.popleft()
            yield first, await task
    finally:
        for _, task in ahead:
            task.cancel()


async def _fetch(row: CatalogueProduct | RowError, fetcher: PictureFetcher) -> dict[str, Path | str]:
    found: dict[str, Path | str] = {}
    for picture in () if isinstance(row, RowError) else row.pictures[: limits.MAX_PICTURES]:
        if isinstance(picture, PictureUrl):
            try:
                found[picture.url] = await fetcher.fetch(picture.url)
            except FetchError as error:
                found[picture.url] = str(error)
    return found


def _load(row: CatalogueProduct, fetched: Mapping[str, Path | str]) -> _Loaded:
    """Read the pictures; one that cannot be read, or is none, costs itself alone."""
    loaded = _Loaded(losses=[(error.field, error.reason) for error in row.errors])
    for number, picture in enumerate(row.pictures):
        if len(loaded.sent) + len(loaded.urls) >= limits.MAX_PICTURES:
            loaded.left_out = len(row.pictures) - number
            break
        found = fetched.get(picture.url, picture) if isinstance(picture, PictureUrl) else picture
        try:
            if isinstance(found, PictureUrl):
                loaded.urls.append(found)
            elif isinstance(found, str):
                loaded.losses.append(("image", f"{picture.uri}: {found}"))
            else:
                loaded.sent.append((picture, _read(found)))
        except ImageRejected as error:
            loaded.losses.append(("image", error.reason))
    return loaded


def _read(picture: PictureFile | PictureBytes | Path) -> bytes:
    """Read a picture; raises ImageRejected for one that cannot be read, or that no service takes."""
    if isinstance(picture, PictureBytes):
        inspect_image(picture.data)
        return picture.data
    path = picture if isinstance(picture, Path) else picture.path
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= MAX_IMAGE_BYTES else b""
    except OSError as error:
        raise ImageRejected(f"{path}: {error.strerror}") from error
    if size > MAX_IMAGE_BYTES:
        raise ImageRejected(f"{path} has {size:,} bytes; the limit is {MAX_IMAGE_BYTES:,}")
    try:
        inspect_image(data)
    except ImageRejected as error:
        raise ImageRejected(f"{path} {error.reason}") from None
    return data


def _why_nothing(loaded: _Loaded) -> tuple[str, str]:
    """Return the field and the reason of a product that has neither words nor a picture."""
    if loaded.losses:
        return loaded.losses[0]
    return "image", "is a URL that is not fetched, and there are no words: --fetch-pictures fetches it"


def _input(
    row: CatalogueProduct, loaded: _Loaded, schema: Schema, report: Report
) -> catalogue_pb2.ProductInput:
    message = catalogue_pb2.ProductInput(product=product_message(row.product, schema))
    sent = _fitting(loaded.sent, MAX_MESSAGE_BYTES - message.ByteSize())
    places = [picture.uri for picture, _ in sent] + [picture.url for picture in loaded.urls]
    uris = [uri if len(uri) <= limits.MAX_URI_LENGTH else "" for uri in places]
    if left_out := loaded.left_out + len(loaded.sent) - len(sent):
        report.notes[_LEFT_OUT] += left_out
    product = replace(row.product, image_uris=tuple(uris) if any(uris) else ())
    message.product.CopyFrom(product_message(product, schema))
    if sent:
        message.image = sent[0][1]
        message.more_images.extend(data for _, data in sent[1:])
    return message


def _fitting(pictures: Sequence[tuple[Picture, bytes]], room: int) -> list[tuple[Picture, bytes]]:
    """Return the first pictures that a message has room for."""
    fitting: list[tuple[Picture, bytes]] = []
    for picture, data in pictures:
        room -= len(data) + limits.MAX_URI_LENGTH
        if room < 0:
            break
        fitting.append((picture, data))
    return fitting
