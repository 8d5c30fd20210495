"""The reader of Fashion200K's layout."""

from pathlib import Path

import pytest

from catalogue.build import BuildSettings, build_catalogue
from catalogue.product import Product
from catalogue.readers.fashion200k import read_fashion200k
from catalogue.readers.opening import open_catalogue
from catalogue.readers.rows import RowError

PICTURE = "women/dresses/casual_and_day_dresses/51727804/51727804_0.jpeg"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "labels").mkdir()
    (tmp_path / PICTURE).parent.mkdir(parents=True)
    (tmp_path / PICTURE).write_bytes(b"picture")
    return tmp_path


def test_a_label_becomes_a_product(root: Path) -> None:
    """The caption is the title; category, product and split come from the paths, the colour from the caption."""
    (root / "labels" / "dress_test_detect_all.txt").write_text(
        f"{PICTURE}\t0.98\tmulticolor red lace dress \n"
    )
    assert list(read_fashion200k(root)) == [
        Product(
            id="51727804_0",
            title="multicolor red lace dress",
            category="dresses",
            image=root / PICTURE,
            colour="red",
            attributes={"split": "test", "product": "51727804"},
        )
    ]


def test_bad_labels_are_reported_with_their_line(root: Path) -> None:
    """Too few cells, a missing picture, a short path, an empty caption, a repeat and bad bytes are errors."""
    labels = root / "labels" / "dress_train_detect_all.txt"
    labels.write_bytes(
        f"{PICTURE} no tabs\n"
        "women/dresses/x/1/1_0.jpeg\t0.9\ta dress\n"
        "1_0.jpeg\t0.9\ta dress\n"
        f"{PICTURE}\t0.9\t\n"
        f"{PICTURE}\t0.9\tblue dress\n"
        f"{PICTURE}\t0.9\tblue dress\n".encode()
        + f"{PICTURE}\t0.9\tcaf".encode()
        + b"\xe9\n"
    )
    rows = list(read_fashion200k(root))
    errors = [(row.line, row.field) for row in rows if isinstance(row, RowError)]
    assert errors == [(1, ""), (2, "image"), (3, "image"), (4, "title"), (6, "id"), (7, "title")]
    assert [row.title for row in rows if isinstance(row, Product)] == ["blue dress"]


def test_splits_are_told_by_the_files_names(root: Path) -> None:
    """A split reads the label files that bear its name."""
    for split, caption in (("train", "blue dress"), ("test", "red dress")):
        (root / "labels" / f"dress_{split}_detect_all.txt").write_text(f"{PICTURE}\t1\t{caption}\n")
    titles = [row.title for row in read_fashion200k(root, "test") if isinstance(row, Product)]
    assert titles == ["red dress"]


def test_what_is_built_in_this_layout_can_be_read(tmp_path: Path) -> None:
    """The builder's Fashion200K layout reads without an error, whole."""
    out = tmp_path / "built"
    build_catalogue(out, BuildSettings(products=4, seed=5, layout="fashion200k"), processes=1)
    catalogue = open_catalogue(out)
    rows = list(catalogue.rows)
    assert len(rows) == catalogue.estimate
    assert all(isinstance(row, Product) for row in rows)
    assert {row.category for row in rows if isinstance(row, Product)} <= {
        "dress",
        "top",
        "skirt",
        "jacket",
        "trousers",
        "shoes",
        "bag",
        "hat",
    }
