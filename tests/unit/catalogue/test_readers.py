"""Tables of no known feed: their columns as fields and attributes, and what is wrong with their rows."""

import csv
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from catalogue.product import CatalogueProduct, PictureFile
from catalogue.readers.opening import open_catalogue
from catalogue.readers.rows import CatalogueError
from vitrine.domain import limits
from vitrine.domain.schema import Schema
from vitrine.domain.schema_files import parse_schema

Read = Callable[..., tuple[list[CatalogueProduct], list[tuple[int, str, str]]]]

GOOD = {"id": "a1", "title": "Red shirt", "category": "top", "image": "a.jpg", "price": 12.5}

GARDEN = parse_schema("""
name = "garden"
currency = "EUR"

[fields.number]
kind = "keyword"
role = "id"
columns = ["Artikelnummer"]

[fields.title]
kind = "text"
role = "title"
columns = ["Bezeichnung"]

[fields.care]
kind = "keywords"

[fields.height]
kind = "number"
columns = ["Höhe cm"]

[fields.hardy]
kind = "boolean"

[fields.price]
kind = "money"
role = "price"
""")


def _write_csv(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def _write_jsonl(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_columns_become_fields_and_attributes(folder: Path, read: Read) -> None:
    """Columns are found under their other names and in any case; unknown ones are attributes; a BOM is no letter."""
    path = folder / "shop.csv"
    path.write_text(
        "SKU,Name,Product-Type,Picture,Price,Color,Fabric\n7,Shirt,top,a.jpg,12.50,red,linen\n", "utf-8-sig"
    )
    ((product,), errors) = read(path)
    assert errors == []
    assert product.product.id == "7"
    assert product.product.values == {"title": "Shirt", "category": "top", "price": 12.5, "colour": "red"}
    assert product.product.attributes == {"fabric": "linen"}
    assert product.pictures == (PictureFile(folder / "a.jpg"),)


def test_a_shop_of_another_trade_is_read_by_its_own_schema(tmp_path: Path, read: Read) -> None:
    """Keywords, numbers, booleans and money are read by their kinds; what is empty is absent, never nothing or 0."""
    path = tmp_path / "garden.csv"
    path.write_text(
        "Artikelnummer;Bezeichnung;Care;Höhe_cm;Hardy;Price\n"
        "007;Rose;sun|water daily;120,5;yes;9,95 €\n"
        "008;Fern;;;;\n"
        "009;Moss;shade;2;perhaps;1,00\n"
        "010;Pine;sun;tall;no;1,00\n"
        "011;Palm;sun;3;no;5.00 USD\n"
    )
    products, errors = read(path, GARDEN)
    assert [(each.product.id, each.product.values) for each in products] == [
        (
            "007",
            {"title": "Rose", "care": ("sun", "water daily"), "height": 120.5, "hardy": True, "price": 9.95},
        ),
        ("008", {"title": "Fern"}),
    ]
    assert [(line, field) for line, field, _ in errors] == [(4, "hardy"), (5, "height"), (6, "price")]
    assert errors[2][2] == "is in USD, got '5.00 USD': the schema's currency is EUR"


def test_a_bad_row_is_reported_and_the_next_one_read(folder: Path, read: Read) -> None:
    """Every kind of bad row names its line, its field and the reason; the good rows are all there."""
    path = _write_csv(
        folder / "products.csv",
        [
            ("id", "title", "category", "image", "price"),
            ("a1", "Shirt", "top", "a.jpg", "12"),
            ("a2", "  ", "top", "missing.jpg", "12"),
            ("a3", "Shirt", "top", "a.jpg", "cheap"),
            ("", "Shirt", "top", "a.jpg", "12"),
            ("a1", "Other shirt", "top", "a.jpg", "12"),
            ("a5", "Shirt", "", "a.jpg", "12"),
            ("a6", "Shirt", "top", "", "12"),
            ("a7", "", "top", "", "12"),
            ("a8", "Shirt", "top", "a.jpg"),
            ("a9", "x" * (limits.MAX_TITLE_LENGTH + 1), "top", "a.jpg", ""),
            ("b1", "Two\nlines", "top", "b.jpg", ""),
            ("b2", "Shirt", "top", "a.jpg", "-1"),
        ],
    )
    products, errors = read(path)
    assert [each.product.id for each in products] == ["a1", "a5", "a6", "b1"]
    assert [(line, field) for line, field, _ in errors] == [
        (3, "title"),
        (4, "price"),
        (5, "id"),
        (6, "id"),
        (9, "title"),
        (10, ""),
        (11, "title"),
        (14, "price"),
    ]
    reasons = [reason for _, _, reason in errors]
    assert reasons[0] == f"must not be empty where there is no picture (no file 'missing.jpg' in {folder})"
    assert reasons[2:4] == ["must not be empty", "'a1' was there before"]
    assert reasons[5] == "has 4 cells where the header has 5"


def test_a_missing_picture_costs_itself_where_there_are_words(folder: Path, read: Read) -> None:
    """The product is there with its words, and with what is wrong with its picture."""
    path = _write_csv(folder / "products.csv", [("id", "title", "image"), ("1", "Shirt", "gone.jpg")])
    ((product,), errors) = read(path)
    assert errors == []
    assert product.pictures == ()
    assert product.errors[0].reason == f"no file 'gone.jpg' in {folder}"


def test_ids_and_prices_stay_as_they_are_written(tmp_path: Path, read: Read) -> None:
    """Zeros before an id, no-break spaces and joiners stay; whole numbers that a gap made decimals lose the point."""
    path = _write_csv(
        tmp_path / "products.csv", [("id", "title"), ("0042", "A"), ("AB\u00a012", "B"), ("👩\u200d🦰", "C")]
    )
    assert [each.product.id for each in read(path)[0]] == ["0042", "AB\u00a012", "👩\u200d🦰"]
    path = _write_csv(tmp_path / "products.csv", [("id", "title"), ("42.0", "A"), ("", "B"), ("44.0", "C")])
    products, errors = read(path)
    assert [each.product.id for each in products] == ["42", "44"]
    assert errors == [(3, "id", "must not be empty")]
    path = _write_csv(tmp_path / "products.csv", [("id", "title"), ("1.0", "A"), ("1.5", "B")])
    assert [each.product.id for each in read(path)[0]] == ["1.0", "1.5"]


def test_the_other_prices_of_a_column_tell_thousands(tmp_path: Path, read: Read) -> None:
    """1.234 is a thousand where the column has decimal commas, and refused where nothing tells."""
    head = ("id", "title", "price")
    path = _write_csv(tmp_path / "p.csv", [head, ("1", "A", "1.234"), ("2", "B", "19,90")])
    assert [each.product.values["price"] for each in read(path)[0]] == [1234.0, 19.9]
    path = _write_csv(tmp_path / "p.csv", [head, ("1", "A", "1.234"), ("2", "B", "19")])
    _, errors = read(path)
    assert errors[0][:2] == (2, "price")


def test_a_table_whose_prices_name_a_currency_is_in_it(tmp_path: Path, read: Read) -> None:
    """Where no schema says one, the currency is that of nearly all prices that name one, and an odd row is refused."""
    head = ("id", "title", "price")
    path = _write_csv(tmp_path / "p.csv", [head, ("1", "A", "12"), ("2", "B", "19.90 USD"), ("3", "C", "7")])
    assert open_catalogue(path).schema.currency == "USD"
    rows = [(str(i), "A", "12 USD") for i in range(30)]
    path = _write_csv(tmp_path / "p.csv", [head, *rows, ("x", "B", "€5")])
    products, errors = read(path)
    assert len(products) == len(rows)
    assert errors == [(32, "price", "is in EUR, got '\\u20ac5': the schema's currency is USD")]


def test_prices_of_several_currencies_are_taken_with_a_note(tmp_path: Path) -> None:
    """A table that mixes them has no currency to hold its rows to; the note says what would."""
    head = ("id", "title", "price")
    path = _write_csv(
        tmp_path / "p.csv", [head, ("1", "A", "12 USD"), ("2", "B", "€19.90"), ("3", "C", "£7")]
    )
    catalogue = open_catalogue(path)
    prices = [row.product.values["price"] for row in catalogue.rows if isinstance(row, CatalogueProduct)]
    assert prices == [12, 19.9, 7]
    assert catalogue.schema.currency == ""
    assert [note.split(":")[0] for note in catalogue.notes] == [
        "prices in several currencies are taken as they stand"
    ]


def test_what_is_too_long_is_cut_and_noted(tmp_path: Path) -> None:
    """A category's path keeps whole parts, a description its beginning; both are noted, and long texts else kept."""
    path_of_parts = " > ".join(f"Part number {i:03}" for i in range(60))
    rows = [
        ("id", "title", "category", "description", "story"),
        ("1", "A", path_of_parts, "é" * 20_000, "s" * 9_000),
    ]
    catalogue = open_catalogue(_write_csv(tmp_path / "p.csv", rows))
    (product,) = [row.product for row in catalogue.rows if isinstance(row, CatalogueProduct)]
    category = product.values["category"]
    assert isinstance(category, str)
    assert path_of_parts.startswith(f"{category} > ")
    assert limits.MAX_KEYWORD_LENGTH - 20 < len(category) <= limits.MAX_KEYWORD_LENGTH
    assert product.values["description"] == "é" * 16_384
    assert product.attributes == {"story": "s" * 9_000}
    assert catalogue.notes == {"category cut to 512 characters": 1, "description cut to 32,768 bytes": 1}


def test_more_attributes_than_the_limit_are_left_out_with_a_note(tmp_path: Path) -> None:
    """A wide table costs no product."""
    names = [f"column {i}" for i in range(100)]
    path = _write_csv(tmp_path / "p.csv", [("id", "title", *names), ("1", "A", *names)])
    catalogue = open_catalogue(path)
    (product,) = [row.product for row in catalogue.rows if isinstance(row, CatalogueProduct)]
    assert len(product.attributes) == limits.MAX_ATTRIBUTES
    assert catalogue.notes == {"attributes left out": 100 - limits.MAX_ATTRIBUTES}


def test_bytes_that_are_no_text_spoil_their_row_alone(folder: Path, read: Read) -> None:
    """A bad byte in one row of a CSV or JSONL file is reported with its line."""
    table = folder / "products.csv"
    table.write_bytes("id,title,image\n1,Caf\u00e9,a.jpg\n".encode() + b"2,Caf\xe9,a.jpg\n")
    products, errors = read(table)
    assert [each.product.id for each in products] == ["1"]
    assert errors == [(3, "title", "holds bytes that are no text in the file's encoding")]
    lines = folder / "products.jsonl"
    lines.write_bytes(b'{"id": 1, "title": "Caf\xe9"}\n' + json.dumps(GOOD).encode())
    products, errors = read(lines)
    assert [each.product.id for each in products] == ["a1"]
    assert [error[:2] for error in errors] == [(1, "title")]


def test_jsonl_reports_what_is_no_object(folder: Path, read: Read) -> None:
    """Broken JSON, other JSON, wrong types and lone surrogates are errors of their line."""
    bad = [
        "{",
        "[1]",
        "[" * 100_000,
        json.dumps(GOOD | {"title": ["Shirt"]}),
        json.dumps(GOOD | {"price": True}),
        json.dumps(GOOD | {"title": "\ud800"}),
        json.dumps(GOOD | {"price": math.inf}),
    ]
    path = folder / "products.jsonl"
    path.write_text("\n".join([*bad, "", json.dumps(GOOD)]))
    products, errors = read(path)
    assert [each.product.id for each in products] == ["a1"]
    assert [(line, field) for line, field, _ in errors] == [
        (1, ""), (2, ""), (3, ""), (4, "title"), (5, "price"), (6, "title"), (7, "price"),
    ]  # fmt: skip
    assert errors[1][2] == "not a JSON object"
    assert errors[3][2] == "must be text, got ['Shirt']"


def test_nested_values_become_columns_or_json(folder: Path, read: Read) -> None:
    """The entries of `attributes` are columns; lists become JSON; what is empty is left out."""
    row = GOOD | {
        "attributes": {"fit": "slim", "colour": "red"},
        "care": ["cold", "no iron"],
        "size": {"eu": 40},
        "note": None,
    }
    ((product,), _) = read(_write_jsonl(folder / "p.ndjson", [row]))
    assert product.product.attributes == {"fit": "slim", "care": '["cold", "no iron"]', "size.eu": "40"}
    assert product.product.values["colour"] == "red"


def test_without_an_id_the_pictures_path_is_the_id_and_this_is_noted(folder: Path) -> None:
    """A table of pictures and titles is a catalogue."""
    rows = [("caption", "file_name"), ("Shirt", "a.jpg"), ("Other", "b.jpg")]
    catalogue = open_catalogue(_write_csv(folder / "metadata.csv", rows))
    assert [row.product.id for row in catalogue.rows if isinstance(row, CatalogueProduct)] == [
        "a.jpg",
        "b.jpg",
    ]
    assert catalogue.notes == {"no column for the id: the picture's path is the id": 1}


def test_several_pictures_are_found_in_one_cell_and_beside_the_table(
    folder: Path, read: Read, picture: bytes
) -> None:
    """A cell may name several; a product whose column is empty has the file that is called after it."""
    (folder / "images").mkdir()
    (folder / "images" / "p 2.png").write_bytes(picture)
    rows = [("id", "title", "image"), ("p1", "A", "a.jpg|b.jpg"), ("p 2", "B", ""), ("../a", "C", "")]
    products, _ = read(_write_csv(folder / "p.csv", rows))
    assert [each.pictures for each in products] == [
        (PictureFile(folder / "a.jpg"), PictureFile(folder / "b.jpg")),
        (PictureFile(folder / "images" / "p 2.png"),),
        (),
    ]


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, r"no table \(.*, no pictures .*, and no layout that is known: Fashion200K's"),
        ({"x.csv": "id,title\n", "y.jsonl": ""}, r"several tables \(x.csv, y.jsonl\)"),
        ({"x.csv": ""}, "empty; a header is expected"),
    ],
)
def test_a_folder_that_is_no_catalogue_says_why(tmp_path: Path, files: dict[str, str], reason: str) -> None:
    """The error names the folder or file and what is expected."""
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(CatalogueError, match=reason):
        open_catalogue(tmp_path)


