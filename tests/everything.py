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
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from xml.etree import ElementTree as ET

from tests.processes import Processes

ROOT = Path(__file__).parents[1]
REPORTS = ROOT / "build" / "reports"
SHARED = REPORTS / "shared"
"""What several parts need and one of them makes (tests/conftest.py)."""
AT_ONCE = 3
"""Parts beside each other. Two leave cores idle while both wait; a fourth would take memory and gain nothing."""
TELL_S = 60
"""How often it says what runs, while no part has ended."""
MOST_AGAIN = 10
"""Failed tests of a part that run once more. More of them are no bad luck, unless all have one error, as of a stack that did
not start."""
TESTS_FAILED = 1
"""Pytest's exit status where tests failed, and nothing else went wrong."""
INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
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
    for number in INTERRUPTS:
        signal.signal(number, _interrupt_once)
    processes = Processes()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            ran = _outcomes([pool.submit(_run, part, processes) for part in PARTS], processes)
            ran += _outcomes([pool.submit(_run, COVERED, processes)], processes)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            _say("== stopping what runs")
            processes.stop()
            raise
    print("\n".join(summary(ran, setup_s=os.environ.get(SETUP_VARIABLE, ""))))
    return int(any(each.status for each in ran))


def _outcomes(running: "Sequence[Future[Ran]]", processes: Processes) -> list[Ran]:
    """Return what has run when all of it has ended, and tell each minute what still runs."""
    while wait(running, TELL_S).not_done:
        _say(f"== running: {', '.join(processes.names())}")
    return [each.result() for each in running]


def _interrupt_once(number: int, frame: FrameType | None) -> None:
    """Interrupt the run, and let no further signal cut short how it stops: make and its caller may both send one."""
    for each in INTERRUPTS:
        signal.signal(each, lambda *_: None)
    signal.default_int_handler(number, frame)


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


def _run(part: Part, processes: Processes) -> Ran:
    """Run a part, where CI is set what failed of it once more, and show what it printed."""
    _say(f"== {part.name} begins")
    begun = time.monotonic()
    log = REPORTS / f"{part.name}.log"
    # Parts beside each other compute on one core each.
    environment = {"OMP_NUM_THREADS": "1", "VITRINE_TEST_SHARED": str(SHARED), **part.environment}
    status, cpu_s = processes.run(part.command, log, environment)
    tests, lucky = _read_report(_report(part.name)), []
    failed = {test.name: test for test in tests if test.failure}
    if status == TESTS_FAILED and part.again and os.environ.get("CI") and may_be_luck([*failed.values()]):
        # What a worker died of, xdist itself may have run again.
        passed = {test.name: test for test in tests if _passed(test)}
        status = 0
        if not failed.keys() <= passed.keys():
            status, more_s = processes.run((*part.command, *part.again), log, environment)
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
