"""Catalogues of other trades: a grocery, a bookshop and a furniture shop, by schemas of their own."""

from collections.abc import Mapping, Sequence

import pytest

from rewriter.checks import check_request, violation
from rewriter.engines.model.placeholders import mark_turn
from rewriter.engines.rules.decide import decide
from rewriter.metrics import Metrics
from rewriter.nlu.lexicon import build_lexicon
from rewriter.server import open_engine, open_linker
from rewriter.settings import Settings
from vitrine.domain.filters import Equals, Filter, Not, OneOf, Range, conjuncts
from vitrine.domain.messages import product_message, read_filter, schema_message
from vitrine.domain.product import Product
from vitrine.domain.schema import Schema
from vitrine.domain.schema_files import parse_schema
from vitrine.domain.values import shown
from vitrine.v1 import query_pb2, rewrite_pb2

GROCERY = parse_schema("""
name = "grocery"
currency = "EUR"
[fields.sku]
kind = "keyword"
role = "id"
[fields.name]
kind = "text"
role = "title"
[fields.department]
kind = "keyword"
role = "category"
labels = { en = "department" }
questions = { en = ["departments"] }
[fields.maker]
kind = "keyword"
role = "brand"
[fields.diets]
kind = "keywords"
labels = { en = "diet" }
questions = { en = ["diets"] }
[fields.organic]
kind = "boolean"
labels = { en = "organic", es = "ecológico" }
[fields.in_stock]
kind = "boolean"
role = "availability"
labels = { en = "in stock" }
questions = { en = ["available today"] }
[fields.calories]
kind = "number"
labels = { en = "calories", zh = "卡路里", ko = "칼로리" }
questions = { en = ["kcal"], es = ["calorías"] }
[fields.price]
kind = "money"
role = "price"
[fields.deposit]
kind = "money"
labels = { en = "deposit" }
""")
BOOKS = parse_schema("""
name = "books"
[fields.isbn]
kind = "keyword"
role = "id"
[fields.title]
kind = "text"
role = "title"
[fields.genre]
kind = "keyword"
role = "category"
labels = { en = "genre" }
[fields.author]
kind = "keyword"
sort = true
labels = { en = "author" }
questions = { en = ["authors", "writer"] }
[fields.format]
kind = "keyword"
labels = { en = "format" }
[fields.pages]
kind = "number"
labels = { en = "pages", es = "páginas", zh = "页", ko = "쪽" }
[fields.rating]
kind = "number"
labels = { en = "rating", es = "valoración", zh = "评分", ko = "평점" }
questions = { en = ["rated", "stars"], es = ["estrellas"], zh = ["星"] }
[fields.year]
kind = "number"
labels = { en = "year" }
questions = { en = ["newest", "oldest", "published"] }
""")
FURNITURE = parse_schema("""
name = "furniture"
currency = "EUR"
[fields.article]
kind = "keyword"
role = "id"
[fields.label]
kind = "text"
role = "title"
[fields.kind]
kind = "keyword"
role = "category"
[fields.color]
kind = "keyword"
labels = { en = "colour", es = "color" }
questions = { en = ["colours"] }
[fields.material]
kind = "keywords"
labels = { en = "material" }
questions = { en = ["materials", "made of"] }
[fields.size]
kind = "keyword"
labels = { en = "size", es = "talla", zh = "尺寸", ko = "사이즈" }
questions = { en = ["sizes"], zh = ["号"] }
[fields.weight]
kind = "number"
labels = { en = "weight" }
[fields.cost]
kind = "money"
role = "price"
labels = { en = "price" }
""")
FACETS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "grocery": {
        "department": ["Dairy", "Bakery", "Fruit"],
        "maker": ["Hill Farm", "Only"],
        "diets": ["Vegan", "Gluten Free", "Organic Choice"],
    },
    "books": {
        "genre": ["Crime", "Poetry", "Travel"],
        "author": ["Ana Ruiz", "J. Doe"],
        "format": ["Hardback", "Paperback"],
    },
    "furniture": {
        "kind": ["Sofa", "Table", "Shoe rack"],
        "color": ["Red", "GREY", "Black"],
        "material": ["Oak", "Cotton", "Wool"],
        "size": ["40", "42", "S", "XL", "Two seater"],
    },
}
SCHEMAS = {schema.name: schema for schema in (GROCERY, BOOKS, FURNITURE)}


