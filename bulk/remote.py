"""Catalogues in buckets: brought into the run's folder once, where the readers and the workers find them."""

import hashlib
from pathlib import Path

from pyarrow import fs

from bulk.errors import BulkError
from bulk.work import open_filesystem

_COMPLETE = ".complete"


def brought_here(path: str, work: str) -> Path:
    """Return the local path of a catalogue; one in a bucket is copied below the work folder, again only after it changed.

    Raises:
        BulkError: nothing is there, it cannot be read, or the work folder is a bucket itself.
    """
    if "://" not in path:
        return Path(path)
    if "://" in work:
        raise BulkError(
            f"--work must be a folder that all workers see where the catalogue is in a bucket, got {work}"
        )
    system, source = open_filesystem(path)
    try:
        found = system.get_file_info(source)
        if found.type is fs.FileType.NotFound:
            raise BulkError(f"{path}: no such file or folder")
        is_folder = found.type is fs.FileType.Directory
        files = system.get_file_info(fs.FileSelector(source, recursive=True)) if is_folder else [found]
        digest = hashlib.sha256(path.encode())
        for each in sorted(files, key=lambda info: info.path):
            digest.update(f"{each.path}|{each.size}|{each.mtime_ns}\n".encode())
        folder = Path(work).resolve() / f"source-{digest.hexdigest()[:16]}"
        target = folder / str(found.base_name)
        if not (folder / _COMPLETE).exists():
            (target if is_folder else folder).mkdir(parents=True, exist_ok=True)
            fs.copy_files(
                source, str(target), source_filesystem=system, destination_filesystem=fs.LocalFileSystem()
            )
            (folder / _COMPLETE).touch()
    except OSError as error:
        reason = str(error).partition("\n")[0]
        raise BulkError(f"{path}: cannot be read: {reason}") from error
    return target
