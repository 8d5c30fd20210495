"""CSV in its dialects and encodings, whole and damaged."""

import csv
import io
import random
from pathlib import Path

import pytest

from catalogue.readers.delimited import open_delimited
from catalogue.readers.rows import CatalogueError, Row, RowError

Outcome = tuple[int, list[object]] | tuple[int, str]


def _rows(path: Path) -> list[Outcome]:
    """Give line and values of every row, line and reason of every error."""
    return [
        (row.line, list(row.values.values())) if isinstance(row, Row) else (row.line, row.reason)
        for row in open_delimited(path).rows
    ]


def _read(tmp_path: Path, text: str, encoding: str = "utf-8") -> list[Outcome]:
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode(encoding))
    return _rows(path)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separators_encodings_and_line_ends_are_seen(
    tmp_path: Path, separator: str, encoding: str, end: str
) -> None:
    """Any usual dialect reads the same, with blank lines before the header too."""
    lines = [
        "",
        "",
        separator.join(("id", "name")),
        separator.join(("1", "Größe für Çağlar")),
        separator.join(("2", "x")),
    ]
    text = end.join(line.replace("ğ", "g") for line in lines) + end
    assert [values for _, values in _read(tmp_path, text, encoding)] == [
        ["1", "Größe für Çaglar"],
        ["2", "x"],
    ]


def test_another_script_is_read_by_its_encoding(tmp_path: Path) -> None:
    """Cyrillic of Windows-1251 is told from Latin, and the catalogue notes what was taken for granted."""
    path = tmp_path / "table.csv"
    lines = ["id;name", "1;Красное шёлковое платье", "2;Кожаная сумка", "3;Синяя юбка в складку"]
    path.write_bytes("\n".join(lines).encode("cp1251"))
    table = open_delimited(path)
    assert table.notes == ("read as cp1251, since it is no UTF-8",)
    assert [list(row.values.values())[1] for row in table.rows if isinstance(row, Row)] == [
        line.split(";")[1] for line in lines[1:]
    ]


def test_bytes_that_fit_no_encoding_are_marked_in_their_row(tmp_path: Path) -> None:
    """A bad byte among good UTF-8 stays in its cell as what no text may hold."""
    path = tmp_path / "table.csv"
    path.write_bytes("id,name\n1,Café crème\n".encode() + b"2,Caf\xe9\n3,Skirt\n")
    assert _rows(path) == [(2, ["1", "Café crème"]), (3, ["2", "Caf\udcff"]), (4, ["3", "Skirt"])]


def test_a_line_that_names_the_separator_is_obeyed(tmp_path: Path) -> None:
    """What a spreadsheet writes as sep= is no header."""
    assert _read(tmp_path, "sep=;\nid;name\n1;a,b\n") == [(3, ["1", "a,b"])]


def test_commas_inside_cells_do_not_mislead(tmp_path: Path) -> None:
    """Prices with a decimal comma leave a semicolon the separator."""
    assert _read(tmp_path, "id;name;price\n1;a;1,5\n2;b;2,5\n") == [
        (2, ["1", "a", "1,5"]),
        (3, ["2", "b", "2,5"]),
    ]


def test_cells_in_quotes_may_hold_lines_quotes_and_separators(tmp_path: Path) -> None:
    """A row of several lines is one row, at its first line."""
    text = 'id,name,note\n1,"first\nsecond ""line"", too",x\n2,"a,b",y\n'
    assert _read(tmp_path, text) == [(2, ["1", 'first\nsecond "line", too', "x"]), (4, ["2", "a,b", "y"])]


def test_a_quote_that_is_never_closed_costs_its_row_alone(tmp_path: Path) -> None:
    """Its first line is named, and every row after it is there, whatever quotes they hold."""
    text = (
        'id,name,kind,note\n1,good,a,b\n2,"open,a,b\n3,Lamp "Luna" oak,a,b\n4,"Desk, oak",a,b\n5,last,a,b\n'
    )
    assert _read(tmp_path, text) == [
        (2, ["1", "good", "a", "b"]),
        (3, "opens a quote that is not closed"),
        (4, ["3", 'Lamp "Luna" oak', "a", "b"]),
        (5, ["4", "Desk, oak", "a", "b"]),
        (6, ["5", "last", "a", "b"]),
    ]


