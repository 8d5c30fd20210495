"""The real tritonserver out of the nvidia-pytriton wheel, run on an ordinary model repository."""

import importlib.util
import os
import secrets
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from stack.settings import Settings, StackError

_NEVER_ALONE = 2**31 - 1
"""Of so many inferences without a caller's trace Triton would trace one; those with one it always does."""

EXIT_TIMEOUT_S = 10
"""How long tritonserver itself lets requests in flight finish after SIGTERM."""


CLOSED_PROTOCOLS = "shared-memory,model-repository,statistics,trace,logging"
"""What no client needs; inference, health, metadata and model configuration stay open."""


LAST_PYTHON = (3, 12)
"""Of Triton's Python backend: its stubs read tensors at the wrong places under numpy 2, and numpy 1 ends with it."""


def check_python(version: tuple[int, int] = sys.version_info[:2]) -> None:
    """Refuse an interpreter that the Python backend would crash under.

    Raises:
        StackError: it is too new; names the way out.
    """
    if version > LAST_PYTHON:
        found, last = (".".join(map(str, each)) for each in (version, LAST_PYTHON))
        raise StackError(
            f"Triton's Python backend runs on Python {last} at most, and this is {found}; "
            f"the way out: make setup PYTHON=python{last} VENV=.venv-{last}"
        )


def package() -> Path:
    """Return the folder of the wheel's package.

    Raises:
        StackError: the wheel is not installed.
    """
    spec = importlib.util.find_spec("pytriton")
    if spec is None or not spec.submodule_search_locations:
        raise StackError(
            "nvidia-pytriton, which holds tritonserver, is not installed; the way out: make setup"
        )
    return Path(spec.submodule_search_locations[0])


def prepare(runtime: Path) -> None:
    """Lay out the Python backend with the stub of this interpreter beside it, where the server looks for it.

    The wheel keeps one stub a Python version in a folder of its own, none of them executable.
    """
    server = package() / "tritonserver"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    target = runtime / "backends" / "python"
    target.mkdir(parents=True, exist_ok=True)
    for source in (
        server / "backends" / "python" / "libtriton_python.so",
        server / "backends" / "python" / "triton_python_backend_utils.py",
        server / "python_backend_stubs" / version / "triton_python_backend_stub",
    ):
        copy = target / source.name
        if not copy.exists() or copy.stat().st_size != source.stat().st_size:
            shutil.copyfile(source, copy)
    (target / "triton_python_backend_stub").chmod(0o755)


def command(settings: Settings, runtime: Path) -> tuple[str, ...]:
    """Return tritonserver's command line: gRPC and metrics on loopback, for it binds all interfaces unless told.

    There is no HTTP, which any web page in a browser on this machine could post to, and the protocols that change the
    server or map memory ask for a key that nobody knows.
    """
    server = package() / "tritonserver"
    return (
        str(server / "bin" / "tritonserver"),
        f"--model-repository={settings.repository}",
        # A member that was loaded anew by itself would compute under the digest of the others.
        "--model-control-mode=none",
        f"--backend-directory={runtime / 'backends'}",
        f"--cache-directory={server / 'caches'}",
        "--allow-http=false",
        f"--grpc-restricted-protocol={CLOSED_PROTOCOLS}:vitrine-closed={secrets.token_hex(24)}",
        *_endpoint("grpc", settings.triton_grpc),
        *_endpoint("metrics", settings.triton_metrics),
        "--allow-gpu-metrics=false",
        "--metrics-config=summary_latencies=true",
        f"--exit-timeout-secs={EXIT_TIMEOUT_S}",
        f"--backend-config=python,shm-region-prefix-name={settings.prefix}",
        *_tracing(settings.traces),
    )


def environment(base: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which the server finds its libraries and the stubs find this interpreter.

    Without LD_LIBRARY_PATH a stub cannot start and the server stays unready for ever; the Python of the stubs is
    the one whose `python3` comes first on PATH.
    """
    libraries = [str(package().parent / "nvidia_pytriton.libs"), str(sysconfig.get_config_var("LIBDIR"))]
    paths = [str(Path(sys.prefix) / "bin"), base.get("PATH", os.defpath)]
    return {
        **base,
        "LD_LIBRARY_PATH": os.pathsep.join(libraries + [p for p in [base.get("LD_LIBRARY_PATH")] if p]),
        "PATH": os.pathsep.join(paths),
    }


def _tracing(endpoint: str) -> tuple[str, ...]:
    """Return the arguments by which Triton's spans join those of the gateway; times alone, no tensor."""
    if not endpoint:
        return ()
    return (
        "--trace-config=mode=opentelemetry",
        "--trace-config=level=TIMESTAMPS",
        f"--trace-config=rate={_NEVER_ALONE}",
        f"--trace-config=opentelemetry,url={endpoint}",
        "--trace-config=opentelemetry,resource=service.name=triton",
    )


def _endpoint(name: str, address: str) -> tuple[str, str]:
    host, _, port = address.rpartition(":")
    return f"--{name}-address={host}", f"--{name}-port={port}"
