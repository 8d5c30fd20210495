"""Photographs from tables and folders: their words, groups and splits, and what is left out."""

import io
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from encoders.photographs.products import (
    DataError,
    Photograph,
    draw_split,
    fold_title,
    load_photographs,
    read_photographs,
)


def _picture(colour: str = "crimson") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(out, format="JPEG")
    return out.getvalue()


def _table(path: Path, *rows: Mapping[str, object]) -> Path:
    pq.write_table(
        pa.Table.from_pylist([{"image": {"bytes": _picture(), "path": None}, **row} for row in rows]), path
    )
    return path


def test_a_row_is_a_photograph_with_its_words(tmp_path: Path) -> None:
    """Keywords and further columns are attributes; price, group and split are not."""
    row = {
        "id": "p1",
        "title": "Blue Mug",
        "price": 4.5,
        "article_type": "Mugs",
        "base_colour": "Blue",
        "usage": "Daily",
        "group": "g7",
        "split": "validation",
    }
    (found,) = read_photographs(_table(tmp_path / "shop.parquet", row))
    assert found == Photograph(
        product_id="p1",
        title="Blue Mug",
        category="Mugs",
        attributes={"category": "Mugs", "colour": "Blue", "usage": "Daily"},
        group="g7",
        split="val",
        picture=_picture(),
    )


def test_without_a_group_equal_titles_are_in_one_split(tmp_path: Path) -> None:
    """Case, spaces and numbers make no other group, and the group's hash draws the split."""
    path = _table(
        tmp_path / "shop.parquet",
        *(
            {"id": str(number), "title": f"Mug  No {number}" if number % 2 else "mug no 7"}
            for number in range(6)
        ),
    )
    found = load_photographs(path)
    assert {each.group for each in found} == {"title:mug no #"}
    assert {each.split for each in found} == {draw_split("title:mug no #")}


def test_without_title_and_group_the_id_is_the_group(tmp_path: Path) -> None:
    (found,) = load_photographs(_table(tmp_path / "shop.parquet", {"id": "p1", "label": "hat"}))
    assert (found.group, found.title, found.attributes) == ("id:p1", "", {"label": "hat"})


def test_splits_are_drawn_in_their_shares_and_stay_the_same() -> None:
    drawn = Counter(draw_split(f"title:{number}") for number in range(10_000))
    assert {split: round(count, -2) for split, count in drawn.items()} == {
        "train": 8000,
        "val": 1000,
        "test": 1000,
    }
    by_hand = {"a": 79.1, "b": 24.3, "c": 18.2, "d": 9.6, "e": 24.8, "f": 14.5}  # of 2**64, in percent
    assert list(map(draw_split, by_hand)) == ["train", "train", "val", "test", "train", "val"]


def test_titles_are_folded_like_the_rule_of_groups() -> None:
    assert fold_title("  Levi's  501 BLUE 32x34 ") == "levi's # blue #x#"


def test_an_unknown_split_is_refused_with_its_row(tmp_path: Path) -> None:
    path = _table(tmp_path / "shop.parquet", {"id": "p1", "title": "Mug", "split": "holdout"})
    with pytest.raises(DataError, match=r"shop.parquet:1: split: must be train, val or test, got 'holdout'"):
        list(read_photographs(path))


def test_what_cannot_be_used_is_left_out_and_counted(tmp_path: Path) -> None:
    """A picture that is none, and one by URL, leave the others alone."""
    rows: list[dict[str, object]] = [
        {"id": "p1", "title": "Mug", "image": {"bytes": b"no picture", "path": None}},
        {"id": "p2", "title": "Cup", "image": {"bytes": None, "path": "https://example.com/cup.jpg"}},
        {"id": "p3", "title": "Jug"},
    ]
    notes = Counter[str]()
    found = load_photographs(_table(tmp_path / "shop.parquet", *rows), notes=notes)
    assert [each.product_id for each in found] == ["p3"]
    assert sorted(notes.values()) == [1, 1]
    assert any("by URL" in note for note in notes)


def test_data_without_a_picture_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "shop.csv").write_text("id,title\np1,Mug\n", encoding="utf-8")
    with pytest.raises(
        DataError, match=r"shop.csv: no product with a picture in the split train or val or test"
    ):
        load_photographs(tmp_path / "shop.csv")
    with pytest.raises(DataError, match="no such file or folder"):
        list(read_photographs(tmp_path / "nowhere"))


def test_a_folder_of_pictures_will_do(tmp_path: Path) -> None:
    (tmp_path / "mug.jpg").write_bytes(_picture())
    (tmp_path / "cup.jpg").write_bytes(_picture("navy"))
    found = load_photographs(tmp_path)
    assert [each.picture for each in found] == [_picture("navy"), _picture()]
