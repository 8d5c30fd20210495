"""`vitrine schema`: what it proposes, and that it works when it is given back."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

from catalogue.product import CatalogueProduct
from catalogue.schema_command import schema
from vitrine.domain.schema import Kind, Role, Schema
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
        "Beschreibung": (Kind.TEXT, Role.DESCRIPTION),
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
    assert 'no field is the category: say role = "category"' in result.stdout
    wines.write_text(wines.read_text().replace("Rebsorten", "Kategorie"))
    assert "no field is the category" not in _run(wines).stdout


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


def _proposed(path: Path, text: str) -> Schema:
    path.write_text(text)
    result = _run(path, "--toml")
    assert result.exit_code == 0, result.output
    return parse_schema(result.stdout)


@pytest.mark.parametrize(
    ("heads", "row"),
    [
        ("Artikelnummer;Bezeichnung;Warengruppe;Hersteller;Preis inkl. MwSt.;Verfügbarkeit", "T{};Säge {} W;Sägen;Bosch;1.299,\u2013 €;nicht lieferbar"),
        ("Référence;Désignation;Rayon;Marque;Prix TTC;Disponibilité", "R{};Chaise numéro {};Salon;Nord;1 299,00 €;rupture de stock"),
        ("Código;Nombre;Familia;Marca;PVP;Disponibilidad", "C{};Silla número {};Sala;Norte;129,95 €;agotado"),
        ("Codice articolo;Denominazione;Reparto;Produttore;Prezzo;Disponibilità", "P{};Sedia numero {};Sala;Nord;129,95 €;esaurito"),
        ("货号;商品名称;分类;品牌;售价;库存状态", "H{};椅子 {};家具;北;¥129;缺货"),
        ("품번;상품명;카테고리;브랜드;판매가;재고상태", "K{};의자 {};가구;북;₩12,900;품절"),
    ],
)  # fmt: skip
def test_headings_of_other_languages_have_their_roles(tmp_path: Path, heads: str, row: str) -> None:
    """A shop's own words for its columns say what they are, where what they hold fits."""
    proposed = _proposed(tmp_path / "x.csv", "\n".join([heads, *(row.format(n, n) for n in range(5))]))
    roles = (Role.ID, Role.TITLE, Role.CATEGORY, Role.BRAND, Role.PRICE, Role.AVAILABILITY)
    assert [each.role for each in proposed] == [*roles]
    assert [each.kind for each in proposed][-2:] == [Kind.MONEY, Kind.BOOLEAN]


def test_a_column_called_id_is_the_id_with_a_gap_and_a_repeat(tmp_path: Path, read: Read) -> None:
    """A fault in a row does not make the price the id: the row is refused by itself."""
    path = tmp_path / "x.csv"
    text = "id,title,price\n1,Pan,CHF 1'299.-\n2,Grater,Fr. 49.90\n3,Knife,CHF 9\n3,Knife again,CHF 10\n,Spoon,CHF 3\n4,Fork,soon\n"
    proposed = _proposed(path, text)
    assert [(each.name, each.role) for each in proposed] == [
        ("id", Role.ID),
        ("title", Role.TITLE),
        ("price", Role.PRICE),
    ]
    assert proposed.currency == "CHF"
    products, errors = read(path, proposed)
    assert [(each.product.id, each.product.values["price"]) for each in products] == [
        ("1", 1299.0),
        ("2", 49.9),
        ("3", 9.0),
    ]
    assert [(line, name) for line, name, _ in errors] == [(5, "id"), (6, "id"), (7, "price")]


def test_how_many_there_are_is_a_number_and_not_whether(tmp_path: Path) -> None:
    """A column called "in stock" that counts stays a number; one that is true or false has the role."""
    counted = _proposed(tmp_path / "a.csv", "sku,name,in stock\na,A thing,3\nb,B thing,0\nc,C thing,7\n")
    said = _proposed(tmp_path / "b.csv", "sku,name,in stock\na,A thing,yes\nb,B thing,no\nc,C thing,yes\n")
    assert [(each.kind, each.role) for each in counted][-1] == (Kind.NUMBER, None)
    assert [(each.kind, each.role) for each in said][-1] == (Kind.BOOLEAN, Role.AVAILABILITY)


