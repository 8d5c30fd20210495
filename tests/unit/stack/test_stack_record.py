import io
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from stack import record, status
from stack.processes import Identity, identify
from stack.record import Phase, ServiceRecord, StackRecord, State

GONE = Identity(pid=os.getpid(), ticks=0)


def stack_of(*services: ServiceRecord, phase: Phase = Phase.UP, alive: bool = True) -> StackRecord:
    own = identify(os.getpid())
    assert own
    return StackRecord(
        supervisor=own if alive else GONE, phase=phase, fingerprint="f", services=services, failure=""
    )


def ready(name: str) -> ServiceRecord:
    return ServiceRecord(name=name, address="a", state=State.READY, process=identify(os.getpid()), since=1.0)


def test_record_survives_the_file(tmp_path: Path) -> None:
    """What is written is what is read."""
    written = stack_of(ready("a"), ServiceRecord(name="b", address="x", reason="why"))
    record.write(tmp_path / "stack.json", written)
    assert record.read(tmp_path / "stack.json") == written


def test_the_record_is_for_its_own_user(tmp_path: Path) -> None:
    """It holds a digest of the settings, and a setting may be a password."""
    record.write(tmp_path / "stack.json", stack_of(ready("a")))
    assert (tmp_path / "stack.json").stat().st_mode & 0o777 == 0o600


def test_unreadable_record_is_none(tmp_path: Path) -> None:
    """A record that is absent, broken or of another version is no record."""
    path = tmp_path / "stack.json"
    assert record.read(path) is None
    for content in ("", "{", "[]", '{"services": []}', '{"services": [{"name": 1}]}'):
        path.write_text(content)
        assert record.read(path) is None


def test_stack_is_up_when_all_of_it_is_ready() -> None:
    """A stack is up with its supervisor alive and every service ready, and not otherwise."""
    assert status.is_up(stack_of(ready("a"), ready("b")))
    assert not status.is_up(None)
    assert not status.is_up(stack_of(ready("a"), alive=False))
    assert not status.is_up(stack_of(ready("a"), phase=Phase.STARTING))
    assert not status.is_up(stack_of(ready("a"), ServiceRecord(name="b", address="x")))


def test_record_of_a_gone_process_is_not_believed() -> None:
    """A service that the record calls ready, and whose process is gone, is shown as stopped."""
    current = stack_of(ServiceRecord(name="a", address="x", state=State.READY, process=GONE))
    assert not status.is_up(current)
    assert status.document(current)["services"][0]["state"] == "stopped"
    assert status.reasons(current) == ["a: the process is gone"]


def test_killed_supervisor_is_told() -> None:
    """Without its supervisor the stack says so."""
    current = stack_of(ready("a"), alive=False)
    assert status.document(current)["phase"] == "unsupervised"
    assert status.headline(current) == "the stack is without its supervisor, which was killed"


def test_age_is_told_in_two_units() -> None:
    """An age is shown in its two largest units."""
    assert [status.ago(1.0, now=1.0 + age) for age in (0, 59, 61, 3_600, 90_000)] == [
        "0 s",
        "59 s",
        "1 min 1 s",
        "1 h",
        "1 d 1 h",
    ]
    assert status.ago(0.0) == "-"


def rendered(current: StackRecord, **options: Any) -> list[str]:
    """Return the lines of the table on a screen of 80 columns."""
    buffer = io.StringIO()
    Console(file=buffer, width=80, highlight=False, **options).print(status.table(current))
    return [line.rstrip() for line in buffer.getvalue().splitlines()]


def test_status_fits_a_screen_of_80_columns() -> None:
    """States, times and names stay whole; only a long address is broken into lines, and nothing of it is lost."""
    socket = "unix:/srv/" + "x" * 60 + "/milvus.sock"
    services = [
        replace(ready(name), state=state, address=socket, since=time.time() - 100_000, restarts=12)
        for name, state in (("storefront", State.UNWELL), ("milvus", State.READY))
    ]
    lines = rendered(stack_of(*services))
    assert max(map(len, lines)) <= 80
    assert [line.split()[:2] for line in lines if "h" in line.split()] == [
        ["storefront", "unwell"],
        ["milvus", "ready"],
    ]
    assert "1 d 3 h" in lines[1]
    letters = "".join(lines)
    assert (letters.count("x"), "…" in letters) == (2 * 61, False)  # "unix" has one too


def test_a_socket_is_shown_below_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the command is run in the folder of the project, the path begins there."""
    monkeypatch.chdir(tmp_path)
    current = stack_of(replace(ready("milvus"), address=f"unix:{tmp_path}/build/milvus.sock"))
    assert rendered(current)[1].endswith(" unix:build/milvus.sock")


def test_colours_are_left_out_where_that_is_asked_for() -> None:
    """With NO_COLOR a terminal gets no colour; otherwise what is ready is green."""
    current = stack_of(ready("a"))
    terminal = {"force_terminal": True, "color_system": "standard"}
    assert "\x1b[32mready" in "".join(rendered(current, _environ={}, **terminal))
    assert "\x1b[3" not in "".join(rendered(current, _environ={"NO_COLOR": "1"}, **terminal))
