"""Runs everything that must hold, part by part, and ends with what ran, what was skipped, and how long it took.

The real Milvus mostly waits for its own clocks, so its cases run beside the other parts and are shown after them.
A part that fails stops no other part; the exit status is 1 if any did.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parents[1]
REPORTS = ROOT / "build" / "reports"
PYTEST = (sys.executable, "-m", "pytest", "-q", "--durations=10")
MILVUS_TIMEOUT_S = 900
STOP_TIMEOUT_S = 30
SLOWEST = 10
SETUP_VARIABLE = "VITRINE_SETUP_S"
"""Seconds that the setup before this took, for the summary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A command that must succeed."""

    name: str
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A part that has run: its exit status and its time in seconds."""

    name: str
    status: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """A test of a report; `skipped` is the reason, or empty."""

    name: str
    seconds: float
    skipped: str
    failed: bool


def _pytest(name: str, *arguments: str) -> Part:
    report = f"--junitxml={REPORTS / f'{name}.xml'}"
    return Part(name=name, command=(*PYTEST, report, *arguments))


FOREGROUND = (
    Part(name="lint", command=("make", "lint")),
    Part(name="breaking", command=("make", "breaking")),
    _pytest("unit", "tests/unit", "-n", "logical", "--maxprocesses", "4"),
    # A module's index is made once, and not in every process.
    _pytest("contract", "tests/contract", "-m", "not milvus_server", "-n", "2", "--dist", "loadscope"),
    # Two stacks at a time: their tests mostly wait for processes to come and go. The groups are the conftest's.
    _pytest("stack", "tests/integration", "-n", "2", "--dist", "loadgroup", "--no-loadscope-reorder"),
)
MILVUS = Part(
    name="milvus",
    command=(
        *(sys.executable, "tests/contract/milvus_server.py", "-q", "--durations=10"),
        f"--junitxml={REPORTS / 'milvus.xml'}",
    ),
)


def main() -> int:
    """Run the parts and print the summary; return the exit status."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    for old in REPORTS.glob("*.xml"):
        old.unlink()
    log = REPORTS / "milvus.log"
    with log.open("w", encoding="utf-8") as output:
        begun = time.time()
        beside = subprocess.Popen(
            MILVUS.command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            ran = [_run(part) for part in FOREGROUND]
            _say("milvus, which ran beside the others")
            status = _wait(beside)
            ran.append(Ran(name=MILVUS.name, status=status, seconds=log.stat().st_mtime - begun))
        finally:
            _stop(beside)
    print(log.read_text(encoding="utf-8", errors="replace"))
    print("\n".join(summary(ran, _read_reports(ran), setup_s=os.environ.get(SETUP_VARIABLE, ""))))
    return int(any(each.status for each in ran))


def summary(ran: Sequence[Ran], tests: Sequence[tuple[str, Test]], *, setup_s: str) -> Iterator[str]:
    """Yield the lines of the summary: the parts, the skips with their reasons, the slowest tests."""
    yield f"\n{'part':10}{'result':8}{'passed':>8}{'failed':>8}{'skipped':>9}{'time':>12}"
    if setup_s:
        yield f"{'setup':10}{'ok':8}{'':25}{_duration(float(setup_s)):>12}"
    for each in ran:
        of_part = [test for part, test in tests if part == each.name]
        failed, skipped = sum(test.failed for test in of_part), sum(bool(test.skipped) for test in of_part)
        counts = f"{len(of_part) - failed - skipped:8,}{failed:8,}{skipped:9,}" if of_part else " " * 25
        result = f"exit {each.status}" if each.status else "ok"
        yield f"{each.name:10}{result:8}{counts}{_duration(each.seconds):>12}"
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
    status = subprocess.run(part.command, cwd=ROOT, env=_environment(part), check=False).returncode
    return Ran(name=part.name, status=status, seconds=time.monotonic() - begun)


def _environment(part: Part) -> dict[str, str]:
    """Return the environment of a part; processes that run side by side compute on one core each."""
    return {**os.environ, "OMP_NUM_THREADS": "1"} if "-n" in part.command else dict(os.environ)


def _wait(beside: "subprocess.Popen[bytes]") -> int:
    """Return its exit status. It may have ended long ago: its log was last written then."""
    try:
        return beside.wait(MILVUS_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        print(
            f"{MILVUS.name} took over {MILVUS_TIMEOUT_S} s more than the others, and is stopped", flush=True
        )
        return 1


def _stop(beside: "subprocess.Popen[bytes]") -> None:
    """End what still runs beside; it stops the server that it has started."""
    for stop in (signal.SIGINT, signal.SIGKILL):
        if beside.poll() is not None:
            return
        os.killpg(beside.pid, stop)
        try:
            beside.wait(STOP_TIMEOUT_S)
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
    name = re.sub(r"@\w+$", "", str(case.get("name")))  # pytest-xdist appends the group
    return Test(
        name=f"{case.get('classname', '').replace('.', '/')}.py::{name}",
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
    sys.exit(main())
