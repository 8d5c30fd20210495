"""The chart's Triton command line and liveness probe, run on the real server of the wheel instead of in a pod."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import helm_python
import psutil
import pytest
import tritonclient.grpc as triton_client
import yaml
from tritonclient.utils import InferenceServerException

from stack import triton_runtime
from stack.processes import unlink_shared_memory
from tests.ports import free_port
from vitrine.tensors import ENSEMBLES

from .tritons import start_triton

ROOT = Path(__file__).parents[2]
PREFIX = f"vitrine-chart-{os.getpid()}-"


def chart_command() -> list[str]:
    """Give the command line of the rendered Triton container."""
    with helm_python.Chart.load(str(ROOT / "helm/vitrine")) as chart:
        access = {"callers": {"name": "callers"}, "tls": {"secret": "tls"}}
        values = {"milvus": {"uri": "http://m:19530"}, "access": access}
        files = chart.render(values, name="demo", namespace="prod")
    deployment = next(filter(None, yaml.safe_load_all(files["vitrine/templates/triton/deployment.yaml"])))
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    return [*container["command"], *container["args"]]


def local(argument: str, *, repository: Path, grpc_port: int, metrics_port: int) -> str:
    """Put this machine's paths and ports into an argument of the chart."""
    own = {
        "--model-repository": str(repository),
        "--grpc-port": str(grpc_port),
        "--metrics-port": str(metrics_port),
    }
    name = argument.partition("=")[0]
    return f"{name}={own[name]}" if name in own else argument


@contextmanager
def triton(repository: Path, runtime: Path) -> Iterator[tuple["subprocess.Popen[bytes]", int, int]]:
    """Run the chart's command line on loopback; give the process and its ports of gRPC and metrics once it is ready."""
    grpc_port, metrics_port = free_port(), free_port()
    triton_runtime.prepare(runtime)
    server = triton_runtime.package() / "tritonserver"
    arguments = [
        local(argument, repository=repository, grpc_port=grpc_port, metrics_port=metrics_port)
        for argument in chart_command()
    ]
    arguments += [
        "--grpc-address=127.0.0.1",
        "--metrics-address=127.0.0.1",
        "--allow-gpu-metrics=false",
        f"--backend-directory={runtime / 'backends'}",
        f"--cache-directory={server / 'caches'}",
        f"--backend-config=python,shm-region-prefix-name={PREFIX}",
    ]
    environment = triton_runtime.environment(os.environ | {"PYTHONPATH": str(ROOT)})
    environment["PATH"] += f"{os.pathsep}{server / 'bin'}"
    process = start_triton(
        arguments,
        environment,
        address=f"127.0.0.1:{grpc_port}",
        log=runtime / "triton.log",
        prefix=PREFIX,
    )
    try:
        yield process, grpc_port, metrics_port
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        unlink_shared_memory(PREFIX)


def probe(port: int) -> "subprocess.CompletedProcess[str]":
    """Run the image's liveness probe."""
    return subprocess.run(
        [sys.executable, str(ROOT / "docker/triton_probe.py"), f"127.0.0.1:{port}"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def until_well(port: int) -> None:
    """Wait until the probe passes without a word: on a busy machine an answer may take longer than its few seconds."""
    give_up = time.monotonic() + 120
    while (last := probe(port)).returncode or last.stderr:
        assert time.monotonic() < give_up, last.stderr
        time.sleep(0.5)


def test_the_charts_server_serves_and_is_closed(model_repository: Path, tmp_path: Path) -> None:
    """The server takes the chart's arguments, serves every ensemble, and refuses what could load, unload or map memory.

    The probe passes while it works, and fails while it hangs and once a Python model has died, which its own readiness
    does not see.
    """
    with triton(model_repository, tmp_path) as (process, port, metrics_port):
        with triton_client.InferenceServerClient(f"127.0.0.1:{port}") as client:
            assert all(client.is_model_ready(spec.name) for spec in ENSEMBLES)
            assert client.get_model_config(ENSEMBLES[0].name).config.parameters["manifest"].string_value
            closed = (
                lambda: client.register_system_shared_memory("region", "/key", 16),
                client.get_system_shared_memory_status,
                client.get_model_repository_index,
                lambda: client.unload_model(ENSEMBLES[0].name),
                client.get_inference_statistics,
                client.get_trace_settings,
                client.get_log_settings,
            )
            for call in closed:
                with pytest.raises(InferenceServerException, match="restricted"):
                    call()
        listening = {
            c.laddr.port for c in psutil.Process(process.pid).net_connections() if c.status == "LISTEN"
        }
        assert listening == {port, metrics_port}, "HTTP is off"
        until_well(port)
        process.send_signal(signal.SIGSTOP)
        assert probe(port).returncode == 1, "a server that hangs is no loaded one"
        process.send_signal(signal.SIGCONT)
        until_well(port)
        for stub in psutil.Process(process.pid).children(recursive=True):
            stub.kill()
        assert probe(port).returncode == 1
        with triton_client.InferenceServerClient(f"127.0.0.1:{port}") as client:
            assert client.is_server_ready(), "if this fails, readiness has learnt to see it"
    assert probe(port).returncode == 1, "nobody listens"
