"""Products as files that Milvus takes in by itself: for a server that has bulk insert and reads a place that this run writes.

A file is taken in once or the run fails: its job inserts and does not replace. So the collection is one that no run before
this has written, and after a failure the next run begins another; what was embedded is kept either way.
"""

import asyncio
import logging
from collections.abc import Sequence
from secrets import token_hex

from pyarrow import fs

from bulk.errors import BulkError
from bulk.work import open_filesystem
from gateway.adapters.milvus.building import MilvusBuild
from gateway.errors import DeadlineExceeded, VectorIndexError
from gateway.logs import log_event
from gateway.model import IndexVersion, StoredDigests, StoredProduct

ROWS_A_FILE = 50_000
"""Of one picture each: about 100 MB of vectors, which the server writes as one segment or two."""

_JOBS_AT_ONCE = 2
"""One that the server reads while another is written."""
_JOB_TIMEOUT_S = 3_600.0
_LOAD_TIMEOUT_S = 3_600.0

_logger = logging.getLogger(__name__)


class FilesPlace:
    """The place: a folder or a bucket, and how Milvus calls what lies in it."""

    def __init__(self, location: str, seen_as: str) -> None:
        """Write to the location; Milvus finds a file there as `<seen_as>/<file>`."""
        self._system, folder = open_filesystem(location)
        self._name = f"vitrine-{token_hex(8)}"
        self._folder = f"{folder}/{self._name}"
        # In a bucket Milvus counts from the bucket's own root.
        path = folder if isinstance(self._system, fs.LocalFileSystem) else folder.partition("/")[2]
        self._seen_as = "/".join(filter(None, ((seen_as or path).rstrip("/"), self._name)))

    def write(self, name: str, data: bytes) -> str:
        """Write a file; return Milvus's path to it."""
        try:
            self._system.create_dir(self._folder, recursive=True)
            with self._system.open_output_stream(f"{self._folder}/{name}") as file:
                file.write(data)
        except OSError as error:
            raise BulkError(f"{self._folder}: cannot be written: {error}") from error
        return f"{self._seen_as}/{name}"

    def clear(self) -> None:
        """Delete what was written: the index has it, and is whole where the place keeps it."""
        try:
            self._system.delete_dir(self._folder)
        except OSError as error:
            log_event(_logger, logging.WARNING, "files_left", folder=self._folder, error=str(error))


class InsertedFiles:
    """What `bulk.loading.Loader` writes into instead of a build: whole files at a time, and nothing twice."""

    def __init__(self, build: MilvusBuild, place: FilesPlace, *, rows_a_file: int = ROWS_A_FILE) -> None:
        self.version: IndexVersion = build.version
        self._build = build
        self._place = place
        self._rows_a_file = rows_a_file
        self._waiting: list[StoredProduct] = []
        self._rows = 0
        self._files = 0
        self._jobs: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Make the server ready to take files in."""
        await self._build.writer.unload()

    async def digests(self, ids: Sequence[str], *, fresh: bool = False) -> dict[str, StoredDigests]:
        """Return nothing: the collection holds none of the products that are still to come."""
        del ids, fresh
        return {}

    async def upsert(self, products: Sequence[StoredProduct], *, replaces: bool = True) -> None:
        """Keep products, none of which came before, for the next file; wait where too many files are on their way.

        Raises:
            BulkError: the server did not take a file in.
        """
        del replaces
        async with self._turn:
            self._waiting += products
            self._rows += sum(max(1, len(_images(each))) for each in products)
            if self._rows >= self._rows_a_file:
                await self._send()

    async def finish(self) -> None:
        """Have all products in the collection, loaded.

        Raises:
            BulkError: the server did not take a file in.
        """
        async with self._turn:
            await self._send()
            while self._jobs:
                await self._wait()
        await self._build.writer.load(timeout_s=_LOAD_TIMEOUT_S)
        await asyncio.to_thread(self._place.clear)

    async def close(self) -> None:
        """Stop waiting for jobs; those that run go on in a collection that nobody reads."""
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)

    async def _send(self) -> None:
        if not self._waiting:
            return
        products, self._waiting, self._rows = self._waiting, [], 0
        while len(self._jobs) >= _JOBS_AT_ONCE:
            await self._wait()
        self._files += 1
        self._jobs.add(asyncio.create_task(self._take_in(products, f"rows-{self._files:06}.parquet")))

    async def _take_in(self, products: Sequence[StoredProduct], name: str) -> None:
        data = await asyncio.to_thread(self._build.writer.encode, products)
        path = await asyncio.to_thread(self._place.write, name, data)
        try:
            await self._build.insert_file(path, timeout_s=_JOB_TIMEOUT_S)
        except (VectorIndexError, DeadlineExceeded) as error:
            raise BulkError(
                f"Milvus did not take {path} in ({error}): does it read that place, under that path? Run it again;"
                " what was embedded is kept"
            ) from error

    async def _wait(self) -> None:
        done, self._jobs = await asyncio.wait(self._jobs, return_when=asyncio.FIRST_COMPLETED)
        for job in done:
            job.result()


def _images(product: StoredProduct) -> Sequence[object]:
    return () if product.image_embeddings is None else product.image_embeddings  # type: ignore[return-value]