def asked(
    text: str, schema: Schema, *history: rewrite_pb2.Turn, **fields: object
) -> rewrite_pb2.RewriteRequest:
    """Return a request of a shop with that schema."""
    facets = [rewrite_pb2.Facet(field=name, values=values) for name, values in FACETS[schema.name].items()]
    request = rewrite_pb2.RewriteRequest(
        text=text,
        facets=facets,
        schema=schema_message(schema),
        history=history,
        **fields,  # type: ignore[arg-type]
    )
    check_request(request)
    return request


def read(request: rewrite_pb2.RewriteRequest) -> rewrite_pb2.Rewrite:
    """Let the rules read a request."""
    rewrite = decide(request, build_lexicon(request.facets, SCHEMAS[request.schema.name]))
    assert violation(rewrite, request) == ""
    return rewrite


def order(rewrite: rewrite_pb2.Rewrite) -> str:
    """Return the order: "-rating" for the greatest rating first."""
    return "-" * rewrite.sort.descending + rewrite.sort.field


def conditions_of(rewrite: rewrite_pb2.Rewrite) -> set[str]:
    """Return the conditions of a rewrite, each as the tables below write it."""
    node = read_filter(rewrite.filter) if rewrite.HasField("filter") else None
    return {written(part) for part in conjuncts(node)}


def written(node: Filter) -> str:
    """Write a condition."""
    match node:
        case Equals(field, value):
            return f"{field}={shown(value)}"
        case OneOf(field, values):
            return f"{field} in {shown(tuple(map(str, values)))}"
        case Not(part):
            return f"not {written(part)}"
        case Range():
            low, high = (f"{bound:g}" if bound is not None else "" for bound in (node.minimum, node.maximum))
            return f"{node.field} {low}{'<' * node.exclusive_minimum}..{'<' * node.exclusive_maximum}{high}"
        case _:
            raise AssertionError(node)


def parts(conditions: str) -> set[str]:
    """Return the conditions of a line of the tables below."""
    return set(filter(None, conditions.split(" & ")))