def test_all_that_is_missing_is_said_at_once(tmp_path: Path) -> None:
    """One message names the compulsory fields, the columns that were looked for, and those that are there."""
    path = tmp_path / "x.csv"
    path.write_text("weight,colour,Depth\n1,red,2\n")
    with pytest.raises(CatalogueError) as error:
        open_catalogue(path, GARDEN)
    assert str(error.value) == (
        f"{path}: no column for the number (one of number, Artikelnummer); nor for the title (one of title, Bezeichnung);"
        f" it has weight, colour, Depth (`vitrine schema {path}` proposes a schema for it)"
    )


def test_the_index_schema_serves_a_plain_table_that_it_knows(tmp_path: Path) -> None:
    """A table of no known feed is read by the index's schema where that knows as many of its columns as fashion does."""
    path = tmp_path / "x.csv"
    path.write_text("Artikelnummer,title,care\n1,Rose,sun\n")
    assert open_catalogue(path, usual=lambda: GARDEN).schema == GARDEN
    path.write_text("id,title,colour,category\n1,Dress,red,dress\n")
    chosen: Schema = open_catalogue(path, usual=lambda: GARDEN).schema
    assert chosen.name == "fashion"


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


def test_a_table_cannot_name_a_picture_outside_its_folder(folder: Path, picture: bytes) -> None:
    """Neither by `..`, an absolute path, nor a link; unless the one who indexes allows it."""
    (folder.parent / "private.jpg").write_bytes(picture)
    (folder / "link.jpg").symlink_to(folder.parent / "private.jpg")
    names = (
        "../private.jpg",
        str(folder.parent / "private.jpg"),
        "link.jpg",
        "/proc/self/environ",
        "./a.jpg",
    )
    rows = [("id", "title", "image"), *((f"p{i}", "A", name) for i, name in enumerate(names))]
    table = _write_csv(folder / "p.csv", rows)
    *outside, inside = [row for row in open_catalogue(table).rows if isinstance(row, CatalogueProduct)]
    assert [each.pictures for each in outside] == [()] * 4
    assert all("lies outside" in each.errors[0].reason for each in outside)
    assert [each.uri for each in inside.pictures] == ["a.jpg"]
    allowed = [
        row for row in open_catalogue(table, allow_outside=True).rows if isinstance(row, CatalogueProduct)
    ]
    assert [len(each.pictures) for each in allowed] == [1] * 5
    assert [each.pictures[0].uri for each in allowed] == ["", "", "", "", "a.jpg"], (
        "their paths are not published"
    )
