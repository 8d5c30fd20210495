import io
import os
from pathlib import Path

import pytest
from PIL import Image

from vitrine.image_header import MAX_IMAGE_BYTES
from vitrine.picture_files import LocalPicture, read_picture


@pytest.fixture
def jpeg() -> bytes:
    """A small red picture."""
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path, jpeg: bytes) -> Path:
    """A folder with a picture in it, and one beside it."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "p1.jpg").write_bytes(jpeg)
    (tmp_path / "secret.jpg").write_bytes(jpeg)
    return folder


@pytest.mark.parametrize("uri", ["p1.jpg", "{folder}/p1.jpg", "file://{folder}/p1.jpg", "./x/../p1.jpg"])
def test_picture_in_the_folder_is_read(folder: Path, jpeg: bytes, uri: str) -> None:
    """A path in the folder is read, be it relative to it, absolute or a file URL."""
    (folder / "x").mkdir()
    assert read_picture(uri.format(folder=folder), folder) == LocalPicture(jpeg, "JPEG")


@pytest.mark.parametrize(
    "uri",
    [
        "../secret.jpg",
        "x/../../secret.jpg",
        "{folder}/../secret.jpg",
        "{folder}2/p1.jpg",
        "file://{folder}/../secret.jpg",
        "file://{folder}/%2e%2e/secret.jpg",
        "out.jpg",
        "loop.jpg",
        "/etc/passwd",
        "/dev/zero",
        "https://example.com/p1.jpg",
        "",
        ".",
        "p1.jpg\0.png",
        "a" * 5_000,
    ],
)
def test_nothing_outside_the_folder_is_read(folder: Path, jpeg: bytes, uri: str) -> None:
    """No way of writing a path, nor a symbolic link, reaches a picture beside the folder."""
    beside = folder.with_name(f"{folder.name}2")
    beside.mkdir()
    (beside / "p1.jpg").write_bytes(jpeg)
    (folder / "x").mkdir()
    (folder / "out.jpg").symlink_to(folder.parent / "secret.jpg")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    assert read_picture(uri.format(folder=folder), folder) is None


def test_only_pictures_are_read(folder: Path, jpeg: bytes) -> None:
    """A text, a picture over the size limit and a pipe that nobody writes to are no pictures, whatever their names."""
    (folder / "notes.jpg").write_text("the wholesale prices")
    (folder / "huge.jpg").write_bytes(jpeg + bytes(MAX_IMAGE_BYTES))
    os.mkfifo(folder / "pipe.jpg")
    (folder / "device.jpg").symlink_to("/dev/zero")
    names = ("notes.jpg", "huge.jpg", "pipe.jpg", "device.jpg", "")
    assert [read_picture(name, folder) for name in names] == [None] * 5


def test_missing_folder_has_no_pictures(tmp_path: Path) -> None:
    """A folder that does not exist yet is no error."""
    assert read_picture("p1.jpg", tmp_path / "later") is None
