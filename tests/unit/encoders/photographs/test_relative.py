"""Sentences that people wrote: which name one colour, how they are split, and what is asked with them."""

import json
from pathlib import Path

import pytest

from encoders.photographs.composed import SENTENCE
from encoders.photographs.gallery import make_gallery
from encoders.photographs.products import DataError, draw_split
from encoders.photographs.relative import (
    RelativeCaption,
    is_relative_captions,
    named_colour,
    people_say_a_colour,
    read_relative_captions,
)
from tests.unit.encoders.photographs.conftest import Known, Make


def _file(path: Path, *captions: str) -> Path:
    row = {"category": "shirt", "candidate": "c", "target": "t", "captions": list(captions)}
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "colour"),
    [
        ("is red", "red"),
        ("Is a bit more GRAY.", "grey"),
        ("is navy with a collar", "navy blue"),
        ("is black and white", None),
        ("is not red", None),
        ("is less red", None),
        ("has longer sleeves", None),
        ("is red and has a very long text on it that goes on", None),
    ],
)
def test_only_a_sentence_that_names_one_colour_is_asked(text: str, colour: str | None) -> None:
    assert named_colour(text) == colour


def test_equal_sentences_are_in_one_split(tmp_path: Path) -> None:
    first, second = read_relative_captions(_file(tmp_path / "c.jsonl", "Is  RED", "is red"))
    assert first.split == second.split == draw_split("sentence:is red")
    assert (first.category, first.candidate, first.target, first.text) == ("shirt", "c", "t", "Is  RED")


def test_a_file_of_another_shape_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text('{"id": "a"}\n', encoding="utf-8")
    assert not is_relative_captions(path)
    assert is_relative_captions(_file(tmp_path / "d.jsonl", "is red"))
    with pytest.raises(
        DataError, match=r"c.jsonl:1: must be an object with candidate, captions, category, target"
    ):
        list(read_relative_captions(path))
    with pytest.raises(DataError, match="No such file"):
        list(read_relative_captions(tmp_path / "nowhere.jsonl"))


def test_a_sentence_moves_a_photograph_to_its_colour(make: Make) -> None:
    """One black shirt is asked to be red; the red shirt and the red hat are there."""
    photographs = [
        make("k", category="Shirts", colour="Black"),
        make("r", category="Shirts", colour="Red"),
        make("h", category="Hat", colour="Red"),
    ]
    embedder = Known(
        {b"k": [1, 0, 1], b"r": [0, 1, 1], b"h": [0, 1, -1]},
        {"red": [0, 1, 0], "is red": [0, 1, 0], "red shirts": [0, 1, 1]},
    )
    captions = [
        RelativeCaption("shirt", "c", "t", "is red", "test"),
        RelativeCaption("shirt", "c", "t", "is more red", "train"),
        RelativeCaption("dress", "c", "t", "is red", "test"),
    ]
    gallery = make_gallery(photographs, embedder)
    outcome = people_say_a_colour(captions, gallery, embedder, {SENTENCE: 0.5})
    fusion = outcome.ways["fusion"]
    assert fusion["queries"] == 1
    assert fusion["P@1"] == [100.0, None]
    assert outcome.ways["picture alone"]["P@1"] == [100.0, None]
    assert fusion["other article@10"] == [
        66.67,
        None,
    ]  # the hat, and the photograph itself, which is left out
    with pytest.raises(DataError, match="no sentence of the test split names a colour"):
        people_say_a_colour(captions[1:2], gallery, embedder, {SENTENCE: 0.5})
