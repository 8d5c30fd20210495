"""Words are linked to the catalogue's values: by form, by spelling, by meaning; and what must do no harm."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rewriter.engines.rules.decide import decide
from rewriter.engines.rules.engine import Router
from rewriter.linking.forms import letters_of
from rewriter.linking.linker import FAILURE, LEAST_SIMILARITY, Linker
from rewriter.linking.tower import Tower, Vectors, load_tower
from rewriter.linking.unknown import MAX_CANDIDATES, candidates_of, tokens_of
from rewriter.linking.values import MAX_VALUES, Anchor, ValueIndex, anchors_of
from rewriter.nlu.lexicon import build_lexicon
from rewriter.quality.trades import trade_request
from vitrine.domain.messages import schema_message
from vitrine.domain.schema_files import parse_schema
from vitrine.filter_text import format_filter
from vitrine.v1 import rewrite_pb2

Facets = Sequence[rewrite_pb2.Facet]
TIME_S = 60.0
LINKS_RESULT = Path(__file__).parents[3] / "benchmarks/results/rewrite-links.json"


@pytest.fixture(scope="module")
def tower() -> Tower:
    """Load the sentence encoder once."""
    return load_tower()


@pytest.fixture(scope="module")
def linker(tower: Tower) -> Iterator[Linker]:
    """Give a linker with the sentence encoder; a catalogue's values are embedded once."""
    opened = Linker(tower=tower)
    yield opened
    opened.close()


@pytest.fixture
async def plain() -> AsyncIterator[Linker]:
    """Give a linker without one."""
    opened = Linker()
    yield opened
    opened.close()


def asked(catalogue: str, text: str, facets: Facets) -> rewrite_pb2.RewriteRequest:
    """Make a turn about one of the trades' catalogues, or about clothes."""
    request = (
        rewrite_pb2.RewriteRequest(facets=facets) if catalogue == "fashion" else trade_request(catalogue)
    )
    request.text = text
    return request


async def conditions(linker: Linker, request: rewrite_pb2.RewriteRequest) -> str:
    """Return the conditions that the rules read, in their order by name, once the catalogue's values are embedded."""
    await linker.link(request, timeout_s=TIME_S)
    await linker.settle()
    linked = await linker.link(request, timeout_s=TIME_S)
    assert linked.complete
    read = format_filter(decide(linked.request, linked.lexicon).filter)
    return " and ".join(sorted(read.split(" and ")))


FORMS = [
    ("grocery", "glutenfree biscuits", "category=biscuits and diet=gluten-free"),
    ("grocery", "POTATO or soup", "category in (potatoes, soup)"),
    ("grocery", "bananás", "category=bananas"),
    ("furniture", "bed side table", 'kind="bedside table"'),
    ("furniture", "bookcase in the diningroom", 'kind=bookcase and room="dining room"'),
    ("furniture", "a rusticy lamp", "kind=lamp and style=rustic"),
    ("furniture", "wardobe, white", "colour=white and kind=wardrobe"),
]


COMPOUNDS = [
    ("furniture", "Ledersofa", "kind=sofa and material=leather"),
    ("furniture", "ein Küchentisch aus Eiche", "kind=table and material=oak and room=kitchen"),
    ("furniture", "Wandregal unter 50 Euro", "kind=shelf and price<50"),
    ("furniture", "Kleiderschrank", "kind=wardrobe"),
    ("grocery", "Tomatensuppe", "category=soup"),
    ("grocery", "Vanilleeis", 'category="ice cream" and flavour=vanilla'),
    ("fashion", "Lederjacke in rot", "category=jacket and colour=red"),
    ("fashion", "Sommerkleid", "category=dress"),
    ("fashion", "Handtuch", ""),
    ("fashion", "Handschuhe", ""),
    ("fashion", "Taschentuch", ""),
    ("fashion", "Schulter", ""),
    ("fashion", "Badeanzug", ""),
]


