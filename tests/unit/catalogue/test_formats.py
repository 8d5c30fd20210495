"""JSON arrays, Parquet and XML."""

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalogue.product import CatalogueProduct, PictureBytes
from catalogue.readers.opening import open_catalogue
from catalogue.readers.rows import CatalogueError, RowError

Read = Callable[..., tuple[list[CatalogueProduct], list[tuple[int, str, str]]]]

GOOD = {"id": "a1", "title": "Red shirt", "category": "top", "image": "a.jpg", "price": 12.5}


@pytest.mark.parametrize("wrap", [lambda rows: rows, lambda rows: {"total": 2, "items": rows}])
def test_json_arrays_are_read_wherever_they_are(
    tmp_path: Path, read: Read, wrap: Callable[[object], object]
) -> None:
    """An array, and an object that holds one, are catalogues; numbers stay as they are written."""
    path = tmp_path / "p.json"
    path.write_text(json.dumps(wrap([GOOD | {"price": 19.99}, {"id": 2, "title": "B"}, 3]), indent=1))
    products, errors = read(path)
    assert [(each.product.id, each.product.values.get("price")) for each in products] == [
        ("a1", 19.99),
        ("2", None),
    ]
    assert errors == [(3, "", "not a JSON object")]


def test_a_json_array_that_breaks_off_keeps_what_came_before(tmp_path: Path, read: Read) -> None:
    """The products before the damage are there, and the damage is one error."""
    path = tmp_path / "p.json"
    path.write_text(json.dumps([GOOD, {"id": 2, "title": "B"}])[:-10])
    products, errors = read(path)
    assert [each.product.id for each in products] == ["a1"]
    assert [(line, field) for line, field, _ in errors] == [(2, "")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [("nonsense", "not JSON"), ('{"a": 1}', "no column"), ("[]", "holds no list"), ("[1]", "holds no list")],
)
def test_json_without_products_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    """The error says what is expected."""
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(CatalogueError, match=reason):
        open_catalogue(path)


def test_json_lines_under_another_name_are_read(tmp_path: Path, read: Read) -> None:
    """A .json file with an object a line is what it is."""
    path = tmp_path / "p.json"
    path.write_text('{"id": 1, "title": "A"}\n{"id": 2, "title": "B"}\n')
    assert [each.product.id for each in read(path)[0]] == ["1", "2"]


def test_parquet_keeps_numbers_as_they_were_written(tmp_path: Path, read: Read) -> None:
    """Ids that a gap made floats are whole, float32 prices are the decimals that they were, an id that is missing is an error."""
    table = pa.table(
        {
            "id": pa.array([7.0, 8.0, None]),
            "title": ["A", "B", "C"],
            "price": pa.array([24.99, None, 0.1], pa.float32()),
            "attributes": pa.array([[("fit", "slim")], [], None], pa.map_(pa.string(), pa.string())),
        }
    )
    pq.write_table(table, tmp_path / "products.parquet")
    products, errors = read(tmp_path)
    assert [(each.product.id, each.product.values.get("price")) for each in products] == [
        ("7", 24.99),
        ("8", None),
    ]
    assert products[0].product.attributes == {"fit": "slim"}
    assert errors == [(3, "id", "must not be empty")]


def test_every_float32_reads_as_its_shortest_decimal(tmp_path: Path, read: Read) -> None:
    """Prices with two decimals come out as they went in."""
    prices = [round(0.01 * i * i, 2) for i in range(300)]
    table = pa.table(
        {"id": list(range(300)), "title": ["A"] * 300, "price": pa.array(np.array(prices, np.float32))}
    )
    pq.write_table(table, tmp_path / "products.parquet")
    assert [each.product.values["price"] for each in read(tmp_path)[0]] == prices


@pytest.mark.parametrize("form", ["struct", "binary"])
def test_pictures_inside_the_rows_are_used(tmp_path: Path, read: Read, picture: bytes, form: str) -> None:
    """The struct that `datasets` writes, and plain bytes, are the product's picture, under any column's name."""
    cells = (
        [{"bytes": picture, "path": f"{i}.jpg"} for i in range(2)] if form == "struct" else [picture, picture]
    )
    table = pa.table({"shot": pa.array(cells), "id": ["p0", "p1"], "title": ["A", "B"]})
    pq.write_table(table, tmp_path / "train-00000-of-00001.parquet")
    products, errors = read(tmp_path)
    assert errors == []
    assert [(each.product.id, each.pictures[0]) for each in products] == [
        ("p0", PictureBytes(picture, "0.jpg" if form == "struct" else "")),
        ("p1", PictureBytes(picture, "1.jpg" if form == "struct" else "")),
    ]


