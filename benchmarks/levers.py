"""`python -m benchmarks levers BEFORE AFTER ...`: what a commit changed in the gateway's own CPU per search.

For each two neighbours in the row of revisions a gateway of either runs before the same Triton, Milvus and rewriter, and the
two are loaded in turn, in alternating order. CPU time is counted, no wall clock, so that what else the machine does falls on
both; the ratios of neighbouring runs are what is kept, with their spread.
"""

import io
import itertools
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import psutil
from grpc_health.v1 import health_pb2

from benchmarks.compare import change
from benchmarks.environment import describe_machine
from benchmarks.generator import OK, closed_loop, sender
from benchmarks.processes import cpu_seconds
from benchmarks.serving import ServingError
from benchmarks.workloads import WORKLOADS, Material, Request, read_pictures
from catalogue.randomness import generator
from vitrine.client import VitrineClient

GATEWAY = "gateway"
WORKING_TREE = "."
"""Names the files as they are, committed or not."""

FEATURES = ("events", "campaigns", "moderation")
"""What the local stack switches on, and a search may have no use for."""

_SERVING = health_pb2.HealthCheckResponse.SERVING
_START_S = 90.0
_STOP_S = 20.0
_WARM_UP_S = 2.0
_LEAST_ANSWERS = 5
"""Of a run, for its CPU per answer to be worth comparing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverPlan:
    """How pairs of gateways are loaded."""

    workloads: tuple[str, ...] = ("text, repeated", "text", "rewritten, repeated", "image")
    clients: int = 8
    pairs: int = 12
    seconds: float = 1.0
    """Of one run."""
    features: tuple[str, ...] = FEATURES
    """What the gateways have on, each with files of its own."""
    salt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A state of the code."""

    name: str
    """Short hash, or WORKING_TREE."""
    subject: str
    """First line of the commit's message."""


@dataclass(frozen=True, slots=True)
class Used:
    """CPU per answered search, in ms."""

    gateway: float
    whole: float
    """With Triton, Milvus and the rewriter."""


FIGURES = ("gateway", "whole")


@dataclass(frozen=True, slots=True)
class Side:
    """A gateway that is loaded."""

    client: VitrineClient
    pid: int


