"""What is not wanted and no field has, and questions whether a shown product is something."""

import pytest

from rewriter.catalogues import schema_of
from rewriter.engines.model.placeholders import mark_turn
from rewriter.engines.rules.decide import decide
from rewriter.nlu.lexicon import build_lexicon
from rewriter.quality.turns import Expected, state_request
from vitrine.domain.limits import MAX_EXCLUDED_FORMS, MAX_EXCLUSIONS
from vitrine.domain.messages import product_message, read_filter, schema_message
from vitrine.domain.product import Product
from vitrine.domain.routes import ANYTHING
from vitrine.domain.schema_files import parse_schema
from vitrine.filter_text import format_filter
from vitrine.v1 import query_pb2, rewrite_pb2

SIZED = parse_schema("""
name = "sized"
[fields.sku]
kind = "keyword"
role = "id"
[fields.title]
kind = "text"
role = "title"
[fields.category]
kind = "keyword"
role = "category"
[fields.colour]
kind = "keyword"
[fields.sizes]
kind = "keywords"
labels = { en = "size", de = "Größe" }
""")


def read(text: str, state: str = "first") -> rewrite_pb2.Rewrite:
    """Return the reading of a turn in a state, by the rules."""
    request = state_request(state)
    request.text = text
    return decide(request, build_lexicon(request.facets))


def left_out(rewrite: rewrite_pb2.Rewrite) -> list[str]:
    return [words.said for words in rewrite.excluded_words]


@pytest.mark.parametrize(
    ("text", "words", "query"),
    [
        ("trousers without pockets", ["pockets"], "trousers"),
        ("a bag with no monogram or tassels", ["monogram", "tassels"], "bag"),
        ("skirt minus the frills, please", ["frills"], "skirt"),
        ("could you keep rhinestones out, black dress", ["rhinestones"], "black dress"),
        ("jacket without a hood", ["hooded"], "jacket"),
        ("un bolso sin tachuelas", ["tachuelas"], "bag"),
        ("pantalones que no tengan bolsillos", ["bolsillos"], "trousers"),
        ("schwarze Jacke ohne Kapuze", ["hooded"], "black jacket"),
        ("une jupe sans volants", ["volants"], "skirt"),
        ("不要拉链的外套", ["zip"], "jacket"),
        ("주머니 없는 바지", ["주머니"], "trousers"),
        ("nothing with sequins", ["sequins"], ANYTHING),
    ],
)
def test_what_no_field_has_is_left_out_and_no_encoder_sees_it(
    text: str, words: list[str], query: str
) -> None:
    """An encoder that is given the word finds just what is not wanted; so neither it nor the model is."""
    rewrite = read(text)
    assert left_out(rewrite) == words
    assert query in rewrite.query.split() or query == rewrite.query
    assert set(rewrite.query.split()).isdisjoint(words)
    assert not set(words) & set(rewrite.modification.split())
    turn = mark_turn(text.lower(), build_lexicon(state_request("first").facets))
    seen = {piece.tag.surface for piece in turn.pieces}
    assert seen.isdisjoint({each.said for each in turn.things})


@pytest.mark.parametrize(
    "text", ["no thanks", "not sure", "no problem", "a dress, no rush", "no delivery?", "no, skirts"]
)
def test_a_negation_that_leaves_nothing_out(text: str) -> None:
    """What is said of no thing excludes none."""
    assert not left_out(read(text, "dresses"))


@pytest.mark.parametrize(
    "text",
    [
        "get rid of anything with stripes", "take out the stripy ones", "leave out everything striped", "ditch the striped ones",
        "quita los de rayas", "weg mit den gestreiften", "enlève les robes à rayures", "去掉条纹的", "줄무늬 빼 주세요",
        "no dresses with stripes",
    ],
)  # fmt: skip
def test_getting_rid_of_a_value_excludes_it(text: str) -> None:
    """In every language, and of "no dresses with stripes" the stripes, not the dresses."""
    conditions = Expected.of(read(text, "dresses")).conditions
    assert conditions == {"category=dress", "price<100", "not pattern=striped"}