def test_two_stray_quotes_make_no_product_of_several_rows(tmp_path: Path) -> None:
    """A quote that is closed by another row's is damage, although the cells would count up."""
    text = 'id,name,kind,note\n1,"Shelf,a,b\n2,Shelf 80cm",a,b\n3,Lamp,a,b\n'
    assert _read(tmp_path, text) == [
        (2, "opens a quote that is not closed"),
        (3, ["2", 'Shelf 80cm"', "a", "b"]),
        (4, ["3", "Lamp", "a", "b"]),
    ]


def test_a_quote_over_the_bound_is_given_up(tmp_path: Path) -> None:
    """A cell that swallows more lines than a row may have is damage, and the lines are read as rows."""
    text = 'id,name\n1,"open\n' + "".join(f"{i},row\n" for i in range(2, 3_000)) + '9999,"closed"\n'
    rows = _read(tmp_path, text)
    assert rows[0] == (2, "opens a quote that is not closed")
    assert len(rows) == 3_000
    assert rows[-1] == (3_001, ["9999", "closed"])


def test_rows_of_another_width_are_reported_with_their_line(tmp_path: Path) -> None:
    """Too many and too few cells are errors; rows of nothing are passed over."""
    text = "id,name,note\n1,a,b\n2,a,b,c\n,,\n\n3,a\n4,a,b\n"
    assert _read(tmp_path, text) == [
        (2, ["1", "a", "b"]),
        (3, "has 4 cells where the header has 3"),
        (6, "has 2 cells where the header has 3"),
        (7, ["4", "a", "b"]),
    ]


def test_of_two_columns_of_one_name_the_first_value_counts(tmp_path: Path) -> None:
    """Case, spaces, hyphens and underscores make no other column."""
    path = tmp_path / "table.csv"
    path.write_text("ID,Item Name,item-name,ITEM_NAME\n1,,second,third\n2,first,,third\n")
    assert [row.values for row in open_delimited(path).rows if isinstance(row, Row)] == [
        {"id": "1", "itemname": "second"},
        {"id": "2", "itemname": "first"},
    ]


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    """Nothing but blank lines holds no header."""
    with pytest.raises(CatalogueError, match="empty; a header is expected"):
        _read(tmp_path, "\n\n;;;\n")


def test_a_huge_line_is_passed_over(tmp_path: Path) -> None:
    """A line over the limit is an error, and the next one is read."""
    rows = _read(tmp_path, f"id,name\n1,{'x' * 4_100_000}\n2,b\n")
    assert rows == [(2, "has over 4,000,000 characters"), (3, ["2", "b"])]


def test_what_the_csv_module_writes_is_read_back(tmp_path: Path) -> None:
    """Random tables of quotes, separators and line ends come back cell by cell."""
    draw = random.Random(5)
    for _ in range(60):
        separator = draw.choice(",;\t|")
        cells = [
            ["".join(draw.choices('ab "\n,;', k=draw.randint(1, 8))) for _ in range(3)] for _ in range(6)
        ]
        table = [["one", "two", "three"], *([f"x{cell}y" for cell in row] for row in cells)]
        out = io.StringIO()
        csv.writer(out, delimiter=separator, quoting=csv.QUOTE_ALL).writerows(table)
        path = tmp_path / "table.csv"
        path.write_bytes(out.getvalue().encode())
        assert [
            list(row.values.values()) for row in open_delimited(path).rows if not isinstance(row, RowError)
        ] == table[1:]


def test_damage_anywhere_loses_its_own_rows_alone(tmp_path: Path) -> None:
    """Of a table with one stray quote put at random, every row of another line is read as it is."""
    draw = random.Random(7)
    lines = [f"p{i},Chair {i},wood,{i}.50" for i in range(30)]
    for _ in range(100):
        hurt = draw.randrange(len(lines))
        place = draw.randrange(len(lines[hurt]))
        damaged = [*lines]
        damaged[hurt] = f'{lines[hurt][:place]}"{lines[hurt][place:]}'
        rows = _read(tmp_path, "\n".join(["id,name,kind,price", *damaged]) + "\n")
        good = {line: values for line, values in rows if isinstance(values, list)}
        wanted = {i + 2: text.split(",") for i, text in enumerate(lines) if i != hurt}
        assert {line: values for line, values in good.items() if line != hurt + 2} == wanted
