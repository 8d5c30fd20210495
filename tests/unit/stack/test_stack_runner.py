import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stack.probes import Broken, Busy, NotReady, ProbeError, Slow, within
from stack.processes import is_alive, marked
from stack.record import State
from stack.runner import Pace, Runner, StartFailed, restart_delay_s
from stack.services import Service
from stack.settings import MARKER

MakeService = Callable[..., Service]
MakeRunner = Callable[..., Runner]


class Probe:
    """Answers what the test tells it to."""

    def __init__(self, problem: ProbeError | None = None) -> None:
        self.problem = problem
        self.asked = 0

    async def __call__(self, _: int) -> None:
        """Count the question, then answer it."""
        self.asked += 1
        if self.problem:
            raise self.problem


@pytest.fixture
def make_runner(make_service: MakeService, pace: Pace, tmp_path: Path) -> MakeRunner:
    """Give a maker of runners of tiny services."""

    def make(program: str, *, changed: Callable[[], None] = lambda: None, **changes: object) -> Runner:
        service = make_service(program, **changes)
        return Runner(service, log=tmp_path / "tiny.log", changed=changed, pace=pace)

    return make


@asynccontextmanager
async def kept(runner: Runner) -> AsyncIterator[None]:
    """Start and keep a service for the time of the block."""
    await runner.start()
    keeper = asyncio.create_task(runner.keep())
    try:
        yield
    finally:
        keeper.cancel()
        await asyncio.wait({keeper})
        await runner.stop()