async def measure_levers(
    revisions: Sequence[str],
    plan: LeverPlan,
    *,
    pids: dict[str, int],
    queries: Path,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Compare each revision with the one before it, and the last with the first, on the stack of those processes.

    Give the document of the result file.

    Raises:
        ServingError: a gateway did not start, or git does not know a revision.
    """
    environment = describe_machine()
    named = [describe(each) for each in revisions]
    material = Material(read_pictures(queries), ())
    streams = {name: WORKLOADS[name](material, generator(name, plan.salt)) for name in plan.workloads}
    results = []
    steps = list(itertools.pairwise(named))
    for before, after in [*steps, (named[0], named[-1])] if len(steps) > 1 else steps:
        with ExitStack() as stack:
            started = [
                stack.enter_context(running_gateway(each.name, pids[GATEWAY], features=plan.features))
                for each in (before, after)
            ]
            for case in await _compare(started, plan, streams, behind(pids)):
                results.append(
                    {"before": asdict(before), "after": asdict(after), "commits": _between(before, after)}
                    | case
                )
                say(f"{before.name} -> {after.name}: {case}")
    return {"environment": environment, "params": {"benchmark": "levers"} | asdict(plan), "results": results}


def describe(revision: str) -> Revision:
    """Return what git calls a revision; raises ServingError where it knows none of that name."""
    if revision == WORKING_TREE:
        return Revision(name=WORKING_TREE, subject="the working tree")
    asked = _git("log", "-1", "--format=%h %s", revision).decode().strip()
    name, _, subject = asked.partition(" ")
    return Revision(name=name, subject=subject)


def _between(before: Revision, after: Revision) -> int:
    """Return the number of commits from one to the other; 0 where one is the working tree."""
    if WORKING_TREE in (before.name, after.name):
        return 0
    return int(_git("rev-list", "--count", f"{before.name}..{after.name}"))


@contextmanager
def running_gateway(revision: str, like: int, *, features: Collection[str]) -> Iterator[tuple[str, int]]:
    """Run a gateway of a revision with the settings of the one with that pid; yield its address and its pid.

    Of FEATURES it has those that are named, with files of its own.
    """
    address = f"127.0.0.1:{_free_port()}"
    with TemporaryDirectory() as folder:
        changed = {"GATEWAY_LISTEN": address, "GATEWAY_METRICS_LISTEN": ""} | _switches(
            features, Path(folder)
        )
        tree = _tree(revision, Path(folder))
        environment = psutil.Process(like).environ() | changed | {"PYTHONPATH": str(tree)}
        silent = subprocess.DEVNULL
        with Path(folder, "log").open("wb") as log:
            command = [sys.executable, "-m", "gateway"]
            process = subprocess.Popen(command, cwd=tree, env=environment, stdout=silent, stderr=log)
            try:
                _wait_until_ready(address, process)
                yield address, process.pid
            finally:
                process.terminate()
                try:
                    process.wait(_STOP_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _switches(features: Collection[str], folder: Path) -> dict[str, str]:
    """Return the settings that switch those features on and the others off."""
    on = {
        "events": ("GATEWAY_EVENTS", str(folder / "events.db")),
        "campaigns": ("GATEWAY_CAMPAIGNS", str(folder / "campaigns.db")),
        "moderation": ("GATEWAY_MODERATION_UPLOADS", "refuse"),
    }
    return {name: value if feature in features else "" for feature, (name, value) in on.items()}


async def _compare(
    started: Sequence[tuple[str, int]],
    plan: LeverPlan,
    streams: dict[str, Iterator[Request]],
    behind: dict[str, int],
) -> list[dict[str, Any]]:
    used: dict[str, tuple[list[Used], list[Used]]] = {name: ([], []) for name in streams}
    async with AsyncExitStack() as stack:
        sides = [
            Side(await stack.enter_async_context(VitrineClient(address, timeout_s=30, retry=False)), pid)
            for address, pid in started
        ]
        for stream in streams.values():
            for side in sides:
                await closed_loop(
                    sender(side.client), stream, clients=plan.clients, seconds=_WARM_UP_S / len(streams)
                )
        for pair in range(plan.pairs):
            for name, stream in streams.items():
                for which in (0, 1) if pair % 2 == 0 else (1, 0):
                    used[name][which].append(await used_by(sides[which], stream, plan, behind))
    return [
        {"workload": name, "pairs": plan.pairs}
        | {
            figure: paired_figures(*([getattr(run, figure) for run in side] for side in both))
            for figure in FIGURES
        }
        for name, both in used.items()
    ]


def behind(pids: dict[str, int]) -> dict[str, int]:
    """Return the processes that answer the gateway."""
    return {name: pid for name, pid in pids.items() if not name.startswith(GATEWAY)}


async def used_by(side: Side, stream: Iterator[Request], plan: LeverPlan, behind: dict[str, int]) -> Used:
    """Load one side; raises ServingError where next to nothing was answered."""
    pids = {GATEWAY: side.pid} | behind
    before = cpu_seconds(pids)
    trace = await closed_loop(sender(side.client), stream, clients=plan.clients, seconds=plan.seconds)
    used = {name: seconds - before[name] for name, seconds in cpu_seconds(pids).items() if name in pids}
    answered = sum(sample.status == OK for sample in trace.samples)
    if answered < _LEAST_ANSWERS:
        raise ServingError(f"only {answered} of {len(trace.samples)} searches were answered")
    return Used(gateway=1e3 * used[GATEWAY] / answered, whole=1e3 * sum(used.values()) / answered)


def paired_figures(before: Sequence[float], after: Sequence[float]) -> dict[str, Any]:
    """Return the medians in ms, and of the ratios of pairs the median with the quartiles, and whether that is more than noise."""
    ratios = sorted(new / old for old, new in zip(before, after, strict=True))
    quarter = len(ratios) // 4
    spread = (median(ratios), ratios[quarter], ratios[-1 - quarter])
    return {
        "before_ms": round(median(before), 3),
        "after_ms": round(median(after), 3),
        "ratio": [round(each, 3) for each in spread],
        "seen": change([1.0] * len(ratios), ratios).seen,
    }


def _tree(revision: str, folder: Path) -> Path:
    """Return a folder with the code of a revision."""
    if revision == WORKING_TREE:
        return Path.cwd()
    with tarfile.open(fileobj=io.BytesIO(_git("archive", "--format=tar", revision))) as archive:
        archive.extractall(folder / "tree", filter="data")
    return folder / "tree"


def _git(*arguments: str) -> bytes:
    ran = subprocess.run(["git", *arguments], capture_output=True, check=False)
    if ran.returncode:
        raise ServingError(f"git {' '.join(arguments)}: {ran.stderr.decode(errors='replace').strip()}")
    return ran.stdout


def _wait_until_ready(address: str, process: "subprocess.Popen[bytes]") -> None:
    give_up = time.monotonic() + _START_S
    with grpc.insecure_channel(address) as channel:
        check: Any = channel.unary_unary(
            "/grpc.health.v1.Health/Check", response_deserializer=health_pb2.HealthCheckResponse.FromString
        )
        while process.poll() is None and time.monotonic() < give_up:
            try:
                if check(b"", timeout=1).status == _SERVING:
                    return
            except grpc.RpcError:
                pass
            time.sleep(0.2)
    raise ServingError(f"the gateway of a revision did not start at {address}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