CONDITIONS = (
    # keywords, in any case, as the catalogue writes them
    ("grocery", "vegan bread", "diets=Vegan"),
    ("grocery", "GLUTEN FREE dairy", "department=Dairy & diets=Gluten Free"),
    ("grocery", "milk from hill farm", "maker=Hill Farm"),
    ("grocery", "dairy by only", "department=Dairy & maker=Only"),
    ("grocery", "not vegan", "not diets=Vegan"),
    ("furniture", "grey sofa", "kind=Sofa & color=GREY"),
    ("furniture", "crimson sofa", "kind=Sofa & color=Red"),
    ("furniture", "woollen sofa", "kind=Sofa & material=Wool"),
    ("furniture", "sofa in cotton but not wool", "kind=Sofa & material=Cotton & not material=Wool"),
    ("books", "crime paperback", "genre=Crime & format=Paperback"),
    ("books", "poetry by ana ruiz", "genre=Poetry & author=Ana Ruiz"),
    # a number or a letter is a value beside its field's word alone
    ("furniture", "sofa size 42", "kind=Sofa & size=42"),
    ("furniture", "sofa in size s", "kind=Sofa & size=S"),
    ("furniture", "sizes 40 or 42", "size in 40, 42"),
    ("furniture", "sofa not size 42", "kind=Sofa & not size=42"),
    ("furniture", "sofa talla 42", "kind=Sofa & size=42"),
    ("furniture", "42号", "size=42"),
    ("furniture", "사이즈 42", "size=42"),
    ("furniture", "xl sofa", "kind=Sofa & size=XL"),
    ("furniture", "sofa 42", "kind=Sofa"),
    ("furniture", "two seater", "size=Two seater"),
    # numbers
    ("books", "rating at least 4", "rating 4.."),
    ("books", "at least 4 stars", "rating 4.."),
    ("books", "crime under 500 pages", "genre=Crime & pages ..<500"),
    ("books", "pages between 100 and 200", "pages 100..200"),
    ("books", "between 100 and 200 pages", "pages 100..200"),
    ("books", "exactly 300 pages", "pages 300..300"),
    ("books", "4 stars or more and under 500 pages", "pages ..<500 & rating 4.."),
    ("books", "rated 4.5 or higher", "rating 4.5.."),
    ("books", "rating >= 4", "rating 4.."),
    ("books", "published after lunch", ""),
    ("books", "over 1,000 pages", "pages 1000<.."),
    ("books", "más de 4 estrellas", "rating 4<.."),
    ("books", "menos de 500 páginas", "pages ..<500"),
    ("books", "500页以下", "pages ..500"),
    ("books", "评分至少4", "rating 4.."),
    ("books", "평점 4 이상", "rating 4.."),
    ("grocery", "under 200 kcal", "calories ..<200"),
    ("grocery", "under 200 calories, less than 5 euros", "calories ..<200 & price ..<5"),
    ("grocery", "deposit up to 1", "deposit ..1"),
    ("furniture", "sofa weight under 2 kg", "kind=Sofa & weight ..<2"),
    ("furniture", "sofa under 900", "kind=Sofa & cost ..<900"),
    ("furniture", "sofa under 900 weight under 20", "kind=Sofa & weight ..<20 & cost ..<900"),
    # booleans
    ("grocery", "organic milk", "organic=yes"),
    ("grocery", "milk that is not organic", "organic=no"),
    ("grocery", "non-organic milk", "organic=no"),
    ("grocery", "fruit in stock", "department=Fruit & in_stock=yes"),
    ("grocery", "leche sin ecológico", "organic=no"),
    ("grocery", "organic choice bread", "diets=Organic Choice"),
)


@pytest.mark.parametrize(("shop", "text", "conditions"), CONDITIONS)
def test_fields_of_any_trade_are_asked_for_in_words(shop: str, text: str, conditions: str) -> None:
    """Keywords, numbers, booleans and money of a shop's own fields become conditions, in the catalogue's spelling."""
    rewrite = read(asked(text, SCHEMAS[shop]))
    assert conditions_of(rewrite) == parts(conditions)


SORTS = (
    ("books", "crime sorted by rating", "-rating"),
    ("books", "sort by rating ascending", "rating"),
    ("books", "sort by pages", "pages"),
    ("books", "order them by pages, high to low", "-pages"),
    ("books", "highest rated crime", "-rating"),
    ("books", "best rating first", "-rating"),
    ("books", "fewest pages", "pages"),
    ("books", "newest crime", "-year"),
    ("books", "oldest poetry first", "year"),
    ("books", "sorted by author", "author"),
    ("books", "crime ordenados por valoración", "-rating"),
    ("books", "评分最高", "-rating"),
    ("books", "cheapest crime", ""),
    ("furniture", "lowest weight", "weight"),
    ("furniture", "cheapest sofa", "cost"),
    ("furniture", "most expensive sofa", "-cost"),
    ("furniture", "sofas sorted by price descending", "-cost"),
    ("furniture", "newest sofa", ""),
)


@pytest.mark.parametrize(("shop", "text", "expected"), SORTS)
def test_hits_are_ordered_by_any_field_that_sorts(shop: str, text: str, expected: str) -> None:
    """An order is read from words beside a field's own; what the schema does not sort by is no order."""
    assert order(read(asked(text, SCHEMAS[shop]))) == expected


