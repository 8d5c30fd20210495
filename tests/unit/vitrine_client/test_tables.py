"""What the command line makes of answers."""

import io

import pytest
from rich.console import Console

from vitrine.commands.tables import comparison_table, describe_fact, describe_query
from vitrine.v1.query_pb2 import ROUTE_TEXT, Product
from vitrine.v1.search_pb2 import ComparedField, Comparison, Dislike, Fact, SearchedQuery


def shown(comparison: Comparison) -> list[list[str]]:
    """Give the words of each line of the table."""
    buffer = io.StringIO()
    Console(file=buffer, width=100, highlight=False).print(comparison_table(comparison))
    return [line.split() for line in buffer.getvalue().splitlines()]


def test_products_stand_side_by_side() -> None:
    """A column a product, a row a field; what a product lacks is a dash, and nothing steers the terminal."""
    comparison = Comparison(
        products=[Product(id="p1", title="dress"), Product(id="p2", title="sk\x1birt")],
        fields=[
            ComparedField(field="price", values=["10.00", "9.00"]),
            ComparedField(field="length", values=["midi", ""]),
        ],
    )
    assert shown(comparison) == [
        ["p1", "p2"],
        ["dress", "sk\N{REPLACEMENT CHARACTER}irt"],
        ["price", "10.00", "9.00"],
        ["length", "midi", "-"],
    ]


@pytest.mark.parametrize(
    ("fact", "line"),
    [
        (Fact(field="colour", value="red", products=1_200), "colour red: 1,200 products"),
        (Fact(field="colour", values=["red", "navy"]), "colour: red, navy"),
        (Fact(field="price", lowest=5, highest=1_299.5), "price: from 5.00 to 1,299.50"),
    ],
)
def test_a_fact_is_a_line(fact: Fact, line: str) -> None:
    """A value is counted, a field is listed, prices have a range."""
    assert describe_fact(fact) == line


def test_what_was_found_fault_with_is_said() -> None:
    """The line of the query names it."""
    searched = SearchedQuery(
        route=ROUTE_TEXT, text="dress", disliked=[Dislike(field="pattern", value="striped")]
    )
    assert describe_query(searched) == 'text | "dress" | found fault with: striped'