@pytest.mark.parametrize(
    ("text", "state", "words"),
    [
        ("shoes, no boots", "first", ["boots"]),
        ("bread without nuts", "grocery", ["nuts"]),
        ("not shoes, a hat", "first", []),
    ],
)
def test_what_a_thing_has_is_left_out_by_its_word(text: str, state: str, words: list[str]) -> None:
    """That bread is no nuts says nothing; that the wish is no shoes but a hat says enough."""
    request = state_request(state)
    request.text = text
    assert left_out(decide(request, build_lexicon(request.facets, schema_of(request)))) == words


@pytest.mark.parametrize(
    ("text", "product"),
    [
        ("how much is the riga", "b"), ("was kostet das zweite?", "b"), ("combien coûte le premier ?", "a"),
        ("¿cuánto cuesta el segundo?", "b"), ("第二个多少钱", "b"), ("이거 얼마예요?", "a"),
    ],
)  # fmt: skip
def test_a_question_for_the_price_is_asked_of_the_product(text: str, product: str) -> None:
    """By its place, its title, or as the one in mind."""
    rewrite = sized(text)
    assert rewrite.route == query_pb2.ROUTE_CHAT
    assert [*rewrite.references] == [product]


def test_forms_and_words_are_bounded() -> None:
    """However much a turn leaves out."""
    rewrite = read(" ".join(f"without {'abcdefghijklmnop'[i]}lorgle," for i in range(16)) + " dress")
    assert len(rewrite.excluded_words) == MAX_EXCLUSIONS
    assert all(len(words.forms) < MAX_EXCLUDED_FORMS for words in rewrite.excluded_words)


def sized(text: str) -> rewrite_pb2.Rewrite:
    """Return the reading of a turn after two shoes were shown, the second in sizes 37 and 38."""
    facets = [
        rewrite_pb2.Facet(field="category", values=["shoes"]),
        rewrite_pb2.Facet(field="colour", values=["red", "blue"]),
        rewrite_pb2.Facet(field="sizes", values=["37", "38", "M"]),
    ]
    request = rewrite_pb2.RewriteRequest(text=text, facets=facets, schema=schema_message(SIZED))
    shown = [
        Product(id="a", values={"title": "Oslo", "category": "shoes", "colour": "red", "sizes": ("37",)}),
        Product(
            id="b", values={"title": "Riga", "category": "shoes", "colour": "blue", "sizes": ("37", "38")}
        ),
    ]
    before = rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query="shoes")
    turn = rewrite_pb2.Turn(
        text="shoes", rewrite=before, shown=[product_message(each, SIZED) for each in shown]
    )
    request.history.append(turn)
    return decide(request, build_lexicon(facets, SIZED))


@pytest.mark.parametrize(
    ("text", "product", "condition"),
    [
        ("do you have it in a 38?", "a", 'sizes="38"'),
        ("have you got the second in size 38", "b", 'sizes="38"'),
        ("is the riga one available in M?", "b", "sizes=M"),
        ("gibt es das zweite in Größe 38?", "b", 'sizes="38"'),
        ("¿lo tenéis en la talla 38?", "a", 'sizes="38"'),
        ("le deuxième existe en 38 ?", "b", 'sizes="38"'),
        ("这个有38码吗", "a", 'sizes="38"'),
        ("이거 38 사이즈 있나요?", "a", 'sizes="38"'),
        ("is the second one blue?", "b", "colour=blue"),
        ("ist das rot?", "a", "colour=red"),
        ("是红色的吗", "a", "colour=red"),
    ],
)
def test_a_question_for_a_size_or_a_value_is_asked_of_the_index(
    text: str, product: str, condition: str
) -> None:
    """The gateway answers it from the product as the index holds it."""
    rewrite = sized(text)
    assert (rewrite.route, rewrite.intent) == (query_pb2.ROUTE_CHAT, query_pb2.INTENT_CONSULT)
    assert [*rewrite.references] == [product]
    assert format_filter(rewrite.filter) == condition
    assert read_filter(rewrite.filter)


def test_a_size_that_no_product_has_is_asked_in_words() -> None:
    """The catalogue does not say it, and the answer will be that."""
    assert sized("do you have it in a 52?").query == "52"


@pytest.mark.parametrize("text", ["do you have the second in red?", "the first one in blue"])
def test_another_colour_is_another_product(text: str) -> None:
    """What a product has one of cannot be had otherwise."""
    assert sized(text).route == query_pb2.ROUTE_REFINE
