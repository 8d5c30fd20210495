import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from stack import record
from stack.processes import identify, marked
from stack.record import Phase, StackRecord, State
from stack.runner import Pace
from stack.services import Service
from stack.settings import MARKER
from stack.supervisor import Supervisor

MakeService = Callable[..., Service]
MakeSupervisor = Callable[[Sequence[Service]], Supervisor]


@pytest.fixture
def make_supervisor(tmp_path: Path, pace: Pace) -> MakeSupervisor:
    """Give a maker of supervisors whose record is at tmp_path/stack.json."""
    own = identify(os.getpid())
    assert own
    initial = StackRecord(supervisor=own, phase=Phase.STARTING, fingerprint="f", services=())

    def make(services: Sequence[Service]) -> Supervisor:
        return Supervisor(
            services, path=tmp_path / "stack.json", initial=initial, log_folder=tmp_path, pace=pace
        )

    return make


async def until_phase(path: Path, phase: Phase) -> StackRecord:
    async with asyncio.timeout(60):
        while True:
            current = record.read(path)
            if current and current.phase is phase:
                return current
            await asyncio.sleep(0.01)


async def test_services_start_in_order_and_stop_in_reverse(
    make_service: MakeService, make_supervisor: MakeSupervisor, tmp_path: Path
) -> None:
    """Each service starts when the one before it is ready; they end the other way round, and the record with them."""
    steps: list[str] = []

    def service(name: str) -> Service:
        return make_service(
            "sleeper",
            name=name,
            prepare=lambda: steps.append(f"start {name}"),
            clean=lambda: steps.append(f"end {name}"),
        )

    supervisor = asyncio.create_task(make_supervisor([service("a"), service("b")]).run())
    current = await until_phase(tmp_path / "stack.json", Phase.UP)
    assert [each.state for each in current.services] == [State.READY, State.READY]
    os.kill(os.getpid(), signal.SIGTERM)
    assert await supervisor is True
    assert steps == ["start a", "start b", "end b", "end a"]
    assert not (tmp_path / "stack.json").exists()
    assert marked(MARKER, str(tmp_path)) == []


async def test_failed_start_stops_the_rest_and_says_why(
    make_service: MakeService, make_supervisor: MakeSupervisor, tmp_path: Path
) -> None:
    """When a service cannot start, those before it are stopped, those after it never begin, and the record stays."""
    services = [make_service(p, name=n) for p, n in (("sleeper", "a"), ("crasher", "b"), ("sleeper", "c"))]
    assert await make_supervisor(services).run() is False
    current = record.read(tmp_path / "stack.json")
    assert current
    assert current.phase is Phase.FAILED
    assert current.failure == "b: exited with 3; last logged: cannot go on"
    assert [each.state for each in current.services] == [State.STOPPED, State.FAILED, State.STOPPED]
    assert marked(MARKER, str(tmp_path)) == []


async def test_stop_during_the_start_is_obeyed(
    make_service: MakeService, make_supervisor: MakeSupervisor, tmp_path: Path
) -> None:
    """SIGTERM while a service is still starting ends the start."""
    services = [make_service("stubborn", name="a", grace_s=0.2), make_service("sleeper", name="b")]
    supervisor = asyncio.create_task(make_supervisor(services).run())
    await until_phase(tmp_path / "stack.json", Phase.STARTING)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await supervisor is True
    assert marked(MARKER, str(tmp_path)) == []


async def test_second_signal_cuts_the_grace_short(
    make_service: MakeService, make_supervisor: MakeSupervisor, tmp_path: Path
) -> None:
    """A second SIGTERM ends a service that would use a minute's grace."""
    supervisor = asyncio.create_task(make_supervisor([make_service("stubborn", grace_s=60.0)]).run())
    await until_phase(tmp_path / "stack.json", Phase.UP)
    os.kill(os.getpid(), signal.SIGTERM)
    await until_phase(tmp_path / "stack.json", Phase.STOPPING)
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(60):
        assert await supervisor is True
