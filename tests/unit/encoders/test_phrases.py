"""Whatever is said of a product is true of it, and what is said of a change is read as that change."""

import random

import pytest

from catalogue.grammar import SLOTS, Edit, caption, make_spec, sample_edit, sample_spec
from encoders.phrases import add_unknown_word, describe, describe_fully, say_edits

DRESS = make_spec(
    "dress", colour="navy", pattern="floral", sleeve="long-sleeve", neck="v-neck", length="maxi", accent="red"
)


def test_a_description_names_only_what_the_product_has() -> None:
    """The named attributes are the product's own, the category among them where the noun is said."""
    rng = random.Random(1)
    for _ in range(300):
        spec = sample_spec(rng)
        description = describe(spec, rng)
        attributes = {"category": spec.category, **spec.attributes}
        assert description.text
        assert description.named
        assert description.named.items() <= attributes.items()


def test_every_attribute_named_is_in_the_words() -> None:
    """A description that names navy says navy or dark blue, and one that does not says neither."""
    rng = random.Random(2)
    for _ in range(200):
        description = describe(DRESS, rng)
        assert ("colour" in description.named) == any(
            word in description.text for word in ("navy", "dark blue")
        )


def test_queries_vary_in_length_order_and_words() -> None:
    """One product is asked for in many ways, short ones among them."""
    rng = random.Random(3)
    texts = {describe(DRESS, rng).text for _ in range(200)}
    assert len(texts) > 100
    assert min(len(text.split()) for text in texts) <= 2
    assert any("," in text for text in texts)
    assert any("long sleeves" in text for text in texts)


def test_half_of_the_full_texts_are_the_caption() -> None:
    """Titles are captions, so training sees them as they are."""
    rng = random.Random(4)
    share = sum(describe_fully(DRESS, rng) == caption(DRESS) for _ in range(400)) / 400
    assert 0.4 < share < 0.8


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (Edit("length", "mini", "maxi"), {"longer"}),
        (Edit("length", "maxi", "mini"), {"shorter"}),
        (Edit("sleeve", "sleeveless", "long-sleeve"), {"longer sleeves"}),
        (Edit("length", "cropped", "full-length"), {"longer"}),
    ],
)
def test_relative_texts_point_the_right_way(edit: Edit, words: set[str]) -> None:
    """Some texts compare instead of naming the value, and never the wrong way round."""
    rng = random.Random(5)
    texts = [say_edits([edit], rng) for _ in range(200)]
    opposite = {"longer": "shorter", "shorter": "longer"}
    for word in words:
        assert any(word in text for text in texts)
        direction = word.split()[0]
        assert not any(opposite[direction] in text for text in texts)


def test_two_changes_are_both_said() -> None:
    """A text of two changes holds a part for each."""
    rng = random.Random(6)
    edits = (Edit("colour", "navy", "red"), Edit("pattern", "floral", "checked"))
    for _ in range(50):
        text = say_edits(edits, rng)
        assert "red" in text
        assert any(word in text for word in ("checked", "check", "plaid", "chequered"))


def test_every_edit_of_every_slot_can_be_said() -> None:
    """No slot lacks words."""
    rng = random.Random(7)
    for category, slots in SLOTS.items():
        for slot in slots:
            edit = sample_edit(rng, sample_spec(rng, category), slot)
            assert all(say_edits([edit], rng) for _ in range(30))


def test_an_unknown_word_leaves_the_others_in_order() -> None:
    """The text keeps its words and gains one."""
    words = add_unknown_word("red floral dress", random.Random(8)).split()
    assert len(words) == 4
    assert [word for word in words if word in {"red", "floral", "dress"}] == ["red", "floral", "dress"]
