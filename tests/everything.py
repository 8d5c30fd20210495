"""Runs everything that must hold, part by part, and ends with what ran, what was skipped, and how long it took.

The real Milvus mostly waits for its own clocks, and a stack for processes that come and go. So a few parts run beside
each other, those that take longest first; the output of each is shown when it has ended.
A part that fails stops no other part; the exit status is 1 if any did.

Where CI is set, tests that failed run once more, alone, in a process and on a stack of their own. The summary names those
that passed only then, so that they are mended. A test that fails twice fails the run (docs/decisions/0024).
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parents[1]
REPORTS = ROOT / "build" / "reports"
SHARED = REPORTS / "shared"
"""What several parts need and one of them makes (tests/conftest.py)."""
AT_ONCE = 3
"""Parts beside each other. Two leave cores idle while both wait; a fourth would take memory and gain nothing."""
PART_S = 1_800
"""How long a part may take."""
STOP_S = 60
"""How long an interrupted part may take to stop what it has started."""
POLL_S = 0.2
TELL_S = 60
"""How often it says what runs, while no part has ended."""
MOST_AGAIN = 10
"""Failed tests of a part that run once more. More of them are no bad luck, unless all have one error, as of a stack that did
not start."""
TESTS_FAILED = 1
"""Pytest's exit status where tests failed, and nothing else went wrong."""
SLOWEST = 10
LONGEST_REASON = 300
SETUP_VARIABLE = "VITRINE_SETUP_S"
"""Seconds that the setup before this took, for the summary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A command that must succeed."""

    name: str
    command: tuple[str, ...]
    again: tuple[str, ...] = ()
    """What is added to the command to run the tests that failed once more; empty where it has no tests."""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """A test of a report; `skipped` is the reason, `failure` the first line of the error, or both are empty."""

    name: str
    seconds: float
    skipped: str = ""
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A part that has run: its exit status, its time and that of the processors, in seconds, and its tests."""

    name: str
    status: int
    seconds: float
    cpu_s: float
    tests: Sequence[Test] = ()
    lucky: Sequence[Test] = ()
    """Tests that failed at first, and passed when they ran once more."""


def _tests(name: str, *command: str) -> Part:
    """Return a part that runs pytest, leaves a report, and remembers by itself what failed."""
    return Part(
        name=name,
        command=(
            *(
                sys.executable,
                *command,
                "-q",
                "--durations=10",
                "-o",
                f"cache_dir={REPORTS / 'cache' / name}",
            ),
            f"--junitxml={_report(name)}",
        ),
        again=(
            "-n",
            "0",
            "--last-failed",
            "--last-failed-no-failures=none",
            f"--junitxml={_report(name, again=True)}",
        ),
        environment={"COVERAGE_FILE": str(_coverage(name))},
    )


def _without(paths: Sequence[str]) -> Iterator[str]:
    return (f"--ignore={path}" for path in paths)


def _report(name: str, *, again: bool = False) -> Path:
    return REPORTS / f"{name}{'-again' if again else ''}.xml"


def _coverage(name: str) -> Path:
    return REPORTS / f"coverage-{name}"


MODELS = (
    *("tests/unit/encoders", "tests/unit/export", "tests/integration/test_tensorrt.py"),
    *(f"tests/unit/rewriter/{name}" for name in ("test_training_grammar.py", "test_injections.py")),
)
"""What trains and exports, and what tries very many turns. Nothing counts what they cover: they cover what serves not at
all, or no other lines than quicker tests do, and counting costs a quarter of their time and more."""
ELSEWHERE = tuple(
    f"tests/integration/{name}"
    for name in ("browser", "test_bench_load.py", "test_bulk.py", "test_two_writers.py")
)
"""What shares a stack too, and takes half of the time: it runs on a second stack."""
SIDE_BY_SIDE = ("-n", "logical", "--maxprocesses", "4")
COVERAGE = ("--cov", "--cov-append", "--cov-report=", "--cov-fail-under=0")

# What waits for clocks and processes comes first, and what computes all the time last, so that no core is idle at the end.
PARTS = (
    _tests("own-stacks", "-m", "pytest", "tests/integration", "-m", "own_stack", *_without(MODELS)),
    _tests("milvus", "tests/contract/milvus_server.py"),
    # By file: what a file's tests share is made once, and not in every process.
    _tests(
        "unit",
        *("-m", "pytest", "tests/chaos", "tests/unit", *_without(MODELS)),
        *(*SIDE_BY_SIDE, "--dist", "loadfile", *COVERAGE),
    ),
    _tests("second-stack", "-m", "pytest", *ELSEWHERE, "-m", "not own_stack"),
    # By module: an index is filled once, and not in every process. What these two cover has a floor (pyproject.toml).
    _tests(
        "contract",
        *("-m", "pytest", "tests/contract", "-m", "not milvus_server", "-n", "2", "--dist", "loadscope"),
        *COVERAGE,
    ),
    _tests(
        "shared-stack",
        *("-m", "pytest", "tests/integration", "-m", "not own_stack"),
        *(*_without(MODELS), *_without(ELSEWHERE)),
    ),
    _tests("models", "-m", "pytest", *MODELS, *SIDE_BY_SIDE, "--dist", "loadfile"),
    _tests("fuzz", "-m", "pytest", "tests/fuzz", *SIDE_BY_SIDE),
    Part(name="lint", command=("make", "lint")),
    Part(name="breaking", command=("make", "breaking")),
)
_COMBINE = """
from coverage.cmdline import main
import sys
sys.exit(main(["combine", "-q", *sys.argv[1:]]) or main(["report", "--format=total"]))
"""
COVERED = Part(
    name="coverage",
    command=(sys.executable, "-c", _COMBINE, *(str(_coverage(name)) for name in ("unit", "contract"))),
)
"""Holds what unit and contract tests covered together against the floor, once both have run."""


def main() -> int:
    """Run the parts and print the summary; return the exit status."""
    shutil.rmtree(REPORTS, ignore_errors=True)
    REPORTS.mkdir(parents=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    processes = Processes()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = [pool.submit(_run, part, processes) for part in PARTS]
        try:
            while wait(running, TELL_S).not_done:
                _say(f"== running: {', '.join(processes.names())}")
            ran = [each.result() for each in running]
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            processes.stop()
            raise
    ran.append(_run(COVERED, processes))
    print("\n".join(summary(ran, setup_s=os.environ.get(SETUP_VARIABLE, ""))))
    return int(any(each.status for each in ran))


def summary(ran: Sequence[Ran], *, setup_s: str) -> Iterator[str]:
    """Yield the lines of the summary: the parts, the skips with their reasons, the lucky and the slowest tests."""
    yield f"\n{'part':14}{'result':8}{'passed':>8}{'failed':>8}{'skipped':>9}{'time':>14}{'CPU':>14}"
    if setup_s:
        yield f"{'setup':14}{'ok':8}{'':25}{_duration(float(setup_s)):>14}"
    for each in ran:
        failed, skipped = (
            sum(bool(test.failure) for test in each.tests),
            sum(bool(test.skipped) for test in each.tests),
        )
        counts = f"{len(each.tests) - failed - skipped:8,}{failed:8,}{skipped:9,}" if each.tests else " " * 25
        result = f"exit {each.status}" if each.status else "ok"
        yield f"{each.name:14}{result:8}{counts}{_duration(each.seconds):>14}{_duration(each.cpu_s):>14}"
    tests = [test for each in ran for test in each.tests]
    yield "\nskipped, with the reason:"
    reasons = Counter(test.skipped for test in tests if test.skipped)
    yield from (f"{count:5,} x {reason}" for reason, count in reasons.most_common())
    yield from [] if reasons else ["      none"]
    if lucky := [test for each in ran for test in each.lucky]:
        yield "\nFAILED AT FIRST, and passed when run again; to be mended:"
        for test in lucky:
            yield from (f"  {test.name}", f"      {test.failure}")
    yield "\nthe slowest tests, with their fixtures:"
    slowest = sorted(tests, key=lambda test: -test.seconds)[:SLOWEST]
    yield from (f"{test.seconds:7.1f} s  {test.name}" for test in slowest)


class Processes:
    """Runs commands, each in a session of its own, so that whatever a command has started can be stopped with it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._groups: dict[int, str] = {}
        self._stopped = False

    def run(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> tuple[int, float]:
        """Run a command to its end or its deadline; return the exit status and the seconds of the processors."""
        with self._lock, log.open("ab") as output:
            if self._stopped:
                return -signal.SIGINT, 0.0
            # Parts beside each other compute on one core each.
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "OMP_NUM_THREADS": "1", "VITRINE_TEST_SHARED": str(SHARED), **environment},
                start_new_session=True,
            )
            self._groups[process.pid] = log.stem
        try:
            return _wait(process)
        finally:
            with self._lock:
                del self._groups[process.pid]

    def names(self) -> list[str]:
        """Return what runs, by the names of the logs."""
        with self._lock:
            return list(self._groups.values())

    def stop(self) -> None:
        """End what runs, and start nothing more."""
        with self._lock:
            self._stopped = True
        for stop in (signal.SIGINT, signal.SIGKILL):
            for group in list(self._groups):
                _signal(group, stop)
            give_up = time.monotonic() + STOP_S
            while self._groups and time.monotonic() < give_up:
                time.sleep(POLL_S)


