"""Pictures tell attributes: a catalogue with holes through the running stack, filled, filtered by, and emptied again."""

import asyncio
import csv
import json
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from vitrine.client import VitrineClient
from vitrine.filter_text import format_filter, parse_filter
from vitrine.v1.search_pb2 import RewriteMode, SearchRequest

INDEX_S = 300
FIELDS = ("category", "colour", "brand")
PRODUCTS = 600
HIDDEN = 0.3


def vitrine_index(stack: Any, *arguments: object) -> dict[str, Any]:
    """Run `vitrine index`, which must succeed; return its summary."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "vitrine",
            "index",
            *map(str, arguments),
            "--json",
            "--address",
            stack.gateway,
        ],
        capture_output=True,
        text=True,
        timeout=INDEX_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


@pytest.fixture(scope="module")
def rows(catalogue_path: Path) -> list[dict[str, Any]]:
    """Return products of the drawn catalogue, of every kind."""
    table = pq.read_table(catalogue_path / "products.parquet").to_pylist()
    drawn: list[dict[str, Any]] = random.Random(5).sample(table, min(PRODUCTS, len(table)))
    return drawn


@pytest.fixture(scope="module")
def holes(rows: list[dict[str, Any]], catalogue_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write them as a table in which some values are missing, and some titles, beside their pictures."""
    folder = tmp_path_factory.mktemp("holes")
    chance = random.Random(3)
    (folder / "pictures").symlink_to(catalogue_path / "pictures")
    with (folder / "products.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "title", *FIELDS, "image"))
        for row in rows:
            kept = ["" if chance.random() < HIDDEN else row[name] for name in ("title", *FIELDS)]
            writer.writerow((row["id"], *kept, row["image"]))
    return folder / "products.csv"


def rows_of(table: Path) -> dict[str, dict[str, str]]:
    """Return the table's rows by their ids."""
    return {row["id"]: row for row in csv.DictReader(table.read_text().splitlines())}


@pytest.fixture
async def client(own_stack: Any) -> AsyncIterator[VitrineClient]:
    async with VitrineClient(own_stack.gateway, timeout_s=30) as opened:
        yield opened


@pytest.mark.parametrize(("words", "kept"), [("but in green", True), ("this pattern, but as a bag", False)])
async def test_a_picture_keeps_its_category(
    stack: Any, catalogue_path: Path, words: str, *, kept: bool
) -> None:
    """A picture of a dress that words change is looked for among dresses, unless they name another thing."""
    table = pq.read_table(catalogue_path / "products.parquet").to_pylist()
    dress = next(row for row in table if row["category"] == "dress")
    image = (catalogue_path / dress["image"]).read_bytes()
    request = SearchRequest(image=image, text=words)
    async with VitrineClient(stack.gateway, timeout_s=30) as client, asyncio.timeout(INDEX_S):
        answer = await client.search(request)
        while "category" in answer.degraded:
            await asyncio.sleep(0.2)
            answer = await client.search(request)
    assert ("category=dress" in format_filter(answer.searched.filter)) is kept
    if kept:
        assert {hit.product.category for hit in answer.hits} == {"dress"}
        request.rewrite = RewriteMode.REWRITE_MODE_OFF  # as it stands: nothing is read into it
        async with VitrineClient(stack.gateway, timeout_s=30) as client:
            answer = await client.search(request)
        assert not format_filter(answer.searched.filter)


async def test_holes_are_filled_marked_filtered_by_and_emptied_again(
    own_stack: Any, client: VitrineClient, rows: list[dict[str, Any]], holes: Path
) -> None:
    """What pictures tell is right as often as it was said to be, never over what the shop says, and goes as it came."""
    said = rows_of(holes)
    summary = vitrine_index(
        own_stack, holes, "--allow-outside", "--rebuild", "--yes", "--infer-fields", "--captions"
    )
    told = {each["field"]: each for each in summary["inference"]["fields"]}
    assert summary["written"] == len(rows)
    assert told["brand"]["reason"], "no picture shows a brand"
    found = {row["id"]: (await client.get_product(row["id"])).product for row in rows}
    for name in ("category", "colour"):
        empty = [row for row in rows if not said[row["id"]][name]]
        read = [row for row in empty if name in found[row["id"]].inferred]
        right = [row for row in read if found[row["id"]].fields[name].text == row[name]]
        assert told[name]["precision"] >= 0.9
        assert (int(told[name]["empty"]), int(told[name]["products"])) == (len(empty), len(read))
        assert len(right) >= 0.85 * len(read) > 0
        kept = [row for row in rows if said[row["id"]][name]]
        assert all(found[row["id"]].fields[name].text == row[name] for row in kept)
        assert not any(name in found[row["id"]].inferred for row in kept)

    silent = next(
        row for row in rows
        if not said[row["id"]]["title"] and {"category", "colour"} <= set(found[row["id"]].inferred)
    )  # fmt: skip
    product = found[silent["id"]]
    assert (product.caption, product.caption_by) == (f"{product.colour} {product.category}", "fields")
    condition = parse_filter(f"colour={product.colour} and category={product.category}")
    answer = await client.search(SearchRequest(text=product.caption, filter=condition, limit=200))
    (hit,) = (hit for hit in answer.hits if hit.product_id == silent["id"])
    assert set(hit.product.inferred) == {"category", "colour"}
    assert hit.parts.text > 0.5, "the caption is the words of a product without any"

    again = vitrine_index(own_stack, holes, "--allow-outside", "--infer-fields", "--captions")
    assert (again["written"], again["unchanged"]) == (0, len(rows))
    without = vitrine_index(own_stack, holes, "--allow-outside")
    assert without["written"] == sum(bool(each.inferred or each.caption) for each in found.values())
    product = (await client.get_product(silent["id"])).product
    assert (list(product.inferred), product.caption, product.colour, product.category) == ([], "", "", "")
