"""Pictures of products, read from one folder and from nowhere else: the page, the sheets and the tour read them here.

Where a picture lies is said by a server, and a server may say anything.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vitrine.image_header import MAX_IMAGE_BYTES, ImageFormat, ImageRejected, inspect_image


@dataclass(frozen=True, slots=True)
class LocalPicture:
    """An encoded picture, and its format."""

    data: bytes
    format: ImageFormat


def read_picture(uri: str, folder: Path) -> LocalPicture | None:
    """Read the picture that the URI names: a path in the folder, relative or absolute, or a file URL.

    None where it is no regular file, lies outside the folder once every `..` and symbolic link is followed, or is no
    JPEG, PNG or WebP picture within the limits of `vitrine.image_header`.
    """
    path = _path_of(uri)
    if path is None:
        return None
    try:
        root = folder.resolve(strict=True)
        resolved = (root / path).resolve(strict=True)
        if not resolved.is_relative_to(root):
            return None
        data = _read_file(resolved)
        return LocalPicture(data, inspect_image(data).format)
    except (
        OSError,
        ValueError,
        RuntimeError,
        ImageRejected,
    ):  # ValueError: a NUL; RuntimeError: links in a circle
        return None


def _path_of(uri: str) -> Path | None:
    if uri.startswith("file://"):
        return Path(unquote(urlsplit(uri).path))
    return Path(uri) if uri and "://" not in uri else None


def _read_file(path: Path) -> bytes:
    """Read a regular file, one byte past the limit at most."""
    # A pipe would block the open, and a link put there since must not be followed.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise FileNotFoundError(path)
        return file.read(MAX_IMAGE_BYTES + 1)
