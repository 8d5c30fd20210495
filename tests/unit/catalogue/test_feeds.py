"""The feeds that ship, as data, and a small catalogue of each."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalogue.feeds.feed import PLACEHOLDER
from catalogue.feeds.loading import FeedError, known_feeds, read_feed
from catalogue.product import CatalogueProduct, PictureFile, PictureUrl
from catalogue.readers.opening import open_catalogue
from catalogue.readers.products import keys_of_field
from catalogue.readers.rows import RowError, column_key
from vitrine.domain.messages import read_schema_message, schema_message
from vitrine.domain.schema import Role
from vitrine.domain.schema_files import format_schema, parse_schema

Read = Callable[..., tuple[list[CatalogueProduct], list[tuple[int, str, str]]]]


@pytest.mark.parametrize("name", list(known_feeds()))
def test_every_feed_is_sound(name: str) -> None:
    """Its schema survives TOML and message, its fields have labels, and what it says of columns is of some use."""
    feed = known_feeds()[name]
    assert feed.title
    schema = feed.schema
    assert parse_schema(format_schema(schema)) == schema
    assert read_schema_message(schema_message(schema)) == schema
    assert all(each.labels.get("en") for each in schema)
    assert schema.role(Role.IMAGE) is not None
    assert all(PLACEHOLDER.search(pattern) for pattern in feed.pictures.beside)
    if feed.join is not None:
        assert all(PLACEHOLDER.search(pattern) for pattern in feed.join.names)
    known = {key for each in schema for key in keys_of_field(each)} | {
        column_key(column) for column in feed.columns
    }
    if name != "plain":
        assert all(key in known for key in feed.rules), "a rule of a column that no field reads"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"formats": ["csv"], "schema": "fashion"}, "formats must be some of delimited"),
        ({"schema": "fashion"}, "formats must be some of"),
        ({"formats": ["xml"], "schema": "nothing"}, "schema must be a table"),
        ({"formats": ["xml"], "schema": "fashion", "colums": []}, "feed: colums is unknown"),
        ({"formats": ["xml"], "schema": "fashion", "column": {"a": {"htm": True}}}, "column: htm is unknown"),
        ({"formats": ["xml"], "schema": "fashion", "join": {"key": "a"}}, "join: key is unknown"),
    ],
)
def test_a_feed_with_a_slip_is_refused(document: dict[str, object], reason: str) -> None:
    """What a feed's file may not say is named."""
    with pytest.raises(FeedError, match=reason):
        read_feed("mine", document, {})


def _only(path: Path, feed: str) -> list[CatalogueProduct]:
    catalogue = open_catalogue(path)
    assert catalogue.feed == known_feeds()[feed].title
    rows = list(catalogue.rows)
    assert not [row for row in rows if isinstance(row, RowError)]
    return [row for row in rows if isinstance(row, CatalogueProduct)]


