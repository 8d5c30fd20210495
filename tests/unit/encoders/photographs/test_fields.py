"""What pictures tell of fields, and what keeping the category is worth: on made-up photographs."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from encoders.photographs.fields import measure_fields
from encoders.photographs.measure import DataSet
from encoders.photographs.products import TEST, TRAIN, DataError, Photograph

COLOURS, KINDS, SIZE = ("red", "blue"), ("dress", "skirt"), 8

Make = Callable[..., Photograph]


class Seeing:
    """Embeds a picture by what its bytes say, a text by its words, and a change by both, the kind of thing forgotten."""

    def images(self, pictures: Any) -> Any:
        """Return a direction for each word of the picture, with noise."""
        return np.stack([_row(picture.decode().split()) for picture in pictures])

    def features(self, pictures: Any) -> Any:
        """Return nothing: there is no tower."""

    def texts(self, texts: Any) -> Any:
        """Return the same for a text."""
        return np.stack([_row(text.split()) for text in texts])

    def compose(self, references: Any, texts: Any) -> Any:
        """Return what the last word says."""
        del references
        return self.texts([text.split()[-1] for text in texts])


def _row(words: list[str]) -> np.ndarray:
    known = {word: place for place, word in enumerate((*COLOURS, *KINDS))}
    row = np.zeros(SIZE, np.float32)
    for word in words:
        if word in known:
            row[known[word]] += 1
        else:
            row[4:] += 0.1 * np.random.default_rng(len(word) + ord(word[-1])).standard_normal(4)
    length = np.linalg.norm(row)
    made: np.ndarray = row / length if length else row
    return made.astype(np.float32)


def _data(make: Make, count: int = 200, *, test: int = 40) -> DataSet:
    photographs = []
    for number in range(count):
        colour, kind = COLOURS[number % 2], KINDS[number // 2 % 2]
        photograph = make(
            f"p{number}",
            title=f"{kind} {number}",
            picture=f"{colour} {kind} {number}".encode(),
            category=kind,
            colour=colour,
            maker=f"maker {number * 7 % 3}",
        )
        photographs.append(replace(photograph, split=TEST if number < test else TRAIN))
    return DataSet(name="made up", kind="products", photographs=tuple(photographs), digest="d")


def test_what_pictures_show_is_read_and_what_they_do_not_is_not(make: Make) -> None:
    """Colour and category are read in every picture; who made a thing is read in none."""
    results = measure_fields(_data(make), Seeing())
    assert results["products"] == {"known": 160, "asked": 40}
    for name in ("colour", "category"):
        figures = results["fields"][name]
        assert (figures["values"], figures["labelled"], figures["asked"]) == (2, 160, 40)
        for way in ("words", "products"):
            assert (figures["ways"][way]["precision"], figures["ways"][way]["coverage"]) == (100.0, 100.0)
    maker = results["fields"]["maker"]
    assert maker["chosen"] == ""
    assert {way: figures["coverage"] for way, figures in maker["ways"].items()} == {
        "words": 0.0,
        "products": 0.0,
    }


def test_keeping_the_category_that_was_read_is_worth_as_much_as_the_catalogues(make: Make) -> None:
    """Half of what has the change is another kind of thing; none is with the wish."""
    category = measure_fields(_data(make), Seeing())["category"]
    free, read, own = (
        category[name]
        for name in ("no condition", "the category read in the picture", "the catalogue's category")
    )
    assert (free["queries"], free["has the change"]) == (40, 100.0)
    assert free["same category"] < 80
    assert (read["with a condition"], read["same category"], read["both"]) == (100.0, 100.0, 100.0)
    assert read == own


def test_a_field_that_cannot_be_measured_says_why(make: Make) -> None:
    """Nearly one value, and no value at all among the products of the test."""
    data = _data(make)
    changed = [
        replace(
            each, attributes={"shop": "one"} | ({"note": "x"} if each.split == TRAIN else {}), category=""
        )
        for each in data.photographs
    ]
    results = measure_fields(replace(data, photographs=tuple(changed)), Seeing())
    assert results["fields"]["shop"]["left"] == "all products that have a value have the same one"
    assert results["fields"]["note"]["left"] == "all products that have a value have the same one"
    assert results["category"] == {}


def test_without_a_test_split_nothing_is_measured(make: Make) -> None:
    """It is said by the data's name."""
    with pytest.raises(DataError, match="made up has no photographs to learn from, or none to measure on"):
        measure_fields(_data(make, test=0), Seeing())