async def until(true: Callable[[], bool], timeout_s: float = 60.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not true():  # noqa: ASYNC110 - what changes has no event to wait for
            await asyncio.sleep(0.01)


def test_backoff_doubles_up_to_its_cap() -> None:
    """The delays before restarts double from the first and stay at the cap, however many there are."""
    pace = Pace(backoff_s=0.5, max_backoff_s=30.0)
    delays = [restart_delay_s(failures, pace) for failures in (1, 2, 3, 6, 7, 8, 5_000)]
    assert delays == [0.5, 1, 2, 16, 30, 30, 30]


async def test_service_starts_and_stops(make_runner: MakeRunner) -> None:
    """A started service is ready with its process known; a stopped one has none left."""
    runner = make_runner("sleeper")
    await runner.start()
    process = runner.record.process
    assert process
    assert runner.record.state is State.READY
    assert is_alive(process)
    await runner.stop()
    assert (runner.record.state, runner.record.process) == (State.STOPPED, None)
    assert not is_alive(process)


async def test_start_that_crashes_says_why(make_runner: MakeRunner) -> None:
    """A service that ends while it starts fails at once, with its exit code and its last line."""
    runner = make_runner("crasher")
    with pytest.raises(StartFailed, match="exited with 3; last logged: cannot go on"):
        await runner.start()
    assert runner.record.state is State.FAILED


async def test_start_that_aborts_is_tried_once_more(make_runner: MakeRunner) -> None:
    """An engine that a signal ends while it starts gets a second start, and no third."""
    runner = make_runner("aborts once")
    await runner.start()
    assert (runner.record.state, runner.record.restarts) == (State.READY, 1)
    assert runner.record.last_failure.startswith("killed by SIGABRT")
    await runner.stop()
    runner = make_runner("aborts", ready=Probe(NotReady("waits")))
    with pytest.raises(StartFailed, match="killed by SIGABRT"):
        await runner.start()
    assert (runner.record.state, runner.record.restarts) == (State.FAILED, 1)


async def test_program_that_is_not_there_says_so(make_runner: MakeRunner) -> None:
    """A program that cannot be executed is a failed start like any other."""
    runner = make_runner("sleeper", command=("/no/such/program",))
    with pytest.raises(StartFailed, match="/no/such/program"):
        await runner.start()
    assert runner.record.state is State.FAILED


async def test_start_that_never_gets_ready_is_ended(make_runner: MakeRunner, tmp_path: Path) -> None:
    """A service that is not ready in time fails with what the probe found, and is not left running."""
    runner = make_runner("sleeper", ready=Probe(NotReady("waits")), start_timeout_s=0.2)
    with pytest.raises(StartFailed, match=r"not ready within 0.2 s: waits"):
        await runner.start()
    assert marked(MARKER, str(tmp_path)) == []


async def test_stubborn_service_is_killed_after_its_grace(make_runner: MakeRunner, tmp_path: Path) -> None:
    """SIGTERM comes first; what ignores it is killed once the grace is over, not before."""
    runner = make_runner("stubborn", grace_s=0.4)
    await runner.start()
    begin = time.monotonic()
    await runner.stop()
    assert time.monotonic() - begin >= 0.4
    assert marked(MARKER, str(tmp_path)) == []


async def test_descendants_end_with_the_service(make_runner: MakeRunner, tmp_path: Path) -> None:
    """The children of a service do not outlive it."""
    runner = make_runner("parent")
    await runner.start()
    await until(lambda: len(marked(MARKER, str(tmp_path))) == 2)
    await runner.stop()
    assert marked(MARKER, str(tmp_path)) == []


async def test_killed_service_comes_back(make_runner: MakeRunner) -> None:
    """A service that dies is started again, counted, and its end is remembered."""
    runner = make_runner("sleeper")
    async with kept(runner):
        first = runner.pid
        assert first
        os.kill(first, signal.SIGKILL)
        await until(lambda: runner.record.restarts == 1 and runner.record.state is State.READY)
        assert runner.pid not in {None, first}
        assert runner.record.last_failure == "killed by SIGKILL"


async def test_what_a_service_leaves_is_removed_before_it_starts_again(make_runner: MakeRunner) -> None:
    """After every end the service is cleaned up, and before every start it is prepared."""
    steps: list[str] = []
    runner = make_runner(
        "sleeper", prepare=lambda: steps.append("prepare"), clean=lambda: steps.append("clean")
    )
    async with kept(runner):
        assert runner.pid
        os.kill(runner.pid, signal.SIGKILL)
        await until(lambda: runner.record.restarts == 1 and runner.record.state is State.READY)
    assert steps == ["prepare", "clean", "prepare", "clean"]


async def test_crash_loop_waits_longer_each_time(make_runner: MakeRunner) -> None:
    """A service that cannot start again is tried with growing delays up to the cap."""
    backoffs: list[float] = []
    delays: list[float] = []

    def changed() -> None:
        if runner.record.state is State.BACKOFF:
            backoffs.append(time.monotonic())
        elif runner.record.state is State.STARTING and backoffs:
            delays.append(time.monotonic() - backoffs[-1])

    runner = make_runner("once", changed=changed)
    async with kept(runner):
        assert runner.pid
        os.kill(runner.pid, signal.SIGKILL)
        await until(lambda: len(delays) >= 4)
    assert all(delay >= least for delay, least in zip(delays, (0.05, 0.1, 0.2, 0.2), strict=False))
    assert runner.record.restarts >= 4
    assert "exited with 3" in runner.record.last_failure


async def test_stop_amid_a_crash_loop_leaves_nothing(make_runner: MakeRunner, tmp_path: Path) -> None:
    """A service that waits for its next start can be stopped like any other."""
    runner = make_runner("once")
    async with kept(runner):
        assert runner.pid
        os.kill(runner.pid, signal.SIGKILL)
        await until(lambda: runner.record.state is State.BACKOFF)
    assert runner.record.state is State.STOPPED
    assert marked(MARKER, str(tmp_path)) == []


async def test_broken_service_is_restarted_at_once(make_runner: MakeRunner) -> None:
    """One finding that a service cannot mend itself is enough, though its process is alive."""
    probe = Probe(Broken("a backend died"))
    runner = make_runner("sleeper", alive=probe)
    async with kept(runner):
        await until(lambda: runner.record.restarts == 1)
        assert probe.asked == 1
        assert runner.record.last_failure == "a backend died"


async def test_failing_probe_restarts_after_three(make_runner: MakeRunner) -> None:
    """A service whose probe fails three times in a row is restarted."""
    probe = Probe(ProbeError("wrong answer"))
    runner = make_runner("sleeper", alive=probe)
    async with kept(runner):
        await until(lambda: runner.record.state is State.UNWELL)
        await until(lambda: runner.record.restarts == 1)
        assert probe.asked == 3


async def test_passing_trouble_is_forgiven(make_runner: MakeRunner) -> None:
    """A right answer clears the strikes of the wrong ones before it."""
    probe = Probe(ProbeError("wrong answer"))
    runner = make_runner("sleeper", alive=probe)
    async with kept(runner):
        for _ in range(3):
            probe.problem = ProbeError("wrong answer")
            await until(lambda: runner.record.state is State.UNWELL)
            probe.problem = None
            await until(lambda: runner.record.state is State.READY)
        assert runner.record.restarts == 0


@pytest.mark.parametrize(("problem", "asked"), [(NotReady("waits"), 12), (Busy("full"), 12)])
async def test_waiting_and_overloaded_services_are_left_alone(
    make_runner: MakeRunner, problem: ProbeError, asked: int
) -> None:
    """A service that waits for another, or is overloaded, is shown as unwell and not restarted."""
    probe = Probe(problem)
    runner = make_runner("sleeper", alive=probe)
    async with kept(runner):
        await until(lambda: probe.asked >= asked)
        assert (runner.record.state, runner.record.restarts) == (State.UNWELL, 0)
        assert runner.record.reason == str(problem)


async def test_late_answer_is_slow() -> None:
    """A probe that outlasts its time is reported as slow, not waited for."""
    with pytest.raises(Slow, match=r"no answer within 0.05 s"):
        await within(asyncio.sleep(60), timeout_s=0.05)