def test_what_a_field_takes_leaves_the_query() -> None:
    """A number, a boolean and an order are no words to search by."""
    rewrite = read(asked("organic milk under 200 kcal sorted by calories", GROCERY))
    assert (rewrite.query, order(rewrite)) == ("milk", "calories")


@pytest.mark.parametrize(
    ("shop", "text"),
    [
        ("furniture", "which sizes are there"),
        ("furniture", "what colours do you have?"),
        ("books", "which authors do you have"),
        ("grocery", "how many departments"),
        ("furniture", "有哪些尺寸"),
        ("furniture", "어떤 사이즈 있어요"),
    ],
)
def test_a_question_for_a_fields_values_searches_nothing(shop: str, text: str) -> None:
    """What the catalogue holds of a field is a question to consult about, whatever the field."""
    rewrite = read(asked(text, SCHEMAS[shop]))
    assert (rewrite.route, rewrite.intent) == (query_pb2.ROUTE_CHAT, query_pb2.INTENT_CONSULT)


def after(text: str, schema: Schema, *products: Product) -> rewrite_pb2.Turn:
    """Return a turn that was read by rules and showed those products."""
    shown = [product_message(product, schema) for product in products]
    return rewrite_pb2.Turn(text=text, rewrite=read(asked(text, schema)), shown=shown)


SOFA = Product(
    id="s1",
    values={"label": "Oslo", "kind": "Sofa", "color": "Red", "material": ("Cotton", "Oak"), "cost": 300.0},
    attributes={"legs": "4"},
)
BENCH = Product(id="b2", values={"label": "Riga", "kind": "Sofa", "color": "Black", "material": ("Oak",)})


@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        ("weight under 20", "kind=Sofa & weight ..<20"),
        ("only red ones", "kind=Sofa & color=Red"),
        ("cheaper", "kind=Sofa & cost ..<300"),
        ("no oak", "kind=Sofa & not material=Oak"),
    ],
)
def test_conditions_pile_up_over_a_conversation(text: str, conditions: str) -> None:
    """A later turn narrows what was searched, by fields of the shop's own."""
    rewrite = read(asked(text, FURNITURE, after("sofas", FURNITURE, SOFA, BENCH)))
    assert rewrite.route == query_pb2.ROUTE_TEXT
    assert conditions_of(rewrite) == parts(conditions)


def test_a_later_bound_takes_the_place_of_an_earlier_one() -> None:
    """Two bounds of one number do not pile up."""
    first = after("crime, at least 4 stars", BOOKS)
    rewrite = read(asked("at least 3 stars", BOOKS, first))
    assert conditions_of(rewrite) == {"genre=Crime", "rating 3.."}


@pytest.mark.slow
@pytest.mark.parametrize("name", SCHEMAS)
async def test_the_embedded_model_serves_every_trade(name: str) -> None:
    """As it is served, the model, trained on fashion, reads turns about other fields with all their conditions."""
    missed = []
    async with (
        open_linker(Settings(engine="model")) as linker,
        open_engine(Settings(engine="model"), Metrics(), linker) as engine,
    ):
        for shop, text, conditions in CONDITIONS:
            if shop != name:
                continue
            request = asked(text, SCHEMAS[shop])
            rewrite = await engine.rewrite(request, timeout_s=60)
            assert violation(rewrite, request) == ""
            if not parts(conditions) <= conditions_of(rewrite):
                missed.append(text)
    assert missed == []


@pytest.mark.parametrize(
    ("text", "left"), [("books about sand", "books"), ("second hand manuals", "manuals")]
)
def test_no_right_word_becomes_a_piece_of_clothing(text: str, left: str) -> None:
    """Only a shop that sells clothes has its words mended into their kinds and styles."""
    turn = mark_turn(text, build_lexicon(asked(text, BOOKS).facets, BOOKS))
    assert left in [piece.tag.surface for piece in turn.pieces]