def test_shopify_csv(tmp_path: Path, picture: bytes) -> None:
    """Variants are one product: sizes and colours as lists, the lowest price, further pictures, words without tags."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "mug.jpg").write_bytes(picture)
    path = tmp_path / "export.csv"
    path.write_text(
        "Handle,Title,Body (HTML),Vendor,Type,Tags,Option1 Name,Option1 Value,Option2 Name,Option2 Value,Variant SKU,"
        "Variant Price,Image Src,Image Position,Status\n"
        'tee,Linen tee,"<p>Soft &amp; <b>light</b>.</p><p>Wash cold.</p>",Nord,Tops,"summer, linen",Size,S,Color,Blue,T-S,'
        "25.00,https://cdn.example/tee1.jpg,1,active\n"
        "tee,,,,,,,M,,Blue,T-M,19.50,https://cdn.example/tee2.jpg,2,\n"
        "tee,,,,,,,M,,Sand,T-MS,25.00,,,\n"
        "mug,Mug,,Nord,Kitchen,,Title,Default Title,,,MUG,9,https://cdn.example/x.jpg,1,active\n"
    )
    tee, mug = _only(path, "shopify_csv")
    assert tee.product.id == "tee"
    assert tee.product.values == {
        "title": "Linen tee",
        "description": "Soft & light. Wash cold.",
        "category": "Tops",
        "brand": "Nord",
        "price": 19.5,
        "tags": ("summer", "linen"),
        "size": ("S", "M"),
        "colour": ("Blue", "Sand"),
        "skus": ("T-S", "T-M", "T-MS"),
    }
    assert tee.pictures == (
        PictureUrl("https://cdn.example/tee1.jpg"),
        PictureUrl("https://cdn.example/tee2.jpg"),
    )
    assert tee.product.attributes == {"status": "active"}
    assert "size" not in mug.product.values
    assert mug.pictures == (PictureFile(tmp_path / "images" / "mug.jpg"),)


def test_shopify_json(tmp_path: Path) -> None:
    """What a shop serves as products.json is the same products, with what is in stock."""
    product = {
        "id": 632910392,
        "title": "Linen tee",
        "handle": "tee",
        "body_html": "<p>Soft.</p>",
        "vendor": "Nord",
        "product_type": "Tops",
        "tags": ["summer", "linen"],
        "variants": [
            {"id": 1, "title": "S", "price": "25.00", "sku": "T-S", "available": False, "option1": "S"},
            {"id": 2, "title": "M", "price": "19.50", "sku": "T-M", "available": True, "option1": "M"},
        ],
        "images": [
            {"id": 1, "src": "https://cdn.example/1.jpg"},
            {"id": 2, "src": "https://cdn.example/2.jpg"},
        ],
        "options": [{"name": "Size", "position": 1, "values": ["S", "M"]}],
    }
    path = tmp_path / "products.json"
    path.write_text(json.dumps({"products": [product]}))
    (tee,) = _only(path, "shopify_json")
    assert tee.product.id == "tee"
    assert tee.product.values == {
        "title": "Linen tee",
        "description": "Soft.",
        "category": "Tops",
        "brand": "Nord",
        "price": 19.5,
        "tags": ("summer", "linen"),
        "size": ("S", "M"),
        "availability": True,
        "skus": ("T-S", "T-M"),
    }
    assert [each.uri for each in tee.pictures] == ["https://cdn.example/1.jpg", "https://cdn.example/2.jpg"]
    assert tee.product.attributes == {}


_MERCHANT = {
    "id": "0017",
    "title": "Oak chair",
    "description": "Solid oak",
    "link": "https://shop.example/17",
    "image_link": "https://shop.example/17.jpg",
    "additional_image_link": "https://shop.example/17b.jpg,https://shop.example/17c.jpg",
    "availability": "out_of_stock",
    "price": "1,249.00 GBP",
    "product_type": "Home > Chairs",
    "brand": "Nord",
    "color": "Oak/Black",
}


@pytest.mark.parametrize("form", ["tsv", "rss", "atom"])
def test_google_merchant(tmp_path: Path, form: str) -> None:
    """Table and XML read the same: availability by its words, the price without its code, which is the schema's currency."""
    path = tmp_path / ("feed.tsv" if form == "tsv" else "feed.xml")
    if form == "tsv":
        path.write_text("\t".join(_MERCHANT) + "\n" + "\t".join(_MERCHANT.values()) + "\n")
    else:
        fields = dict(_MERCHANT)
        more = fields.pop("additional_image_link").split(",")
        parts = [f"<g:{name}>{value.replace('>', '&gt;')}</g:{name}>" for name, value in fields.items()]
        parts += [f"<g:additional_image_link>{url}</g:additional_image_link>" for url in more]
        item, root = ("item", "rss") if form == "rss" else ("entry", "feed")
        path.write_text(
            f'<{root} xmlns:g="http://base.google.com/ns/1.0"><{item}><title>Other</title>{"".join(parts)}</{item}></{root}>'
        )
    (chair,) = _only(path, "google_merchant")
    assert open_catalogue(path).schema.currency == "GBP"
    assert chair.product.id == "0017"
    assert chair.product.values == {
        "title": "Oak chair",
        "description": "Solid oak",
        "category": "Home > Chairs",
        "brand": "Nord",
        "price": 1249.0,
        "availability": False,
        "colour": ("Oak", "Black"),
        "url": "https://shop.example/17",
    }
    assert [each.uri[-7:] for each in chair.pictures] == ["/17.jpg", "17b.jpg", "17c.jpg"]


def test_woocommerce(tmp_path: Path) -> None:
    """Variations belong to their parent by its SKU or its number, with the lowest of their prices."""
    path = tmp_path / "wc.csv"
    path.write_text(
        "ID,Type,SKU,Name,Description,In stock?,Sale price,Regular price,Categories,Tags,Images,Parent,Attribute 1 name,"
        "Attribute 1 value(s)\n"
        '10,variable,HOODIE,Hoodie,"<p>Warm</p>",1,,,"Clothing > Hoodies, Sale","warm, new",'
        '"https://shop.example/1.jpg, https://shop.example/2.jpg",,Size,"S, M, L"\n'
        "12,simple,CAP,Cap,,0,,12.50,Clothing,,,,,\n"
        "11,variation,H-S,Hoodie - S,,1,35,45,,,,HOODIE,Size,S\n"
        "13,variation,H-M,Hoodie - M,,1,,32,,,,id:10,Size,M\n"
    )
    hoodie, cap = _only(path, "woocommerce")
    assert hoodie.product.id == "HOODIE"
    assert hoodie.product.values == {
        "title": "Hoodie",
        "description": "Warm",
        "category": "Clothing > Hoodies",
        "price": 32.0,
        "tags": ("warm", "new"),
        "size": ("S", "M", "L"),
        "availability": True,
    }
    assert len(hoodie.pictures) == 2
    assert (cap.product.values["price"], cap.product.values["availability"]) == (12.5, False)


