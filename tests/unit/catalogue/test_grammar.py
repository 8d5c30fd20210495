"""Specs, captions, edits and offers of the procedural catalogue."""

import pytest

from catalogue.grammar import (
    BRANDS,
    SLOTS,
    Edit,
    Spec,
    brand_and_price,
    caption,
    edit_between,
    edited,
    make_spec,
    modification_text,
    partial_caption,
    sample_edit,
    sample_spec,
)
from catalogue.randomness import generator

DRESS = make_spec(
    "dress",
    colour="navy",
    pattern="checked",
    sleeve="sleeveless",
    neck="square-neck",
    length="maxi",
    accent="yellow",
)
SNEAKERS = make_spec("shoes", colour="red", material="suede", type="sneakers", accent="white")


def test_caption_names_the_attributes_in_order_then_the_noun() -> None:
    """A caption reads like one of Fashion200K's; a type takes the place of its category's noun."""
    assert caption(DRESS) == "navy checked sleeveless square-neck maxi dress with yellow accents"
    assert caption(SNEAKERS) == "red suede sneakers with white accents"


def test_partial_caption_falls_back_on_the_categorys_noun() -> None:
    """A caption of some slots leaves the others out and always ends in a noun."""
    assert partial_caption(DRESS, {"length", "colour"}) == "navy maxi dress"
    assert partial_caption(SNEAKERS, {"colour"}) == "red shoes"


@pytest.mark.parametrize(
    ("category", "values"),
    [
        ("sofa", ()),
        ("shoes", ("red", "suede", "tote", "white")),
        ("shoes", ("red", "suede", "boots", "red")),
        ("shoes", ("red", "suede", "boots")),
    ],
)
def test_spec_refuses_what_cannot_be(category: str, values: tuple[str, ...]) -> None:
    """An unknown category or value, an accent equal to the colour, and a missing value are errors."""
    with pytest.raises(ValueError, match=r"unknown category|has no type|are both|shorter"):
        Spec(category, values)


def test_edits_change_one_word_of_the_caption() -> None:
    """A drawn edit leads to another spec, whose caption differs in one word, and is found again between the two."""
    rng = generator("edits")
    for _ in range(500):
        spec = sample_spec(rng)
        edit = sample_edit(rng, spec)
        target = edited(spec, edit)
        before, after = caption(spec).split(), caption(target).split()
        assert len(before) == len(after)
        assert [(a, b) for a, b in zip(before, after, strict=True) if a != b] == [(edit.old, edit.new)]
        assert edit_between(spec, target) == edit


def test_no_edit_lies_between_specs_two_words_apart() -> None:
    """Two changed slots, no changed slot, and another category are no edit."""
    twice = edited(edited(DRESS, Edit("colour", "navy", "red")), Edit("length", "maxi", "mini"))
    assert edit_between(DRESS, twice) is None
    assert edit_between(DRESS, DRESS) is None
    assert edit_between(DRESS, SNEAKERS) is None


def test_modification_text_is_canonical_without_a_generator() -> None:
    """The canonical text is the benchmark's: replace A with B."""
    assert modification_text(Edit("colour", "blue", "red")) == "replace blue with red"


def test_paraphrases_name_the_new_value_and_tell_accents_from_colours() -> None:
    """Every text names what is wanted; one about accents that is not canonical says so."""
    rng = generator("texts")
    for _ in range(300):
        text = modification_text(Edit("accent", "blue", "red"), rng)
        assert "red" in text
        assert text.startswith("replace ") or "accents" in text
    texts = {modification_text(Edit("sleeve", "long-sleeve", "sleeveless"), rng) for _ in range(300)}
    assert {"without sleeves", "replace long-sleeve with sleeveless", "make it sleeveless"} <= texts


def test_offers_are_plausible_and_repeatable() -> None:
    """Equal spec and seed give an equal offer; leather costs more than canvas on the average."""
    assert brand_and_price(SNEAKERS, 3) == brand_and_price(SNEAKERS, 3)
    mean = {}
    for material in ("leather", "canvas"):
        spec = edited(SNEAKERS, Edit("material", "suede", material))
        offers = [brand_and_price(spec, seed) for seed in range(200)]
        assert {brand for brand, _ in offers} == set(BRANDS)
        mean[material] = sum(price for _, price in offers) / len(offers)
    assert 60 < mean["canvas"] < 130 < mean["leather"] < 260


def test_every_category_has_a_colour_and_an_accent() -> None:
    """Colour comes first and accent last in every category."""
    assert {(*slots,)[0] for slots in SLOTS.values()} == {"colour"}
    assert {(*slots,)[-1] for slots in SLOTS.values()} == {"accent"}
