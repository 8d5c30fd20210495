"""Every graph of families of encoders before NVIDIA's own parser and builder, in every precision (export.tensorrt_rtx)."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from encoders.environment import describe_environment
from export.choice import Ranges, read_choice
from export.model_config import Precision
from export.padding import keep_padding
from export.quantise import halve, quantise
from export.tensorrt_rtx import Outcome, try_graph
from export.to_onnx import export_family, graph_path, load_family
from vitrine.tensors import ENCODERS, MAX_BATCH_SIZE

COMMITTED = Path("encoders/weights")

_INT8 = "int8 graphs are for CPUs"
_TURING = "fp32 is not compiled for Turing"
_TURING_SAYS = "FP32 GEMM is not supported"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A family to try: its name, where its weights come from ("committed", "random", "given"), and their folder."""

    family: str
    weights: str
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What became of one graph for one GPU, or for all where the parser refused it."""

    subject: Subject
    encoder: str
    precision: Precision
    graph_bytes: int
    """With the files of weights beside it."""
    outcome: Outcome

    def excuse(self) -> str:
        """Return why it may be refused; empty where it was not, or where that is a fault."""
        refused = self.outcome.refused
        if refused and self.precision == "int8":
            return _INT8
        turing = self.precision == "fp32" and self.outcome.capability == "75" and _TURING_SAYS in refused
        return _TURING if turing else ""

    def failed(self) -> bool:
        """Return whether it was refused and should not have been."""
        return bool(self.outcome.refused) and not self.excuse()

    def line(self) -> str:
        """Return what became of it in a line."""
        outcome = self.outcome
        on = f" SM{outcome.capability}" if outcome.capability else ""
        head = f"{self.subject.family} ({self.subject.weights}) {self.encoder} {self.precision}{on}"
        if not outcome.refused:
            return f"{head}: built, {outcome.plan_bytes / 1e6:.2f} MB in {outcome.seconds:.1f} s of CPU"
        how = f"refused, as expected ({self.excuse()})" if self.excuse() else "REFUSED"
        return f"{head}: {how}: {outcome.refused}"


def every_family(scratch: Path) -> Iterator[Subject]:
    """Yield the committed families, and a tiny one with random weights of each kind that users bring.

    Args:
        scratch: an empty folder, for the tiny ones.
    """
    for card in sorted(COMMITTED.glob("*/card.json")):
        yield Subject(family=card.parent.name, weights="committed", folder=card.parent)
    # Imported here because it needs all of transformers, which weights of one's own do without.
    from encoders.testing import FAMILIES, write_checkpoint  # noqa: PLC0415

    for name in FAMILIES:
        folder = scratch / name
        folder.mkdir()
        write_checkpoint(folder, name)
        yield Subject(family=name, weights="random", folder=folder)


def try_family(subject: Subject, *, packages: Path, capabilities: Sequence[str]) -> Iterator[Tried]:
    """Export a family and yield what becomes of its graphs, as `try_graphs` does.

    Raises:
        ExportError: it cannot be exported.
    """
    networks = load_family(subject.folder)
    choice = read_choice(networks.family)
    with tempfile.TemporaryDirectory() as scratch:
        graphs = Path(scratch)
        precisions = export_family(networks, graphs)
        yield from try_graphs(
            subject,
            graphs,
            packages=packages,
            capabilities=capabilities,
            precisions=precisions,
            ranges=choice.ranges if choice else {},
        )


def try_graphs(
    subject: Subject,
    graphs: Path,
    *,
    packages: Path,
    capabilities: Sequence[str],
    precisions: Mapping[str, Precision],
    ranges: Mapping[str, Ranges],
) -> Iterator[Tried]:
    """Yield what becomes of each graph of a family as it is, in fp16, and in int8 where its ranges are known.

    Args:
        subject: the family.
        graphs: a folder with its graphs.
        packages: the folder with TensorRT-RTX.
        capabilities: of the GPUs to build for.
        precisions: of the graphs, by encoder: fp32, or fp16 where they are too large for it.
        ranges: of the encoders in int8, by their names.
    """
    for spec in ENCODERS:
        exported = graph_path(graphs, spec.name)
        with tempfile.TemporaryDirectory() as scratch:
            made = {precisions[spec.name]: exported}
            if "fp16" not in made:
                made["fp16"] = Path(scratch) / "fp16.onnx"
                halve(exported, made["fp16"])
            if spec.name in ranges:
                made["int8"] = Path(scratch) / "int8.onnx"
                quantise(exported, made["int8"], ranges[spec.name])
            for precision, written in made.items():
                graph = keep_padding(written, Path(scratch))
                size = sum(path.stat().st_size for path in graph.parent.glob(f"{graph.name}*"))
                for outcome in try_graph(graph, packages, capabilities):
                    yield Tried(
                        subject=subject,
                        encoder=spec.name,
                        precision=precision,
                        graph_bytes=size,
                        outcome=outcome,
                    )


def describe(tried: Sequence[Tried], *, version: str, capabilities: Sequence[str]) -> dict[str, Any]:
    """Return the result file: what became of every graph, and where it was tried."""
    environment = describe_environment() | {
        "tensorrt_rtx": version,
        "load_average_1_min": round(os.getloadavg()[0], 2),
    }
    results = [
        {
            "family": each.subject.family,
            "weights": each.subject.weights,
            "encoder": each.encoder,
            "precision": each.precision,
            "graph_bytes": each.graph_bytes,
            **asdict(each.outcome),
            "seconds": round(each.outcome.seconds, 2),
            "excuse": each.excuse(),
        }
        for each in tried
    ]
    params = {"benchmark": "tensorrt", "capabilities": list(capabilities), "largest_batch": MAX_BATCH_SIZE}
    return {"environment": environment, "params": params, "results": results}


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """Write the result file, making its folder where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def summary(tried: Sequence[Tried]) -> str:
    """Return the counts in a line."""
    built = sum(not each.outcome.refused for each in tried)
    failed = sum(each.failed() for each in tried)
    expected = len(tried) - built - failed
    return f"{built} plans built; refused as expected: {expected}; refused and should not have been: {failed}"
