"""`vitrine index --infer-fields` and `--captions`: what is asked for, and what is told of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from catalogue.commands import index
from vitrine.v1.catalogue_pb2 import InferenceReport, InferredField


@pytest.fixture
def table(folder: Path) -> Path:
    path = folder / "products.csv"
    path.write_text("id,title,image,colour\np1,Cup,a.jpg,red\np2,Plate,b.jpg,\n")
    return path


def _run(shelf: Any, *arguments: object) -> Result:
    return CliRunner().invoke(index, [*map(str, arguments), "--address", shelf.address])


@pytest.mark.parametrize(
    ("arguments", "fields", "all_fields", "captions"),
    [
        (["--infer-fields"], [], True, False),
        (["--infer-fields=colour, pattern"], ["colour", "pattern"], False, False),
        (["--captions"], [], False, True),
        (["--infer-fields=colour", "--captions"], ["colour"], False, True),
    ],
)
def test_what_is_asked_for_reaches_the_service(
    shelf: Any, table: Path, arguments: list[str], *, fields: list[str], all_fields: bool, captions: bool
) -> None:
    """All fields, some by their names, captions, or both."""
    assert _run(shelf, table, *arguments).exit_code == 0
    asked = shelf.options[0].inference
    assert (list(asked.fields), asked.all_fields, asked.captions) == (fields, all_fields, captions)
    assert not asked.HasField("precision")


def test_without_the_option_nothing_is_asked_for(shelf: Any, table: Path) -> None:
    """An ordinary run reads no pictures, and its JSON says so."""
    result = _run(shelf, table, "--json")
    assert not shelf.options[0].HasField("inference")
    assert json.loads(result.stdout)["inference"] is None


def test_the_summary_says_what_was_filled_and_how_well(shelf: Any, table: Path) -> None:
    """A line a field: how many, how often right, or why it was left alone."""
    shelf.told = InferenceReport(
        fields=[
            InferredField(
                field="colour", products=7, empty=10, labelled=1_200, precision=0.954, coverage=0.71
            ),
            InferredField(
                field="brand", empty=3, labelled=900, reason="no confidence gives a precision of 0.9"
            ),
        ],
        captions=12,
    )
    result = _run(shelf, table, "--infer-fields", "--captions", "--precision", "0.95")
    assert shelf.options[0].inference.precision == 0.95
    assert result.stdout.splitlines()[1:] == [
        "  colour: read in the pictures of 7 of 10 products without one; of 1,200 whose value is known it is read in 71%, and 95.4% of that is right",
        "  brand: not read in the pictures: no confidence gives a precision of 0.9",
        "  12 have a caption made from their fields",
    ]


def test_a_failure_to_read_pictures_is_said_and_is_none_of_the_run(shelf: Any, table: Path) -> None:
    """The products are indexed; the same command tries again."""
    shelf.told = InferenceReport(
        fields=[InferredField(field="colour", empty=1)], failure="encoder is unavailable"
    )
    result = _run(shelf, table, "--infer-fields")
    assert result.exit_code == 0
    assert (
        "nothing more was read in the pictures: encoder is unavailable; the same command tries again"
        in result.stdout
    )
    assert "colour:" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--precision", "0.95"], "--precision goes with --infer-fields"),
        (["--infer-fields=colour,,x"], "--infer-fields= names fields, parted by commas"),
        (["--infer-fields", "--precision", "1"], "--precision"),
    ],
)
def test_bad_usage_is_a_line(shelf: Any, table: Path, arguments: list[str], message: str) -> None:
    """Before anything is sent."""
    result = _run(shelf, table, *arguments)
    assert (result.exit_code, shelf.options) == (2, [])
    assert message in result.output
