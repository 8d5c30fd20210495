"""The benchmark's protocol is google/tirg's, quirks included."""

from pathlib import Path

import pytest
import torch

from encoders.fashion200k import (
    ComposedQuery,
    Fashion200kError,
    LabelledImage,
    check_counts,
    children_by_parent,
    clean_caption,
    modification_text,
    read_images,
    read_queries,
)
from encoders.retrieval import NOTHING, nearest, recalls


@pytest.mark.parametrize(
    ("source", "target", "text"),
    [
        ("blue cotton dress", "red cotton dress", "replace blue with red"),
        ("red dress", "red cotton dress", "replace dress with cotton"),  # the source has no word of its own
        ("red cotton dress", "red dress", "replace cotton with dress"),
        ("red dress", "dress red", "replace dress with red"),
        ("blue long dress", "red short dress", "replace blue with red"),
    ],
)
def test_modification_text_names_the_first_words_that_differ(source: str, target: str, text: str) -> None:
    """A is the first source word that the target lacks, B the reverse, and the last word where there is none."""
    assert modification_text(source, target) == text


def test_captions_spell_out_marks() -> None:
    """Marks become words, so that two captions that differ by a mark stay two."""
    assert clean_caption(" 3.1 v&a *new*? \n") == "3dotmark1 vandmarka starmarknewstarmarkquestionmark"


def test_parents_remove_a_word_wherever_it_occurs() -> None:
    """The substring is removed everywhere, and groups of one are no groups."""
    groups = children_by_parent(["red redux dress", "red dress", "blue dress", "red dress"])
    assert groups["dress"] == ("red dress", "blue dress")
    assert "ux dress" not in groups
    assert children_by_parent(["red redux dress", "new ux dress"])["ux dress"] == (
        "red redux dress",
        "new ux dress",
    )


def test_parents_close_double_spaces_once() -> None:
    """Where a removal leaves three spaces or more, two of them stay as the original leaves them."""
    assert "a  b" in children_by_parent(["a x x b", "a y y b"])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    labels = tmp_path / "labels"
    labels.mkdir()
    (labels / "dress_test_detect_all.txt").write_text(
        "w/1.jpeg\t0.9\tblue dress\nw/2.jpeg\t0.8\tred dress.\n"
    )
    (labels / "dress_train_detect_all.txt").write_text("w/3.jpeg\t0.9\tgreen dress\n")
    (tmp_path / "test_queries.txt").write_text("w/1.jpeg w/2.jpeg\n")
    return tmp_path


def test_a_split_reads_its_own_label_files_and_queries(data: Path) -> None:
    """Labels of the split and the fixed queries are read with cleaned captions."""
    images = read_images(data, "test")
    assert images == (LabelledImage("w/1.jpeg", "blue dress"), LabelledImage("w/2.jpeg", "red dressdotmark"))
    query = ComposedQuery("w/1.jpeg", "replace blue with red", "w/2.jpeg")
    assert read_queries(data, images) == (query,)


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("test_queries.txt", "w/1.jpeg w/9.jpeg\n", "test_queries.txt:1: w/9.jpeg is not in the test split"),
        ("test_queries.txt", "w/1.jpeg\n", "1 paths, not 2"),
        (
            "labels/dress_test_detect_all.txt",
            "w/1.jpeg 0.9 blue dress\n",
            "detect_all.txt:1: 1 columns, not 3",
        ),
    ],
)
def test_a_bad_line_is_named(data: Path, file: str, content: str, reason: str) -> None:
    """A file that is not the benchmark's says which line and why."""
    (data / file).write_text(content)
    with pytest.raises(Fashion200kError, match=reason):
        read_queries(data, read_images(data, "test"))


def test_missing_files_are_named(tmp_path: Path) -> None:
    """A folder without labels or queries says what it lacks."""
    with pytest.raises(Fashion200kError, match="no label file for the split 'test'"):
        read_images(tmp_path, "test")
    with pytest.raises(Fashion200kError, match=r"test_queries\.txt: missing"):
        read_queries(tmp_path, ())


def test_other_counts_are_other_data() -> None:
    """Figures are reported only on the published numbers of pictures and queries."""
    check_counts(172_049, 29_789, 33_480)
    with pytest.raises(Fashion200kError, match="29,788 test images; the benchmark has 29,789"):
        check_counts(172_049, 29_788, 33_480)


def test_recall_counts_any_picture_of_the_caption_and_leaves_the_query_out() -> None:
    """A query does not find its own picture, and any picture of the target's caption is a hit."""
    gallery = torch.eye(4)
    captions = torch.tensor([0, 0, 1, 2])
    queries = torch.tensor([[0.9, 0.3, 0.2, 0.1], [0.0, 0.1, 0.9, 0.3]])
    found = nearest(queries, gallery, left_out=torch.tensor([0, NOTHING]))
    assert found.tolist() == [[1, 2, 3, 0], [2, 3, 1, 0]]
    assert recalls(found, captions, torch.tensor([0, 2])) == {"R@1": 50.0, "R@10": 100.0, "R@50": 100.0}
