"""The folder that a run keeps its parts in, on a disk that all workers see or in a bucket.

    <work>/<key>/part-000017.parquet    what became of rows 17 * CHUNK_ROWS and on
    <work>/<key>/bad-rows.jsonl         every row that is not in the index, and why

The key names the source, the schema, the encoders and the blocked pictures, so that a run finds the parts of one that was
killed, and no others.
A part is there as a whole or not at all.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from secrets import token_hex

import pyarrow as pa
from pyarrow import fs

from bulk.chunks import CHUNK_ROWS
from bulk.errors import BulkError

_PART = re.compile(r"part-(\d{6,})\.parquet")


@dataclass(frozen=True)
class Work:
    """A run's folder, by its URI or path; opened anew in every process."""

    location: str

    @cached_property
    def _opened(self) -> tuple[fs.FileSystem, str]:
        return open_filesystem(self.location)

    def write(self, name: str, data: bytes) -> None:
        """Write a file that is there as a whole or not at all."""
        system, folder = self._opened
        try:
            system.create_dir(folder, recursive=True)
            if not isinstance(system, fs.LocalFileSystem):  # an object appears when it is complete
                _write(system, f"{folder}/{name}", data)
                return
            draft = f"{folder}/.{name}.{token_hex(4)}"
            _write(system, draft, data)
            system.move(draft, f"{folder}/{name}")
        except OSError as error:
            raise BulkError(f"{self.location}: cannot be written: {error}") from error

    def read(self, name: str) -> bytes:
        """Return a file's bytes; raises FileNotFoundError where there is none."""
        system, folder = self._opened
        with system.open_input_file(f"{folder}/{name}") as file:
            return bytes(file.read())

    def parts(self) -> frozenset[int]:
        """Return the numbers of the parts that are there."""
        system, folder = self._opened
        found = system.get_file_info(fs.FileSelector(folder, allow_not_found=True))
        return frozenset(int(match[1]) for each in found if (match := _PART.fullmatch(each.base_name)))

    def forget_parts(self) -> None:
        """Delete the parts: the index has what they hold."""
        system, folder = self._opened
        for number in self.parts():
            system.delete_file(f"{folder}/{part_name(number)}")


def part_name(number: int) -> str:
    """Return the file of a part."""
    return f"part-{number:06}.parquet"


def run_key(*identity: str) -> str:
    """Return the name of a run's folder: of everything that moves a part."""
    told = json.dumps([*identity, CHUNK_ROWS])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def open_filesystem(location: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of a URI (s3://, gs://, hdfs://, file://) or a path, and the path in it.

    Raises:
        BulkError: no file system is known for it.
    """
    try:
        system, path = (
            fs.FileSystem.from_uri(location) if "://" in location else (fs.LocalFileSystem(), location)
        )
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise BulkError(f"{location}: cannot be opened: {reason}") from error
    return system, path.rstrip("/")


def _write(system: fs.FileSystem, path: str, data: bytes) -> None:
    with system.open_output_stream(path) as file:
        file.write(data)
