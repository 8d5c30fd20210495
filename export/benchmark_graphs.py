"""Graphs and inputs for a benchmark that runs in an environment without torch (`make bench-gpu`).

A folder a family: `fp32/` and `fp16/` with a graph an encoder, and `feeds.npz` with inputs, whose keys are `encoder.input`.
fp16 is what GPUs are served; no recall is measured here, which `python -m export quantize` does.
"""

import tempfile
from pathlib import Path

import numpy as np

from catalogue.splits import make_splits
from export.folders import fresh_folder
from export.graphs import make_graphs
from export.parity import open_graph
from export.quantise import halve
from export.samples import draw_samples
from export.to_onnx import Networks, graph_path, load_family
from vitrine.tensors import MAX_BATCH_SIZE

FEEDS_FILE = "feeds.npz"
VIT_B_16 = "vit-b-16"
"""The name of CLIP in the published sizes of ViT-B/16, with random weights: its speed is that of trained ones."""


def write_benchmark_graphs(weights: Path, folder: Path) -> None:
    """Write the graphs of a family in fp32 and fp16, and inputs for them; does nothing where they are written.

    Raises:
        ExportError: the family cannot be exported, or `folder` holds something else.
    """
    if (folder / FEEDS_FILE).exists():
        return
    with fresh_folder(folder, marker=FEEDS_FILE, ours=lambda out: (out / FEEDS_FILE).exists()) as fresh:
        _write(load_family(weights), fresh)


def write_vit_b_16_graphs(folder: Path) -> None:
    """Write those of CLIP in the sizes of ViT-B/16; raises as `write_benchmark_graphs` does."""
    # Imported here because it needs all of transformers, which weights of one's own do without.
    from encoders.testing import write_vit_b_16  # noqa: PLC0415

    if (folder / FEEDS_FILE).exists():
        return
    with tempfile.TemporaryDirectory() as scratch:
        write_vit_b_16(Path(scratch))
        write_benchmark_graphs(Path(scratch), folder)


def _write(networks: Networks, folder: Path) -> None:
    graphs = make_graphs(networks, folder / "fp32")
    specs = networks.specs()
    (folder / "fp16").mkdir()
    for spec in specs:
        halve(graph_path(graphs.folder, spec.name), graph_path(folder / "fp16", spec.name))
    runs = {spec.name: open_graph(graphs.folder, spec) for spec in specs}
    samples = draw_samples(make_splits().iid, networks.family, runs, rows=MAX_BATCH_SIZE)
    feeds = {
        f"{encoder}.{name}": rows for encoder, inputs in samples.items() for name, rows in inputs.items()
    }
    np.savez_compressed(folder / FEEDS_FILE, **feeds)