def test_shards_are_one_catalogue_and_rows_without_ids_are_called_after_their_place(
    tmp_path: Path, picture: bytes
) -> None:
    """All shards are read in order, from the folder data/ too; a shard that is missing is named."""
    data = tmp_path / "data"
    data.mkdir()
    for shard in range(2):
        rows = [{"image": {"bytes": picture, "path": None}, "caption": f"c{shard}"}] * 2
        pq.write_table(pa.Table.from_pylist(rows), data / f"train-0000{shard}-of-00002.parquet")
    catalogue = open_catalogue(tmp_path)
    assert [row.product.id for row in catalogue.rows if isinstance(row, CatalogueProduct)] == [
        "train-00000-of-00002-1",
        "train-00000-of-00002-2",
        "train-00001-of-00002-1",
        "train-00001-of-00002-2",
    ]
    assert (catalogue.estimate, len(catalogue.files)) == (4, 2)
    (data / "train-00001-of-00002.parquet").unlink()
    with pytest.raises(CatalogueError, match=r"train-00001-of-00002.parquet: missing; 1 of its 2 shards"):
        open_catalogue(tmp_path)


def test_parquet_text_that_is_no_utf8_is_an_error_of_its_row(tmp_path: Path, read: Read) -> None:
    """A string column with bad bytes spoils one row."""
    titles = pa.array([b"Shirt", b"Caf\xe9", b"Skirt"]).view(pa.string())
    pq.write_table(pa.table({"id": ["1", "2", "3"], "title": titles}), tmp_path / "products.parquet")
    products, errors = read(tmp_path)
    assert [each.product.values["title"] for each in products] == ["Shirt", "Skirt"]
    assert errors == [(2, "", "holds text that is not UTF-8")]


def test_a_damaged_row_group_is_one_error_and_the_next_group_is_read(tmp_path: Path) -> None:
    """The error says how many rows are lost."""
    path = tmp_path / "products.parquet"
    table = pa.table({name: [f"{name}{i}" for i in range(300)] for name in ("id", "title", "category")})
    pq.write_table(table, path, row_group_size=100, compression="none", use_dictionary=False)
    group = pq.ParquetFile(path).metadata.row_group(1)
    data = bytearray(path.read_bytes())
    start = group.column(1).data_page_offset
    data[start : start + 64] = b"\xff" * 64
    path.write_bytes(data)
    rows = list(open_catalogue(path).rows)
    assert len([row for row in rows if isinstance(row, CatalogueProduct)]) == 200
    (error,) = [row for row in rows if isinstance(row, RowError)]
    assert (error.line, error.rows) == (101, 100)
    assert error.reason.startswith("100 rows of row group 1 cannot be read: ")


def test_a_truncated_parquet_file_is_refused_as_a_whole(tmp_path: Path) -> None:
    """A file without its end cannot be read at all."""
    path = tmp_path / "products.parquet"
    pq.write_table(pa.Table.from_pylist([GOOD] * 50), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CatalogueError, match="not a complete Parquet file"):
        open_catalogue(tmp_path)


def test_xml_without_records_or_with_a_document_type_is_refused(tmp_path: Path) -> None:
    """An entity that would grow is never expanded, and what is no feed says so."""
    path = tmp_path / "feed.xml"
    path.write_text(
        '<!DOCTYPE rss [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><rss><item><id>&b;</id></item></rss>'
    )
    with pytest.raises(CatalogueError, match="declares a document type"):
        open_catalogue(path)
    path.write_text("<rss><channel/></rss>")
    with pytest.raises(CatalogueError, match="no <item> of RSS"):
        open_catalogue(path)
    path.write_text("not XML")
    with pytest.raises(CatalogueError, match="not XML"):
        open_catalogue(path)


def test_xml_that_breaks_off_later_keeps_what_came_before(tmp_path: Path, read: Read) -> None:
    """The items before the damage are products, and the damage is one error."""
    path = tmp_path / "feed.xml"
    items = "".join(f"<item><id>{i}</id><title>T{i}</title></item>" for i in range(150))
    path.write_text(f"<rss><channel>{items}<item><id>x</title>")
    products, errors = read(path)
    assert len(products) == 150
    assert [(line, field) for line, field, _ in errors] == [(151, "")]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "json", "xml"])
def test_a_catalogue_is_read_as_it_is_used(tmp_path: Path, ending: str) -> None:
    """Opening and taking a few products reads a beginning of the file alone, whatever its size."""
    path = tmp_path / f"big.{ending}"
    begin, row, end = {
        "csv": ("id,title\n", "{i},T\n", ""),
        "jsonl": ("", '{{"id": {i}, "title": "T"}}\n', ""),
        "json": ("[", '{{"id": {i}, "title": "T"}},', '{"id": "last", "title": "T"}]'),
        "xml": ("<rss><channel>", "<item><id>{i}</id><title>T</title></item>", "</channel></rss>"),
    }[ending]
    with path.open("w") as file:
        file.write(begin)
        file.writelines(row.format(i=i) for i in range(100_000))
        file.write(end)
    catalogue = open_catalogue(path)
    assert 60_000 < catalogue.estimate < 180_000
    first = list(islice(catalogue.rows, 3))
    assert [row.product.id for row in first if isinstance(row, CatalogueProduct)] == ["0", "1", "2"]
