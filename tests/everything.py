"""Runs everything that must hold, part by part, and ends with what ran, what was skipped, and how long it took.

The real Milvus mostly waits for its own clocks, and a stack for processes that come and go. So the parts run in two
lanes side by side; the output of the second one is shown when the first has ended.
A part that fails stops no other part; the exit status is 1 if any did.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parents[1]
REPORTS = ROOT / "build" / "reports"
BESIDE_LOG = REPORTS / "beside.log"
BESIDE_RAN = REPORTS / "beside.json"
LATE_S = 900
"""How long the second lane may go on after the first."""
STOP_S = 60
"""How long an interrupted part may take to stop what it has started."""
SLOWEST = 10
SETUP_VARIABLE = "VITRINE_SETUP_S"
"""Seconds that the setup before this took, for the summary."""

_BESIDE = "--beside"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A command that must succeed."""

    name: str
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A part that has run: its exit status, its time and that of the processors, in seconds."""

    name: str
    status: int
    seconds: float
    cpu_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """A test of a report; `skipped` is the reason, or empty."""

    name: str
    seconds: float
    skipped: str
    failed: bool


def _tests(name: str, *command: str) -> Part:
    """Return a part that runs pytest and leaves a report."""
    return Part(
        name=name,
        command=(sys.executable, *command, "-q", "--durations=10", f"--junitxml={REPORTS / f'{name}.xml'}"),
    )


MODELS = ("tests/unit/encoders", "tests/unit/export")
ELSEWHERE = tuple(
    f"tests/integration/{name}"
    for name in ("browser", "test_bench_load.py", "test_bulk.py", "test_two_writers.py")
)
"""What shares a stack too, and takes half of the time: the first lane has it, on a second stack."""
SIDE_BY_SIDE = ("-n", "logical", "--maxprocesses", "4")

FIRST = (
    Part(name="lint", command=("make", "lint")),
    Part(name="breaking", command=("make", "breaking")),
    # The rooms with torch serve nothing, so that nothing counts what they cover, which costs a quarter of their time.
    # By file: a network is exported once, and not in every process.
    _tests("models", "-m", "pytest", *MODELS, *SIDE_BY_SIDE, "--dist", "loadfile"),
    _tests(
        "unit",
        *("-m", "pytest", "tests/chaos", "tests/unit", *(f"--ignore={room}" for room in MODELS)),
        *(*SIDE_BY_SIDE, "--dist", "loadfile", "--cov", "--cov-report=", "--cov-fail-under=0"),
    ),
    _tests("fuzz", "-m", "pytest", "tests/fuzz", *SIDE_BY_SIDE),
    # By module: an index is filled once, and not in every process. What these two cover has a floor (pyproject.toml).
    _tests(
        "contract",
        *("-m", "pytest", "tests/contract", "-m", "not milvus_server", "-n", "2", "--dist", "loadscope"),
        *("--cov", "--cov-append", "--cov-report="),
    ),
    _tests("second-stack", "-m", "pytest", *ELSEWHERE, "-m", "not own_stack"),
)
BESIDE = (
    _tests("milvus", "tests/contract/milvus_server.py"),
    _tests("own-stacks", "-m", "pytest", "tests/integration", "-m", "own_stack"),
    _tests(
        "shared-stack",
        *("-m", "pytest", "tests/integration", "-m", "not own_stack"),
        *(f"--ignore={each}" for each in ELSEWHERE),
    ),
)


def main(arguments: Sequence[str]) -> int:
    """Run the parts and print the summary; return the exit status."""
    if arguments == [_BESIDE]:
        BESIDE_RAN.write_text(json.dumps([asdict(_run(part)) for part in BESIDE]), encoding="utf-8")
        return 0
    REPORTS.mkdir(parents=True, exist_ok=True)
    for old in (*REPORTS.glob("*.xml"), *REPORTS.glob("beside.*")):
        old.unlink()
    with BESIDE_LOG.open("w", encoding="utf-8") as output:
        beside = subprocess.Popen(
            [sys.executable, __file__, _BESIDE],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            ran = [_run(part) for part in FIRST]
            _say(f"{' and '.join(part.name for part in BESIDE)}, which run beside the others")
            ran += _wait(beside)
        finally:
            _stop(beside)
    print(BESIDE_LOG.read_text(encoding="utf-8", errors="replace"))
    print("\n".join(summary(ran, _read_reports(ran), setup_s=os.environ.get(SETUP_VARIABLE, ""))))
    return int(any(each.status for each in ran))


def summary(ran: Sequence[Ran], tests: Sequence[tuple[str, Test]], *, setup_s: str) -> Iterator[str]:
    """Yield the lines of the summary: the parts, the skips with their reasons, the slowest tests."""
    yield f"\n{'part':14}{'result':8}{'passed':>8}{'failed':>8}{'skipped':>9}{'time':>14}{'CPU':>14}"
    if setup_s:
        yield f"{'setup':14}{'ok':8}{'':25}{_duration(float(setup_s)):>14}"
    for each in ran:
        of_part = [test for part, test in tests if part == each.name]
        failed, skipped = sum(test.failed for test in of_part), sum(bool(test.skipped) for test in of_part)
        counts = f"{len(of_part) - failed - skipped:8,}{failed:8,}{skipped:9,}" if of_part else " " * 25
        result = f"exit {each.status}" if each.status else "ok"
        yield f"{each.name:14}{result:8}{counts}{_duration(each.seconds):>14}{_duration(each.cpu_s):>14}"
    yield "\nskipped, with the reason:"
    reasons = Counter(test.skipped for _, test in tests if test.skipped)
    yield from (f"{count:5,} x {reason}" for reason, count in reasons.most_common())
    yield from [] if reasons else ["      none"]
    yield "\nthe slowest tests, with their fixtures:"
    slowest = sorted(tests, key=lambda pair: -pair[1].seconds)[:SLOWEST]
    yield from (f"{test.seconds:7.1f} s  {test.name}" for _, test in slowest)


def _run(part: Part) -> Ran:
    """Run a part before everybody's eyes."""
    _say(part.name)
    begun = time.monotonic()
    # Processes that run side by side compute on one core each.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"} if "-n" in part.command else dict(os.environ)
    begun_cpu_s = _children_cpu_s()
    process = subprocess.Popen(part.command, cwd=ROOT, env=environment)
    try:
        status = process.wait()
    except KeyboardInterrupt:
        # It was interrupted as well, and takes down the stack that it has started.
        process.wait(STOP_S)
        raise
    return Ran(
        name=part.name,
        status=status,
        seconds=time.monotonic() - begun,
        cpu_s=_children_cpu_s() - begun_cpu_s,
    )


