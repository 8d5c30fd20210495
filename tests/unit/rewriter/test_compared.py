"""Measures by adjectives, on catalogues whose numbers are called by what they measure."""

import pytest

from rewriter.nlu.compared import compared, measures
from rewriter.nlu.field_words import FieldWords, field_words
from rewriter.nlu.words import fold
from vitrine.domain.filters import Filter, Range
from vitrine.domain.schema_files import parse_schema


def _words(**labels: str) -> FieldWords:
    fields = "\n".join(
        f'[fields.{name}]\nkind = "number"\nlabels = {{ {label} }}' for name, label in labels.items()
    )
    text = f'name = "x"\n[fields.id]\nkind = "keyword"\nrole = "id"\n[fields.title]\nkind = "text"\nrole = "title"\n{fields}\n'
    return field_words(parse_schema(text), {}, {})


WORDS = _words(tall='en = "height"', gewicht='de = "Gewicht"', ancho='es = "anchura"', long='fr = "longueur"')


def _above(field: str, amount: float) -> Range:
    return Range(field=field, minimum=amount, exclusive_minimum=True)


def _below(field: str, amount: float) -> Range:
    return Range(field=field, maximum=amount, exclusive_maximum=True)


def _from(field: str, amount: float) -> Range:
    return Range(field=field, minimum=amount)


def _up_to(field: str, amount: float) -> Range:
    return Range(field=field, maximum=amount)


@pytest.mark.parametrize(
    ("text", "conditions", "left"),
    [
        ("plants taller than 60 cm", [_above("tall", 60)], "plants"),
        ("no taller than 60cm please", [_up_to("tall", 60)], "please"),
        ("a shelf at least 2 m high", [_from("tall", 2)], "a shelf"),
        ("something shorter than 50 cm and lighter than 3.5 kg", [_below("tall", 50), _below("gewicht", 3.5)], "something and"),
        ("dumbbells of 5 kg or heavier", [_from("gewicht", 5)], "dumbbells of"),
        ("Pflanzen, höher als 60 cm", [_above("tall", 60)], "pflanzen,"),
        ("ein Brett, mindestens 2 m lang", [_from("long", 2)], "ein brett,"),
        ("nicht breiter als 80 cm", [_up_to("ancho", 80)], ""),
        ("una mesa de menos de 80 cm de ancho", [_below("ancho", 80)], "una mesa de"),
        ("más pesado que 3 kg", [_above("gewicht", 3)], ""),
        ("une planche de plus de 2 m de long", [_above("long", 2)], "une planche de"),
        ("moins lourd que 3 kilos", [_below("gewicht", 3)], ""),
        ("比60厘米高的植物", [_above("tall", 60)], "的植物"),
        ("至少2公斤重", [_from("gewicht", 2)], ""),
        ("60cm보다 높은 식물", [_above("tall", 60)], "식물"),
        ("größer als 60 cm", [_above("tall", 60)], ""),
        ("höher als 1,20 m", [_above("tall", 1.2)], ""),
        ("no higher than 3 inches", [_up_to("tall", 3)], ""),
        ("under 10 cm high heels", [_below("tall", 10)], "heels"),
        ("longer than 2 meters, más ancho que 80 cm", [_above("long", 2), _above("ancho", 80)], ","),
        ("taller than 60 cm under 20 euros", [_above("tall", 60)], "under 20 euros"),
        ("lighter than 2 pounds", [_below("gewicht", 2)], ""),
        ("3kg보다 가벼운 것", [_below("gewicht", 3)], "것"),
    ],
)  # fmt: skip
def test_an_amount_beside_an_adjective_bounds_its_measure(
    text: str, conditions: list[Filter], left: str
) -> None:
    """Whatever the field is called, and in whichever language, the condition is on it and its words leave the text."""
    taken = WORDS.take(fold(text))
    assert [*taken.conditions] == conditions
    assert " ".join(taken.text.split()) == left
    assert taken.sort is None


@pytest.mark.parametrize(
    ("text", "field", "descending"),
    [
        ("the tallest plant", "tall", True),
        ("which is the lightest", "gewicht", False),
        ("die schwerste Hantel", "gewicht", True),
        ("la más estrecha", "ancho", False),
        ("la plus longue", "long", True),
        ("最重的", "gewicht", True),
        ("가장 가벼운 것", "gewicht", False),
    ],
)
def test_a_superlative_is_an_order(text: str, field: str, *, descending: bool) -> None:
    """The measure's number sorts, the greatest or the least first."""
    taken = WORDS.take(fold(text))
    assert taken.conditions == ()
    assert taken.sort is not None
    assert (taken.sort.field, taken.sort.descending) == (field, descending)


@pytest.mark.parametrize(
    "text",
    [
        "under 30 wide leg trousers", "under €40 high waist jeans", "over 50 deep blue", "size 42 or wider", "over 100 heavy blankets",
        "price lower than 50", "lower than 100 euros", "budget no higher than 50", "lighter than 20 euros", "kleiner als 42", "plus grande que 42",
        "lasts longer than 3 hours", "longer than 24 months", "taller than 3 kg", "a long dress for less than 50", "under 2 years old",
    ],
)  # fmt: skip
def test_an_amount_that_has_no_unit_of_the_measure_is_of_something_else(text: str) -> None:
    """Prices, sizes, counts, durations and other measures stay what they were."""
    assert WORDS.take(fold(text)).conditions == ()


@pytest.mark.parametrize(
    "text",
    [
        "the lightest blue", "the deepest blue", "最深的蓝色", "the longest lasting one", "widest range", "der niedrigste Preis", "die höchste Qualität",
        "le prix le plus bas", "가장 낮은 가격",
    ],
)  # fmt: skip
def test_a_superlative_of_what_no_measure_has_is_no_order(text: str) -> None:
    """A colour, a price and a duration have no height, whatever the catalogue measures."""
    assert WORDS.take(fold(text)).sort is None


def test_the_words_of_a_field_come_before_a_measure() -> None:
    """The highest rating is an order by the rating, and one higher than 4 a bound of it."""
    words = _words(tall='en = "height"', rating='en = "rating", de = "Bewertung"')
    assert words.take("rating higher than 4").conditions == (_above("rating", 4),)
    for text in ("the highest rating", "höchste bewertung"):
        sort = words.take(text).sort
        assert sort is not None
        assert (sort.field, sort.descending) == ("rating", True)


@pytest.mark.parametrize(
    "text",
    ["a longer one", "a long dress", "wide trousers", "lighter blue", "high heels", "más largo", "taller"],
)
def test_an_adjective_alone_is_no_measure(text: str) -> None:
    """What is only long or longer stays a wish."""
    taken = WORDS.take(fold(text))
    assert (taken.text, taken.conditions, taken.sort) == (fold(text), (), None)


def test_a_measure_that_the_catalogue_lacks_or_has_twice_is_left_alone() -> None:
    """Nobody can tell which number is meant, or there is none."""
    other = _words(weight='en = "weight"')
    twice = _words(box='en = "height"', plant='en = "height"')
    for words in (other, twice):
        assert not words.take("taller than 60 cm").conditions
        assert words.take("the tallest").sort is None


def test_every_language_has_every_measure() -> None:
    """A form that a language file leaves out is empty, so that every measure has all five."""
    assert set(measures()) == {"height", "weight", "width", "length", "depth"}
    assert compared("taller than 60 cm", ()) is None
