import os
from pathlib import Path

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