def _children_cpu_s() -> float:
    """Return the processors' time of all processes that have ended and were waited for, with theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _wait(beside: "subprocess.Popen[bytes]") -> list[Ran]:
    """Wait for the second lane; return its parts, as failed where it did not tell of them."""
    try:
        beside.wait(LATE_S)
    except subprocess.TimeoutExpired:
        print(f"they took {LATE_S} s more than the others, and are stopped", flush=True)
    if not BESIDE_RAN.exists():
        return [Ran(name=part.name, status=1, seconds=0, cpu_s=0) for part in BESIDE]
    return [Ran(**each) for each in json.loads(BESIDE_RAN.read_text(encoding="utf-8"))]


def _stop(beside: "subprocess.Popen[bytes]") -> None:
    """End what still runs beside."""
    for stop in (signal.SIGINT, signal.SIGKILL):
        if beside.poll() is not None:
            return
        os.killpg(beside.pid, stop)
        try:
            beside.wait(STOP_S)
        except subprocess.TimeoutExpired:
            continue


def _read_reports(ran: Iterable[Ran]) -> list[tuple[str, Test]]:
    """Read the tests of every part that has left a report."""
    paths = [(each.name, REPORTS / f"{each.name}.xml") for each in ran]
    return [
        (name, _read_test(case))
        for name, path in paths
        if path.exists()
        for case in ET.parse(path).iter("testcase")  # noqa: S314 - written by pytest a moment ago
    ]


def _read_test(case: ET.Element) -> Test:
    skipped = case.find("skipped")
    return Test(
        name=f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}",
        seconds=float(case.get("time", 0)),
        skipped="" if skipped is None else skipped.get("message", "without a reason"),
        failed=case.find("failure") is not None or case.find("error") is not None,
    )


def _say(title: str) -> None:
    print(f"\n== {title}", flush=True)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
