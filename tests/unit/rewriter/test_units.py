"""Amounts in the unit that a schema names, whichever one they are said in."""

import pytest

from rewriter.nlu.field_words import FieldWords, field_words
from rewriter.nlu.units import unit_of, units
from rewriter.nlu.words import fold
from vitrine.domain.filters import Range
from vitrine.domain.schema_files import parse_schema


def _words(**fields: str) -> FieldWords:
    numbers = "\n".join(f'[fields.{name}]\nkind = "number"\n{words}' for name, words in fields.items())
    text = f'name = "x"\n[fields.id]\nkind = "keyword"\nrole = "id"\n[fields.title]\nkind = "text"\nrole = "title"\n{numbers}\n'
    return field_words(parse_schema(text), {}, {})


HOME = _words(height_cm="", width='labels = { de = "Breite (cm)" }', weight_g="")
SCREENS = _words(screen='questions = { en = ["inches"] }', storage='labels = { en = "storage in GB" }')


@pytest.mark.parametrize(
    ("text", "field", "minimum", "maximum"),
    [
        ("a cupboard at least 2 m high", "height_cm", 200, None),
        ("Schrank, höchstens 1,80 m hoch", "height_cm", None, 180),
        ("un estante de menos de 0,5 m de alto", "height_cm", None, 50),
        ("au maximum 1,2 m de large", "width", None, 120),
        ("Breite höchstens 0,8 m", "width", None, 80),
        ("height between 1 and 2 m", "height_cm", 100, 200),
        ("no wider than 3 feet", "width", None, 91.44),
        ("under 1.5 kg", "weight_g", None, 1500),
        ("pas plus de 2 kilos", "weight_g", None, 2000),
        ("不超过1.5公斤", "weight_g", None, 1500),
        ("2kg 이하", "weight_g", None, 2000),
        ("at least 250 grams", "weight_g", 250, None),
        ("80 cm wide", "width", 80, 80),
    ],
)
def test_an_amount_is_converted_to_the_unit_that_the_schema_names(
    text: str, field: str, minimum: float | None, maximum: float | None
) -> None:
    """By the field's name, its label or its question words, in every language."""
    (condition,) = HOME.take(fold(text)).conditions
    assert isinstance(condition, Range)
    assert (condition.field, condition.minimum, condition.maximum) == (field, minimum, maximum)


@pytest.mark.parametrize(
    ("text", "field", "minimum", "maximum"),
    [
        ("a 32 inch television", "screen", 32, 32),
        ("Laptop mit 14 Zoll", "screen", 14, 14),
        ("un portátil de 14 pulgadas", "screen", 14, 14),
        ("un écran de 24 pouces", "screen", 24, 24),
        ("32寸电视", "screen", 32, 32),
        ("24인치 모니터", "screen", 24, 24),
        ("television over 100 cm", "screen", 39.3701, None),
        ("mindestens 2 TB", "storage", 2000, None),
        ("512GB", "storage", 512, 512),
    ],
)
def test_an_amount_of_the_unit_alone_is_a_condition(
    text: str, field: str, minimum: float | None, maximum: float | None
) -> None:
    """Where one field counts in units of that quantity, the unit asks for it; without a bound the amount is meant exactly."""
    (condition,) = SCREENS.take(fold(text)).conditions
    assert isinstance(condition, Range)
    assert (condition.field, condition.minimum, condition.maximum) == (field, minimum, maximum)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (SCREENS, "a television 120 cm wide"),
        (SCREENS, "24 or 27 inch"),
        (SCREENS, "under 3 kg"),
        (HOME, "5 pieces under 40 euros"),
        (_words(rating=""), "rating over 4 kg"),
    ],
)
def test_an_amount_of_another_quantity_is_no_condition(words: FieldWords, text: str) -> None:
    """Neither is one of several, nor one of a measure that the catalogue lacks."""
    taken = words.take(fold(text))
    assert [each for each in taken.conditions if isinstance(each, Range) and each.field != "rating"] == []


def test_a_field_without_a_unit_takes_an_amount_as_it_is_said() -> None:
    """Nobody knows in which unit it counts."""
    (condition,) = _words(height="").take("taller than 2 m").conditions
    assert condition == Range(field="height", minimum=2, exclusive_minimum=True)


def test_units_of_one_quantity_convert_into_each_other_and_no_others() -> None:
    """A unit is that of its first word in any language, and none of it becomes one of another quantity."""
    assert units()["pulgadas"] == units()["inch"]
    assert units()["kg"].convert(1.5, units()["gramm"]) == 1500
    assert units()["kg"].convert(1.5, units()["cm"]) is None
    schema = parse_schema(
        'name = "x"\n[fields.id]\nkind = "keyword"\nrole = "id"\n[fields.t]\nkind = "text"\nrole = "title"\n'
        '[fields.waist]\nkind = "number"\nlabels = { fr = "tour de taille (cm)" }\n[fields.rating]\nkind = "number"\n'
    )
    assert unit_of(schema.by_name["waist"]) == units()["cm"]
    assert unit_of(schema.by_name["rating"]) is None
