"""Orders, facets and pages on the command line."""

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from vitrine.cli import main
from vitrine.v1.query_pb2 import Product, Sort
from vitrine.v1.search_pb2 import SearchRequest


def search(script: Any, *arguments: str) -> Result:
    result = CliRunner(env={"VITRINE_ADDRESS": script.address}).invoke(main, ["search", "crate", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.mark.parametrize(
    ("text", "wanted", "said"),
    [
        ("cost", Sort(field="cost"), "sorted by cost"),
        ("cost:asc", Sort(field="cost"), "sorted by cost"),
        ("cost:desc", Sort(field="cost", descending=True), "sorted by cost, descending"),
    ],
)
def test_an_order_is_sent_and_said(script: Any, text: str, wanted: Sort, said: str) -> None:
    """Any field may be named; the direction follows a colon."""
    shown = search(script, "--sort", text).stdout
    assert script.requests == [SearchRequest(text="crate", sort=wanted)]
    assert said in shown.splitlines()[0].split(" | ")


def test_facets_are_small_tables(script: Any) -> None:
    """Keywords come with how many products have them, the first twelve; a number comes as its range."""
    lines = [line.split() for line in search(script, "--facets", "wood, cost").stdout.splitlines()]
    assert list(script.requests[0].facets) == ["wood", "cost"]
    wood = lines.index(["wood", "products"])
    assert lines[wood + 1] == ["wood", "0", "1,000"]
    assert lines[wood + 13] == ["and", "2", "more"]
    cost = lines.index(["cost", "products"])
    assert lines[cost + 1] == ["5", "to", "1,299.5", "2,990"]


def test_a_facet_of_more_values_than_are_listed_says_so(script: Any) -> None:
    """The table ends with "and more" where the service lists a part of the values."""
    lines = search(script, "--facets", "maker").stdout.splitlines()
    assert "and more" in [line.strip() for line in lines]


def test_a_page_tells_how_to_ask_for_the_next(script: Any) -> None:
    """Below a page that is not the last stands its token, whole; with it the next page is asked for."""
    script.pages = 2
    shown = search(script, "--limit", "2").stdout.splitlines()
    assert shown[-1] == "next page: --page page-2"
    last = search(script, "--limit", "2", "--page", "page-2").stdout
    assert script.requests[1] == SearchRequest(text="crate", limit=2, page_token="page-2")
    assert "p3" in last
    assert "next page" not in last


def test_several_pages_are_shown_as_one(script: Any) -> None:
    """Pages are asked for one after the other by their tokens, and their hits and times are joined."""
    script.pages = 3
    answer = json.loads(search(script, "--limit", "2", "--pages", "2", "--json").stdout)
    assert [request.page_token for request in script.requests] == ["", "page-2"]
    assert [hit["product_id"] for hit in answer["hits"]] == ["p1", "p2", "p3", "p4"]
    assert answer["next_page_token"] == "page-3"
    assert answer["timings"] == {"total_ms": 25.0, "stages_ms": {"embed": 16.0, "index": 6.0}}


def test_the_last_page_ends_the_asking(script: Any) -> None:
    """More pages than there are is no error."""
    script.pages = 2
    answer = json.loads(search(script, "--pages", "9", "--json").stdout)
    assert len(script.requests) == 2
    assert len(answer["hits"]) == 6
    assert answer["next_page_token"] == ""


def test_a_product_without_title_and_price_shows_its_id_and_no_price(
    script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No column of prices is shown where no hit has one, and never 0.00."""
    monkeypatch.setattr(script, "product", lambda product_id, **_: Product(id=product_id))
    lines = [line.split() for line in search(script).stdout.splitlines()]
    assert lines[1] == ["rank", "product", "score", "text", "image", "title"]
    assert lines[2] == ["1", "p1", "0.900", "0.500", "0.250", "p1"]


def test_help_names_no_field_of_one_catalogue(script: Any) -> None:
    """The help sends people to `vitrine status` for the names of the fields."""
    shown = search(script, "--help").stdout
    assert "`vitrine status` lists them" in " ".join(shown.split())
    for name in ("colour", "pattern", "category", "brand", "price"):
        assert name not in shown
