"""The plans that Triton serves, for TensorRT 10 and 11, checked against torch.

A plan runs only on the kind of GPU and the release of TensorRT that built it: build inside the Triton image
that will serve it, on the GPU that will serve it.

Importing this module needs TensorRT. Elsewhere its types are checked (export.tensorrt_stubs), and the graphs and the
calls that build their plans are run with TensorRT-RTX (export.tensorrt_rtx).
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import tensorrt
import torch
from numpy.typing import NDArray

from export.choice import uniform
from export.errors import ELSEWHERE, INT8_IS_FOR_CPUS, ExportError
from export.graphs import read_report
from export.manifest import file_digest, weights_digests
from export.padding import keep_padding
from export.parity import Feeds, Run, check_parity
from export.plans import Network
from export.repository import PLANS_FILE
from export.to_onnx import graph_path, load_family
from vitrine.tensors import ENCODERS, ModelSpec

_TIMING_CACHE_FILE = "timing.cache"


def build_plans(weights: Path, graphs: Path, folder: Path) -> None:
    """Write `<name>.plan` for each encoder, checked against torch on this GPU, and plans.json.

    The timing cache stays in the folder: a second build on the same GPU and release takes its kernels from it.

    Raises:
        ExportError: no GPU here, a graph is missing or refused, or a plan differs from torch.
    """
    if not torch.cuda.is_available():
        raise ExportError(ELSEWHERE)
    networks = load_family(weights)
    precision = read_report(graphs)["precision"]
    if precision == "int8":
        raise ExportError(INT8_IS_FOR_CPUS)
    folder.mkdir(parents=True, exist_ok=True)
    for spec in networks.specs():
        plan = _build(graph_path(graphs, spec.name), folder / _TIMING_CACHE_FILE)
        _plan_path(folder, spec.name).write_bytes(plan)
    report = check_parity(
        networks, lambda spec: _open_plan(folder, spec), precisions=uniform(precision).precisions
    )
    stamp = {
        "precision": precision,
        "tensorrt": tensorrt.__version__,
        "gpu": torch.cuda.get_device_name(),
        "driver": _driver(),
        "weights": weights_digests(networks.family),
        "plans": {spec.name: file_digest(_plan_path(folder, spec.name)) for spec in ENCODERS},
        "parity": {name: asdict(parity) for name, parity in report.items()},
    }
    (folder / PLANS_FILE).write_text(json.dumps(stamp, indent=2) + "\n", encoding="utf-8")


def _driver() -> str:
    """Return the version of the GPU's driver, a line for each GPU."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()


def _plan_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.plan"


def _build(graph: Path, timing_cache: Path) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        network = Network(keep_padding(graph, Path(scratch)))
    config = network.new_config()
    known = timing_cache.read_bytes() if timing_cache.exists() else b""
    config.set_timing_cache(config.create_timing_cache(known), ignore_mismatch=False)
    plan = network.build(config)
    for warning in network.log.warnings:
        print(f"{graph}: {warning}", file=sys.stderr)
    timing_cache.write_bytes(bytes(config.get_timing_cache().serialize()))
    return plan


def _open_plan(folder: Path, spec: ModelSpec) -> Run:
    runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.WARNING))
    engine = runtime.deserialize_cuda_engine(_plan_path(folder, spec.name).read_bytes())
    context = engine.create_execution_context()

    def run(feeds: Feeds) -> NDArray[np.float32]:
        stream = torch.cuda.current_stream()
        inputs = {name: torch.from_numpy(np.ascontiguousarray(feed)).cuda() for name, feed in feeds.items()}
        rows = len(next(iter(inputs.values())))
        output = torch.empty((rows, *spec.outputs[0].shape), dtype=torch.float32, device="cuda")
        for name, tensor in inputs.items():
            context.set_input_shape(name, tuple(tensor.shape))
            context.set_tensor_address(name, tensor.data_ptr())
        context.set_tensor_address(spec.outputs[0].name, output.data_ptr())
        if not context.execute_async_v3(stream.cuda_stream):
            raise ExportError(f"{spec.name}: the plan does not run on this GPU")
        stream.synchronize()
        embeddings: NDArray[np.float32] = output.cpu().numpy()
        return embeddings

    return run
