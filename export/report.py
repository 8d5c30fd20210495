"""What each precision costs and gives, as a result for benchmarks/results/."""

import os
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from catalogue.splits import make_splits
from encoders.environment import describe_environment
from export.errors import ExportError
from export.graphs import PARITY_ROWS, read_report
from export.manifest import weights_digests
from export.model_config import Precision
from export.parity import Run, check_parity, open_graph, torch_run
from export.quality import check_loss, held_out, measure_recalls
from export.samples import draw_samples
from export.timing import compiled_run, one_thread, time_run
from export.to_onnx import Networks, graph_path

Result = dict[str, Any]


def report_precisions(networks: Networks, folders: list[Path], *, work: Path) -> Result:
    """Measure every folder of graphs beside torch: parity, recall, size, latency and throughput.

    Raises:
        ExportError: a folder is of other weights, or a graph is broken or loses too much.
    """
    environment = describe_environment() | {
        "onnxruntime": version("onnxruntime"),
        "load_average_1_min": round(os.getloadavg()[0], 2),
    }
    graphs = {precision_of(networks, folder): folder for folder in folders}
    with one_thread():
        recalls = _recalls(networks, graphs, work)
        encoders, timing = _encoders(networks, graphs)
    return {
        "environment": environment,
        "params": {"family": networks.family.name, "threads": 1, "parity_rows": PARITY_ROWS},
        "results": {"recall": recalls, "encoders": encoders, "timing": timing},
    }


def precision_of(networks: Networks, folder: Path) -> Precision:
    """Give the precision of a folder's graphs.

    Raises:
        ExportError: they are of other weights.
    """
    report = read_report(folder)
    if report["weights"] != weights_digests(networks.family):
        raise ExportError(f"{folder}: made of other weights than {networks.family.folder}; export anew")
    precision: Precision = report["precision"]
    return precision


def _recalls(networks: Networks, graphs: Mapping[Precision, Path], work: Path) -> Result:
    asked = held_out(networks.family, work)
    reference = measure_recalls({name: torch_run(each) for name, each in networks.parts.items()}, asked)
    result: Result = {"torch": {"recall": reference}}
    for precision, folder in graphs.items():
        measured = measure_recalls({s.name: open_graph(folder, s) for s in networks.specs()}, asked)
        lost = check_loss(reference, measured, precision=precision)
        result[precision] = {"recall": measured, "lost": lost}
    return result


def _encoders(networks: Networks, graphs: Mapping[Precision, Path]) -> tuple[Result, list[Result]]:
    image_run = torch_run(networks.parts["image_encoder"])
    feeds = draw_samples(make_splits().iid, networks.family, image_run, rows=PARITY_ROWS)
    encoders: Result = {spec.name: {} for spec in networks.specs()}
    for precision, folder in graphs.items():
        report = check_parity(networks, partial(open_graph, folder), precision=precision, feeds=feeds)
        for name, parity in report.items():
            size = graph_path(folder, name).stat().st_size
            encoders[name][precision] = {"megabytes": round(size / 1e6, 2), **asdict(parity)}
    timing = []
    for spec in networks.specs():
        network = networks.parts[spec.name]
        runs: dict[str, Run] = {"torch eager": torch_run(network), "torch.compile": compiled_run(network)}
        runs |= {f"ONNX Runtime {each}": open_graph(folder, spec) for each, folder in graphs.items()}
        for name, run in runs.items():
            timing += [
                {"encoder": spec.name, "runner": name, **case} for case in time_run(run, feeds[spec.name])
            ]
    return encoders, timing
