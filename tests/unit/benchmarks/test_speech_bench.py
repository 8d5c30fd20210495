"""Words that were said against words that were heard, and the table of a result."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.speech import speech_section
from benchmarks.spoken import mistakes, words

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Show me more, like the 2nd one!", "show me more like the second one"),
        ("Blue jeans under $60.", "blue jeans under sixty dollars"),
        ("between 40 and 85", "between forty and eighty five"),
        ("7 of clubs; 19, 20", "seven of clubs nineteen twenty"),
        ("It\u2019s ill-disposed", "it s ill disposed"),
        ("Ärmel 1999", "ärmel 1999"),
    ],
)
def test_words_are_compared_as_they_are_said(text: str, said: str) -> None:
    """Marks and capitals are none of a speaker's, and a number is its words."""
    assert words(text) == said.split()


@pytest.mark.parametrize(
    ("said", "heard", "wrong"),
    [
        ("a red dress", "a red dress", 0),
        ("a red dress", "", 3),
        ("a red dress", "red dress", 1),
        ("a red dress", "a bread dress please", 2),
        ("", "thank you", 2),
    ],
)
def test_mistakes_are_words_put_in_taken_out_and_exchanged(said: str, heard: str, wrong: int) -> None:
    """As the word error rate counts them."""
    assert mistakes(said.split(), heard.split()) == wrong


def test_a_result_is_a_table_and_what_was_made_up() -> None:
    """A row a set and a way; without a result there is nothing."""
    document: dict[str, Any] = json.loads(
        (ROOT / "benchmarks/results/speech.json").read_text(encoding="utf-8")
    )
    document["results"]["no speech"]["hum"] = ["Thank you."]
    lines = speech_section({"speech.json": document})
    assert sum(line.startswith("| people, Jane Austen |") for line in lines) == 2
    assert "words were made up in 1 of 10." in lines[-1]
    assert speech_section({}) == []
