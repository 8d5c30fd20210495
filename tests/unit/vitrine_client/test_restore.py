"""What `vitrine restore` asks and shows."""

import json
from typing import Any

import pytest
from click.testing import CliRunner
from google.rpc import code_pb2

from vitrine.cli import main
from vitrine.v1.catalogue_pb2 import RestoreIndexRequest


def restore(script: Any, *arguments: str) -> Any:
    return CliRunner(env={"VITRINE_ADDRESS": script.address}).invoke(main, ["restore", *arguments])


def test_the_index_before_is_put_back(script: Any) -> None:
    """Both indexes are named with their products, and one that is wanted goes along."""
    result = restore(script)
    assert result.exit_code == 0, result.output
    assert " ".join(result.stdout.split()) == (
        "products_1 with 3,000 products is in use again, in the place of products_2 with 1,200"
    )
    answer = json.loads(restore(script, "--index", "products_1", "--json").stdout)
    assert answer["replaced"]["index"] == "products_2"
    assert [request.index for request in script.requests] == ["", "products_1"]


def test_the_indexes_that_are_kept_are_listed(script: Any) -> None:
    """Each has its products, its encoders and what can be done with it; nothing is put back."""
    shown = [" ".join(line.split()) for line in restore(script, "--list").stdout.splitlines()]
    assert "products_2 1,200 0123456789ab in use" in shown
    assert any(line.startswith("products_1 3,000 m-1 before: `vitrine restore`") for line in shown)
    assert any(line.startswith("products_3 7 m-1 unfinished") for line in shown)
    listed = json.loads(restore(script, "--list", "--json").stdout)
    assert [each["state"] for each in listed["indexes"]] == [
        "STATE_IN_USE",
        "STATE_BEFORE",
        "STATE_UNFINISHED",
    ]


def test_a_refusal_is_one_line(script: Any) -> None:
    """What the service says comes through, with the exit status of a refusal."""
    script.fail(code_pb2.FAILED_PRECONDITION, "there is no index before the one in use")
    result = restore(script)
    assert result.exit_code == 1
    assert "there is no index before the one in use" in result.stderr


@pytest.mark.parametrize(
    ("encoders", "words"),
    [
        (("m-1",), ""),
        (("m-1", "0123456789abcdef"), "products_2 is of encoders that serve: it stays"),
        (("others",), "products_2 stays: no index before it is of encoders that serve"),
    ],
)
def test_after_a_roll_back_the_index_of_the_encoders_that_serve_is_put_back(
    script: Any, encoders: tuple[str, ...], words: str
) -> None:
    """With --if-unserved nothing changes where the index in use is served, or where the one before would not be."""
    script.encoders = encoders
    result = restore(script, "--if-unserved", "--wait", "5")
    assert (result.exit_code, result.stderr.strip()) == (0, words)
    restored = [each for each in script.requests if isinstance(each, RestoreIndexRequest)]
    assert len(restored) == (not words)
