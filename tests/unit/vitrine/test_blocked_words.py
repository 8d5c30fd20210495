"""Blocked words: found as whole words of their language, whatever case, accents and signs they are written with."""

from pathlib import Path

import pytest

from vitrine.domain import limits
from vitrine.domain.errors import InvalidValue
from vitrine.moderation.words import BlockedWords, read_blocked_words

WORDS = BlockedWords(
    {
        "en": ["ass", "hand gun", "sex"],
        "es": ["cañón"],
        "ko": ["권총"],
        "zh": ["手枪"],
        "th": ["ปืน"],
        "*": ["Straße 18"],
    }
)


@pytest.mark.parametrize(
    ("text", "locale", "entry"),
    [
        ("an ASS, please", "en-GB", "ass"),
        ("hand-gun", "en", "hand gun"),
        ("hand \u200bgun", "", "hand gun"),
        ("as\u00ads", "en", "ass"),
        ("\uff33\uff25\uff38", "en", "sex"),
        ("un CANON", "es-MX", "cañón"),
        ("strasse 18", "fr", "Straße 18"),
        ("장난감 권총을 찾아요", "ko", "권총"),
        ("我要买手枪套", "zh-Hans", "手枪"),
        ("ซื้อปืนเด็กเล่น", "th", "ปืน"),
    ],
)
def test_a_blocked_word_is_found_however_it_is_written(text: str, locale: str, entry: str) -> None:
    """Case, accents, width, invisible characters and what stands between words make no difference."""
    assert WORDS.find(text, locale) == entry


@pytest.mark.parametrize(
    ("text", "locale"),
    [
        ("classic glass bass assembly", "en"),
        ("Scunthorpe, Sussex, Essex and Middlesex", "en"),
        ("sextant", "en"),
        ("hand made gun metal", "en"),
        ("an ass", "es"),
        ("어권총", "ko"),
        ("strasse 180", "de"),
        ("", ""),
    ],
)
def test_what_only_holds_a_blocked_word_is_not_found(text: str, locale: str) -> None:
    """Nor what is blocked in another language."""
    assert WORDS.find(text, locale) is None


def test_a_list_is_read_from_a_file_and_held_to_its_limits(tmp_path: Path) -> None:
    """Each refusal names the language and the limit."""
    path = tmp_path / "words.toml"
    path.write_text('en = ["one", "two words"]\n"*" = ["three"]\n', encoding="utf-8")
    words = read_blocked_words(path)
    assert (words.count, words.find("Three!", "ja")) == (3, "three")
    for text, said in {
        "en = 3": "en: must be a list",
        '"En-GB" = ["x"]': "is neither a language",
        f'en = ["{"x" * 65}"]': "at most 64 characters",
        'en = ["!!"]': "1 to 8 words",
        "en = [": "cannot be read",
    }.items():
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InvalidValue, match=said):
            read_blocked_words(path)
    with pytest.raises(InvalidValue, match="at most 2,000"):
        BlockedWords({"en": [f"w{i}" for i in range(limits.MAX_BLOCKED_WORDS + 1)]})
