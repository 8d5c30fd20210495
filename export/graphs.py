"""Graphs of one family, made and judged: a folder of ONNX files with a report.json."""

import json
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from catalogue.splits import Split, Splits, make_splits
from export.choice import Choice, Ranges, read_choice, uniform
from export.errors import ExportError
from export.folders import copy_graph, data_path
from export.large import is_halved
from export.manifest import weights_digests
from export.model_config import Precision, WantedPrecision
from export.parity import Run, check_parity, open_graph
from export.quality import check_loss, held_out, measure_recalls
from export.quantise import calibrate, halve, quantise
from export.repository import Graphs
from export.samples import draw_samples
from export.to_onnx import LARGEST_GRAPH, Networks, export_family, graph_path
from vitrine.tensors import MAX_BATCH_SIZE

REPORT_FILE = "report.json"

CALIBRATION_ROWS = 256
PARITY_ROWS = 128


def make_graphs(
    networks: Networks, folder: Path, *, large: Precision = "fp16", largest: int = LARGEST_GRAPH
) -> Graphs:
    """Write fp32 graphs, checked against torch; those that one file does not hold in the precision `large`.

    Raises:
        ExportError: a graph gives other embeddings than its network.
    """
    precisions = export_family(networks, folder, large=large, largest=largest)
    report = check_parity(networks, partial(open_graph, folder), precisions=precisions)
    parity = {name: asdict(figures) for name, figures in report.items()}
    return Graphs(folder=folder, choice=Choice(precisions=precisions), parity=parity)


def convert_graphs(
    networks: Networks,
    graphs: Path,
    folder: Path,
    *,
    choice: Choice,
    splits: Splits,
    rows: int = MAX_BATCH_SIZE,
) -> Graphs:
    """Write fp32 graphs in other precisions, checked against torch on products that training has not seen.

    Args:
        networks: what the graphs were exported from.
        graphs: the fp32 graphs.
        folder: where to write; made where it is missing.
        choice: the precision of each encoder, with the ranges of those in int8.
        splits: of the catalogue.
        rows: to check with.

    Raises:
        ExportError: a graph is missing or broken, or gives embeddings too far from torch's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, precision in choice.precisions.items():
        _convert(graph_path(graphs, name), graph_path(folder, name), precision, choice.ranges.get(name))
    unseen = draw_samples(splits.iid, networks.family, _runs(networks, graphs), rows=rows)
    open_run = partial(open_graph, folder)
    report = check_parity(networks, open_run, precisions=choice.precisions, feeds=unseen)
    parity = {name: asdict(figures) for name, figures in report.items()}
    return Graphs(folder=folder, choice=choice, parity=parity)


def reduce_graphs(
    networks: Networks, graphs: Path, folder: Path, *, precision: Precision, work: Path, splits: Splits
) -> Graphs:
    """Write fp32 graphs in another precision, calibrated on the training split and judged on the test splits.

    Args:
        networks: what the graphs were exported from.
        graphs: the fp32 graphs.
        folder: where to write; made where it is missing.
        precision: int8 or fp16, of all encoders.
        work: keeps the pictures that recall is measured on, whose drawing takes minutes.
        splits: of the catalogue.

    Raises:
        ExportError: as `convert_graphs` does, and where more recall is lost than export.quality allows.
    """
    for spec in networks.specs():
        open_graph(graphs, spec)  # what is broken is said before minutes are spent
    choice = uniform(precision)
    if precision == "int8":
        choice = uniform(precision, ranges=_calibrated(networks, graphs, splits.train))
    made = convert_graphs(networks, graphs, folder, choice=choice, splits=splits, rows=PARITY_ROWS)
    asked = held_out(networks.family, work, splits)
    before, after = (
        measure_recalls({spec.name: open_graph(where, spec) for spec in networks.specs()}, asked)
        for where in (graphs, folder)
    )
    lost = check_loss(before, after, precision=precision)
    return replace(made, choice=replace(choice, quality={"lost": lost}))


def make_published_graphs(
    networks: Networks, folder: Path, *, precision: WantedPrecision, work: Path
) -> Graphs:
    """Write the graphs of a publication to the folder, or beside it.

    What `verify --adopt` measured on these weights is taken as it is; a precision that was not measured is
    calibrated and judged here.

    Raises:
        ExportError: as `make_graphs` and `reduce_graphs` do.
    """
    known = read_choice(networks.family)
    made = make_graphs(networks, folder, large="fp32" if precision == "fp32" else "fp16")
    if precision == "fp32" or (precision == "auto" and known is None):
        return made
    converted = folder.with_name(f"{folder.name}-converted")
    splits = make_splits()
    if known is not None and precision in {"auto", known.label()}:
        return convert_graphs(networks, made.folder, converted, choice=known, splits=splits)
    return reduce_graphs(
        networks, made.folder, converted, precision=cast(Precision, precision), work=work, splits=splits
    )


def write_report(networks: Networks, graphs: Graphs) -> None:
    """Write report.json beside graphs of one precision."""
    report = {
        "precision": graphs.choice.label(),
        "weights": weights_digests(networks.family),
        "parity": graphs.parity,
        "quality": graphs.choice.quality,
        "ranges": graphs.choice.ranges,
    }
    text = json.dumps(report, indent=1) + "\n"
    (graphs.folder / REPORT_FILE).write_text(text, encoding="utf-8")


def read_report(folder: Path) -> dict[str, Any]:
    """Read the report of a folder of graphs.

    Raises:
        ExportError: there is none that we wrote.
    """
    path = folder / REPORT_FILE
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        report = None
    if not isinstance(report, dict) or not {"precision", "weights", "ranges"} <= report.keys():
        raise ExportError(f"{path}: missing or unreadable; `python -m export onnx` writes the graphs with it")
    return report


def is_graphs(folder: Path) -> bool:
    """Return whether we wrote the folder."""
    try:
        read_report(folder)
    except ExportError:
        return False
    return True


def _convert(graph: Path, out: Path, precision: Precision, ranges: Ranges | None) -> None:
    halved = is_halved(graph)
    if precision == ("fp16" if halved else "fp32"):
        copy_graph(graph, out)
    elif halved or data_path(graph).exists():
        raise ExportError(
            f"{graph}: too large for one file in fp32, and {precision} is made of such a file; publish it in fp16"
        )
    elif precision == "fp16":
        halve(graph, out)
    else:
        quantise(graph, out, ranges or {})


def _calibrated(networks: Networks, graphs: Path, train: Split) -> dict[str, Ranges]:
    feeds = draw_samples(train, networks.family, _runs(networks, graphs), rows=CALIBRATION_ROWS)
    return {
        spec.name: calibrate(graph_path(graphs, spec.name), feeds[spec.name]) for spec in networks.specs()
    }


def _runs(networks: Networks, graphs: Path) -> dict[str, Run]:
    return {spec.name: open_graph(graphs, spec) for spec in networks.specs()}
