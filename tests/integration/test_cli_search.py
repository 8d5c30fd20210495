"""The command line against the running stack."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

CALL_S = 240


def vitrine(stack: Any, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    """Run a command of the client as a program."""
    return subprocess.run(
        [sys.executable, "-m", "vitrine", *arguments, "--address", stack.gateway],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=CALL_S,
        check=False,
    )


def answer(stack: Any, *arguments: str) -> dict[str, Any]:
    """Search and give the JSON."""
    result = vitrine(stack, "search", *arguments, "--json")
    assert result.returncode == 0, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def query(stack: Any, kind: str) -> dict[str, str]:
    """Give the first query picture of that kind."""
    entries = json.loads((stack.catalogue / "queries" / "queries.json").read_text())
    entry: dict[str, str] = next(entry for entry in entries if entry["kind"] == kind)
    return entry | {"file": str(stack.catalogue / "queries" / entry["file"])}


def test_the_stack_passes_the_check(stack: Any) -> None:
    """What `helm test` runs: every step is a line, and the product that was written is gone."""
    result = vitrine(stack, "check")
    assert result.returncode == 0, result.stdout + result.stderr
    assert [line.split("  ")[0] for line in result.stdout.splitlines()] == [
        *("health", "catalogue", "words", "picture and words", "condition", "write and delete")
    ]


def check_scores(document: dict[str, Any]) -> None:
    """The score is the weighted sum of its parts, and the hits come by score."""
    weights = document["searched"]["weights"]
    for hit in document["hits"]:
        parts = hit["parts"]
        wanted = weights["text"] * parts["text"] + weights["image"] * parts["image"]
        wanted += sum(weights["signals"][name] * share for name, share in parts["signals"].items())
        assert hit["score"] == pytest.approx(wanted, abs=1e-3)
    scores = [hit["score"] for hit in document["hits"]]
    assert scores == sorted(scores, reverse=True)


def test_words_with_filters(stack: Any) -> None:
    """Every hit of a filtered text search obeys every filter."""
    found = answer(
        stack,
        "red dress",
        "--filter",
        "price<80",
        "--filter",
        "category=dress",
        "--limit",
        "5",
        "--no-rewrite",
    )
    assert found["searched"]["route"] == "ROUTE_TEXT"
    assert 0 < len(found["hits"]) <= 5
    assert all(
        hit["product"]["category"] == "dress" and hit["product"]["price"] < 80 for hit in found["hits"]
    )
    check_scores(found)


def test_a_tree_of_filters(stack: Any) -> None:
    """Or, not, in and intervals reach the index as they are written."""
    text = "(colour in (red, 'navy') or pattern!=plain) and price 20..90 and not category=hat"
    found = answer(stack, "something nice", "--filter", text, "--limit", "50", "--no-rewrite")
    assert found["hits"]
    for product in (hit["product"] for hit in found["hits"]):
        assert product["colour"] in {"red", "navy"} or product["pattern"] != "plain"
        assert 20 <= product["price"] <= 90
        assert product["category"] != "hat"


def test_a_picture_with_and_without_words(stack: Any, tmp_path: Path) -> None:
    """A picture alone goes the way of images, with words that of composed queries; the sheet shows the hits."""
    image, composed = query(stack, "image"), query(stack, "composed")
    alone = answer(stack, "--image", image["file"], "--sheet", str(tmp_path / "image.png"))
    assert alone["searched"]["route"] == "ROUTE_IMAGE"
    assert len(alone["hits"]) == 10
    check_scores(alone)
    changed = answer(stack, "--image", composed["file"], composed["modification"], "--no-rewrite")
    assert changed["searched"]["route"] == "ROUTE_COMPOSED"
    assert len(changed["hits"]) == 10
    check_scores(changed)
    with Image.open(tmp_path / "image.png") as sheet:
        assert sheet.width > sheet.height > 400


def test_a_product_with_and_without_words(stack: Any) -> None:
    """A product's look-alikes and its refinement leave the product itself out."""
    product_id = answer(stack, "red dress", "--no-rewrite")["hits"][0]["product_id"]
    for words, route in (((), "ROUTE_SIMILAR"), (("in navy",), "ROUTE_REFINE")):
        found = answer(stack, "--like", product_id, *words, "--no-rewrite")
        assert found["searched"]["route"] == route
        assert product_id not in [hit["product_id"] for hit in found["hits"]]
        check_scores(found)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("x", "--limit", "0"), "limit: must be from 1 to 200, got 0"),
        (("x", "--limit", "201"), "limit: must be from 1 to 200, got 201"),
        (("x", "--filter", "taste=sweet"), "filter.equals.field: 'taste' is no filter field"),
        (("x", "--filter", "price=cheap"), "filter.equals.value: must be a number"),
        (("x", "--filter", "price 80..20"), "filter.range.minimum: must lie below the maximum 20, got 80"),
        (("x", "--weights", "text=-1"), "weights.text: must be a number from 0"),
        (("--like", "no-such-product"), "product_id: product 'no-such-product' not found"),
        (("x" * 2001,), "text: at most 2,000 characters, got 2,001"),
    ],
)
def test_a_refusal_names_the_field_in_one_line(stack: Any, arguments: tuple[str, ...], line: str) -> None:
    """What the service refuses ends with status 1 and one line that names the field; the next query is answered."""
    result = vitrine(stack, "search", *arguments)
    assert result.returncode == 1, result.stderr
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"Error: {line}")
    assert answer(stack, "red dress", "--limit", "1", "--no-rewrite")["hits"]


def test_a_conversation_of_three_turns(stack: Any) -> None:
    """A piped conversation keeps its session: "cheaper" and "the second one" are read in its light."""
    result = vitrine(
        stack, "chat", "--json", stdin="I need a red dress\ncheaper\nthe second one but in navy\n"
    )
    assert result.returncode == 0, result.stderr
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert len({event["session_id"] for event in events}) == 1
    routes = [event["understood"]["route"] for event in events if "understood" in event]
    assert routes == ["ROUTE_TEXT", "ROUTE_TEXT", "ROUTE_REFINE"]
    first, second, third = [event["result"]["hits"] for event in events if "result" in event]
    assert second[0]["product"]["price"] < max(hit["product"]["price"] for hit in first)
    reference = [event["understood"]["references"] for event in events if "understood" in event][2][0]
    assert reference == second[1]["product_id"]
    assert third


def test_status_says_what_is_served(stack: Any) -> None:
    """The service is SERVING and its index names the products and every filter field."""
    result = vitrine(stack, "status", "--json")
    assert result.returncode == 0, result.stderr
    status = json.loads(result.stdout)
    assert status["health"] == "SERVING"
    assert int(status["index"]["products"]) >= 500
    assert {field["name"] for field in status["index"]["fields"]} == {
        "category", "colour", "pattern", "brand", "price",
    }  # fmt: skip


def test_the_tour_shows_every_kind_of_query(stack: Any, tmp_path: Path) -> None:
    """The tour of the demo runs through and draws a sheet of each kind of query."""
    queries = str(stack.catalogue / "queries")
    result = vitrine(stack, "tour", "--queries", queries, "--out", str(tmp_path / "demo"))
    assert result.returncode == 0, result.stderr
    sheets = {path.stem for path in (tmp_path / "demo").glob("*.png")}
    assert sheets == {"text", "image", "composed", "refined", "conversation", "all"}
