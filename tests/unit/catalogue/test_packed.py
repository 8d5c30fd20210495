"""Tables that are packed with gzip."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from catalogue.product import CatalogueProduct
from catalogue.readers import packed
from catalogue.readers.opening import open_catalogue
from catalogue.readers.rows import CatalogueError

Read = Callable[..., tuple[list[CatalogueProduct], list[tuple[int, str, str]]]]

TABLES = {
    "p.csv.gz": "id,title,price\na1,Red shirt,12.5\na2,,\n",
    "p.tsv.gz": "id\ttitle\tprice\na1\tRed shirt\t12.5\na2\t\t\n",
    "p.jsonl.gz": '{"id": "a1", "title": "Red shirt", "price": 12.5}\n{"id": "a2"}\n',
    "p.json.gz": '{"id": "a1", "title": "Red shirt", "price": 12.5}\n{"id": "a2"}\n',
    "P.XML.GZ": "<rss><channel><item><id>a1</id><title>Red shirt</title><price>12.5</price></item><item><id>a2</id></item></channel></rss>",
}


@pytest.fixture(autouse=True)
def _temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))


@pytest.mark.parametrize("name", TABLES)
def test_a_packed_table_is_read_as_it_would_be_unpacked(tmp_path: Path, read: Read, name: str) -> None:
    """Products and bad rows are those of the table; errors name the packed file, and nothing is left behind."""
    folder = tmp_path / "shop"
    folder.mkdir()
    path = folder / name
    path.write_bytes(gzip.compress(TABLES[name].encode()))
    for given in (path, folder):
        opened = open_catalogue(given)
        rows = [*opened.rows]
        assert opened.files == (path,)
        assert {each.file for each in rows} == {path}
    products, errors = read(path)
    assert [(each.product.id, each.product.values["price"]) for each in products] == [("a1", 12.5)]
    assert [field for _, field, _ in errors] == ["title"]
    assert not [*(tmp_path / "temporary").iterdir()]


# Each is packed in the test: a packed file has the time in it, and every process would collect other tests.
@pytest.mark.parametrize(
    ("pack", "most", "reason"),
    [
        pytest.param(lambda: b"id,title\na1,Red\n", packed.MAX_BYTES, "not gzip, or damaged", id="plain"),
        pytest.param(
            lambda: gzip.compress(b"id,title\n" * 900)[:-9],
            packed.MAX_BYTES,
            "not gzip, or damaged",
            id="cut",
        ),
        pytest.param(lambda: gzip.compress(b""), packed.MAX_BYTES, "empty", id="empty"),
        pytest.param(
            lambda: gzip.compress(b"id,title\na1,Red shirt\n" * 9),
            64,
            "more than 64 bytes when it is unpacked",
            id="too large",
        ),
    ],
)
def test_what_is_no_packed_table_is_refused_by_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[[], bytes], most: int, reason: str
) -> None:
    """The error names the packed file and what is wrong, and nothing is left behind."""
    monkeypatch.setattr(packed, "MAX_BYTES", most)
    path = tmp_path / "p.csv.gz"
    path.write_bytes(pack())
    with pytest.raises(CatalogueError, match=reason) as refused:
        open_catalogue(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert not [*(tmp_path / "temporary").iterdir()]


def test_a_table_is_meant_before_what_is_packed_beside_it(tmp_path: Path, read: Read) -> None:
    """An old copy that lies packed beside a table does not make two of it; all parts of a packed file are read."""
    (tmp_path / "a.csv").write_text("id,title\na1,Red shirt\n")
    old = tmp_path / "a.csv.gz"
    old.write_bytes(gzip.compress(b"id,title\nb1,Blue shirt\n") + gzip.compress(b"b2,Green shirt\n"))
    assert open_catalogue(tmp_path).files == (tmp_path / "a.csv",)
    assert [each.product.id for each in read(old)[0]] == ["b1", "b2"]