@pytest.mark.parametrize(("catalogue", "text", "expected"), COMPOUNDS)
async def test_words_that_are_put_together_are_read_by_their_parts(
    catalogue: str, text: str, expected: str, linker: Linker, facets: Facets
) -> None:
    """What names another thing than its parts is linked to nothing."""
    assert await conditions(linker, asked(catalogue, text, facets)) == expected


@pytest.mark.parametrize(("catalogue", "text", "expected"), FORMS)
async def test_another_form_or_spelling_needs_no_encoder(
    plain: Linker, facets: Facets, catalogue: str, text: str, expected: str
) -> None:
    """Plurals, spaces, hyphens, accents, endings and slips are the value's own letters."""
    assert await conditions(plain, asked(catalogue, text, facets)) == expected


MEANT = [
    ("fashion", "frock", "category=dress"),
    ("fashion", "a coat for the mountains", "category=jacket"),
    ("fashion", "trainers", "category=shoes"),
    ("fashion", "皮靴", "category=shoes"),
    ("fashion", "我想要皮靴", "category=shoes"),
    ("fashion", "Kleid", "category=dress"),
    ("grocery", "cookies without sugar", "category=biscuits and diet=sugar-free"),
    ("grocery", "queso", "category=cheese"),
    ("grocery", "framboise", "flavour=raspberry"),
    ("grocery", "pomme de terre", "category=potatoes"),
    ("grocery", "우유를 주세요", "category=milk"),
    ("furniture", "couch in grey velvet", "colour=grey and kind=sofa and material=velvet"),
    ("furniture", "침실용 거울", "kind=mirror and room=bedroom"),
    ("furniture", "schreibtisch aus eiche", "kind=desk and material=oak"),
    ("grocery", "milch", "category=milk"),
    ("grocery", "Käse aus Italien", "category=cheese and origin=Italy"),
    ("furniture", "not a couch", "not kind=sofa"),
]


@pytest.mark.parametrize(("catalogue", "text", "expected"), MEANT)
async def test_a_word_that_means_a_value_is_linked_to_it(
    linker: Linker, facets: Facets, catalogue: str, text: str, expected: str
) -> None:
    """Synonyms and other languages, in catalogues that no model was trained on."""
    assert await conditions(linker, asked(catalogue, text, facets)) == expected


@pytest.mark.parametrize(
    ("catalogue", "text"),
    [
        ("fashion", "a wedding in the mountains"),
        ("fashion", "a gift for my mother"),
        ("grocery", "something for breakfast at the weekend"),
        ("furniture", "a present for guests"),
        ("furniture", "zorgle"),
        ("fashion", "does it fit"),
        ("fashion", "what my neighbour wears to work"),
        ("grocery", "oil"),
    ],
)
async def test_words_that_mean_no_value_set_no_condition(
    linker: Linker, facets: Facets, catalogue: str, text: str
) -> None:
    """What a shopper needs it for is the encoder's to judge."""
    assert await conditions(linker, asked(catalogue, text, facets)) == ""


@pytest.mark.parametrize("word", ["wooden", "boots", "dresser", "coats", "trail", "redder", "heals", "batch"])
async def test_a_right_word_is_never_mended_into_another(linker: Linker, facets: Facets, word: str) -> None:
    """A word of some language is no slip, however near it is to one that the catalogue has."""
    request = asked("fashion", f"{word} please", facets)
    linked = await linker.link(request, timeout_s=TIME_S)
    assert linked.request is request


@pytest.mark.parametrize(
    ("text", "mended"),
    [("blak dres", "black dress"), ("a rde hta", "a red hat"), ("skrit, $50", "skirt, $50")],
)
async def test_short_words_are_mended_where_no_language_has_them(
    linker: Linker, plain: Linker, facets: Facets, text: str, mended: str
) -> None:
    """What stands beside them stays; without the encoder nobody can tell, and they are left alone."""
    linked = await linker.link(asked("fashion", text, facets), timeout_s=TIME_S)
    words = decide(linked.request, linked.lexicon)
    exact = await plain.link(asked("fashion", mended, facets), timeout_s=TIME_S)
    assert format_filter(words.filter) == format_filter(decide(exact.request, exact.lexicon).filter)
    assert linked.request.text.count("$50") == text.count("$50")


