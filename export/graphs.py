"""Graphs of one precision, made and judged: a folder of ONNX files with a report.json."""

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from catalogue.splits import make_splits
from export.errors import ExportError
from export.manifest import weights_digests
from export.model_config import Precision
from export.parity import check_parity, open_graph
from export.quality import check_loss, held_out, measure_recalls
from export.quantise import halve, quantise
from export.repository import Graphs
from export.samples import draw_samples
from export.to_onnx import Networks, export_family
from vitrine.tensors import IMAGE_ENCODER, sized

REPORT_FILE = "report.json"

CALIBRATION_ROWS = 256
PARITY_ROWS = 128


def make_graphs(networks: Networks, folder: Path) -> Graphs:
    """Write fp32 graphs, checked against torch.

    Raises:
        ExportError: a graph gives other embeddings than its network.
    """
    export_family(networks, folder)
    report = check_parity(networks, partial(open_graph, folder))
    parity = {name: asdict(figures) for name, figures in report.items()}
    return _reported(networks, Graphs(folder=folder, precision="fp32", parity=parity))


def convert_graphs(
    networks: Networks, graphs: Path, folder: Path, *, precision: Precision, work: Path
) -> Graphs:
    """Write fp32 graphs in another precision, judged on products that training has not seen.

    Args:
        networks: what the graphs were exported from.
        graphs: the fp32 graphs.
        folder: where to write.
        precision: int8, calibrated on the training split, or fp16.
        work: keeps the pictures that recall is measured on.

    Raises:
        ExportError: a graph is missing or broken, or loses more than export.quality allows.
    """
    family = networks.family
    image_run = open_graph(graphs, sized(IMAGE_ENCODER, family.dimensions))
    splits = make_splits()
    if precision == "int8":
        quantise(graphs, folder, draw_samples(splits.train, family, image_run, rows=CALIBRATION_ROWS))
    else:
        halve(graphs, folder)
    unseen = draw_samples(splits.iid, family, image_run, rows=PARITY_ROWS)
    report = check_parity(networks, partial(open_graph, folder), precision=precision, feeds=unseen)
    asked = held_out(family, work)
    recalls = {
        each: measure_recalls({spec.name: open_graph(where, spec) for spec in networks.specs()}, asked)
        for each, where in (("fp32", graphs), (precision, folder))
    }
    lost = check_loss(recalls["fp32"], recalls[precision], precision=precision)
    parity = {name: asdict(figures) for name, figures in report.items()}
    return _reported(networks, Graphs(folder=folder, precision=precision, parity=parity | {"lost": lost}))


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
    if not isinstance(report, dict) or not {"precision", "weights"} <= report.keys():
        raise ExportError(f"{path}: missing or unreadable; `python -m export onnx` writes the graphs with it")
    return report


def is_graphs(folder: Path) -> bool:
    """Tell whether we wrote the folder."""
    try:
        read_report(folder)
    except ExportError:
        return False
    return True


def _reported(networks: Networks, graphs: Graphs) -> Graphs:
    report = {
        "precision": graphs.precision,
        "weights": weights_digests(networks.family),
        "parity": graphs.parity,
    }
    text = json.dumps(report, indent=2) + "\n"
    (graphs.folder / REPORT_FILE).write_text(text, encoding="utf-8")
    return graphs
