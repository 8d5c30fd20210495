"""When what a model wrote was said."""

import pytest

from speech.engines.sureness import Segment, said
from vitrine.domain.limits import MAX_TRANSCRIPT_LENGTH


def test_sure_segments_are_one_text_with_single_spaces() -> None:
    """Segments follow each other."""
    assert said([Segment(text=" a red"), Segment(text="  dress.\n")]) == "a red dress"
    assert said([Segment(text="is it wool?")]) == "is it wool?"


@pytest.mark.parametrize(
    "unsure",
    [
        {"log_probability": -1.1},
        {"log_probability": float("nan")},
        {"no_speech": 0.7},
        {"compression": 3.0},
    ],
)
def test_what_the_model_is_not_sure_of_was_not_said(unsure: dict[str, float]) -> None:
    """Each doubt alone is enough, and takes its own segment alone."""
    assert said([Segment(text="Thank you.", **unsure)]) == ""
    assert said([Segment(text="Thank you.", **unsure), Segment(text="a dress")]) == "a dress"


@pytest.mark.parametrize("text", ["", " ...", "♪♪", "—"])
def test_a_text_without_a_letter_is_none(text: str) -> None:
    """Music and marks are no words."""
    assert said([Segment(text=text)]) == ""


def test_a_text_is_cut_at_the_limit() -> None:
    """No transcript is longer than what the gateway takes."""
    assert len(said([Segment(text="a" * 5_000)])) == MAX_TRANSCRIPT_LENGTH