async def test_values_that_are_common_words_mean_nothing_by_themselves(linker: Linker) -> None:
    """Values such as "Me", "The" and "No" are said in every turn."""
    request = trade_request("furniture")
    request.facets.add(field="style", values=["Me", "The", "No", "One", "And", "For"])
    request.text = "show me the sofa, no leather, and one for the garden"
    read = await conditions(linker, request)
    assert read == "kind=sofa and not material=leather and room=garden"


def many_values() -> rewrite_pb2.RewriteRequest:
    """Make a turn about 10,000 values that differ in one letter each."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    values = [f"brackenmor{a}{b}{c}" for a in letters for b in letters for c in letters][:10_240]
    names = [f"part{number}" for number in range(40)]
    fields = "".join(f'[fields.{name}]\nkind = "keyword"\nfacet = true\n' for name in names)
    schema = parse_schema(
        f'name = "parts"\n[fields.sku]\nkind = "keyword"\nrole = "id"\n[fields.name]\nkind = "text"\nrole = "title"\n{fields}'
    )
    facets = [
        rewrite_pb2.Facet(field=name, values=values[256 * place : 256 * (place + 1)])
        for place, name in enumerate(names)
    ]
    return rewrite_pb2.RewriteRequest(facets=facets, schema=schema_message(schema))


async def test_ten_thousand_values_that_differ_in_one_letter_do_no_harm(plain: Linker) -> None:
    """The one that is said is meant; a slip that leads to several of them leads to none."""
    request = many_values()
    request.text = "brackenmoraab"
    assert await conditions(plain, request) == "part0=brackenmoraab"
    request.text = "brackenmorxx"
    assert await conditions(plain, request) == ""
    assert len(anchors_of(build_lexicon(request.facets))) <= MAX_VALUES


@dataclass
class Counting:
    """An encoder that counts what it embeds, and waits for a signal where it has one."""

    tower: Tower
    embedded: list[str] = field(default_factory=list)
    signal: threading.Event | None = None

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed texts."""
        if self.signal is not None:
            self.signal.wait(TIME_S)
        self.embedded += texts
        return self.tower.embed(texts)

    def is_word(self, word: str) -> bool:
        """Ask the encoder."""
        return self.tower.is_word(word)

    def is_common(self, word: str) -> bool:
        """Ask the encoder."""
        return self.tower.is_common(word)

    def common_words(self, count: int) -> list[str]:
        """Ask the encoder."""
        return self.tower.common_words(count)


async def test_a_value_is_embedded_once_and_a_word_too(tower: Tower) -> None:
    """Where the values come in another order nothing is embedded, where one is new it alone is."""
    counting = Counting(tower)
    linker = Linker(tower=counting)
    request = trade_request("furniture")
    request.text = "divano"
    assert await conditions(linker, request) == "kind=sofa"
    for facet in request.facets:
        facet.values[:] = [*facet.values][::-1]
    request.facets[0].values.append("hammock")
    counting.embedded.clear()
    assert await conditions(linker, request) == "kind=sofa"
    assert counting.embedded == ["hammock"]
    linker.close()


async def test_what_comes_too_late_is_said_and_is_there_the_next_time(tower: Tower) -> None:
    """A turn does not wait for the encoder beyond its share; its reading is marked, so that nobody keeps it."""
    counting = Counting(tower)
    linker = Linker(tower=counting)
    router = Router(linker)
    request = trade_request("furniture")
    request.text = "divano"
    first = await router.rewrite(request, timeout_s=TIME_S)
    assert (first.failure, format_filter(first.filter)) == (FAILURE, "")
    await linker.settle()
    counting.signal = threading.Event()
    late = await router.rewrite(request, timeout_s=0.02)
    assert (late.failure, format_filter(late.filter)) == (FAILURE, "")
    counting.signal.set()
    read = await router.rewrite(request, timeout_s=TIME_S)
    assert (read.failure, format_filter(read.filter)) == ("", "kind=sofa")
    linker.close()


