"""Data sets in folders of their own layout."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from catalogue.build import BuildSettings, build_catalogue
from catalogue.product import CatalogueProduct, PictureFile
from catalogue.readers.fashion200k import open_fashion200k
from catalogue.readers.layouts import words_of
from catalogue.readers.opening import open_catalogue
from catalogue.readers.rows import Row

Read = Callable[..., tuple[list[CatalogueProduct], list[tuple[int, str, str]]]]

PICTURE = "women/dresses/casual_and_day_dresses/51727804/51727804_0.jpeg"


@pytest.fixture
def fashion200k(tmp_path: Path, picture: bytes) -> Path:
    (tmp_path / "labels").mkdir()
    (tmp_path / PICTURE).parent.mkdir(parents=True)
    (tmp_path / PICTURE).write_bytes(picture)
    return tmp_path


def test_a_label_of_fashion200k_becomes_a_product(fashion200k: Path, read: Read) -> None:
    """The caption is the title; category, product and split come from the paths, the colour from the caption."""
    (fashion200k / "labels" / "dress_test_detect_all.txt").write_text(
        f"{PICTURE}\t0.98\tmulticolor red lace dress \n"
    )
    ((product,), errors) = read(fashion200k)
    assert errors == []
    assert product.product.id == "51727804_0"
    assert product.product.values == {
        "title": "multicolor red lace dress",
        "category": "dresses",
        "colour": "red",
    }
    assert product.product.attributes == {"split": "test", "product": "51727804"}
    assert product.pictures == (PictureFile(fashion200k / PICTURE),)


def test_bad_labels_are_reported_with_their_line(fashion200k: Path, read: Read) -> None:
    """Too few cells, a short path, a repeat and bad bytes are errors; a missing picture leaves the words."""
    labels = fashion200k / "labels" / "dress_train_detect_all.txt"
    labels.write_bytes(
        f"{PICTURE} no tabs\n"
        "women/dresses/x/1/1_0.jpeg\t0.9\ta dress\n"
        "1_0.jpeg\t0.9\ta dress\n"
        f"{PICTURE}\t0.9\tblue dress\n"
        f"{PICTURE}\t0.9\tblue dress\n".encode()
        + b"women/dresses/x/2/2_0.jpeg\t0.9\tcaf\xe9\n"
    )
    products, errors = read(fashion200k)
    assert [(line, field) for line, field, _ in errors] == [(1, ""), (3, "image"), (5, "id"), (6, "title")]
    assert [(each.product.values["title"], len(each.errors)) for each in products] == [
        ("a dress", 1),
        ("blue dress", 0),
    ]


def test_splits_are_told_by_the_files_names(fashion200k: Path) -> None:
    """A split reads the label files that bear its name."""
    for split, caption in (("train", "blue dress"), ("test", "red dress")):
        (fashion200k / "labels" / f"dress_{split}_detect_all.txt").write_text(f"{PICTURE}\t1\t{caption}\n")
    table = open_fashion200k(fashion200k, "test")
    assert table is not None
    assert [row.values["caption"] for row in table.rows if isinstance(row, Row)] == ["red dress"]


@pytest.mark.slow
def test_what_is_built_in_this_layout_can_be_read(tmp_path: Path) -> None:
    """The builder's Fashion200K layout reads without an error, whole."""
    out = tmp_path / "built"
    build_catalogue(out, BuildSettings(products=4, seed=5, layout="fashion200k"), processes=1)
    catalogue = open_catalogue(out)
    rows = list(catalogue.rows)
    assert len(rows) == catalogue.estimate
    assert all(isinstance(row, CatalogueProduct) and row.pictures for row in rows)


@pytest.mark.slow
def test_what_is_built_as_a_table_can_be_read(tmp_path: Path) -> None:
    """The drawn catalogue is a plain table of the fashion schema: fields, attributes and pictures are all there."""
    out = tmp_path / "built"
    build_catalogue(out, BuildSettings(products=4, seed=5), processes=1)
    catalogue = open_catalogue(out)
    products = [row for row in catalogue.rows if isinstance(row, CatalogueProduct)]
    assert len(products) == catalogue.estimate == 4
    assert catalogue.schema.name == "fashion"
    wanted = {"title", "category", "colour", "pattern", "brand", "price"}
    assert all(each.product.values.keys() == wanted and each.pictures for each in products)
    assert all(each.product.attributes for each in products)


