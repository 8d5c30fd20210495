"""What computes: the GPU as nvidia-smi has it, the libraries that are there, and the memory in use."""

import ctypes
import re
import resource
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Literal

import onnxruntime

from benchmarks.gpu.errors import GpuBenchError, NoGpuError

Provider = Literal["cuda", "tensorrt", "cpu"]
PROVIDERS: dict[Provider, str] = {
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "cpu": "CPUExecutionProvider",
}

DRIVER = "an NVIDIA GPU with driver 580 or newer (CUDA 13)"
PACKAGES = "benchmarks/gpu/requirements.txt (onnxruntime-gpu with CUDA 13 and cuDNN 9, which `make bench-gpu` installs)"
TENSORRT_PACKAGES = (
    "benchmarks/gpu/tensorrt.txt (TensorRT 10, which `make bench-gpu WITH_TENSORRT=1` installs)"
)

_QUERY = (
    "name", "driver_version", "compute_cap", "memory.total", "clocks.max.sm", "clocks.max.memory", "power.limit",
)  # fmt: skip
_TIMEOUT_S = 30
_MIB = 2**20
_TENSORRT_LIBRARIES = ("libnvinfer.so.10", "libnvinfer_plugin.so.10", "libnvonnxparser.so.10")


def check_driver() -> None:
    """Raise NoGpuError where nvidia-smi finds no GPU."""
    if shutil.which("nvidia-smi") is None:
        raise NoGpuError(f"no GPU here: nvidia-smi was not found; needed are {DRIVER}, and {PACKAGES}")
    found = _nvidia_smi("-L")
    if not found.startswith("GPU"):
        raise NoGpuError(
            f"no GPU here: nvidia-smi says {found or 'nothing'!r}; needed are {DRIVER}, and {PACKAGES}"
        )


def check_provider(provider: Provider) -> None:
    """Load the libraries of a provider.

    Raises:
        NoGpuError: there is no GPU, or this ONNX Runtime is none for GPUs.
    """
    if provider == "cpu":
        return
    check_driver()
    if PROVIDERS[provider] not in onnxruntime.get_available_providers():
        raise NoGpuError(
            f"this ONNX Runtime ({onnxruntime.__version__}) has no {PROVIDERS[provider]}; needed is {PACKAGES}"
        )
    onnxruntime.preload_dlls()
    if provider == "tensorrt" and (missing := missing_tensorrt()):
        raise NoGpuError(f"TensorRT is not here: {missing}; needed is {TENSORRT_PACKAGES}")


def missing_tensorrt() -> str:
    """Load the libraries of TensorRT, from their package where it is installed, and return what is missing; empty where nothing is."""
    for name in _TENSORRT_LIBRARIES:
        try:
            ctypes.CDLL(str(_packaged(name) or name), mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            return str(error)
    return ""


def describe_device(provider: Provider) -> dict[str, str]:
    """Return what nvidia-smi says of the GPU; nothing of a CPU, which the machine's description has."""
    if provider == "cpu":
        return {}
    line = _nvidia_smi(f"--query-gpu={','.join(_QUERY)}", "--format=csv,noheader").splitlines()[:1]
    values = [each.strip() for each in ",".join(line).split(",")]
    if len(values) != len(_QUERY):
        raise GpuBenchError(f"nvidia-smi says {line!r} of {', '.join(_QUERY)}")
    return dict(zip(_QUERY, values, strict=True))


def memory_mib(provider: Provider) -> int:
    """Return the memory in use: of this process on a CPU, of the whole GPU else, so that nothing else may run on it."""
    if provider == "cpu":
        resident = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return int(resident) * resource.getpagesize() // _MIB
    used = _nvidia_smi("--query-gpu=memory.used", "--format=csv,noheader,nounits")
    return int(used.splitlines()[0])


def slug(name: str) -> str:
    """Return a name as it stands in a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _packaged(library: str) -> Path | None:
    """Return where the package of TensorRT's libraries has a library."""
    try:
        files = distribution("tensorrt-cu13-libs").files or []
    except PackageNotFoundError:
        return None
    return next((Path(str(file.locate())) for file in files if file.name == library), None)


def _nvidia_smi(*arguments: str) -> str:
    try:
        ran = subprocess.run(
            ["nvidia-smi", *arguments], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return str(ran.stdout or ran.stderr).strip()
