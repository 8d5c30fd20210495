"""Every program of examples/ runs as its first lines say, against the running stack."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PACKAGES = ROOT / "build" / "examples"
RUN_S = 240
RANKED = re.compile(r"^\d\.\d{3}  ?\S+  ?\S.*$", re.MULTILINE)
"""A line with a score, a product's id and its title."""


def run(stack: Any, *command: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a program on this stack."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        [str(each) for each in command],
        cwd=ROOT,
        env=os.environ | {"VITRINE_ADDRESS": stack.gateway, "PATH": path} | environment,
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )


def output(stack: Any, *command: object, **environment: str) -> str:
    """Return what a program prints; it must succeed."""
    result = run(stack, *command, **environment)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def python(stack: Any, name: str, *arguments: object) -> str:
    """Return what one of the Python examples prints."""
    return output(stack, sys.executable, EXAMPLES / "python" / name, *arguments)


def catalogue_call(stack: Any, method: str, request: dict[str, Any]) -> dict[str, Any]:
    """Call the catalogue's service by reflection."""
    url = f"http://{stack.gateway}/vitrine.v1.CatalogueService/{method}"
    options = ("--protocol", "grpc", "--http2-prior-knowledge", "-d", json.dumps(request))
    answer: dict[str, Any] = json.loads(output(stack, "buf", "curl", *options, url))
    return answer


@pytest.fixture(scope="module")
def packages() -> Path:
    """Return the folder of what some examples need beside the client."""
    if not (PACKAGES / ".ready").exists():
        pytest.skip("no packages of the examples: make setup-test")
    return PACKAGES


def test_search(stack: Any) -> None:
    """Five products, the best one first."""
    lines = RANKED.findall(python(stack, "search_products.py", "red floral midi dress"))
    assert len(lines) == 5
    assert lines == sorted(lines, key=lambda line: -float(line.split()[0]))


def test_bad_input_is_told_in_a_line(stack: Any) -> None:
    """What the service refuses is a sentence on standard error, and no traceback."""
    for program in ("search_products.py", "filter_and_sort.py"):
        result = run(stack, sys.executable, EXAMPLES / "python" / program, "x" * 2_001)
        assert result.returncode == 1
        assert "2,000" in result.stderr
        assert "Traceback" not in result.stderr


def test_paging(stack: Any) -> None:
    """Three pages of 20 are 60 products, each once, with their ranks."""
    lines = [line.split() for line in python(stack, "page_through.py", "dress", 3).splitlines()]
    assert [int(line[0]) for line in lines] == list(range(1, 61))
    assert len({line[1] for line in lines}) == 60


def test_filters(stack: Any) -> None:
    """The dresses keep to the conditions and come by their price; the counts are those of the same dresses."""
    *products, colours = python(stack, "filter_and_sort.py").splitlines()
    assert products
    prices = [float(line.split()[0]) for line in products]
    assert prices == sorted(prices)
    assert all(20 <= price <= 80 for price in prices)
    assert colours.startswith("colour: ")
    assert "black" not in colours + " ".join(products)


def test_conversation(stack: Any) -> None:
    """A turn with a picture, then one that narrows it down: each shows products and ends with a sentence."""
    queries = json.loads((stack.catalogue / "queries" / "queries.json").read_text())
    picture = stack.catalogue / "queries" / queries[0]["file"]
    shown = python(stack, "converse.py", picture, "in red", "cheaper")
    turns = shown.split("> ")[1:]
    assert [turn.splitlines()[0] for turn in turns] == ["in red", "cheaper"]
    for turn in turns:
        lines = turn.splitlines()
        assert any(line.startswith("  ") for line in lines)
        assert not lines[-1].startswith("  ")


def test_feed(stack: Any, tmp_path: Path) -> None:
    """The feed that lies beside it is indexed and found; so is one with a picture, and a wrong price is told."""
    ids = [f"example-{number}" for number in range(1, 6)]
    try:
        assert "3 written, 0 unchanged, 0 rejected" in python(stack, "index_feed.py", EXAMPLES / "feed.csv")
        picture = min((stack.catalogue / "pictures").rglob("*.jpg"))
        shutil.copy(picture, tmp_path / "picture.jpg")
        rows = (
            "example-4,Red dress,dress,red,19.90,picture.jpg",
            "example-5,Blue dress,dress,blue,-1,",
        )
        (tmp_path / "feed.csv").write_text(
            "\n".join(("id,title,category,colour,price,picture", *rows)) + "\n"
        )
        shown = python(stack, "index_feed.py", tmp_path / "feed.csv")
        assert "1 written, 0 unchanged, 1 rejected" in shown
        assert "example-5: price" in shown
        kept = catalogue_call(stack, "GetProduct", {"product_id": "example-2"})["product"]
        assert kept["title"] == "Straw hat with a wide brim"
    finally:
        catalogue_call(stack, "DeleteProducts", {"product_ids": ids})


