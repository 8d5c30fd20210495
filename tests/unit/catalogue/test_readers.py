"""The readers of tables and of folders."""

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalogue.product import MAX_TITLE_LENGTH, Product
from catalogue.readers.opening import open_catalogue
from catalogue.readers.rows import CatalogueError, RowError

GOOD = {"id": "a1", "title": "Red shirt", "category": "top", "image": "a.jpg", "price": 12.5}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.jpg").write_bytes(b"picture")
    (tmp_path / "b.jpg").write_bytes(b"picture")
    return tmp_path


def _read(path: Path) -> tuple[list[Product], list[tuple[int, str, str]]]:
    """Give the products, and line, field and reason of every error."""
    rows = list(open_catalogue(path).rows)
    errors = [(row.line, row.field, row.reason) for row in rows if isinstance(row, RowError)]
    return [row for row in rows if isinstance(row, Product)], errors


def _write_csv(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def _write_jsonl(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_csv_columns_become_fields_and_attributes(folder: Path) -> None:
    """Columns are found under their other names and in any case; unknown ones are attributes; a BOM is no letter."""
    path = folder / "shop.csv"
    path.write_text(
        "SKU,Name,Product_Type,Picture,Price,Color,fabric\n7,Shirt,top,a.jpg,12.50,red,linen\n", "utf-8-sig"
    )
    assert _read(path) == (
        [
            Product(
                id="7",
                title="Shirt",
                category="top",
                image=folder / "a.jpg",
                price=12.5,
                colour="red",
                attributes={"fabric": "linen"},
            )
        ],
        [],
    )


def test_a_bad_row_is_reported_and_the_next_one_read(folder: Path) -> None:
    """Every kind of bad CSV row names its line, its field and the reason; the good rows are all there."""
    path = _write_csv(
        folder / "products.csv",
        [
            ("id", "title", "category", "image", "price"),
            ("a1", "Shirt", "top", "a.jpg", "12"),
            ("a2", "Shirt", "top", "missing.jpg", "12"),
            ("a3", "Shirt", "top", "a.jpg", "cheap"),
            ("a4", "  ", "top", "a.jpg", "12"),
            ("a1", "Other shirt", "top", "a.jpg", "12"),
            ("a5", "Shirt", "", "a.jpg", "12"),
            ("a6", "Shirt", "top", "", "12"),
            ("a7", "Shirt", "top", "a.jpg", "nan"),
            ("a8", "Shirt", "top", "a.jpg"),
            ("a9", "x" * (MAX_TITLE_LENGTH + 1), "top", "a.jpg", ""),
            ("b1", "Two\nlines", "top", "b.jpg", ""),
            ("b2", "Shirt", "top", "a.jpg", "-1"),
        ],
    )
    products, errors = _read(path)
    assert [product.id for product in products] == ["a1", "b1"]
    assert errors == [
        (3, "image", f"no file 'missing.jpg' in {folder}"),
        (4, "price", "must be a number, got 'cheap'"),
        (5, "title", "must not be empty"),
        (6, "id", "'a1' was there before"),
        (7, "category", "must not be empty"),
        (8, "image", "must not be empty"),
        (9, "price", "must be a finite number >= 0, got nan"),
        (10, "", "has 4 cells where the header has 5"),
        (11, "title", f"at most {MAX_TITLE_LENGTH} characters, got {MAX_TITLE_LENGTH + 1}"),
        (14, "price", "must be a finite number >= 0, got -1.0"),
    ]


def test_bytes_that_are_no_utf8_spoil_their_row_alone(folder: Path) -> None:
    """Latin-1 in one row of a CSV or JSONL file is reported with its line."""
    table = folder / "products.csv"
    table.write_bytes(b"id,title,category,image\n1,Caf\xe9,top,a.jpg\n2,Shirt,top,a.jpg\n")
    products, errors = _read(table)
    assert [product.id for product in products] == ["2"]
    assert errors == [(2, "title", "is not UTF-8")]
    lines = folder / "products.jsonl"
    lines.write_bytes(
        b'{"title": "Caf\xe9", "category": "top", "image": "a.jpg"}\n' + json.dumps(GOOD).encode()
    )
    products, errors = _read(lines)
    assert [product.id for product in products] == ["a1"]
    assert errors == [(1, "title", "is not UTF-8")]


def test_a_quote_that_is_never_closed_is_reported(folder: Path) -> None:
    """A cell that swallows the rest of the file is an error of its line, and what follows is read."""
    path = folder / "products.csv"
    swallowed = "x,y,z,a.jpg\n" * 12_000  # over the csv module's limit of 131,072 characters a cell
    path.write_text(f'id,title,category,image\n1,Shirt,top,a.jpg\n2,"Shirt,top,a.jpg\n{swallowed}')
    products, errors = _read(path)
    assert products[0].id == "1"
    assert errors[0][2] == "field larger than field limit (131072)"
    assert products[1].id == "x"


def test_jsonl_reports_what_is_no_object(folder: Path) -> None:
    """Broken JSON, other JSON, wrong types and lone surrogates are errors of their line."""
    path = folder / "products.jsonl"
    bad = [
        "{",
        "[1]",
        "[" * 100_000,
        json.dumps(GOOD | {"title": ["Shirt"]}),
        json.dumps(GOOD | {"price": True}),
        json.dumps(GOOD | {"title": "\ud800"}),
        json.dumps(GOOD | {"price": math.inf}),
        json.dumps(GOOD | {"image": "a.jpg\0"}),
        json.dumps(GOOD | {"image": "x" * 5_000}),
    ]
    path.write_text("\n".join([*bad, "", json.dumps(GOOD)]))
    products, errors = _read(path)
    assert [product.id for product in products] == ["a1"]
    assert [line for line, _, _ in errors] == list(range(1, 10))
    assert [field for _, field, _ in errors] == [
        "",
        "",
        "",
        "title",
        "price",
        "title",
        "price",
        "image",
        "image",
    ]
    assert errors[1][2] == "not a JSON object"
    assert errors[3][2] == "must be text, got ['Shirt']"


def test_jsonl_attributes_may_be_nested(folder: Path) -> None:
    """The entries of `attributes` are attributes; lists become JSON; what is empty is left out."""
    row = GOOD | {"attributes": {"fit": "slim", "care": ["cold", "no iron"]}, "season": "SS26", "note": None}
    (product,), _ = _read(_write_jsonl(folder / "p.ndjson", [row]))
    assert product.attributes == {"fit": "slim", "care": '["cold", "no iron"]', "season": "SS26"}


def test_without_an_id_the_pictures_path_is_the_id(folder: Path) -> None:
    """A table of nothing but pictures, titles and categories is a catalogue."""
    rows = [("caption", "category", "file_name"), ("Shirt", "top", "a.jpg"), ("Other", "top", "b.jpg")]
    products, errors = _read(_write_csv(folder / "metadata.csv", rows))
    assert ([product.id for product in products], errors) == (["a.jpg", "b.jpg"], [])


def test_parquet_rows_become_products(folder: Path) -> None:
    """Numbers keep their type, maps are attributes, embedded bytes are passed over, and rows are counted from 1."""
    attributes = pa.map_(pa.string(), pa.string())
    table = pa.table(
        {
            "id": [1, 2, 3],
            "title": ["Shirt", "Skirt", ""],
            "category": ["top", "skirt", "top"],
            "image": ["a.jpg", "b.jpg", "a.jpg"],
            "price": [1.5, None, 2.0],
            "attributes": pa.array([[("fit", "slim")], [], None], attributes),
            "thumbnail": [b"\xff\xd8", None, None],
        }
    )
    pq.write_table(table, folder / "products.parquet")
    catalogue = open_catalogue(folder)
    rows = list(catalogue.rows)
    assert catalogue.estimate == 3
    assert rows[0] == Product(
        id="1", title="Shirt", category="top", image=folder / "a.jpg", price=1.5, attributes={"fit": "slim"}
    )
    assert isinstance(rows[1], Product)
    assert rows[1].price == 0
    assert rows[2] == RowError(
        file=folder / "products.parquet", line=3, field="title", reason="must not be empty"
    )


def test_parquet_text_that_is_no_utf8_is_an_error_of_its_row(folder: Path) -> None:
    """A string column with bad bytes spoils one row."""
    titles = pa.array([b"Shirt", b"Caf\xe9", b"Skirt"]).view(pa.string())
    table = pa.table({"title": titles, "category": ["top"] * 3, "image": ["a.jpg", "a.jpg", "b.jpg"]})
    pq.write_table(table, folder / "products.parquet")
    products, errors = _read(folder)
    assert [product.title for product in products] == ["Shirt", "Skirt"]
    assert errors == [(2, "", "holds text that is not UTF-8")]


def test_a_damaged_row_group_is_one_error_and_the_next_group_is_read(folder: Path) -> None:
    """The error says how many rows are lost."""
    path = folder / "products.parquet"
    columns = {name: [f"{name}{i}" for i in range(300)] for name in ("id", "title", "category")}
    table = pa.table(columns | {"image": ["a.jpg"] * 300})
    pq.write_table(table, path, row_group_size=100, compression="none", use_dictionary=False)
    group = pq.ParquetFile(path).metadata.row_group(1)
    data = bytearray(path.read_bytes())
    start = group.column(1).data_page_offset
    data[start : start + 64] = b"\xff" * 64
    path.write_bytes(data)
    rows = list(open_catalogue(path).rows)
    assert len([row for row in rows if isinstance(row, Product)]) == 200
    (error,) = [row for row in rows if isinstance(row, RowError)]
    assert (error.line, error.rows) == (101, 100)
    assert error.reason.startswith("100 rows of row group 1 cannot be read: ")


def test_a_truncated_parquet_file_is_refused_as_a_whole(folder: Path) -> None:
    """A file without its end cannot be read at all."""
    path = folder / "products.parquet"
    pq.write_table(pa.Table.from_pylist([GOOD] * 50), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CatalogueError, match="not a complete Parquet file"):
        open_catalogue(folder)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "no table"),
        ({"x.csv": "id,title\n", "y.jsonl": ""}, r"several tables \(x.csv, y.jsonl\)"),
        ({"x.csv": ""}, "empty; a header is expected"),
        ({"x.csv": "id,title,price\n"}, r"no column for the category \(one of category, product_type\)"),
    ],
)
def test_a_folder_that_is_no_catalogue_says_why(tmp_path: Path, files: dict[str, str], reason: str) -> None:
    """The error names the folder or file and what is expected."""
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(CatalogueError, match=reason):
        list(open_catalogue(tmp_path).rows)


def test_the_usual_name_wins_among_several_tables(folder: Path) -> None:
    """A folder with products.jsonl and another table is read without asking."""
    _write_jsonl(folder / "products.jsonl", [GOOD])
    (folder / "notes.csv").write_text("a,b\n")
    assert open_catalogue(folder).source == folder / "products.jsonl"


@pytest.mark.parametrize("name", ["nothing.csv", "a.jpg"])
def test_other_paths_are_refused(folder: Path, name: str) -> None:
    """What is not there, and a file of another kind, are errors."""
    with pytest.raises(CatalogueError, match=r"no such file or folder|not a catalogue; expected"):
        open_catalogue(folder / name)
