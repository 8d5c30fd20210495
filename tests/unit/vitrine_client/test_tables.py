"""What the command line makes of answers."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from vitrine.commands.tables import (
    DEGRADED,
    comparison_table,
    describe_degraded,
    describe_fact,
    describe_query,
    describe_rewrite,
    facet_table,
    hits_table,
)
from vitrine.v1.query_pb2 import ROUTE_TEXT, Product, Sort, Weights
from vitrine.v1.rewrite_pb2 import Rewrite
from vitrine.v1.search_pb2 import (
    ComparedField,
    Comparison,
    Exclusion,
    FacetCounts,
    Fact,
    Hit,
    ScoreParts,
    SearchedQuery,
    SearchResponse,
)


def shown(table: Table) -> list[list[str]]:
    """Return the words of each line of the table."""
    buffer = io.StringIO()
    Console(file=buffer, width=100, highlight=False).print(table)
    return [line.split() for line in buffer.getvalue().splitlines()]


def test_products_stand_side_by_side() -> None:
    """A column a product, a row a field by its label; what a product lacks is a dash, and nothing steers the terminal."""
    comparison = Comparison(
        products=[Product(id="p1", title="dress"), Product(id="p2", title="sk\x1birt")],
        fields=[
            ComparedField(field="price", values=["10.00", "9.00"], label="Preis"),
            ComparedField(field="sleeve_length", values=["midi", ""]),
        ],
    )
    assert shown(comparison_table(comparison)) == [
        ["p1", "p2"],
        ["dress", "sk\N{REPLACEMENT CHARACTER}irt"],
        ["Preis", "10.00", "9.00"],
        ["sleeve", "length", "midi", "-"],
    ]


@pytest.mark.parametrize(
    ("fact", "line"),
    [
        (Fact(field="colour", value="red", products=1_200), "colour red: 1,200 products"),
        (Fact(field="colour", values=["red", "navy"]), "colour: red, navy"),
        (Fact(field="page_count", lowest=5, highest=1_299.5), "page count: from 5 to 1,299.5"),
    ],
)
def test_a_fact_is_a_line(fact: Fact, line: str) -> None:
    """A value is counted, a field is listed, numbers have a range."""
    assert describe_fact(fact) == line


def test_what_was_found_fault_with_is_said() -> None:
    """The line of the query names it."""
    searched = SearchedQuery(
        route=ROUTE_TEXT, text="dress", excluded=[Exclusion(field="pattern", value="striped")]
    )
    assert describe_query(searched) == 'text | "dress" | left out: striped'


def test_shares_of_signals_stand_beside_the_weights() -> None:
    """The line of the query names every signal with its share."""
    searched = SearchedQuery(
        route=ROUTE_TEXT, weights=Weights(text=0.5, image=0.5, signals={"lexical": 0.25})
    )
    assert describe_query(searched) == "text | text 0.5, image 0.5, lexical 0.25"


def test_a_turn_that_asks_for_more_is_said() -> None:
    """How a turn was read names the next page and the order."""
    rewrite = Rewrite(route=ROUTE_TEXT, query="dress", more=True, sort=Sort(field="size", descending=True))
    assert describe_rewrite(rewrite) == 'text | the next page | "dress" | sorted by size, descending'


def test_hits_show_what_tells_something() -> None:
    """Signals, the picture that matched and the price have columns where a hit has them, and else are blank."""
    hits = [
        Hit(
            product_id="p1",
            score=1,
            parts=ScoreParts(text=0.5, image=0.25, signals={"lexical": 1}),
            product=Product(id="p1", title="crate", price=0),
            image_index=2,
        ),
        Hit(product_id="p2", score=0.5, product=Product(id="p2")),
    ]
    assert shown(hits_table(hits)) == [
        ["rank", "product", "score", "text", "image", "lexical", "picture", "price", "title"],
        ["1", "p1", "1.000", "0.500", "0.250", "1.000", "3", "0.00", "crate"],
        ["2", "p2", "0.500", "0.000", "0.000", "p2"],
    ]


def test_hits_fit_a_screen_of_80_columns() -> None:
    """A long id and a long title are broken into lines; no score is cut and no letter lost."""
    parts = ScoreParts(text=0.5, image=0.25, signals={"lexical": 1})
    product = Product(id="i" * 128, title=f"{'t' * 90} end", price=1_299.5)
    hit = Hit(product_id=product.id, score=1.5, parts=parts, product=product, image_index=2)
    buffer = io.StringIO()
    Console(file=buffer, width=80, highlight=False).print(hits_table([hit]))
    lines = buffer.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    body = "".join(lines[1:])
    assert (body.count("i"), body.count("t"), "…" in body) == (128, 90, False)
    assert {"1.500", "0.500", "0.250", "1.000", "1,299.50"} <= set(body.split())


def test_words_of_a_narrow_screen_stand_below_the_figures() -> None:
    """Where signals and long ids leave no room for a title, it has a line of its own and is not broken into letters."""
    parts = ScoreParts(text=0.5, image=0.25, signals={"lexical": 1, "margin": 0.5})
    product = Product(
        id="dress-with-a-long-id", title="red floral midi dress with long sleeves", price=1_299.5
    )
    hit = Hit(product_id=product.id, score=1.5, parts=parts, product=product, image_index=2)
    buffer = io.StringIO()
    Console(file=buffer, width=80, highlight=False).print(hits_table([hit]))
    heading, figures, *words = (line.split() for line in buffer.getvalue().splitlines())
    assert heading == ["rank", "score", "text", "image", "lexical", "margin", "picture", "price"]
    assert figures == ["1", "1.500", "0.500", "0.250", "1.000", "0.500", "3", "1,299.50"]
    assert words == [[product.id], product.title.split()]


def test_a_field_that_no_product_has_is_said() -> None:
    """A facet without products is a table of one line."""
    assert shown(facet_table(FacetCounts(field="size"))) == [
        ["size", "products"],
        ["(no", "product", "has", "one)", "0"],
    ]


def test_what_is_left_out_is_put_into_words() -> None:
    """Each entry has its sentence; one of a newer service is named."""
    answer = SearchResponse(degraded=["pool", "weather"])
    assert describe_degraded(answer) == [
        "more products satisfy the conditions than could be put in order",
        "left out: weather",
    ]


def test_every_entry_of_degraded_has_words() -> None:
    """What the proto documents is what the command line can explain."""
    proto = (Path(__file__).parents[3] / "vitrine/v1/search.proto").read_text()
    comment = proto.partition("// What was left out:")[2].partition("repeated string degraded")[0]
    assert set(re.findall(r'"(\w+)"', comment)) == DEGRADED.keys()
