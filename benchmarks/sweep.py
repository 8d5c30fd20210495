"""`python -m benchmarks sweep`: the batcher's delay and sizes, instances and threads, each beside what is served.

A variant is a copy of the published repository in which one setting differs. Its server runs beside one on the unchanged models,
and the two are asked in turn, so that what else the machine does falls on both.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from benchmarks.compare import change
from benchmarks.environment import describe_machine
from benchmarks.generator import closed_loop
from benchmarks.infer import infer_sender, query_inputs
from benchmarks.processes import cpu_seconds
from benchmarks.raw import Raw
from benchmarks.second_triton import SecondTriton, second_triton
from benchmarks.serving import Served
from benchmarks.stages import KINDS
from benchmarks.summary import summarise_run
from benchmarks.workloads import Material, image_requests, read_pictures, text_requests
from catalogue.randomness import generator
from vitrine.repository import MANIFEST_FILE
from vitrine.tensors import ENCODERS, PREPROCESSORS

CLIENTS = (1, 16)
FIGURES = ("answers_per_s", "p50_ms", "cpu_ms")

_SECONDS = 1.0
_QUERIES = 400
_THREADS = ("intra_op_num_threads = 1", "intra_op_num_threads = 2")
_MEMBERS = tuple(spec.name for spec in (*PREPROCESSORS, *ENCODERS))
_ENCODERS = tuple(spec.name for spec in ENCODERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """What differs from what is served; None and empty leave a setting as it is."""

    name: str
    models: tuple[str, ...] = _MEMBERS
    delay_us: int | None = None
    preferred: tuple[int, ...] = ()
    instances: int | None = None
    threads: bool = False
    """Whether a session computes with two threads instead of one."""


VARIANTS = (
    Variant(name="as served"),
    Variant(name="delay 500 us", delay_us=500),
    Variant(name="delay 100 us", delay_us=100),
    Variant(name="delay 2,000 us", delay_us=2_000),
    Variant(name="sizes 4, 8, 16 preferred", preferred=(4, 8, 16)),
    Variant(name="2 instances of encoders", models=_ENCODERS, instances=2),
    Variant(name="1 instance of image_decode", models=("image_decode",), instances=1),
    Variant(name="2 threads a session", models=_ENCODERS, threads=True),
)


async def sweep(
    variants: Sequence[Variant], served: Served, *, repeats: int, salt: str, say: Callable[[str], None]
) -> dict[str, Any]:
    """Measure the variants beside what is served; give the document of the result file."""
    environment = describe_machine()
    results = []
    calls = _calls(served, salt)
    with TemporaryDirectory() as folder, second_triton(served.pids["triton"]) as unchanged:
        for number, variant in enumerate(variants):
            repository = Path(folder, str(number))
            write_variant(served.repository, repository, variant)
            with second_triton(served.pids["triton"], repository) as changed:
                results.append(await _compare(variant, (unchanged, changed), calls, repeats))
            say(f"{variant.name}: {results[-1]['changes']}")
    params = {
        "benchmark": "sweep",
        "weights": served.repository.name,
        "repeats": repeats,
        "seconds": _SECONDS,
        "salt": salt,
    }
    return {"environment": environment, "params": params, "results": results}


def write_variant(source: Path, target: Path, variant: Variant) -> None:
    """Copy a repository with the variant's settings; its manifest tells of the changed files, as if published so."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    manifest = json.loads((target / MANIFEST_FILE).read_text(encoding="utf-8"))
    for model in variant.models:
        changed = [target / model / "config.pbtxt"]
        config = text_format.Parse(changed[0].read_text(encoding="utf-8"), model_config_pb2.ModelConfig())
        _configure(config, variant)
        changed[0].write_text(text_format.MessageToString(config), encoding="utf-8")
        if variant.threads:
            changed.append(target / model / "1" / "model.py")
            code = changed[1].read_text(encoding="utf-8")
            assert _THREADS[0] in code, f"{changed[1]} sets its threads in another way"
            changed[1].write_text(code.replace(*_THREADS), encoding="utf-8")
        for path in changed:
            manifest["files"][str(path.relative_to(target))] = hashlib.sha256(path.read_bytes()).hexdigest()
    (target / MANIFEST_FILE).write_text(json.dumps(manifest), encoding="utf-8")


def _configure(config: Any, variant: Variant) -> None:
    if variant.delay_us is not None:
        config.dynamic_batching.max_queue_delay_microseconds = variant.delay_us
    if variant.preferred:
        config.dynamic_batching.preferred_batch_size[:] = variant.preferred
    if variant.instances is not None:
        config.instance_group[0].count = variant.instances


async def _compare(
    variant: Variant,
    servers: tuple[SecondTriton, SecondTriton],
    calls: dict[str, Iterator[Any]],
    repeats: int,
) -> dict[str, Any]:
    figures: dict[str, dict[str, list[list[float]]]] = {}
    for _ in range(repeats):
        for kind, requests in calls.items():
            for clients in CLIENTS:
                own = figures.setdefault(f"{kind}, {clients}", {name: [[], []] for name in FIGURES})
                for side, server in enumerate(servers):
                    for name, value in (await _measure(server, requests, clients)).items():
                        own[name][side].append(value)
    changes = {load: {name: _change(*sides) for name, sides in own.items()} for load, own in figures.items()}
    return {"variant": variant.name, "changes": changes, "repeats": figures}


async def _measure(server: SecondTriton, requests: Iterator[Any], clients: int) -> dict[str, float]:
    async with infer_sender(server.address) as infer:
        await closed_loop(infer, requests, clients=clients, seconds=_SECONDS / 4)
        before = cpu_seconds({"triton": server.pid})["triton"]
        trace = await closed_loop(infer, requests, clients=clients, seconds=_SECONDS)
        run = summarise_run(trace, {"triton": cpu_seconds({"triton": server.pid})["triton"] - before})
    return {
        "answers_per_s": run["answered_per_s"],
        "p50_ms": run["latency_ms"]["p50"],
        "cpu_ms": run["cpu_ms_per_answer"]["triton"],
    }


def _change(before: list[float], after: list[float]) -> dict[str, Any]:
    """Return the median of the ratios of neighbours, and whether it is more than noise."""
    ratios = [new / old for old, new in zip(before, after, strict=True)]
    own = [round(each, 3) for each in (median(ratios), min(ratios), max(ratios))]
    return {"ratio": own, "seen": change([1.0] * len(ratios), ratios).seen}


def _calls(served: Served, salt: str) -> dict[str, Iterator[Any]]:
    dim = Raw(served.repository).embedding_dim
    rng = generator("sweep", salt)
    material = Material(read_pictures(served.queries), ())
    streams = {"text": text_requests(material, rng), "image": image_requests(material, rng)}
    return {
        kind: cycle([query_inputs(KINDS[kind], query, dim) for query in islice(stream, _QUERIES)])
        for kind, stream in streams.items()
    }
