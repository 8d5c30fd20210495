"""The modules of the page that touch no document, run by Node.js; they need neither a browser nor the stack."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storefront.bridge import PAGE

NODE = shutil.which("node")
NODE_S = 60

pytestmark = pytest.mark.skipif(NODE is None, reason="no Node.js is installed: make setup-test")

Evaluate = Callable[..., Any]


def field(name: str, kind: str, role: str = "UNSPECIFIED", **rest: Any) -> dict[str, Any]:
    """Return a field of a schema in protobuf's JSON mapping."""
    return {"name": name, "kind": f"FIELD_KIND_{kind}", "role": f"FIELD_ROLE_{role}", "labels": {}, **rest}


DESCRIBED = {
    "products": "1200",
    "versions": {"index": "crates_1"},
    "schema": {
        "name": "crates",
        "currency": "NOK",
        "fields": [
            field("code", "KEYWORD", "ID"),
            field("name", "TEXT", "TITLE"),
            field("maker", "KEYWORD", "BRAND", filter=True, sort=True),
            field("wood", "KEYWORDS", filter=True, facet=True, labels={"en": "timber", "de": "Holz"}),
            field("shape", "KEYWORD", "CATEGORY", filter=True, facet=True),
            field("cost", "MONEY", "PRICE", filter=True, facet=True, sort=True),
            field("year_made", "NUMBER", filter=True, sort=True),
            field("stackable", "BOOLEAN", filter=True, facet=True),
            field("story", "TEXT", "DESCRIPTION"),
            field("advice", "TEXT"),
        ],
    },
    "fields": [
        {"name": "maker", "values": ["ACME"]},
        {"name": "wood", "values": ["oak", "pine"]},
        {"name": "shape", "values": ["box", "tray"]},
    ],
}
CRATE = {
    "id": "c1",
    "title": "of an old client",
    "price": 1.0,
    "fields": {
        "name": {"text": "oak box"},
        "maker": {"text": "ACME"},
        "wood": {"texts": {"values": ["oak", "pine"]}},
        "shape": {"text": "box"},
        "cost": {"number": 1259.5},
        "year_made": {"number": 2019.0},
        "stackable": {"boolean": False},
        "story": {"text": "long"},
        "advice": {"text": "keep dry"},
    },
}


