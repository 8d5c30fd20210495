"""Plans by TensorRT-RTX, which takes an ONNX graph to a plan where there is neither GPU nor driver.

What it shows: NVIDIA's own parser reads the graph, and NVIDIA's own builder compiles it for a GPU that is named. Its
plans are RTX's, which Triton's TensorRT backend does not read, so none is kept.

The packages lie in a folder of their own (requirements/tensorrt.txt, `make tensorrt-check`). They are loaded in a
process for each graph: what NVIDIA's libraries do there, a crash included, ends with that process.
"""

import ctypes
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from export.errors import ExportError

PACKAGES = Path("build/tensorrt")
"""Where `make tensorrt-check` installs them."""

COMPUTE_CAPABILITIES = ("75", "80", "86", "89", "120", "121")
"""The GPUs that this release builds for: Turing, Ampere (80 and 86), Ada, Blackwell (120 and 121)."""

GRAPH_S = 600.0
"""How long one graph may take, for all GPUs together."""

_BINDINGS = "tensorrt_rtx_bindings"
# In the order in which they need each other; the bindings find by these names what is loaded already.
_LIBRARIES = ("libtensorrt_rtx.so.*", "libtensorrt_onnxparser_rtx.so.*")
_LAST_LINES = 3
"""How many lines of a process that crashed are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a graph: a plan for one GPU, or a refusal."""

    capability: str
    """Of the GPU, as in "86"; empty where the parser refused the graph, which it does for all GPUs alike."""
    plan_bytes: int = 0
    seconds: float = 0.0
    """Of CPU for building; the first one's with parsing."""
    refused: str = ""
    """TensorRT's own words; empty where there is a plan."""
    warnings: tuple[str, ...] = ()
    """TensorRT's own words, each said once a graph."""


def check_installed(packages: Path) -> str:
    """Return the version of TensorRT-RTX in a folder.

    Raises:
        ExportError: it is not there, or does not load on this machine.
    """
    found = sorted(packages.glob("tensorrt_rtx_cu*_bindings-*.dist-info"))
    if not found:
        raise ExportError(f"{packages}: TensorRT-RTX is not there; `make tensorrt-check` installs it")
    finished = _in_its_process(packages, [], timeout_s=GRAPH_S)
    if finished.returncode:
        raise ExportError(f"{packages}: TensorRT-RTX does not load: {_last_words(finished)}")
    return found[0].name.split("-")[1].removesuffix(".dist")


def try_graph(
    graph: Path, packages: Path, capabilities: Sequence[str], *, timeout_s: float = GRAPH_S
) -> list[Outcome]:
    """Return what becomes of a graph for each GPU, or the parser's one refusal.

    Args:
        graph: an ONNX file.
        packages: the folder with TensorRT-RTX.
        capabilities: of COMPUTE_CAPABILITIES.
        timeout_s: ends the work on this graph; what was not done by then is refused for that reason.
    """
    try:
        finished = _in_its_process(packages, [str(graph), *capabilities], timeout_s=timeout_s)
    except subprocess.TimeoutExpired as expired:
        outcomes = _read(expired.stdout or b"")
        reason = f"not built within {timeout_s:g} s"
    else:
        outcomes = _read(finished.stdout)
        reason = f"its process ended: {_last_words(finished)}"
    if any(not each.capability for each in outcomes):
        return outcomes
    done = {each.capability for each in outcomes}
    left = [capability for capability in capabilities if capability not in done]
    return outcomes + [Outcome(capability=capability, refused=reason) for capability in left]


def _in_its_process(
    packages: Path, arguments: Sequence[str], *, timeout_s: float
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-m", "export.tensorrt_rtx", str(packages), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout_s,
        check=False,
    )


def _read(output: bytes) -> list[Outcome]:
    """Read the whole lines of a process."""
    lines = [line for line in output.splitlines(keepends=True) if line.endswith(b"\n")]
    return [Outcome(**{**found, "warnings": tuple(found["warnings"])}) for found in map(json.loads, lines)]


def _last_words(finished: "subprocess.CompletedProcess[bytes]") -> str:
    lines = finished.stderr.decode(errors="replace").strip().splitlines()[-_LAST_LINES:]
    return "; ".join([f"exit {finished.returncode}", *lines])


def _load(packages: Path) -> Any:
    """Load the bindings beside their libraries, and have them stand for `tensorrt` in this process."""
    for pattern in _LIBRARIES:
        (library,) = packages.glob(f"onnxruntime_ep_nv_tensorrt_rtx/{pattern}")
        ctypes.CDLL(str(library))
    sys.path.append(str(packages))
    bindings = import_module(_BINDINGS)
    sys.modules["tensorrt"] = bindings
    return bindings


def _outcomes(bindings: Any, graph: Path, capabilities: Sequence[str]) -> Iterator[Outcome]:
    from export.plans import Network, RefusedError  # noqa: PLC0415 - it imports tensorrt, see _load

    begun = time.process_time()
    try:
        network = Network(graph)
    except RefusedError as error:
        yield Outcome(capability="", seconds=time.process_time() - begun, refused=error.words)
        return
    warned: set[str] = set()
    for capability in capabilities:
        config: Any = network.new_config()
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(bindings.ComputeCapability, f"SM{capability}"), 0)
        plan, refused = b"", ""
        try:
            plan = network.build(config)
        except RefusedError as error:
            refused = error.words
        warnings = [each for each in dict.fromkeys(network.log.warnings) if each not in warned]
        warned.update(warnings)
        yield Outcome(
            capability=capability,
            plan_bytes=len(plan),
            seconds=time.process_time() - begun,
            refused=refused,
            warnings=tuple(warnings),
        )
        begun = time.process_time()


def _work(packages: Path, arguments: Sequence[str]) -> None:
    """Print an outcome a line; without a graph, load TensorRT-RTX and do nothing."""
    # The libraries write on standard output what they please.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as output:
        os.dup2(2, 1)
        bindings = _load(packages)
        if not arguments:
            return
        graph, *capabilities = arguments
        for outcome in _outcomes(bindings, Path(graph), capabilities):
            print(json.dumps(asdict(outcome)), file=output, flush=True)


if __name__ == "__main__":
    _work(Path(sys.argv[1]), sys.argv[2:])
