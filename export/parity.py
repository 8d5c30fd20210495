"""Whether graphs give what the networks give, row by row, whatever the batch."""

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
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NotImplemented,  # noqa: A004 - so the library calls it
    RuntimeException,
)
from torch import nn

from encoders.pair.networks import PairTextEncoder
from export.errors import ExportError
from export.model_config import Precision
from export.to_onnx import Networks, graph_path
from vitrine.preprocess import PAD_ID
from vitrine.tensors import MAX_BATCH_SIZE, ModelSpec, TensorSpec

MINIMUM_COSINE: dict[Precision, float] = {"fp32": 0.9999, "fp16": 0.999, "int8": 0.98}
"""Of every row, between torch and the graph. 0.0001 is far below the distance between neighbours in an index; for the
others this only finds what is broken, and export.quality judges them by what they find."""

Feeds = Mapping[str, NDArray[Any]]
"""An encoder's inputs by name, rows first."""

Run = Callable[[Feeds], NDArray[np.float32]]
"""Gives the embeddings of up to MAX_BATCH_SIZE rows."""

REFUSALS = (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NotImplemented, RuntimeException)
"""What ONNX Runtime raises on a file that is no graph, or none that it runs; these errors share no base."""

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


def check_parity(
    networks: Networks,
    open_run: Callable[[ModelSpec], Run],
    *,
    precisions: Mapping[str, Precision] | None = None,
    feeds: Mapping[str, Feeds] | None = None,
) -> dict[str, Parity]:
    """Compare what was exported with the networks.

    Args:
        networks: the family in torch.
        open_run: gives what runs an exported encoder, such as `open_graph`.
        precisions: of what was exported, by encoder; fp32 where left out.
        feeds: MAX_BATCH_SIZE rows for each encoder, by its name; where left out, rows that cover dark to bright and
            empty to full, which a quantised graph does not know.

    Raises:
        ExportError: some row falls below MINIMUM_COSINE.
    """
    report = {}
    for spec in networks.specs():
        network = networks.parts[spec.name]
        rows = feeds[spec.name] if feeds else _examples(network, spec)
        parity = measure_parity(torch_run(network), open_run(spec), rows)
        worst = min(parity.minimum_cosine, parity.batch_cosine)
        least = MINIMUM_COSINE[precisions[spec.name] if precisions else "fp32"]
        if not worst >= least:  # a NaN fails too
            raise ExportError(f"{spec.name}: cosine to torch is {worst:.6f}; at least {least} is required")
        report[spec.name] = parity
    return report


def open_graph(folder: Path, spec: ModelSpec) -> Run:
    """Open an encoder's graph on ONNX Runtime's CPU provider, with one thread.

    Raises:
        ExportError: it is missing, corrupt, or has other inputs or outputs than the encoder.
    """
    path = graph_path(folder, spec.name)
    if not path.exists():
        raise ExportError(f"{path}: missing; `python -m export onnx` writes it")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except REFUSALS as error:
        raise ExportError(f"{path}: ONNX Runtime does not open it: {error}") from None
    _check_tensors(path, session.get_inputs(), spec.inputs)
    _check_tensors(path, session.get_outputs(), spec.outputs)
    output = spec.outputs[0].name
    return lambda feeds: session.run([output], dict(feeds))[0]


def torch_run(network: nn.Module) -> Run:
    """Run a network as it is, in torch."""

    def run(feeds: Feeds) -> NDArray[np.float32]:
        with torch.inference_mode():
            embeddings: NDArray[np.float32] = network(
                *(torch.from_numpy(feed) for feed in feeds.values())
            ).numpy()
        return embeddings

    return run


def measure_parity(reference: Run, run: Run, feeds: Feeds) -> Parity:
    """Compare two ways to run an encoder on MAX_BATCH_SIZE rows."""
    expected = reference(feeds)
    given = {size: run_in_batches(run, feeds, size=size) for size in _BATCHES}
    cosines = np.stack([cosines_of(expected, rows) for rows in given.values()])
    return Parity(
        rows=cosines.size,
        minimum_cosine=float(cosines.min()),
        mean_cosine=float(cosines.mean()),
        batch_cosine=float(cosines_of(given[1], given[MAX_BATCH_SIZE]).min()),
        largest_difference=float(max(np.abs(rows - expected).max() for rows in given.values())),
    )


def example_feeds(
    spec: ModelSpec, *, rows: int, vocabulary: int, padding: int = PAD_ID
) -> dict[str, NDArray[Any]]:
    """Return inputs by name, the same at every call; texts of every length, filled up with `padding`."""
    source = np.random.default_rng(_SEED)
    return {tensor.name: _example(tensor, source, rows, (vocabulary, padding)) for tensor in spec.inputs}


def _example(
    tensor: TensorSpec, source: np.random.Generator, rows: int, tokens: tuple[int, int]
) -> NDArray[Any]:
    shape = (rows, *tensor.shape)
    if tensor.dtype == "UINT8":
        brightest = np.linspace(1, 256, rows).reshape(-1, *(1 for _ in tensor.shape))
        return (source.random(shape) * brightest).astype(np.uint8)
    if tensor.dtype == "INT64":
        lengths = np.linspace(0, tensor.shape[0], rows).round().reshape(-1, 1)
        vocabulary, padding = tokens
        ids = source.integers(1, vocabulary, shape)
        return np.where(np.arange(tensor.shape[0]) < lengths, ids, padding)
    vectors = source.standard_normal(shape).astype(np.float32)
    normalised: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return normalised


def _examples(network: nn.Module, spec: ModelSpec) -> Feeds:
    if isinstance(network, PairTextEncoder):
        vocabulary, padding = network.vocabulary, network.padding
        return example_feeds(spec, rows=MAX_BATCH_SIZE, vocabulary=vocabulary, padding=padding)
    return example_feeds(spec, rows=MAX_BATCH_SIZE, vocabulary=_vocabulary(network))


def _vocabulary(network: nn.Module) -> int:
    sizes = [m.num_embeddings for m in network.modules() if isinstance(m, nn.Embedding)]
    return min(sizes, default=2)


def _check_tensors(path: Path, given: Any, expected: tuple[TensorSpec, ...]) -> None:
    named = {tensor.name: tuple(tensor.shape[1:]) for tensor in given}
    wanted = {tensor.name: tensor.shape for tensor in expected}
    if named != wanted:
        raise ExportError(f"{path}: has the tensors {named}, and the encoder's are {wanted}")


def run_in_batches(run: Run, feeds: Feeds, *, size: int = MAX_BATCH_SIZE) -> NDArray[np.float32]:
    """Run any number of rows, so many at a time."""
    rows = len(next(iter(feeds.values())))
    starts = range(0, rows, size)
    return np.concatenate([run({name: feed[s : s + size] for name, feed in feeds.items()}) for s in starts])


def cosines_of(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the cosine of each pair of rows."""
    a, b = left.astype(np.float64), right.astype(np.float64)
    cosines: NDArray[np.float64] = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return cosines