def _wait(process: "subprocess.Popen[bytes]") -> tuple[int, float]:
    """Wait for a process and count what it used, with all that it has waited for itself; end it at its deadline."""
    give_up = time.monotonic() + PART_S
    stops = iter((signal.SIGINT, signal.SIGKILL))
    while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
        if time.monotonic() > give_up:
            _signal(process.pid, next(stops, signal.SIGKILL))
            give_up += STOP_S
        time.sleep(POLL_S)
    _, status, used = ended
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, used.ru_utime + used.ru_stime


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _run(part: Part, processes: Processes) -> Ran:
    """Run a part, where CI is set what failed of it once more, and show what it printed."""
    _say(f"== {part.name} begins")
    begun = time.monotonic()
    log = REPORTS / f"{part.name}.log"
    status, cpu_s = processes.run(part.command, log, part.environment)
    tests, lucky = _read_report(_report(part.name)), []
    failed = {test.name: test for test in tests if test.failure}
    if status == TESTS_FAILED and part.again and os.environ.get("CI") and may_be_luck([*failed.values()]):
        # What a worker died of, xdist itself may have run again.
        passed = {test.name: test for test in tests if _passed(test)}
        status = 0
        if not failed.keys() <= passed.keys():
            status, more_s = processes.run((*part.command, *part.again), log, part.environment)
            cpu_s += more_s
            again = _read_report(_report(part.name, again=True))
            passed |= {test.name: test for test in again if _passed(test)}
        # Whatever the second run says, none of the failed may be missing from it.
        status = status or int(not failed.keys() <= passed.keys())
        tests = [*{test.name: passed.get(test.name, test) for test in tests}.values()]
        lucky = [test for name, test in failed.items() if name in passed]
    seconds = time.monotonic() - begun
    _say(f"== {part.name}\n{log.read_text(encoding='utf-8', errors='replace')}")
    return Ran(name=part.name, status=status, seconds=seconds, cpu_s=cpu_s, tests=tests, lucky=lucky)


def may_be_luck(failed: Sequence[Test]) -> bool:
    """Return whether a second run of these may pass: they are few, or failed by one and the same error."""
    return 0 < len(failed) <= MOST_AGAIN or len({test.failure for test in failed}) == 1


def _passed(test: Test) -> bool:
    return not test.failure and not test.skipped


def _read_report(path: Path) -> list[Test]:
    """Read the tests of a report, if there is one."""
    if not path.exists():
        return []
    try:
        report = ET.parse(path)  # noqa: S314 - written by pytest a moment ago
    except ET.ParseError:  # pytest was killed while it wrote
        return []
    return [_read_test(case) for case in report.iter("testcase")]


def _read_test(case: ET.Element) -> Test:
    skipped = case.find("skipped")
    failed = next((found for kind in ("failure", "error") if (found := case.find(kind)) is not None), None)
    return Test(
        name=f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}",
        seconds=float(case.get("time", 0)),
        skipped="" if skipped is None else skipped.get("message", "without a reason"),
        failure="" if failed is None else _first_line(failed.get("message", "")),
    )


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or ["without a message"])[0][:LONGEST_REASON]


def _say(text: str) -> None:
    print(f"\n{text}", flush=True)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


if __name__ == "__main__":
    sys.exit(main())
