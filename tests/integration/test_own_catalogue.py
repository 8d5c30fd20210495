"""A shop of another trade, by a schema file alone, through the running stack.

Fields of every kind are indexed, filtered, counted, sorted by, compared and asked for in words. Nothing here is code
of the product: the catalogue, its schema and what is added to the schema are texts.
"""

import csv
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from vitrine.client import VitrineClient, VitrineError
from vitrine.filter_text import format_filter, parse_filter
from vitrine.v1 import search_pb2
from vitrine.v1.query_pb2 import Sort
from vitrine.v1.schema_pb2 import FIELD_KIND_BOOLEAN, FIELD_KIND_KEYWORDS
from vitrine.v1.search_pb2 import ConverseRequest, SearchRequest

CALL_S = 240
TURN_S = 120.0

FURNITURE = """
name = "furniture"
currency = "SEK"

[fields.article]
kind = "keyword"
role = "id"

[fields.title]
kind = "text"
role = "title"

[fields.photo]
kind = "text"
role = "image"
"""

ADDED = """
[fields.room]
kind = "keyword"
labels = { en = "room" }
questions = { en = ["rooms"] }

[fields.materials]
kind = "keywords"
labels = { en = "material" }
questions = { en = ["materials", "made of"] }

[fields.seats]
kind = "number"
labels = { en = "seats" }
questions = { en = ["seat", "seater"] }

[fields.foldable]
kind = "boolean"
labels = { en = "foldable" }

[fields.deposit]
kind = "money"
labels = { en = "deposit" }

[fields.care]
kind = "text"
labels = { en = "care" }
"""

HEADER = ("article", "title", "photo", "room", "materials", "seats", "foldable", "deposit", "care")
ROWS = (
    ("A-1", "corner sofa", "0.png", "Living room", "oak|linen", "5", "no", "1 500,00 kr", "vacuum"),
    ("A-2", "bench", "1.png", "hallway", "pine", "3", "yes", "", "wipe"),
    ("A-3", "camp chair KX-77", "", "garden", "steel|canvas", "1", "yes", "50 SEK", ""),
    ("A-4", "stool", "3.png", "kitchen", "oak", "1", "no", "0", "oil once a year"),
    ("A-5", "dining chair", "4.png", "LIVING ROOM", "oak|leather", "1", "", "250", ""),
    ("A-6", "swing", "", "garden", "pine|rope", "2", "no", "99.50", "keep dry"),
)
ALL = {row[0] for row in ROWS}


