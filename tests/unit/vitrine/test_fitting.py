"""What is read in pictures, at which precision, and what is left alone: on embeddings that are drawn here."""

import numpy as np
import pytest

from vitrine.attributes.fitting import FOLDS, OTHER, Sample, fit_familiarity, fit_field
from vitrine.attributes.reader import Embedding, FieldReader, PictureReader, Reading, Unread

DIM = 32
VALUES = ("red", "green", "blue")


def directions(count: int, *, seed: int = 0) -> Embedding:
    rows = np.random.default_rng(seed).standard_normal((count, DIM))
    return normalised(rows)


def normalised(rows: np.ndarray) -> Embedding:
    made: Embedding = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return made


def pictures_of(labels: np.ndarray, *, noise: float, seed: int = 1) -> Embedding:
    """Return a picture a label: its value's direction with noise of that length."""
    drawn = np.random.default_rng(seed).standard_normal((len(labels), DIM)) / np.sqrt(DIM)
    return normalised(directions(len(VALUES))[labels] + noise * drawn)


def sample_of(labels: np.ndarray, pictures: Embedding) -> Sample:
    return Sample(pictures=pictures, labels=labels, folds=np.arange(len(labels)) % FOLDS)


def labels_of(count: int, *, values: int = 3, seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, values, count)


NO_WORDS = np.zeros((3, DIM), np.float32)


def fitted(
    noise: float, *, count: int = 300, anchors: Embedding = NO_WORDS, precision: float = 0.9
) -> FieldReader | Unread:
    labels = labels_of(count)
    sample = sample_of(labels, pictures_of(labels, noise=noise))
    return fit_field("colour", VALUES, anchors, sample, precision=precision)


@pytest.mark.parametrize("noise", [0.5, 2.5])
def test_the_precision_holds_on_pictures_that_were_not_seen(noise: float) -> None:
    """Clear pictures are all read; of unclear ones only as many as are read right nine times in ten."""
    reader = fitted(noise, count=600)
    assert isinstance(reader, FieldReader)
    labels = labels_of(2_000, seed=9)
    readings = reader.read(pictures_of(labels, noise=noise, seed=10))
    right = [each.value == VALUES[label] for each, label in zip(readings, labels, strict=True) if each]
    assert reader.measured.precision >= 0.9
    assert np.mean(right) == pytest.approx(reader.measured.precision, abs=0.05)
    assert len(right) / len(labels) == pytest.approx(reader.measured.coverage, abs=0.1)
    assert (len(right) == len(labels)) is (noise < 1)


def test_confidences_are_shares_of_right_answers() -> None:
    """The temperature makes of the scores what they are worth: 70 % sure is right about seven times in ten."""
    reader = fitted(2.5, count=600)
    assert isinstance(reader, FieldReader)
    labels = labels_of(5_000, seed=9)
    readings = reader.read(pictures_of(labels, noise=2.5, seed=10))
    sure = [
        (each.confidence, each.value == VALUES[label])
        for each, label in zip(readings, labels, strict=True)
        if each
    ]
    assert np.mean([right for _, right in sure]) == pytest.approx(
        np.mean([share for share, _ in sure]), abs=0.05
    )


def test_words_read_where_few_products_are_labelled() -> None:
    """Values whose words lie where their pictures do are read by the words, without a label of their own."""
    reader = fitted(1.5, count=60, anchors=directions(3))
    assert isinstance(reader, FieldReader)
    assert (reader.method, reader.measured.labelled) == ("words", 60)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (labels_of(49), "49 products with a picture have a value, and 50 are needed"),
        (
            np.array([0] * 95 + [1] * 5),
            "95% of the products have the same value: a picture would add nothing",
        ),
        (np.full(80, OTHER), "0 products have one of the 3 most frequent values: there are too many"),
    ],
    ids=["few", "one", "other"],
)
def test_what_cannot_be_told_is_left_alone(labels: np.ndarray, reason: str) -> None:
    """Too few labels, nearly one value, and values beyond those that are told apart each have a sentence."""
    unread = fit_field(
        "colour", VALUES, NO_WORDS, sample_of(labels, pictures_of(labels, noise=0.5)), precision=0.9
    )
    assert isinstance(unread, Unread)
    assert (unread.reason, unread.measured.labelled) == (reason, len(labels))


def test_a_field_of_one_value_is_left_alone() -> None:
    """All products that have a value have the same one: a picture tells nothing."""
    labels = np.zeros(80, np.int64)
    unread = fit_field("colour", ("red",), NO_WORDS[:1], sample_of(labels, directions(80)), precision=0.9)
    assert isinstance(unread, Unread)
    assert unread.reason == "all products that have a value have the same one"


def test_pictures_that_are_all_alike_tell_nothing() -> None:
    """Values that no picture shows, such as a brand, are at no confidence right often enough."""
    labels = labels_of(500)
    alike = pictures_of(np.zeros(500, np.int64), noise=0.5)
    unread = fit_field("brand", VALUES, directions(3), sample_of(labels, alike), precision=0.9)
    assert isinstance(unread, Unread)
    assert unread.reason == "no confidence gives a precision of 0.9"


def test_equal_pictures_are_no_error() -> None:
    """A catalogue of one picture has no variance at all."""
    labels = labels_of(100)
    same = np.repeat(directions(1), 100, axis=0)
    assert isinstance(fit_field("colour", VALUES, NO_WORDS, sample_of(labels, same), precision=0.9), Unread)
    assert fit_familiarity(same).known(same).all()


def test_a_picture_unlike_the_catalogues_tells_nothing() -> None:
    """However sure the scores are: what shows no product of this kind lies beyond the catalogue's pictures."""
    labels = labels_of(400)
    pictures = pictures_of(labels, noise=0.5)
    reader = fit_field("colour", VALUES, NO_WORDS, sample_of(labels, pictures), precision=0.9)
    assert isinstance(reader, FieldReader)
    whole = PictureReader(familiarity=fit_familiarity(pictures), fields={"colour": reader})
    strange = -pictures[:1]
    assert reader.read(strange) != [None]
    assert whole.read(strange) == [{}]
    (found,) = whole.read(pictures[:1])
    assert found == {
        "colour": Reading(field="colour", value=VALUES[labels[0]], confidence=found["colour"].confidence)
    }


def test_nothing_was_fitted_and_nothing_is_read() -> None:
    """A reader of an empty catalogue reads nothing in any picture."""
    assert PictureReader().read(directions(2)) == [{}, {}]
