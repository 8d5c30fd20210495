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