def vitrine(stack: Any, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of the client as a program."""
    return subprocess.run(
        [sys.executable, "-m", "vitrine", *arguments, "--address", stack.gateway],
        capture_output=True,
        text=True,
        timeout=CALL_S,
        check=False,
    )


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the shop's table, semicolons and all, its pictures and its schema."""
    folder = tmp_path_factory.mktemp("shop")
    with (folder / "stock.csv").open("w", encoding="utf-16", newline="") as file:
        csv.writer(file, delimiter=";").writerows((HEADER, *ROWS))
    for number, row in enumerate(ROWS):
        if row[2]:
            image = Image.new("RGB", (96, 96), "white")
            ImageDraw.Draw(image).rectangle((10, 10, 80, 60), fill=(40 * number, 90, 200 - 30 * number))
            image.save(folder / row[2])
    (folder / "schema.toml").write_text(FURNITURE)
    return folder


@pytest.fixture
def indexed(own_stack: Any, shop: Path) -> Any:
    """Index the shop by its first schema, then add fields to the file and index again: no rebuild, no second index."""
    schema = ("--schema", str(shop / "schema.toml"))
    if "[fields.room]" not in (shop / "schema.toml").read_text():
        first = vitrine(own_stack, "index", str(shop / "stock.csv"), *schema, "--rebuild", "--yes", "--json")
        assert first.returncode == 0, first.stderr
        with (shop / "schema.toml").open("a") as file:
            file.write(ADDED)
        second = vitrine(own_stack, "index", str(shop / "stock.csv"), *schema, "--json")
        assert second.returncode == 0, second.stderr
        before, after = json.loads(first.stdout), json.loads(second.stdout)
        assert before["written"] == after["written"] == len(ROWS)
        assert before["index"] == after["index"]
    return own_stack


@pytest.fixture
async def client(indexed: Any) -> AsyncIterator[VitrineClient]:
    async with VitrineClient(indexed.gateway) as opened:
        yield opened


async def found(client: VitrineClient, text: str = "furniture", **request: Any) -> search_pb2.SearchResponse:
    """Search without the rewriter, but for what is said otherwise."""
    options = {"rewrite": search_pb2.REWRITE_MODE_OFF, "limit": 50} | request
    return await client.search(SearchRequest(text=text, **options))


def ids(answer: search_pb2.SearchResponse) -> list[str]:
    return [hit.product_id for hit in answer.hits]


@pytest.mark.stack
async def test_describe_tells_the_schema_and_what_the_index_holds(client: VitrineClient) -> None:
    """Kinds, counts, ranges and spellings come from the file and the table."""
    index = await client.describe()
    assert (index.schema.name, index.schema.currency) == ("furniture", "SEK")
    kinds = {field.name: field.kind for field in index.schema.fields}
    assert kinds["materials"] == FIELD_KIND_KEYWORDS
    assert kinds["foldable"] == FIELD_KIND_BOOLEAN
    held = {field.name: field for field in index.fields}
    rooms = zip(held["room"].values, held["room"].counts, strict=True)
    assert {value.casefold(): count for value, count in rooms} == {
        "garden": 2, "living room": 2, "hallway": 1, "kitchen": 1,
    }  # fmt: skip
    assert (held["deposit"].minimum, held["deposit"].maximum) == (0.0, 1500.0)
    assert held["foldable"].values[:1] == ["false"]


@pytest.mark.stack
@pytest.mark.parametrize(
    ("condition", "products"),
    [
        ('room="living room"', {"A-1", "A-5"}),
        ("not room=garden", ALL - {"A-3", "A-6"}),
        ("materials=OAK", {"A-1", "A-4", "A-5"}),
        ("materials=oak and materials=leather", {"A-5"}),
        ("not materials in (oak, pine)", {"A-3"}),
        ("seats>=2", {"A-1", "A-2", "A-6"}),
        ("seats=1", {"A-3", "A-4", "A-5"}),
        ("foldable=true", {"A-2", "A-3"}),
        ("foldable=no", {"A-1", "A-4", "A-6"}),
        ("not foldable=true", ALL - {"A-2", "A-3"}),
        ("deposit<100", {"A-3", "A-4", "A-6"}),
        ("deposit=0", {"A-4"}),
        ("not deposit<100", {"A-1", "A-5"}),
        ("deposit=1500", {"A-1"}),
    ],
)
async def test_fields_of_every_kind_are_filtered(
    client: VitrineClient, condition: str, products: set[str]
) -> None:
    """In any case and Unicode form; what is missing satisfies no condition on a number."""
    assert set(ids(await found(client, filter=parse_filter(condition)))) == products


@pytest.mark.stack
@pytest.mark.parametrize(
    ("condition", "refusal"),
    [
        ("colour=red", "'colour' is no filter field; these are: room, materials, seats, foldable, deposit"),
        ("care=wipe", "'care' is no filter field"),
        ("seats=many", "must be a number, since seats is one"),
        ("foldable=perhaps", "must be true or false"),
    ],
)
async def test_what_the_schema_lacks_is_refused_by_name(
    client: VitrineClient, condition: str, refusal: str
) -> None:
    """The refusal lists what there is."""
    with pytest.raises(VitrineError, match=refusal.replace("(", r"\(")):
        await found(client, filter=parse_filter(condition))


@pytest.mark.stack
async def test_fields_are_counted(client: VitrineClient) -> None:
    """Each facet counts the products that satisfy the filter, whatever the page shows."""
    answer = await found(
        client, facets=["room", "materials", "foldable"], filter=parse_filter("seats<=2"), limit=1
    )
    counted = {
        facet.field: {value.value: value.products for value in facet.values} for facet in answer.facets
    }
    assert counted == {
        "room": {"garden": 2, "kitchen": 1, "LIVING ROOM": 1},
        "materials": {"oak": 2, "canvas": 1, "leather": 1, "pine": 1, "rope": 1, "steel": 1},
        "foldable": {"false": 2, "true": 1},
    }


@pytest.mark.stack
async def test_hits_are_sorted_and_paged(client: VitrineClient) -> None:
    """By any number, both ways, without a value last; the pages hold each product once, in the same order."""
    for descending in (False, True):
        sort = Sort(field="deposit", descending=descending)
        whole = ids(await found(client, sort=sort))
        values = [250.0, 1500.0, 50.0, 0.0, 99.5]
        assert [
            hit.product.fields["deposit"].number for hit in (await found(client, sort=sort)).hits[:-1]
        ] == sorted(values, reverse=descending)
        assert whole[-1] == "A-2"
        paged, token = [], ""
        while True:
            page = await found(client, sort=sort, limit=2, page_token=token)
            paged += ids(page)
            token = page.next_page_token
            if not token:
                break
        assert paged == whole
    with pytest.raises(VitrineError, match="'title' cannot be sorted by; these can: seats, deposit"):
        await found(client, sort=Sort(field="title"))


@pytest.mark.stack
@pytest.mark.parametrize(
    ("words", "condition", "sort"),
    [
        ("oak chairs", "materials=oak", ""),
        ("chairs for the garden", "room=garden", ""),
        ("chairs with at least 2 seats", "seats 2..", ""),
        ("foldable chairs", "foldable=true", ""),
        ("chairs with a deposit under 100", "deposit<100", ""),
        ("chairs sorted by seats", "", "seats"),
    ],
)
async def test_fields_are_asked_for_in_words(
    client: VitrineClient, words: str, condition: str, sort: str
) -> None:
    """The rewriter reads values, numbers, booleans, money and orders of fields that it was never told of."""
    answer = await found(client, words, rewrite=search_pb2.REWRITE_MODE_AUTO)
    assert condition in format_filter(answer.searched.filter)
    assert answer.searched.sort.field == sort
    assert answer.hits
    assert "rewrite" not in answer.degraded


@pytest.mark.stack
async def test_a_model_number_is_found_whatever_the_encoders_think(client: VitrineClient) -> None:
    """Typed exactly, in either spelling, it comes first, and its part of the score is told."""
    for words in ("KX-77", "kx77", "A-6"):
        first = (await found(client, words)).hits[0]
        assert first.product_id == ("A-6" if words == "A-6" else "A-3")
        assert first.parts.signals["lexical"] > 0


@pytest.mark.stack
async def test_products_are_compared_and_questions_answered(client: VitrineClient) -> None:
    """Every field of the schema is a row with its label; a question for a field lists its values."""
    events, session = [], ""
    for words in ("oak chairs", "compare the first two", "which rooms are there?"):
        async for event in client.converse(ConverseRequest(session_id=session, text=words), timeout_s=TURN_S):
            session = event.session_id
            events.append(event)
    comparison = next(event.comparison for event in events if event.HasField("comparison"))
    rows = {row.field: (row.label, len(row.values)) for row in comparison.fields}
    assert rows["materials"] == ("material", 2)
    assert rows["seats"] == ("seats", 2)
    facts = next(event.facts for event in events if event.HasField("facts"))
    assert {value.casefold() for value in facts.facts[0].values} == {
        "garden", "living room", "hallway", "kitchen",
    }  # fmt: skip


@pytest.mark.stack
def test_a_changed_kind_is_told_by_name_with_the_command_that_mends_it(indexed: Any, shop: Path) -> None:
    """Indexing by a schema that the index cannot take on is refused in one line, and nothing is written."""
    changed = shop / "changed.toml"
    changed.write_text(
        (FURNITURE + ADDED).replace('[fields.seats]\nkind = "number"', '[fields.seats]\nkind = "keyword"')
    )
    refused = vitrine(indexed, "index", str(shop / "stock.csv"), "--schema", str(changed))
    assert refused.returncode != 0
    assert "field seats is of kind keyword now, was number" in refused.stderr
    assert "vitrine index --rebuild" in refused.stderr
    shown = vitrine(indexed, "search", "chair", "--filter", "seats>=5", "--json")
    assert [hit["product_id"] for hit in json.loads(shown.stdout)["hits"]] == ["A-1"]


@pytest.mark.stack
def test_a_stale_index_is_rebuilt_where_that_is_asked_for(indexed: Any, shop: Path) -> None:
    """With --rebuild-if-stale the changed schema makes a new index; with the same one again nothing is rebuilt."""
    changed = shop / "changed.toml"
    changed.write_text(
        (FURNITURE + ADDED).replace('[fields.seats]\nkind = "number"', '[fields.seats]\nkind = "keyword"')
    )
    command = ("index", str(shop / "stock.csv"), "--schema", str(changed), "--rebuild-if-stale", "--json")
    rebuilt, again = (json.loads(vitrine(indexed, *command).stdout) for _ in range(2))
    assert (rebuilt["written"], rebuilt["unchanged"]) == (len(ROWS), 0)
    assert (again["written"], again["unchanged"]) == (0, len(ROWS))
    assert again["index"] == rebuilt["index"]
    found = vitrine(indexed, "search", "chair", "--filter", "seats=5", "--json")
    assert [hit["product_id"] for hit in json.loads(found.stdout)["hits"]] == ["A-1"]
    # The next test, if any, begins anew.
    (shop / "schema.toml").write_text(FURNITURE)