def test_feedback(stack: Any) -> None:
    """Events are recorded once, however often they are sent, and what was bought moves up."""
    told, *hits = python(stack, "record_feedback.py", "dress").splitlines()
    assert told == "recorded 16, refused 0; sent again: 16 known already"
    assert len(hits) == 5
    assert all("to their taste" in line for line in hits)
    before = [re.search(r"was (\S+)\)", line) for line in hits]
    assert [found and found[1] for found in before] != ["1", "2", "3", "4", "5"]


def test_moderation(stack: Any, tmp_path: Path) -> None:
    """A small, mirrored, compressed copy of a blocked picture is refused by its field, until it is unblocked."""
    picture, copy = tmp_path / "picture.png", tmp_path / "copy.jpg"
    scene = Image.effect_mandelbrot((240, 320), (-1.9, -1.2, 0.8, 1.2), 60)
    scene.save(picture)
    ImageOps.mirror(scene).resize((120, 160)).save(copy, quality=60)
    blocked, refused, unblocked = python(stack, "block_picture.py", picture, copy).splitlines()
    assert re.fullmatch(r"blocked as [0-9a-f]{32}; nothing of its pixels is kept", blocked)
    assert refused == "searched by it: INVALID_ARGUMENT: image: is refused by the shop's moderation"
    assert re.fullmatch(r"unblocked, and searched by it: \d+ hits", unblocked)


def test_sponsored_place(stack: Any) -> None:
    """What fits is shown first and marked, whatever is bid for what does not fit."""
    *hits, modest, rich = python(stack, "sponsored_place.py", "dress").splitlines()
    assert ["sponsored by Modest & Co" in line for line in hits] == [True, False, False, False, False]
    assert "Rich" not in "".join(hits)
    assert re.fullmatch(r"Modest & Co: bids 0.02, paid 0.000001 EUR for \d+ impressions", modest)
    assert rich == "Rich Ltd: bids 50.00, paid 0.000000 EUR for 0 impressions"


def test_recommend(stack: Any) -> None:
    """Three like a product, three that go with it, and for a stranger what is popular."""
    told = python(stack, "recommend.py", "dress").splitlines()
    headings = [number for number, line in enumerate(told) if line.endswith("):")]
    assert [told[number].rpartition("(")[2] for number in headings] == [
        "more_like_this):",
        "goes_well_with):",
        "popular_now):",
    ]
    assert headings[:3] == [0, 4, 8]
    assert all("together by" in line for line in told[5:8])


def test_tutorial(stack: Any, tmp_path: Path) -> None:
    """It ends with a contact sheet of six rows."""
    sheet = tmp_path / "sheets" / "tutorial.png"
    assert f"the contact sheet: {sheet}" in python(stack, "tutorial.py", stack.catalogue, sheet)
    with Image.open(sheet) as drawn:
        assert drawn.width > 1_000
        assert drawn.height > 6 * 200


def test_shell(stack: Any) -> None:
    """The answer is JSON, whatever the words hold; what is refused is an error."""
    for words in ("red dress", 'a "red" \\ dress'):
        hits = json.loads(output(stack, EXAMPLES / "shell" / "search.sh", words))["hits"]
        assert len(hits) == 5
    refused = run(stack, EXAMPLES / "shell" / "search.sh", "x" * 2_001)
    assert refused.returncode != 0
    assert "2,000" in refused.stderr


def test_node(stack: Any, packages: Path) -> None:
    """A client that has nothing but the protos gets the same products as the Python one."""
    del packages  # with them the packages of Node.js are installed
    program = ("node", EXAMPLES / "node" / "search.js")
    found = [line.split()[1] for line in output(stack, *program, "red", "dress").splitlines()]
    by_python = python(stack, "search_products.py", "red dress").splitlines()
    assert found == [line.split()[1] for line in by_python if RANKED.match(line)]
    refused = run(stack, *program, "x" * 2_001)
    assert refused.returncode == 1
    assert "2,000" in refused.stderr


def test_langchain(stack: Any, packages: Path) -> None:
    """The retriever's documents are the products that keep to its filter."""
    program = (sys.executable, EXAMPLES / "langchain" / "retriever.py")
    shown = output(stack, *program, "red", "dress", PYTHONPATH=str(packages))
    assert len(RANKED.findall(shown)) == 5