def test_nested_offers_are_prices_in_their_currency(tmp_path: Path, read: Read) -> None:
    """Records as schema.org has them, and lists of prices: the lowest one is the product's."""
    rows = [
        {
            "@type": "Product",
            "sku": f"S{number}",
            "name": f"Cup number {number}",
            "brand": {"name": "Nord"},
            "offers": [{"price": number + 4.5, "priceCurrency": "EUR"}],
            "weights": [number, number + 1],
        }
        for number in range(4)
    ]
    rows[3]["offers"] = [{"price": 9, "priceCurrency": "EUR"}, {"price": "8.00", "priceCurrency": "EUR"}]
    path = tmp_path / "x.json"
    proposed = _proposed(path, json.dumps(rows))
    kinds = {each.name: (each.kind, each.role) for each in proposed}
    assert kinds["price"] == (Kind.MONEY, Role.PRICE)
    assert kinds["brand"] == (Kind.KEYWORD, Role.BRAND)
    assert kinds["weights"] == (Kind.KEYWORDS, None)
    assert Role.CATEGORY not in {role for _, role in kinds.values()}
    assert proposed.currency == "EUR"
    products, errors = read(path, proposed)
    assert errors == []
    assert [each.product.values["price"] for each in products] == [4.5, 5.5, 6.5, 8.0]


def test_a_nested_number_is_called_by_what_it_measures(tmp_path: Path) -> None:
    """The label is what a shopper would say, and what names a product is matched word by word."""
    rows = [
        {
            "sku": f"P{n}",
            "name": f"Plant number {n}",
            "details": {"latin": f"Planta vera {n}", "height_cm": 10 * n},
        }
        for n in range(4)
    ]
    proposed = _proposed(tmp_path / "x.json", json.dumps(rows))
    fields = {each.label(): each for each in proposed}
    assert fields["height"].kind is Kind.NUMBER
    assert fields["latin"].lexical
    assert fields["latin"].facet


def test_values_in_records_of_their_own_are_called_by_what_holds_them(tmp_path: Path, read: Read) -> None:
    """Lists of records with a language and a value: the field is called brand and not value, and has its role."""
    rows = [
        {
            "item_id": f"B{number}",
            "item_name": [{"language_tag": "en_IN", "value": f"Phone case number {number}"}],
            "brand": [{"language_tag": "en_IN", "value": "Nord"}],
            "color": [{"language_tag": "en_IN", "value": "Blue"}],
            "product_type": [{"value": "CASE"}],
            "item_weight": [{"unit": "grams", "value": 50 + number}],
        }
        for number in range(4)
    ]
    path = tmp_path / "x.json"
    proposed = _proposed(path, json.dumps(rows))
    roles = {each.name: each.role for each in proposed}
    assert (roles["title"], roles["brand"], roles["category"]) == (Role.TITLE, Role.BRAND, Role.CATEGORY)
    products, errors = read(path, proposed)
    assert errors == []
    assert {
        name: products[1].product.values[name]
        for name in ("title", "brand", "category", "colour", "item_weight")
    } == {
        "title": "Phone case number 1",
        "brand": "Nord",
        "category": "CASE",
        "colour": ("Blue",),
        "item_weight": 51.0,
    }


