"""Fuzzes targets, guided by coverage: `python -m tests.fuzz [TARGET ...] --cases 10000 --seed 1`.

The cases run in pieces, each a process of its own, so that a run that is stopped goes on where it was; what was tried
and what was seen is in the state folder. Exits with 1 where a target broke a promise; the input is kept there.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import click

from benchmarks.environment import describe_environment
from tests.fuzz.seeds import SEEDS
from tests.fuzz.targets import TARGETS
from vitrine.v1.catalogue_pb2 import DescribeResponse

ROOT = Path(__file__).parents[2]
STATE = ROOT / "build" / "fuzz"

PIECE = 50_000
"""Cases of one process: what it finds worth keeping is the next one's corpus."""

PIECE_TIMEOUT_S = 3_600

_TRACE_LINES = 40

MAX_GROWTH_MB = 64.0
"""Of the process, over all cases after its first tenth. Caches fill up, and the corpus of the fuzzer itself grows."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """What a target has gone through."""

    target: str
    cases: int = 0
    seconds: float = 0.0
    growth_mb: float = 0.0
    """The most that the memory of a process grew."""
    corpus: int = 0
    faults: list[str] = field(default_factory=list)
    """The last lines of the traces, one a fault."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("targets", nargs=-1, type=click.Choice([*TARGETS]))
@click.option(
    "--cases", type=click.IntRange(min=1), default=10_000, show_default=True, help="Of each target."
)
@click.option("--seed", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--jobs", type=click.IntRange(min=1), default=2, show_default=True, help="Targets at once.")
@click.option("--state", type=click.Path(path_type=Path), default=STATE, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Write what was seen as a result file.")
def main(
    *, targets: tuple[str, ...], cases: int, seed: int, jobs: int, state: Path, out: Path | None
) -> None:
    """Fuzz the targets, all of them where none is named."""
    with ThreadPoolExecutor(jobs) as pool:
        tallies = list(pool.map(lambda target: fuzz(target, cases, seed, state), targets or [*TARGETS]))
    for tally in tallies:
        click.echo(
            f"{tally.target:16}{tally.cases:>10,} cases {tally.seconds:8.1f} s  grown {tally.growth_mb:5.1f} MB"
            f"  corpus {tally.corpus:5,}  faults {len(tally.faults)}"
        )
    if out is not None:
        out.write_text(json.dumps(document(tallies, seed), indent=1) + "\n")
    sys.exit(int(any(tally.faults for tally in tallies)))


def fuzz(target: str, cases: int, seed: int, state: Path) -> Tally:
    """Fuzz a target until it has seen so many cases, or has broken a promise."""
    tally = _begun(target, state)
    while tally.cases < cases and not tally.faults:
        _run_pieces({target: min(PIECE, cases - tally.cases)}, seed + tally.cases, state, [tally])
    return tally


def fuzz_at_once(cases: Mapping[str, int], seed: int, state: Path) -> list[Tally]:
    """Fuzz several targets with so many cases, PIECE at most, in processes that are forked off one."""
    tallies = [_begun(target, state) for target in cases]
    _run_pieces(cases, seed, state, tallies)
    return tallies


def _begun(target: str, state: Path) -> Tally:
    """Return how far a target has come; its folder has the seeds."""
    folder = state / target
    (folder / "corpus").mkdir(parents=True, exist_ok=True)
    for number, case in enumerate(SEEDS[target]()):
        (folder / "corpus" / f"seed-{number:03}").write_bytes(case)
    kept = folder / "tally.json"
    return Tally(**json.loads(kept.read_text())) if kept.exists() else Tally(target=target)


def _run_pieces(cases: Mapping[str, int], seed: int, state: Path, tallies: Sequence[Tally]) -> None:
    for target in cases:
        for left in ("piece.json", "piece.log"):
            (state / target / left).unlink(missing_ok=True)
    begun = time.monotonic()
    asked = [f"{target}={number}" for target, number in cases.items()]
    command = [sys.executable, "-m", "tests.fuzz.piece", str(seed), str(state), *asked]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=PIECE_TIMEOUT_S,
        check=False,
    )
    seconds = (time.monotonic() - begun) / len(tallies)
    for tally in tallies:
        _count_piece(tally, state / tally.target, seconds, done.stdout + done.stderr)


def _count_piece(tally: Tally, folder: Path, seconds: float, said: str) -> None:
    """Add a piece to what a target has gone through, and keep that."""
    tally.seconds += seconds
    report, log = folder / "piece.json", folder / "piece.log"
    if report.exists():
        piece = json.loads(report.read_text())
        tally.cases += piece["cases"]
        tally.growth_mb = max(tally.growth_mb, piece["growth_mb"])
        if piece["growth_mb"] > MAX_GROWTH_MB:
            grown = f"the memory grew by {piece['growth_mb']:.0f} MB over {piece['cases']:,} cases"
            tally.faults.append(grown)
    else:
        told = log.read_text(errors="replace") if log.exists() else ""
        tally.faults.append(_fault(said + told))
    tally.corpus = sum(1 for _ in (folder / "corpus").iterdir())
    (folder / "tally.json").write_text(json.dumps(asdict(tally)))


def _fault(output: str) -> str:
    """Return what a process that ended early said last of the target, and where the input lies."""
    lines = [line for line in output.splitlines() if line.strip() and not line.startswith("INFO: ")]
    told = [i for i, line in enumerate(lines) if "Uncaught Python exception" in line or "ERROR:" in line]
    first = told[0] if told else 0
    trace = [line for line in lines[first:] if not line.startswith("WARNING: ")][:_TRACE_LINES]
    return "\n".join([*trace, *(line for line in lines if "Test unit written" in line)])


def document(tallies: Iterable[Tally], seed: int) -> dict[str, object]:
    """Return the document of a result file."""
    environment = describe_environment(DescribeResponse())
    del environment["service"]
    environment["ended"] = datetime.now(UTC).isoformat(timespec="seconds")
    params = {"benchmark": "fuzz", "seed": seed, "piece": PIECE, "max_growth_mb": MAX_GROWTH_MB}
    return {"environment": environment, "params": params, "results": [asdict(tally) for tally in tallies]}


if __name__ == "__main__":
    main(prog_name="python -m tests.fuzz")