async def test_an_encoder_that_fails_fails_no_turn(tower: Tower) -> None:
    """The chain ends earlier, for the values as for the words."""

    class Broken(Counting):
        def embed(self, texts: Sequence[str]) -> Vectors:
            raise MemoryError(len(texts))

    linker = Linker(tower=Broken(tower))
    request = trade_request("furniture")
    request.text = "divano or wardobe"
    linked = await linker.link(request, timeout_s=TIME_S)
    await asyncio.sleep(0)
    assert not linked.complete
    assert format_filter(decide(linked.request, linked.lexicon).filter) == "kind=wardrobe"
    linker.close()


def test_what_is_looked_up_is_bounded(facets: Facets) -> None:
    """However long a turn, and however long a run of signs."""
    lexicon = build_lexicon(facets)
    for text in ("皮" * 900, " ".join(f"zorgle{chr(97 + n % 26)}q" for n in range(300)), "뷁" * 500):
        assert len(candidates_of(tokens_of(text, lexicon))) <= MAX_CANDIDATES


def test_letters_are_told_without_their_marks() -> None:
    """In every script."""
    assert letters_of("crème brûlée") == "cremebrulee"
    assert letters_of("gluten-free") == "glutenfree"
    assert letters_of("거울") == "거울"


def test_the_least_similarity_is_the_one_that_was_measured() -> None:
    """It was chosen on one half of the words; what the other half says of it is committed beside it."""
    report = json.loads(LINKS_RESULT.read_text(encoding="utf-8"))["results"]
    assert report["least"] == LEAST_SIMILARITY
    assert report["links"]["exact"]["recall"] == 1.0


async def test_a_full_memory_of_words_fails_no_turn(linker: Linker, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a turn has remembered itself may be what makes room for its other words."""
    monkeypatch.setattr("rewriter.linking.meanings._NEAREST", 2)
    for text in ("divano", "divano divani", "divani divano"):
        assert await conditions(linker, asked("furniture", text, ())) == "kind=sofa"


async def test_many_values_are_compared_in_a_thread_and_in_time(
    linker: Linker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other turns do not wait for it, and neither does the turn itself beyond its share."""
    monkeypatch.setattr("rewriter.linking.meanings._COMPARED", 0)
    request = trade_request("furniture")
    request.text = "divano"
    assert await conditions(linker, request) == "kind=sofa"
    may_end, nearest = threading.Event(), ValueIndex.nearest

    def held_up(self: ValueIndex, vectors: Vectors) -> list[tuple[Anchor, float]]:
        may_end.wait(TIME_S)
        return nearest(self, vectors)

    monkeypatch.setattr(ValueIndex, "nearest", held_up)
    request.text = "poltrona"  # of which the nearest value is not remembered
    late = await linker.link(request, timeout_s=0.01)
    may_end.set()
    assert not late.complete


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("leche sin lactosa", "category=milk and diet=lactose-free"),
        ("Milch ohne Laktose", "category=milk and diet=lactose-free"),
        ("laktosefreie Milch", "category=milk and diet=lactose-free"),
        ("lait sans lactose", "category=milk and diet=lactose-free"),
        ("不含乳糖的牛奶", "category=milk and diet=lactose-free"),
        ("sugar free biscuits", "category=biscuits and diet=sugar-free"),
        ("galletas sin azúcar", "category=biscuits and diet=sugar-free"),
        ("Kekse ohne Zucker", "category=biscuits and diet=sugar-free"),
        ("bread that is not gluten-free", "category=bread and not diet=gluten-free"),
        ("nut-free biscuits", "category=biscuits"),
        ("wheat-free bread", "category=bread and diet=gluten-free"),
        ("bread free of seeds", "category=bread"),
        ("feel free to show me milk", "category=milk"),
        ("유당 없는 우유", "category=milk and diet=lactose-free"),
    ],
)
async def test_what_things_are_free_of_is_never_what_is_left_out(
    text: str, expected: str, linker: Linker, facets: Facets
) -> None:
    """A value that says so itself is that value; what nobody knows excludes nothing that is wanted."""
    assert await conditions(linker, asked("grocery", text, facets)) == expected
