"""`vitrine record`: what it sends of a file, what it shows, and what it refuses before anything is sent."""

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from vitrine.cli import main
from vitrine.commands.record import read_events
from vitrine.domain import limits


def test_events_go_in_messages_and_refusals_are_shown(script: Any, tmp_path: Path) -> None:
    """Each message has as many as one may have; a refusal is a line, and the exit status says so."""
    file = tmp_path / "events.jsonl"
    file.write_text(
        "".join(f'{{"id": "e{i}", "kind": "KIND_CART"}}\n\n' for i in range(limits.MAX_EVENTS + 1))
    )
    runner = CliRunner(env={"VITRINE_ADDRESS": script.address})
    result = runner.invoke(main, ["record", str(file)])
    assert result.exit_code == 1, result.output
    assert [len(request.events) for request in script.requests] == [limits.MAX_EVENTS, 1]
    shown = " ".join(result.stdout.split())
    assert shown == (
        "1,200 recorded, 0 known already, 0 beyond the caps, 1 refused e1: time: must say when it happened"
    )
    assert '"rejected": "1"' in runner.invoke(main, ["record", str(file), "--json"]).stdout


def test_a_line_that_is_no_event_is_named(tmp_path: Path) -> None:
    """What is no JSON, has an unknown field or too many lines is told, and nothing is sent."""
    file = tmp_path / "events.jsonl"
    for text in ("{}\n{", '{}\n{"colour": 1}', "{}\n\xff"):
        file.write_bytes(text.encode("latin-1"))
        with pytest.raises(click.UsageError, match="line 2 is no event"):
            read_events(file)
    file.write_text("{}\n" * (limits.MAX_STREAM_EVENTS + 1))
    with pytest.raises(click.UsageError, match="10,000 events"):
        read_events(file)
