"""What each precision costs and gives, as a result for benchmarks/results/, and which one it speaks for."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from catalogue.splits import Splits, make_splits
from encoders.environment import describe_environment
from export.choice import Choice, fastest, uniform
from export.errors import ExportError
from export.graphs import PARITY_ROWS, read_report
from export.manifest import weights_digests
from export.model_config import Precision
from export.parity import Feeds, Parity, Run, check_parity, open_graph, torch_run
from export.quality import HeldOut, check_loss, held_out, measure_recalls
from export.samples import draw_samples
from export.timing import compiled_run, one_thread, time_run
from export.to_onnx import Networks, graph_path
from vitrine.tensors import MAX_BATCH_SIZE

Result = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subjects:
    """What is compared, and what is asked of it."""

    networks: Networks
    graphs: Mapping[Precision, Path]
    asked: HeldOut
    unseen: Mapping[str, Feeds]
    """Rows of each encoder, by its name."""

    def run(self, name: str, precision: Precision) -> Run:
        (spec,) = (spec for spec in self.networks.specs() if spec.name == name)
        return open_graph(self.graphs[precision], spec)


def report_precisions(networks: Networks, folders: list[Path], *, work: Path, splits: Splits) -> Result:
    """Measure every folder of graphs beside torch: parity, recall, size, latency and throughput.

    With fp32 among them, the fastest precision of each encoder is chosen, and what they recall together is measured.

    Raises:
        ExportError: a folder is of other weights or of the precision of another, or a graph is broken or loses too
            much.
    """
    environment = describe_environment() | {
        "onnxruntime": version("onnxruntime"),
        "load_average_1_min": round(os.getloadavg()[0], 2),
    }
    graphs = {precision_of(networks, folder): folder for folder in folders}
    if len(graphs) < len(folders):
        raise ExportError(f"two of {', '.join(map(str, folders))} are of one precision; name one of each")
    subjects = _Subjects(
        networks=networks,
        graphs=graphs,
        asked=held_out(networks.family, work, splits),
        unseen=_unseen(networks, splits, rows=PARITY_ROWS),
    )
    with one_thread():
        results: Result = {
            "recall": _recalls(subjects),
            "encoders": _parities(subjects),
            "timing": _timings(subjects),
        }
    if "fp32" in graphs:
        results["choice"] = _choose(subjects, results)
    return {
        "environment": environment,
        "params": {"family": networks.family.name, "threads": 1, "parity_rows": PARITY_ROWS},
        "results": results,
    }


def chosen(folders: list[Path], report: Result) -> Choice:
    """Return the choice that the report speaks for, with the ranges of the folders that it was made of.

    Raises:
        ExportError: there was no fp32 to compare with.
    """
    if "choice" not in report["results"]:
        raise ExportError("nothing can be adopted without fp32 graphs to compare with; add their --graphs")
    choice = report["results"]["choice"]
    reports = {found["precision"]: found for found in map(read_report, folders)}
    precisions: Mapping[str, Precision] = choice["precisions"]
    ranges = {name: reports[each]["ranges"].get(name) for name, each in precisions.items()}
    environment = {name: report["environment"][name] for name in ("commit", "processor", "onnxruntime")}
    return Choice(
        precisions=precisions,
        ranges={name: each for name, each in ranges.items() if each},
        quality={"faster": choice["faster"], "lost": choice["lost"], "measured": environment},
    )


def parity_of(networks: Networks, folder: Path) -> Mapping[str, Parity]:
    """Compare a folder of graphs with torch: fp32 on inputs of every kind, others on what they were calibrated for.

    Raises:
        ExportError: they are of other weights, broken, or too far from torch.
    """
    precision = precision_of(networks, folder)
    feeds = None if precision == "fp32" else _unseen(networks, make_splits(), rows=MAX_BATCH_SIZE)
    return check_parity(
        networks, partial(open_graph, folder), precisions=uniform(precision).precisions, feeds=feeds
    )


def precision_of(networks: Networks, folder: Path) -> Precision:
    """Return the precision of a folder's graphs.

    Raises:
        ExportError: they are of other weights.
    """
    report = read_report(folder)
    if report["weights"] != weights_digests(networks.family):
        raise ExportError(f"{folder}: made of other weights than {networks.family.folder}; export anew")
    precision: Precision = report["precision"]
    return precision


def _recalls(subjects: _Subjects) -> Result:
    runs = {name: torch_run(each) for name, each in subjects.networks.parts.items()}
    reference = measure_recalls(runs, subjects.asked)
    result: Result = {"torch": {"recall": reference}}
    for precision in subjects.graphs:
        result[precision] = _recall(subjects, reference, uniform(precision))
    return result


def _recall(subjects: _Subjects, reference: Mapping[str, Mapping[str, float]], choice: Choice) -> Result:
    runs = {name: subjects.run(name, precision) for name, precision in choice.precisions.items()}
    measured = measure_recalls(runs, subjects.asked)
    return {"recall": measured, "lost": check_loss(reference, measured, precision=choice.label())}


def _parities(subjects: _Subjects) -> Result:
    networks = subjects.networks
    encoders: Result = {spec.name: {} for spec in networks.specs()}
    for precision, folder in subjects.graphs.items():
        precisions = uniform(precision).precisions
        report = check_parity(
            networks, partial(open_graph, folder), precisions=precisions, feeds=subjects.unseen
        )
        for name, parity in report.items():
            size = graph_path(folder, name).stat().st_size
            encoders[name][precision] = {"megabytes": round(size / 1e6, 2), **asdict(parity)}
    return encoders


def _timings(subjects: _Subjects) -> list[Result]:
    timing: list[Result] = []
    for name, network in subjects.networks.parts.items():
        runs: dict[str, Run] = {"torch eager": torch_run(network), "torch.compile": compiled_run(network)}
        runs |= {_runner(precision): subjects.run(name, precision) for precision in subjects.graphs}
        for runner, run in runs.items():
            timing += [
                {"encoder": name, "runner": runner, **case} for case in time_run(run, subjects.unseen[name])
            ]
    return timing


def _choose(subjects: _Subjects, results: Result) -> Result:
    rates = {
        name: {precision: _rate(results["timing"], name, precision) for precision in subjects.graphs}
        for name in subjects.networks.parts
    }
    precisions = fastest(rates)
    faster = {name: round(rates[name][each] / rates[name]["fp32"], 2) for name, each in precisions.items()}
    together = _recall(subjects, results["recall"]["torch"]["recall"], Choice(precisions=precisions))
    return {"precisions": precisions, "faster": faster, **together}


def _rate(timing: list[Result], name: str, precision: Precision) -> float:
    """Return the rows a CPU second over all batches: the mean that no single batch can carry."""
    cases = [c for c in timing if (c["encoder"], c["runner"]) == (name, _runner(precision))]
    return geometric_mean(case["rows_per_cpu_s"] for case in cases)


def _runner(precision: Precision) -> str:
    return f"ONNX Runtime {precision}"


def _unseen(networks: Networks, splits: Splits, *, rows: int) -> Mapping[str, Feeds]:
    runs = {name: torch_run(network) for name, network in networks.parts.items()}
    return draw_samples(splits.iid, networks.family, runs, rows=rows)
