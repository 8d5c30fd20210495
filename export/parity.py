"""Whether the exported graphs give what the networks give, row by row, whatever the batch."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when the library is loaded

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from encoders.checkpoint import Encoders
from export.errors import ExportError
from export.to_onnx import graph_path
from vitrine.preprocess import PAD_ID
from vitrine.tensors import ENCODERS, MAX_BATCH_SIZE, ModelSpec, TensorSpec

MINIMUM_COSINE = 0.9999
"""Of every row, between torch and the graph: 0.0001 is far below the distance between neighbours in an index."""

Feeds = Mapping[str, NDArray[Any]]
"""An encoder's inputs by name, rows first."""

Run = Callable[[Feeds], NDArray[np.float32]]
"""Gives the embeddings of up to MAX_BATCH_SIZE rows."""

_SEED = 20_240_415
_BATCHES = (1, 3, MAX_BATCH_SIZE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """How far one graph is from its network."""

    rows: int
    minimum_cosine: float
    """Of the row that differs most."""
    mean_cosine: float
    batch_cosine: float
    """The smallest between a row alone and the same row in a full batch."""
    largest_difference: float
    """Of any component."""


def check_parity(encoders: Encoders, open_run: Callable[[ModelSpec], Run]) -> dict[str, Parity]:
    """Compare what was exported with the networks, on rows that cover dark to bright and empty to full.

    Args:
        encoders: the networks.
        open_run: gives what runs an exported encoder, such as `open_graph`.

    Raises:
        ExportError: some row falls below MINIMUM_COSINE.
    """
    parts = encoders.parts()
    report = {}
    for spec in ENCODERS:
        parity = _compare(parts[spec.name], spec, open_run(spec))
        worst = min(parity.minimum_cosine, parity.batch_cosine)
        if not worst >= MINIMUM_COSINE:  # a NaN fails too
            raise ExportError(
                f"{spec.name}: cosine to torch is {worst:.6f}; at least {MINIMUM_COSINE} is required"
            )
        report[spec.name] = parity
    return report


def open_graph(folder: Path, spec: ModelSpec) -> Run:
    """Open an encoder's graph on ONNX Runtime's CPU provider.

    Raises:
        ExportError: it is missing.
    """
    path = graph_path(folder, spec.name)
    if not path.exists():
        raise ExportError(f"{path}: missing; `python -m export onnx` writes it")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    output = spec.outputs[0].name
    return lambda feeds: session.run([output], dict(feeds))[0]


def _compare(network: nn.Module, spec: ModelSpec, run: Run) -> Parity:
    feeds = example_feeds(spec, rows=MAX_BATCH_SIZE, vocabulary=_vocabulary(network))
    with torch.inference_mode():
        expected = network(*(torch.from_numpy(feed) for feed in feeds.values())).numpy()
    given = {size: _run_in_batches(run, feeds, size) for size in _BATCHES}
    cosines = np.stack([_cosines(expected, rows) for rows in given.values()])
    return Parity(
        rows=cosines.size,
        minimum_cosine=float(cosines.min()),
        mean_cosine=float(cosines.mean()),
        batch_cosine=float(_cosines(given[1], given[MAX_BATCH_SIZE]).min()),
        largest_difference=float(max(np.abs(rows - expected).max() for rows in given.values())),
    )


def example_feeds(spec: ModelSpec, *, rows: int, vocabulary: int) -> dict[str, NDArray[Any]]:
    """Give inputs by name, the same at every call."""
    source = np.random.default_rng(_SEED)
    return {tensor.name: _example(tensor, source, rows, vocabulary) for tensor in spec.inputs}


def _example(tensor: TensorSpec, source: np.random.Generator, rows: int, vocabulary: int) -> NDArray[Any]:
    shape = (rows, *tensor.shape)
    if tensor.dtype == "UINT8":
        brightest = np.linspace(1, 256, rows).reshape(-1, *(1 for _ in tensor.shape))
        return (source.random(shape) * brightest).astype(np.uint8)
    if tensor.dtype == "INT64":
        lengths = np.linspace(0, tensor.shape[0], rows).round().reshape(-1, 1)
        ids = source.integers(1, vocabulary, shape)
        return np.where(np.arange(tensor.shape[0]) < lengths, ids, PAD_ID)
    vectors = source.standard_normal(shape).astype(np.float32)
    normalised: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return normalised


def _vocabulary(network: nn.Module) -> int:
    sizes = [m.num_embeddings for m in network.modules() if isinstance(m, nn.Embedding)]
    return min(sizes, default=2)


def _run_in_batches(run: Run, feeds: Feeds, size: int) -> NDArray[np.float32]:
    rows = len(next(iter(feeds.values())))
    starts = range(0, rows, size)
    return np.concatenate([run({name: feed[s : s + size] for name, feed in feeds.items()}) for s in starts])


def _cosines(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float64]:
    a, b = left.astype(np.float64), right.astype(np.float64)
    cosines: NDArray[np.float64] = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return cosines