def test_deepfashion(tmp_path: Path, read: Read, picture: bytes) -> None:
    """Category and attributes come from the lists, titles from the pictures' folders."""
    place = tmp_path / "img" / "Floral_Wrap_Dress"
    place.mkdir(parents=True)
    (place / "img_00000001.jpg").write_bytes(picture)
    anno = tmp_path / "Anno"
    anno.mkdir()
    (anno / "list_category_cloth.txt").write_text(
        "2\ncategory_name  category_type\nBlouse  1\nWrap Dress   3\n"
    )
    (anno / "list_category_img.txt").write_text(
        "2\nimage_name  category_label\nimg/Floral_Wrap_Dress/img_00000001.jpg     2\nnonsense\n"
    )
    (anno / "list_attr_cloth.txt").write_text(
        "3\nattribute_name  attribute_type\na-line  3\nfloral print  1\nred  5\n"
    )
    (anno / "list_attr_img.txt").write_text(
        "1\nimage_name  attribute_labels\nimg/Floral_Wrap_Dress/img_00000001.jpg  1  1 -1\n"
    )
    ((product,), errors) = read(tmp_path)
    assert product.product.id == "img/Floral_Wrap_Dress/img_00000001.jpg"
    assert product.product.values == {
        "title": "Floral Wrap Dress",
        "category": "Wrap Dress",
        "tags": ("a-line", "floral print"),
    }
    assert len(product.pictures) == 1
    assert [(line, reason) for line, _, reason in errors] == [
        (4, "expected a picture's path and a category's number")
    ]


def test_coco(tmp_path: Path, read: Read, picture: bytes) -> None:
    """The largest thing is the category, all of them are objects, a caption is the title."""
    (tmp_path / "val2017").mkdir()
    (tmp_path / "val2017" / "000000000139.jpg").write_bytes(picture)
    (tmp_path / "annotations").mkdir()
    images = [{"id": 139, "file_name": "000000000139.jpg"}, {"id": 140, "file_name": "gone.jpg"}]
    instances = {
        "info": {},
        "images": images,
        "annotations": [
            {"id": 1, "image_id": 139, "category_id": 1, "bbox": [0, 0, 5, 5]},
            {"id": 2, "image_id": 139, "category_id": 2, "bbox": [0, 0, 50, 50]},
        ],
        "categories": [{"id": 1, "name": "cup"}, {"id": 2, "name": "couch"}],
    }
    captions = {
        "images": images[:1],
        "annotations": [{"id": 1, "image_id": 139, "caption": "A cup on a couch. "}],
    }
    (tmp_path / "annotations" / "instances_val2017.json").write_text(json.dumps(instances))
    (tmp_path / "annotations" / "captions_val2017.json").write_text(json.dumps(captions))
    for path in (tmp_path, tmp_path / "annotations" / "instances_val2017.json"):
        products, errors = read(path)
        assert products[0].product.id == "139"
        assert products[0].product.values | {"title": "A cup on a couch."} == {
            "title": "A cup on a couch.",
            "category": "couch",
            "objects": ("couch", "cup"),
        }
        assert len(products[0].pictures) == 1
        assert [field for _, field, _ in errors] == ["title"]


def test_pictures_alone_are_a_catalogue(tmp_path: Path, picture: bytes) -> None:
    """Words come from the files' names, the category from the folders', and the path is the id."""
    for place in (
        "bag/black_bag-2.jpg",
        "women/dresses/IMG_0042.PNG",
        "notes/readme.md",
        "images/Blue Hat.webp",
    ):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(picture)
    catalogue = open_catalogue(tmp_path)
    products = [row.product for row in catalogue.rows if isinstance(row, CatalogueProduct)]
    assert [(each.id, dict(each.values)) for each in products] == [
        ("bag/black_bag-2.jpg", {"title": "black bag", "category": "bag"}),
        ("images/Blue Hat.webp", {"title": "Blue Hat"}),
        ("women/dresses/IMG_0042.PNG", {"category": "women > dresses"}),
    ]
    assert catalogue.estimate == len(catalogue.files) == 3


@pytest.mark.parametrize(
    ("stem", "words"),
    [
        ("red_dress_0", "red dress"),
        ("DSC-0001", ""),
        ("20240101", ""),
        ("top 2 piece", "top piece"),
        ("größe", "größe"),
    ],
)
def test_words_of_a_files_name(stem: str, words: str) -> None:
    """Numbers and what cameras write are no words."""
    assert words_of(stem) == words