@pytest.mark.parametrize(
    ("text", "roles", "currency"),
    [
        # Codes with a letter that stands for a currency too are ids, and name no currency.
        ("name,teil,cost\nOak table,R10,11.50\nPine chair,R11,12.50\nWool rug,R12,13.50\n", {"name": Role.TITLE, "teil": Role.ID}, ""),
        ("sku,name,Code,price\nS1,Oak table,R10,9.95\nS2,Pine chair,38R,8.95\n", {"sku": Role.ID, "name": Role.TITLE, "price": Role.PRICE}, ""),
        ("id,title,size\n1,Oak clog,FR 36\n2,Felt boot,FR 37\n3,Cork shoe,38 FR\n", {"id": Role.ID, "title": Role.TITLE}, ""),
        # Prices of no known heading are no title and no id, and keep their currency.
        ("a,b,c\n20.95 €,Oak table,1\n21 €,Pine chair,2\n9.50 €,Wool rug,3\n", {"a": Role.PRICE, "b": Role.TITLE, "c": Role.ID}, "EUR"),
        # What is called as a product and holds codes or kinds is not its title where another column can be.
        ("article,designation\nAR0,Table en chêne\nAR1,Chaise en pin\nAR2,Tapis de laine\n", {"article": Role.ID, "designation": Role.TITLE}, ""),
        ("item,description\nI0,Oak table\nI1,Pine chair\nI2,Wool rug\n", {"item": Role.ID, "description": Role.TITLE}, ""),
        ("id,product,model name\n1,table,Oak one\n2,table,Oak two\n3,table,Oak three\n", {"id": Role.ID, "model name": Role.TITLE}, ""),
        # A reference that variants share is no id beside a code that each has; a few faults are.
        ("ref,variant,title\nc0,v0,Oak table\nc0,v1,Oak table\nc1,v2,Pine chair\nc1,v3,Pine chair\n", {"variant": Role.ID, "title": Role.TITLE}, ""),
        ("id,title,unit price,retail price\n1,Oak table,.50,9\n2,Pine chair,.40,8\n", {"id": Role.ID, "title": Role.TITLE, "retail price": Role.PRICE}, ""),
        ("编号,名称,价格\n1,木桌,10元\n2,木椅,11元\n", {"编号": Role.ID, "名称": Role.TITLE, "价格": Role.PRICE}, "CNY"),
        ("код;наименование;Fiyat;Stok Durumu\nT1;Meşe masa;10,90 TL;var\nT2;Çam sandalye;11,90 TL;yok\n", {"код": Role.ID, "наименование": Role.TITLE, "Fiyat": Role.PRICE, "Stok Durumu": Role.AVAILABILITY}, "TRY"),
    ],
)  # fmt: skip
def test_what_a_column_holds_speaks_against_its_name(
    tmp_path: Path, text: str, roles: dict[str, Role], currency: str
) -> None:
    """Of columns that might have a role, the one has it whose cells are like that."""
    proposed = _proposed(tmp_path / "x.csv", text)
    heads = {head.casefold(): head for head in text.partition("\n")[0].replace(";", ",").split(",")}
    found = {heads[(each.columns or (each.name,))[0].casefold()]: each.role for each in proposed if each.role}
    assert found == roles
    assert proposed.currency == currency


def test_parts_of_one_record_keep_their_names(tmp_path: Path) -> None:
    """A nested name is shortened where it stays the only one, and an id of JSON-LD is one where there is no other."""
    rows = [
        {
            "@id": f"p{n}",
            "@type": "Product",
            "name": f"Oak table {n}",
            "price": {"value": n + 1.5, "text": f"€{n + 1}.50"},
            "attributes": [{"name": "colour", "value": "red"}, {"name": "wood", "value": "oak"}],
            "maker": {"name": "Nord"},
        }
        for n in range(4)
    ]
    proposed = _proposed(tmp_path / "x.json", json.dumps(rows))
    assert {each.name: each.role for each in proposed} == {
        "id": Role.ID,
        "type": None,
        "title": Role.TITLE,
        "price_value": None,
        "price": Role.PRICE,
        "attributes_name": None,
        "attributes_value": None,
        "brand": Role.BRAND,
    }


def test_titles_are_the_ids_where_nothing_else_is(tmp_path: Path, read: Read) -> None:
    """A table of names and prices is indexed by its names, as long as they differ."""
    path = tmp_path / "x.csv"
    proposed = _proposed(path, "name;preis\nOak table;9,95 €\nPine chair;10,95 €\n")
    products, errors = read(path, proposed)
    assert errors == []
    assert [(each.product.id, each.product.values["price"]) for each in products] == [
        ("Oak table", 9.95),
        ("Pine chair", 10.95),
    ]
    assert "name" in _run(path).stdout
