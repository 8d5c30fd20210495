"""`python -m benchmarks.gpu`: what a GPU makes of the encoders, in the environment of benchmarks/gpu/requirements.txt."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, cast

import click

from benchmarks.gpu.device import (
    Provider,
    check_driver,
    check_provider,
    describe_device,
    missing_tensorrt,
    slug,
)
from benchmarks.gpu.errors import GpuBenchError
from benchmarks.gpu.measure import Plan, find_graphs, measure_graphs
from benchmarks.gpu.peaks import Peaks, read_peaks
from vitrine.process.machine import describe_machine

GRAPHS = Path("build/gpu/graphs")
RESULTS = Path("benchmarks/results")
OF_A_CPU = Path("build/gpu")
"""Results of the CPU provider, which try the program and are nobody's figures."""
BATCHES = (1, 2, 8, 32, 128)
"""Up to 32 are served (vitrine.tensors); 128 shows whether the GPU had room for more."""

_PACKAGES = ("onnxruntime-gpu", "onnxruntime", "numpy", "onnx", "tensorrt-cu13-libs")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure the encoders on a GPU, with ONNX Runtime's CUDA and TensorRT providers."""


@main.command()
def check() -> None:
    """Say whether there is a GPU with a driver, and end with status 3 where there is none."""
    check_driver()
    click.echo("; ".join(describe_device("cuda").values()))


def _peaks(_: click.Context, __: click.Parameter, told: tuple[str, ...]) -> dict[str, float]:
    try:
        return {name: float(tflops) for name, _, tflops in (each.partition("=") for each in told)}
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@main.command()
@click.option("--graphs", type=click.Path(path_type=Path), default=GRAPHS, show_default=True)
@click.option(
    "--provider",
    "providers",
    type=click.Choice(["cuda", "tensorrt", "cpu"]),
    multiple=True,
    help="[default: cuda, and tensorrt where its libraries are]",
)
@click.option(
    "--batch", "batches", type=click.IntRange(min=1), multiple=True, default=BATCHES, show_default=True
)
@click.option("--seconds", type=float, default=1.0, show_default=True, help="Of a repeat of one batch.")
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--threads", type=click.IntRange(min=0), default=0, help="Of the CPU provider.")
@click.option(
    "--peak", "told", callback=_peaks, multiple=True, metavar="PRECISION=TFLOPS",
    help="What the device computes at most: fp32, tf32 or fp16.  [default: benchmarks/gpu/peaks.toml]",
)  # fmt: skip
@click.option("--bandwidth", type=float, metavar="GB_S", help="What its memory gives.  [default: likewise]")
@click.option("--name", help="Ends the result file's name.  [default: the GPU's]")
@click.option("--out", type=click.Path(path_type=Path), help=f"[default: {RESULTS}/gpu-NAME.json]")
def measure(
    *,
    graphs: Path,
    providers: tuple[str, ...],
    batches: tuple[int, ...],
    seconds: float,
    repeats: int,
    threads: int,
    told: Mapping[str, float],
    bandwidth: float | None,
    name: str | None,
    out: Path | None,
) -> None:
    """Measure every graph: rows a second by batch, latency, memory, and the share of the roofline."""
    begun = datetime.now(UTC)
    plan = Plan(
        providers=_providers(providers),
        batches=tuple(sorted(set(batches))),
        seconds=seconds,
        repeats=repeats,
        threads=threads,
    )
    device = describe_device(plan.providers[0])
    peaks = read_peaks(device.get("name", ""), told=told, bandwidth=bandwidth)
    environment = _environment(device, begun)
    found = find_graphs(graphs)
    cache = graphs.parent / "tensorrt-cache"
    cache.mkdir(parents=True, exist_ok=True)
    results = measure_graphs(found, plan, peaks, cache=cache, say=click.echo)
    document = {"environment": environment, "params": _params(plan, peaks), "results": results}
    _write(out or _default_out(plan, device, name), document)


def _providers(told: tuple[str, ...]) -> tuple[Provider, ...]:
    """Check the providers that were told; without any, CUDA and, where its libraries are, TensorRT."""
    wanted = cast(tuple[Provider, ...], tuple(dict.fromkeys(told))) or ("cuda",)
    if "cpu" in wanted and len(wanted) > 1:
        raise GpuBenchError("a CPU is measured by itself: a result is of one device")
    for each in wanted:
        check_provider(each)
    if told:
        return wanted
    if missing := missing_tensorrt():
        click.echo(f"without TensorRT: {missing}")
        return wanted
    check_provider("tensorrt")
    return (*wanted, "tensorrt")


def _environment(device: Mapping[str, str], begun: datetime) -> dict[str, Any]:
    nvidia = {each.name for each in distributions() if each.name.startswith("nvidia-")}
    machine = describe_machine((*_PACKAGES, *sorted(nvidia)))
    return machine | {"gpu": dict(device), "begun": begun.isoformat(timespec="seconds")}


def _params(plan: Plan, peaks: Peaks) -> dict[str, Any]:
    return {
        "benchmark": "gpu",
        "providers": plan.providers,
        "batches": plan.batches,
        "seconds": plan.seconds,
        "repeats": plan.repeats,
        "threads": plan.threads,
        "peaks": {"tflops": dict(peaks.tflops), "gb_s": peaks.gb_s, "source": peaks.source},
    }


def _default_out(plan: Plan, device: Mapping[str, str], name: str | None) -> Path:
    folder = OF_A_CPU if plan.providers == ("cpu",) else RESULTS
    return folder / f"gpu-{slug(name or device.get('name', 'cpu'))}.json"


def _write(path: Path, document: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    click.echo(f"written to {path}")
