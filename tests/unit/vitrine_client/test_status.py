"""What `vitrine status` shows of the service and of the catalogue's fields."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner
from google.rpc import code_pb2
from rich.console import Console

from vitrine.cli import main
from vitrine.commands.status import fields_table
from vitrine.v1.catalogue_pb2 import DescribeResponse, FieldDescription
from vitrine.v1.schema_pb2 import FIELD_KIND_KEYWORD, CatalogueField, CatalogueSchema


def status(script: Any, *arguments: str) -> Any:
    return CliRunner(env={"VITRINE_ADDRESS": script.address}).invoke(main, ["status", *arguments])


@pytest.fixture
def rendered() -> Callable[..., list[str]]:
    """Return what renders the table of fields on a screen of so many columns."""

    def render(index: DescribeResponse, width: int) -> list[str]:
        buffer = io.StringIO()
        Console(file=buffer, width=width, highlight=False).print(fields_table(index))
        return [line.rstrip() for line in buffer.getvalue().splitlines()]

    return render


def test_status_shows_versions_and_the_schema(script: Any) -> None:
    """Health, versions, the number of products, the schema's name and its currency are shown."""
    lines = [line.split(maxsplit=1) for line in map(str.strip, status(script).stdout.splitlines())]
    for wanted in (
        ["health", "SERVING"],
        ["model", "m-1"],
        ["products", "3,000"],
        ["schema", "crates"],
        ["currency", "NOK"],
    ):
        assert wanted in lines


def test_status_lists_the_fields_of_the_schema(script: Any) -> None:
    """Each field has its label, its kind, what it is used for, and its values with counts or its range."""
    shown = [" ".join(line.split()) for line in status(script).stdout.splitlines()]
    for wanted in (
        "field label kind used for values",
        "code code keyword -",
        "title title text words, encoded",
        "wood timber keywords filter, facet oak (1,752), white pine (218)",
        "cost cost money filter, facet, sort 5 to 1,299.5 NOK",
        "weight_kg weight kg number filter, sort 1 to 40",
        "stackable stackable boolean filter, facet true (2,000), false (1,000)",
    ):
        assert wanted in shown


def test_status_shows_a_service_without_an_index(script: Any) -> None:
    """A service whose index is missing shows its health and ends with status 1."""
    script.fail(code_pb2.FAILED_PRECONDITION, "there is no index")
    result = status(script, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "address": script.address, "health": "SERVING", "index": None, "error": "there is no index",
    }  # fmt: skip


def test_fields_fit_a_screen_of_80_columns(rendered: Callable[..., list[str]]) -> None:
    """Long names and values wrap: no line is longer than the screen, and no letter is lost."""
    name, values = "n" * 48, [f"value-{'x' * 60}-{i}" for i in range(3)]
    index = DescribeResponse(
        schema=CatalogueSchema(
            fields=[CatalogueField(name=name, kind=FIELD_KIND_KEYWORD, filter=True, facet=True, lexical=True)]
        ),
        fields=[FieldDescription(name=name, type=FieldDescription.TYPE_TEXT, values=values)],
    )
    lines = rendered(index, 80)
    assert max(map(len, lines)) <= 80
    letters = "".join("".join(lines).split())
    assert letters.count("n") >= 2 * 48
    assert letters.count("x") == 3 * 60
    assert "…" not in letters


def test_a_long_list_of_values_is_cut_with_a_word(rendered: Callable[..., list[str]]) -> None:
    """Eight values are shown, then how many more there are, or that there are more than the service lists."""
    description = FieldDescription(
        name="f", type=FieldDescription.TYPE_TEXT, values=list("abcdefghij"), counts=range(10, 0, -1)
    )
    schema = CatalogueSchema(fields=[CatalogueField(name="f", kind=FIELD_KIND_KEYWORD)])
    index = DescribeResponse(schema=schema, fields=[description])
    assert rendered(index, 200)[1].endswith("h (3), and 2 more")
    index.fields[0].more_values = True
    assert rendered(index, 200)[1].endswith("h (3), and more")
