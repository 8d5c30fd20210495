"""Which turns speak of money."""

import tomllib
from pathlib import Path

import pytest

import rewriter.training
from rewriter.engines.model.placeholders import mark_turn
from rewriter.nlu.lexicon import LexiconCache
from rewriter.nlu.prices import speaks_of_money, take_price
from rewriter.nlu.words import fold

PHRASES = Path(rewriter.training.__file__).parent / "phrases"


def _money_phrases() -> list[str]:
    found = []
    for path in sorted(PHRASES.glob("*.toml")):
        for section in tomllib.loads(path.read_text(encoding="utf-8")).values():
            if isinstance(section, dict):
                found += [
                    phrase
                    for key in ("train", "held")
                    for phrase in section.get(key, [])
                    if "{NUM}" in phrase
                ]
    return found


def test_every_phrase_about_a_price_speaks_of_money() -> None:
    """No phrase that the model was trained or measured on loses its number, in any of the four tongues."""
    phrases = _money_phrases()
    assert len(phrases) > 150
    silent = [phrase for phrase in phrases if not speaks_of_money(fold(phrase.replace("{NUM}", "50")))]
    assert silent == []


@pytest.mark.parametrize(
    "text",
    [
        "size 10 dress",
        "dress size 42",
        "2 piece dress",
        "levi 501 jeans",
        "90s dress",
        "1 red hat",
        "talla 38",
    ],
)
def test_other_numbers_are_words(text: str) -> None:
    """A size, a model or a decade is no price: it is marked as a word that the lexicon does not know."""
    turn = mark_turn(text, LexiconCache().get(()))
    assert (turn.price, turn.amounts) == (None, ())
    assert any(piece.text.startswith("W") and piece.tag.surface.isdecimal() for piece in turn.pieces)


@pytest.mark.parametrize(
    ("text", "maximum"),
    [("10만원 이하", 100_000.0), ("1.5만원 이하", 15_000.0), ("2千元以内", 2_000.0), ("3万以下", 30_000.0)],
)
def test_a_word_right_behind_figures_multiplies_them(text: str, maximum: float) -> None:
    """As Korean and Chinese write large amounts."""
    price, _ = take_price(fold(text))
    assert price is not None
    assert price.maximum == maximum
