"""`vitrine schema`: what it proposes, and that it works when it is given back."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

from catalogue.product import CatalogueProduct
from catalogue.schema_command import schema
from vitrine.domain.schema import Kind, Role
from vitrine.domain.schema_files import parse_schema, read_schema

Read = Callable[..., tuple[list[CatalogueProduct], list[tuple[int, str, str]]]]


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(schema, [*map(str, arguments)])


@pytest.fixture
def wines(tmp_path: Path) -> Path:
    """A wine shop's table: 120 rows, German headings."""
    draw = random.Random(3)
    lines = [
        "Artikelnummer;Bezeichnung des Weins;Weingut;Rebsorten;Jahrgang;Literpreis;Preis;Bio;EAN;Beschreibung;Bild"
    ]
    for number in range(120):
        grapes = "|".join(draw.sample(["Riesling", "Merlot", "Silvaner", "Syrah"], 2))
        price = f"{draw.randrange(500, 90_000) / 100:.2f}".replace(".", ",")
        lines.append(
            f"W{number:04};Grosser Wein Nummer {number};Gut {number % 7};{grapes};{2010 + number % 12};{number % 9},5;{price} €;"
            f"{'true' if number % 3 else 'false'};{4_000_000_000_000 + number};{'Ein langer Text. ' * 8};"
            f"https://wein.example/{number}.jpg"
        )
    path = tmp_path / "weine.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_kinds_roles_and_flags_are_proposed(wines: Path) -> None:
    """Ids, titles, money, numbers, booleans, lists, codes, texts and pictures are told apart in an unknown table."""
    result = _run(wines, "--toml")
    assert result.exit_code == 0, result.output
    proposed = parse_schema(result.stdout)
    fields = {each.columns[0] if each.columns else each.name: each for each in proposed}
    assert {name: (each.kind, each.role) for name, each in fields.items()} == {
        "Artikelnummer": (Kind.KEYWORD, Role.ID),
        "Bezeichnung des Weins": (Kind.TEXT, Role.TITLE),
        "weingut": (Kind.KEYWORD, None),
        "rebsorten": (Kind.KEYWORDS, None),
        "jahrgang": (Kind.NUMBER, None),
        "literpreis": (Kind.NUMBER, None),
        "Preis": (Kind.MONEY, Role.PRICE),
        "bio": (Kind.BOOLEAN, None),
        "ean": (Kind.KEYWORD, None),
        "beschreibung": (Kind.TEXT, None),
        "Bild": (Kind.TEXT, Role.IMAGE),
    }
    assert proposed.currency == "EUR"
    assert fields["weingut"].facet
    assert not fields["ean"].facet
    assert fields["ean"].lexical


def test_the_proposal_works_when_it_is_given_back(wines: Path, read: Read) -> None:
    """Every row is a product by the schema that was proposed, with a value in every field."""
    out = wines.parent / "weine.toml"
    result = _run(wines, "--out", out)
    assert result.exit_code == 0, result.output
    assert f"vitrine index {wines} --schema {out}" in result.stdout
    proposed = read_schema(out)
    products, errors = read(wines, proposed)
    assert errors == []
    assert len(products) == 120
    assert all(each.product.values.keys() == {owner.name for owner in proposed.stored} for each in products)
    again = _run(wines, "--out", out)
    assert again.exit_code == 1
    assert again.stderr == f"Error: {out}: is there already; choose another name, or remove it\n"


def test_the_table_is_readable_in_80_columns(wines: Path) -> None:
    """What it would be, how many values and samples, for each column; no line is too wide."""
    wines.write_text(wines.read_text().replace("Weingut", "生产商生产商生产商生产商生产商"))
    result = _run(wines)
    lines = result.stdout.splitlines()
    assert lines[0] == "looks like a plain table; seen in all 120 rows"
    assert lines[1].split() == ["column", "field", "kind", "role", "flags", "values", "filled"]
    assert lines[2].split() == ["Artikelnummer", "id", "keyword", "id", "w", "120", "100%"]
    assert lines[3].strip() == "W0000 | W0001 | W0002"
    assert max(map(cell_len, lines)) <= 80


def test_a_known_feed_is_named_and_keeps_its_own_fields(tmp_path: Path) -> None:
    """The proposal is the feed's schema as far as the catalogue has its columns."""
    path = tmp_path / "export.csv"
    path.write_text(
        "Handle,Title,Vendor,Option1 Name,Option1 Value,Variant Price\ntee,Tee,Nord,Size,S,9.50 USD\ntee,,,,M,9.50 USD\n"
    )
    result = _run(path, "--toml")
    assert "looks like Shopify product export (CSV); seen in all 1 rows" in result.stdout.splitlines()[0]
    proposed = parse_schema(result.stdout)
    assert {each.name for each in proposed} == {"id", "title", "brand", "price", "size", "skus", "image"} - {
        "skus"
    }
    assert proposed.currency == "USD"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("id,weight\n1,2\n2,3\n", "no column looks like a title or a picture; it has id, weight"),
        ("id,title\n", "has no row that can be read"),
        ("", "empty; a header is expected"),
    ],
)
def test_a_table_that_holds_no_products_is_one_plain_line(tmp_path: Path, text: str, reason: str) -> None:
    """The error names the file and what is missing."""
    path = tmp_path / "x.csv"
    path.write_text(text)
    result = _run(path)
    assert result.exit_code == 1
    assert result.stderr == f"Error: {path}: {reason}\n"


def test_names_that_no_field_may_have_are_made_ones(tmp_path: Path, read: Read) -> None:
    """Headings in any script, reserved words and repeats become names of fields, and are still read."""
    heads = ["id", "title", "Größe", "サイズ", "or", "1st", "Grosse!", "grosse"]
    path = tmp_path / "x.csv"
    path.write_text(
        "\t".join(heads)
        + "\n"
        + "\n".join("\t".join([f"p{i}", f"Nice thing {i}", *"abcdef"]) for i in range(3))
    )
    result = _run(path, "--toml")
    assert result.exit_code == 0, result.output
    proposed = parse_schema(result.stdout)
    products, errors = read(path, proposed)
    assert errors == []
    assert products[0].product.attributes == {}
    assert sorted(str(value) for value in products[0].product.values.values()) == [
        "Nice thing 0",
        "a",
        "b",
        "c",
        "d",
        "e",
    ]
