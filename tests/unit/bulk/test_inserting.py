"""Products as files: how they are cut, what Milvus calls them, and what a failure means."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyarrow import fs

from bulk import inserting
from bulk.errors import BulkError
from bulk.inserting import FilesPlace, InsertedFiles
from gateway.errors import VectorIndexError
from gateway.model import StoredProduct
from gateway.testing.products import stored


class Taking:
    """A build whose server takes files in, or refuses one."""

    version = SimpleNamespace(collection="made")

    def __init__(self, refuses: int = 0) -> None:
        self.taken: list[list[str]] = []
        self.loaded = True
        self.writer = self
        self._refuses = refuses

    def encode(self, products: Sequence[StoredProduct]) -> bytes:
        """Return the ids."""
        return ",".join(each.id for each in products).encode()

    async def insert_file(self, path: str, *, timeout_s: float) -> int:
        """Read the file while the collection is not loaded."""
        assert timeout_s > 0
        assert not self.loaded
        self.taken.append(read(path).split(","))
        if len(self.taken) == self._refuses:
            raise VectorIndexError
        return len(self.taken[-1])

    async def unload(self) -> None:
        """Release the collection."""
        self.loaded = False

    async def load(self, *, timeout_s: float) -> None:
        """Load it again."""
        assert timeout_s > 0
        self.loaded = True


def read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


def held(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def fill(files: InsertedFiles, *products: str) -> None:
    for ids in products:
        await files.upsert(dresses(*ids))
    await files.finish()


def dresses(*ids: str) -> list[StoredProduct]:
    return [stored(each, title="dress", images=[b"1", b"2"] if each == "b" else []) for each in ids]


async def test_files_have_at_least_so_many_rows_and_each_product_is_in_one(tmp_path: Path) -> None:
    """A picture is a row; what is left at the end is a file too, and the place is empty afterwards."""
    build: Any = Taking()
    files = InsertedFiles(build, FilesPlace(str(tmp_path), ""), rows_a_file=3)
    await files.open()
    await fill(files, "ab", "cd", "e", "f")
    assert await files.digests(["a"], fresh=True) == {}
    assert sorted(build.taken) == [["a", "b"], ["c", "d", "e"], ["f"]]
    assert build.loaded
    assert not held(tmp_path)


async def test_a_file_that_is_refused_ends_the_run(tmp_path: Path) -> None:
    """It is not sent again, since what Milvus inserted of it may be there, and nothing is loaded."""
    build: Any = Taking(refuses=2)
    files = InsertedFiles(build, FilesPlace(str(tmp_path), ""), rows_a_file=1)
    await files.open()
    with pytest.raises(BulkError, match=rf"did not take {tmp_path}/vitrine-\w+/rows-\d{{6}}\.parquet in"):
        await fill(files, *"abcdefgh")
    await files.close()
    assert not build.loaded
    assert len(build.taken) <= 3


@pytest.mark.parametrize(
    ("seen_as", "path"), [("", "given"), ("/mnt/milvus/", "/mnt/milvus"), ("files", "files")]
)
def test_milvus_is_told_its_own_path(
    seen_as: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a bucket the path from its root, unless another is said."""
    bucket = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    monkeypatch.setattr(inserting, "open_filesystem", lambda _: (bucket, "bucket/given"))
    told = FilesPlace("s3://bucket/given", seen_as).write("rows.parquet", b"rows")
    (written,) = tmp_path.glob("bucket/given/vitrine-*/rows.parquet")
    assert told == f"{path}/{written.parent.name}/rows.parquet"
    assert written.read_bytes() == b"rows"