def test_a_variant_without_its_parent_is_an_error(tmp_path: Path, read: Read) -> None:
    """Its line and the parent that is missing are named."""
    path = tmp_path / "wc.csv"
    path.write_text("ID,Type,SKU,Name,Regular price,Parent\n1,simple,A,Cap,5,\n2,variation,B,Hood,5,GONE\n")
    products, errors = read(path)
    assert [each.product.id for each in products] == ["A"]
    assert errors == [(3, "Parent", "'GONE' is none of the 1,000 products before it")]


def test_kaggle_fashion(tmp_path: Path, picture: bytes, read: Read) -> None:
    """Pictures are found by the id, and a row with a comma too many is reported with its line."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "4711.jpg").write_bytes(picture)
    path = tmp_path / "styles.csv"
    path.write_text(
        "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName\n"
        "4711,Men,Apparel,Topwear,Shirts,Navy Blue,Fall,2011.0,Casual,Turtle Check Men Navy Blue Shirt\n"
        "4712,Men,Apparel,Topwear,Shirts,Red,Fall,2011.0,Casual,Shirt, twice\n"
    )
    products, errors = read(path)
    assert errors == [(3, "", "has 11 cells where the header has 10")]
    assert products[0].product.values == {
        "title": "Turtle Check Men Navy Blue Shirt",
        "category": "Shirts",
        "section": "Apparel",
        "colour": "Navy Blue",
        "gender": "Men",
        "season": "Fall",
        "year": 2011.0,
        "usage": "Casual",
    }
    assert products[0].pictures == (PictureFile(tmp_path / "images" / "4711.jpg"),)


def test_hm_articles(tmp_path: Path, picture: bytes) -> None:
    """Ids keep their zeros, and pictures lie in folders of their first three digits."""
    place = tmp_path / "images" / "010" / "0108775015.jpg"
    place.parent.mkdir(parents=True)
    place.write_bytes(picture)
    path = tmp_path / "articles.csv"
    path.write_text(
        "article_id,product_code,prod_name,product_type_no,product_type_name,graphical_appearance_name,colour_group_name,"
        "section_name,detail_desc\n"
        "0108775015,0108775,Strap top,253,Vest top,Solid,Black,Womens Everyday Basics,Jersey top.\n"
    )
    (top,) = _only(path, "hm_articles")
    assert top.product.id == "0108775015"
    assert top.pictures == (PictureFile(place),)
    assert (top.product.values["category"], top.product.values["pattern"]) == ("Vest top", "Solid")
    assert top.product.attributes == {"product_code": "0108775"}


def test_amazon_esci(tmp_path: Path) -> None:
    """Words alone are products; what is empty is absent."""
    row = {
        "product_id": "B07X1",
        "product_title": "Desk lamp",
        "product_description": "<b>Bright</b>",
        "product_bullet_point": "Dimmable\nUSB",
        "product_brand": "Lumo",
        "product_color": None,
        "product_locale": "us",
    }
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "products.parquet")
    (lamp,) = _only(tmp_path, "amazon_esci")
    assert lamp.product.values == {
        "title": "Desk lamp",
        "description": "Bright",
        "points": "Dimmable\nUSB",
        "brand": "Lumo",
        "locale": "us",
    }
    assert lamp.pictures == ()


def test_a_product_that_comes_back_too_late_is_no_second_product(tmp_path: Path, read: Read) -> None:
    """Rows of one product may have others between them; past a thousand products its id is there already."""
    rows = [f"p{i},T,1" for i in range(1_200)]
    path = tmp_path / "export.csv"
    path.write_text(
        "\n".join(["Handle,Title,Variant Price", *rows[:900], "p0,,0.5", *rows[900:], "p0,T,0.25"]) + "\n"
    )
    products, errors = read(path)
    assert len(products) == 1_200
    assert products[0].product.values["price"] == 0.5
    assert [(line, reason) for line, _, reason in errors] == [(1_203, "'p0' was there before")]
