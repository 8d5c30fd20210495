"""Words that are put together are read by their parts where both are known, and are no value where they name another thing."""

from rewriter.linking.compounds import Reading, Split, modifiers, says_more, splits_of
from rewriter.linking.linker import LEAST_SIMILARITY
from rewriter.nlu.lexicon import Meaning, Part
from rewriter.nlu.vocabulary import Role

WORDS = {"leder", "jacke", "hand", "tuch", "regal", "schul", "wand"}
JACKET = Reading(Meaning(Role.VALUE, "category", "jacket", "jacket", Part.CATEGORY), 1.0)
LEATHER = Reading(Meaning(Role.VALUE, "material", "leather", "leather"), 0.9)


def test_a_word_is_divided_where_its_parts_are_words() -> None:
    """Those of two words first; a word of its own is not divided, nor a short one."""
    assert splits_of("lederjacke", WORDS.__contains__)[0] == Split("lederjacke", "leder", "jacke", sure=True)
    assert splits_of("schulter", {"schulter", "schul", "ter"}.__contains__) == []
    assert splits_of("tuchab", WORDS.__contains__) == []
    assert splits_of("lederjacken2", WORDS.__contains__) == []


def test_a_joint_stands_between_two_parts() -> None:
    """And a first part may have lost its last letter."""
    parts = {"tomate", "suppe", "kirsche", "saft"}
    assert Split("tomatensuppe", "tomate", "suppe", sure=True) in splits_of(
        "tomatensuppe", parts.__contains__
    )
    assert Split("kirschsaft", "kirsche", "saft", sure=True) in splits_of("kirschsaft", parts.__contains__)


def test_what_the_first_part_says() -> None:
    """A value of another field is a condition, a place or season a word of the search, any other word nothing."""
    split = Split("lederjacke", "leder", "jacke", sure=True)
    assert says_more(split, JACKET, LEATHER, least=LEAST_SIMILARITY) is True
    weak = Reading(LEATHER.meaning, 0.2)
    assert says_more(split, JACKET, weak, least=LEAST_SIMILARITY) is None
    assert "sommer" in modifiers()
    summer = Split("sommerjacke", "sommer", "jacke", sure=True)
    assert says_more(summer, JACKET, weak, least=LEAST_SIMILARITY) is False
    assert says_more(split, LEATHER, JACKET, least=LEAST_SIMILARITY) is None
