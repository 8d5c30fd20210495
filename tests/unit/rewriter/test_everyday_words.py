"""What people call everyday things, and what of it a catalogue's lexicon takes."""

from collections import Counter

import pytest

from rewriter.linking.linker import Linker
from rewriter.nlu.called import names_for
from rewriter.nlu.conditions import conditions_of, joined
from rewriter.nlu.lexicon import build_lexicon
from rewriter.nlu.reading import read
from rewriter.nlu.turn_language import language_of
from rewriter.nlu.words import key_of
from rewriter.things.files import LANGUAGES, thing_of, things
from vitrine.domain.messages import schema_message
from vitrine.domain.schema_files import parse_schema
from vitrine.filter_text import format_filter
from vitrine.v1 import rewrite_pb2

SCHEMA = parse_schema(
    """
name = "shop"
[fields.id]
kind = "keyword"
role = "id"
[fields.name]
kind = "text"
role = "title"
[fields.kind]
kind = "keyword"
role = "category"
facet = true
[fields.made_of]
kind = "keyword"
facet = true
"""
)
TIME_S = 60.0


def facets(kinds: str, made_of: str = "") -> list[rewrite_pb2.Facet]:
    """Return the values of a catalogue, each list with bars between its entries."""
    listed = {"kind": kinds, "made_of": made_of}
    return [rewrite_pb2.Facet(field=name, values=each.split("|")) for name, each in listed.items() if each]


async def conditions(text: str, kinds: str, made_of: str = "", *, locale: str = "") -> str:
    """Return the conditions that the words set in a catalogue of these values, without the sentence encoder."""
    linker = Linker()
    request = rewrite_pb2.RewriteRequest(text=text, facets=facets(kinds, made_of), locale=locale)
    request.schema.CopyFrom(schema_message(SCHEMA))
    linked = await linker.link(request, timeout_s=TIME_S)
    found = conditions_of(read(linked.request.text, linked.lexicon))
    linker.close()
    together = joined(found)
    return "" if together is None else format_filter(together)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_thing_has_a_word_in_every_language(language: str) -> None:
    """Of its own, or one that counts in a turn of that language alone."""
    without = [thing for thing in things() if not (*thing.words[language], *thing.apart[language])]
    assert not without


def test_no_thing_is_listed_twice() -> None:
    """Two lines of the same English words would make each other say nothing."""
    listed = Counter(thing.words["en"] for thing in things())
    assert [words for words, count in listed.items() if count > 1] == []
    assert len(things()) > 400


def test_a_line_without_a_column_is_refused() -> None:
    """With the line."""
    with pytest.raises(ValueError, match=r"7 columns, got 2: a \| b"):
        thing_of("a | b")


@pytest.mark.parametrize(
    ("text", "kinds", "made_of", "expected"),
    [
        ("ein Schraubendreher", "screwdriver|wrench", "", "kind=screwdriver"),
        ("spanner", "screwdriver|wrench", "", "kind=wrench"),
        ("spanner", "Schraubendreher|Schraubenschlüssel", "", "kind=Schraubenschlüssel"),
        ("夜灯和地毯", "rug|sofa", "", "kind=rug"),
        ("Teppiche aus Wolle", "rug|sofa", "wool|silk", "kind=rug and made_of=wool"),
        ("Teppichen", "rug", "", "kind=rug"),
        ("Kuechenrolle", "kitchen roll|towel", "", 'kind="kitchen roll"'),
        ("a pepsi", "soft drinks|beer", "", 'kind="soft drinks"'),
        ("chesterfield or futon", "sofa|sofa bed", "", 'kind in (sofa, "sofa bed")'),
        ("alfombra de lana", "rug", "wool", "kind=rug and made_of=wool"),
        ("빵이랑 우유", "bread|milk", "", "kind in (bread, milk)"),
        ("빵집", "bread|milk", "", ""),
        ("沙发床", "sofa|chair", "", ""),
        ("床头柜", "bed|chair", "", ""),
        ("trainers", "hat|bag", "", ""),
        ("zapatilla", "sneakers|boots", "", "kind=sneakers"),
        ("pantalones", "hose|rake", "", ""),
        ("garden hosepipe", "hose|rake", "", "kind=hose"),
        ("pantalones", "Hose|Rock|Hemd", "", "kind=Hose"),
        ("pañales", "couch|table", "", ""),
    ],
)
async def test_words_mean_the_value_that_the_catalogue_has(
    text: str, kinds: str, made_of: str, expected: str
) -> None:
    """In any language, on either side; narrower kinds and makers' names too; a longer word hides a shorter one."""
    assert await conditions(text, kinds, made_of) == expected


@pytest.mark.parametrize(
    ("text", "locale", "expected"),
    [
        ("ich suche einen roten Rock", "", "kind=skirt"),
        ("Rock", "de-DE", "kind=skirt"),
        ("rock band poster", "", ""),
        ("rock climbing gear please", "de", ""),
        ("un roman et du pain", "", "kind in (novel, bread)"),
        ("pain relief", "", ""),
        ("the roman empire", "en", ""),
        ("pan sin sal", "", "kind=bread"),
        ("frying pan", "", ""),
    ],
)
async def test_a_word_of_two_languages_means_what_its_own_says(text: str, locale: str, expected: str) -> None:
    """The small words of a turn tell its language, and the locale where they do not."""
    assert await conditions(text, "skirt|novel|bread", locale=locale) == expected


def test_a_word_of_two_things_that_the_catalogue_has_means_neither() -> None:
    """And a thing that two values are is neither of them."""
    values = {key_of(value): value for value in ("computing", "computer")}
    assert {name.value for name in names_for(values)} == {"computing", "computer"}
    both = {key_of(value): value for value in ("couch", "sofa", "desk")}
    assert {name.value for name in names_for(both)} == {"desk"}
    assert names_for({key_of("turkey"): "turkey"})


def test_a_query_keeps_the_word_that_tells_more() -> None:
    """A narrower kind and another English word stay; a word of another language becomes the value."""
    lexicon = build_lexicon(facets("soft drinks|sofa"), SCHEMA)
    for text, query in (
        ("lemonade", "lemonade"),
        ("settee", "settee"),
        ("canapés", "sofa"),
        ("沙发", "sofa"),
    ):
        assert read(text, lexicon).query == query


@pytest.mark.parametrize(
    ("text", "locale", "expected"),
    [
        ("ich suche einen hut", "", "de"),
        ("je cherche un livre", "en", "fr"),
        ("busco una falda", "", "es"),
        ("show me a hat", "de", "en"),
        ("zorgle", "fr-CA", "fr"),
        ("zorgle", "", ""),
        ("böse überraschung", "", "de"),
    ],
)
def test_small_words_tell_a_language(text: str, locale: str, expected: str) -> None:
    """Where none does it is the locale's."""
    assert language_of(text, locale, {}) == expected