@pytest.fixture
def evaluate(tmp_path: Path) -> Evaluate:
    """Return what evaluates an expression over the page's pure modules, with `given` by its names in scope."""
    for path in PAGE.glob("*.js"):
        shutil.copy(path, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')

    def run(expression: str, **given: Any) -> Any:
        script = "".join(
            f'import * as {name} from "./{name}.js";\n'
            for name in ("fields", "filters", "entrance", "feedback")
        )
        script += "".join(f"const {name} = {json.dumps(value)};\n" for name, value in given.items())
        script += f"const known = fields.readCatalogue({json.dumps(DESCRIBED)});\n"
        script += f"console.log(JSON.stringify({expression}) ?? 'null');\n"
        (tmp_path / "main.js").write_text(script)
        assert NODE is not None
        done = subprocess.run(
            [NODE, "main.js"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=NODE_S,
            check=False,
            env={"LC_ALL": "en_US.UTF-8"},
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.mark.parametrize("path", sorted(PAGE.glob("*.js")), ids=lambda path: path.name)
def test_every_module_is_well_formed(path: Path, tmp_path: Path) -> None:
    """Node.js can read each file as a module."""
    module = shutil.copy(path, tmp_path / f"{path.stem}.mjs")
    assert NODE is not None
    checked = subprocess.run(
        [NODE, "--check", module], capture_output=True, text=True, timeout=NODE_S, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_card_is_made_of_roles_and_labels(evaluate: Evaluate) -> None:
    """Title, brand, category and price come by their roles, further short values by their labels."""
    shown = evaluate(
        "{ title: fields.titleOf(known, crate), kind: fields.kindOf(known, crate),"
        " price: fields.priceOf(known, crate), traits: fields.traitsOf(known, crate) }",
        crate=CRATE,
    )
    assert shown["title"] == "oak box"
    assert shown["kind"] == "ACME · box"
    assert shown["price"].replace("\N{NO-BREAK SPACE}", " ") == "NOK 1,259.50"
    assert shown["traits"] == [
        {"label": "timber", "value": "oak, pine"},
        {"label": "year made", "value": "2019"},
        {"label": "stackable", "value": "no"},
    ]


def test_what_a_product_lacks_is_not_shown(evaluate: Evaluate) -> None:
    """Without a title the id is shown, without a price nothing, and a price of 0 is a price."""
    expression = "[[{ id: 'c2', fields: {} }, { id: 'c3', fields: { cost: { number: 0 } } }].map((product) => [fields.titleOf(known, product), fields.priceOf(known, product), fields.kindOf(known, product)])]"
    ((bare, free),) = evaluate(expression)
    assert bare == ["c2", "", ""]
    assert free[1].replace("\N{NO-BREAK SPACE}", " ") == "NOK 0.00"


def test_what_was_read_in_the_picture_is_marked(evaluate: Evaluate) -> None:
    """A value that the shop did not say has its mark, and a caption stands for a title that is not there."""
    read = {**CRATE, "inferred": ["shape", "stackable"], "caption": "an oak box", "caption_by": "fields"}
    shown = evaluate(
        "{ kind: fields.kindOf(known, crate), traits: fields.traitsOf(known, crate), caption: fields.captionOf(known, crate) }",
        crate=read,
    )
    assert shown["kind"] == "ACME · box (from the picture)"
    assert [trait.get("inferred", False) for trait in shown["traits"]] == [False, False, True]
    assert shown["caption"] == "an oak box"
    untitled = {"id": "c4", "fields": {}, "caption": "an oak box"}
    assert evaluate("[fields.titleOf(known, crate), fields.captionOf(known, crate)]", crate=untitled) == [
        "an oak box",
        "",
    ]


def test_a_page_that_knows_no_schema_shows_what_old_clients_read(evaluate: Evaluate) -> None:
    """Before the catalogue is described, a product's plain title and price are shown, without a currency."""
    expression = "[fields.titleOf(fields.UNKNOWN, crate), fields.priceOf(fields.UNKNOWN, crate), fields.traitsOf(fields.UNKNOWN, crate)]"
    assert evaluate(expression, crate=CRATE) == ["of an old client", "1.00", []]


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({"equals": {"field": "wood", "value": {"text": "oak"}}}, "timber: oak"),
        ({"equals": {"field": "stackable", "value": {"boolean": True}}}, "stackable: yes"),
        ({"equals": {"field": "year_made", "value": {"number": 2019}}}, "year made: 2019"),
        ({"one_of": {"field": "shape", "values": [{"text": "box"}, {"text": "tray"}]}}, "shape: box or tray"),
        ({"range": {"field": "year_made", "minimum": 1990, "maximum": 2019}}, "year made 1990 to 2019"),
        ({"range": {"field": "cost", "maximum": 80, "exclusive_maximum": True}}, "cost under NOK 80.00"),
        ({"range": {"field": "cost", "minimum": 80}}, "cost from NOK 80.00"),
        ({"negation": {"equals": {"field": "wood", "value": {"text": "oak"}}}}, "timber: not oak"),
        ({"negation": {"range": {"field": "year_made", "minimum": 1990}}}, "not (year made from 1990)"),
        ({"equals": {"field": "of_a_newer_schema", "value": {"text": "x"}}}, "of a newer schema: x"),
        (
            {
                "any_of": {
                    "filters": [
                        {"equals": {"field": "wood", "value": {"text": "oak"}}},
                        {"equals": {"field": "shape", "value": {"text": "tray"}}},
                    ]
                }
            },
            "timber: oak or shape: tray",
        ),
    ],
)
def test_a_condition_in_words_has_labels(evaluate: Evaluate, condition: dict[str, Any], words: str) -> None:
    """Conditions are read by the labels of the schema, numbers and money by their kinds."""
    shown = evaluate("filters.inWords(condition, known)", condition=condition)
    assert shown.replace("\N{NO-BREAK SPACE}", " ") == words


def test_a_facet_adds_its_condition_and_takes_it_away(evaluate: Evaluate) -> None:
    """The first click adds a condition to those that hold, the second takes it away, in whatever case it was read."""
    shape = {"equals": {"field": "shape", "value": {"text": "Box"}}}
    one, two, back, none = evaluate(
        "[filters.toggled(null, oak), filters.toggled(shape, oak),"
        " filters.toggled(filters.toggled(shape, oak), box), filters.toggled(oak, oak)]",
        oak={"equals": {"field": "wood", "value": {"text": "oak"}}},
        box={"equals": {"field": "shape", "value": {"text": "box"}}},
        shape=shape,
    )
    oak = {"equals": {"field": "wood", "value": {"text": "oak"}}}
    assert one == oak
    assert two == {"all_of": {"filters": [shape, oak]}}
    assert back == oak
    assert none is None


def test_a_range_takes_the_place_of_the_one_before(evaluate: Evaluate) -> None:
    """A field has one range at a time, its bounds in order; without bounds it has none."""
    replaced, removed, swapped, none = evaluate(
        "[filters.ranged(both, 'cost', filters.between('cost', undefined, 50)), filters.ranged(both, 'cost', null),"
        " filters.between('cost', 9, 5), filters.between('cost', undefined, undefined)]",
        both={
            "all_of": {
                "filters": [
                    {"range": {"field": "cost", "minimum": 5}},
                    {"range": {"field": "year_made", "minimum": 1990}},
                ]
            }
        },
    )
    year = {"range": {"field": "year_made", "minimum": 1990}}
    assert replaced == {"all_of": {"filters": [year, {"range": {"field": "cost", "maximum": 50}}]}}
    assert removed == year
    assert swapped == {"range": {"field": "cost", "minimum": 5, "maximum": 9}}
    assert none is None


def test_boolean_facets_give_boolean_conditions(evaluate: Evaluate) -> None:
    """The words "true" and "false" of a boolean's facet become values of its kind."""
    assert evaluate("[filters.having('stackable', 'false', true), filters.having('wood', 'true')]") == [
        {"equals": {"field": "stackable", "value": {"boolean": False}}},
        {"equals": {"field": "wood", "value": {"text": "true"}}},
    ]


def test_orders_are_those_that_the_schema_allows(evaluate: Evaluate) -> None:
    """Each field that is sorted by stands in the menu both ways, numbers and words in words of their own."""
    assert [sort["label"] for sort in evaluate("fields.sortsOf(known)")] == [
        "maker: A to Z",
        "maker: Z to A",
        "cost: low to high",
        "cost: high to low",
        "year made: low to high",
        "year made: high to low",
    ]


def test_examples_are_in_the_catalogues_own_words(evaluate: Evaluate) -> None:
    """An example joins a value of a keyword with the category; the second one names a price that holds."""
    products = [CRATE, {**CRATE, "fields": {**CRATE["fields"], "shape": {"text": "tray"}}}]
    assert evaluate("entrance.examples(known, products)", products=products) == [
        "oak box",
        "oak tray under 2000",
    ]
    said = {**CRATE, "fields": {**CRATE["fields"], "wood": {"text": "Tea Box"}}}
    assert evaluate("entrance.examples(known, products)", products=[said]) == ["Tea Box"]


def test_the_entrance_begins_with_the_category_or_the_first_keyword(evaluate: Evaluate) -> None:
    """A catalogue without a category is entered by another field that has values; one without any by none."""
    without = "fields.readCatalogue({ schema: { fields: known.fields.map((each) => ({ ...each, role: each.role === 'FIELD_ROLE_CATEGORY' ? '' : each.role })) }, fields: [{ name: 'wood', values: ['oak'] }] })"
    assert evaluate(
        f"[entrance.leadField(known).name, entrance.leadField({without}).name, entrance.leadField(fields.UNKNOWN)]"
    ) == ["shape", "wood", None]
    assert evaluate(
        "[entrance.tileLabel(known, known.byName.get('shape'), 'box'), entrance.tileLabel(known, known.byName.get('wood'), 'oak')]"
    ) == ["box", "timber: oak"]


def test_a_chosen_product_is_told_by_its_place_in_its_answer(evaluate: Evaluate) -> None:
    """One click with the answer's token goes out; without a token, or of a product that is not there, nothing does."""
    sends = """await (async () => {
      const sent = [];
      globalThis.fetch = async (path, { body }) => {
        sent.push([path, JSON.parse(body.get("request"))]);
        return new Response("{}");
      };
      for (const token of ["t.1.m", ""]) {
        const answer = { answer_token: token, hits: [{ product_id: "c7" }, { product_id: "c1" }] };
        for (const id of ["c1", "c9"]) await feedback.chosen(answer, id);
      }
      await feedback.chosen(undefined, "c1");
      return sent;
    })()"""
    ((path, request),) = evaluate(sends)
    (event,) = request["events"]
    assert path == "/events"
    assert len(event.pop("id")) == 32
    assert event.pop("time").endswith("Z")
    assert event == {"kind": "KIND_CLICK", "product_id": "c1", "answer_token": "t.1.m", "position": 2}
