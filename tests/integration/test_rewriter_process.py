"""The rewriter as a process: it answers, drains on SIGTERM, and says what is wrong with its settings."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.ports import free_port
from vitrine.v1 import query_pb2, rewrite_pb2, rewrite_pb2_grpc

ROOT = Path(__file__).parents[2]
DEADLINE_S = 180


@contextmanager
def rewriter(**settings: str) -> Iterator["subprocess.Popen[str]"]:
    """Run `python -m rewriter` with these settings; kill it in the end where it still runs."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("REWRITER_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "rewriter"],
        cwd=ROOT,
        env=env | {f"REWRITER_{name.upper()}": value for name, value in settings.items()},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("engine", ["router", "model"])
def test_it_answers_and_drains(engine: str) -> None:
    """The process serves rewrites, health and metrics; on SIGTERM it says NOT_SERVING, still answers, and exits with 0."""
    port, metrics_port = free_port(), free_port()
    listens = {"listen": f"127.0.0.1:{port}", "metrics_listen": f"127.0.0.1:{metrics_port}"}
    with (
        rewriter(**listens, engine=engine, drain_s="1", grace_s="1") as process,
        grpc.insecure_channel(listens["listen"]) as channel,
    ):
        stub, health = rewrite_pb2_grpc.RewriteServiceStub(channel), health_pb2_grpc.HealthStub(channel)
        request = rewrite_pb2.RewriteRequest(text="a bag under 50")
        rewrite = stub.Rewrite(request, timeout=DEADLINE_S, wait_for_ready=True).rewrite
        assert (rewrite.route, rewrite.filter.range.maximum) == (query_pb2.ROUTE_TEXT, 50)
        assert _status(health) == health_pb2.HealthCheckResponse.SERVING
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=DEADLINE_S) as page:
            assert 'vitrine_rewriter_requests_total{code="OK"} 1.0' in page.read().decode()
        process.send_signal(signal.SIGTERM)
        until = time.monotonic() + DEADLINE_S
        while _status(health) == health_pb2.HealthCheckResponse.SERVING:
            assert time.monotonic() < until, "health never said that it drains"
        assert stub.Rewrite(request, timeout=DEADLINE_S).rewrite == rewrite
        _, log = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0
    events = [json.loads(line)["event"] for line in log.splitlines()]
    assert events == ["serving", "rewritten", "draining", "rewritten"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"listn": "x"}, "rewriter: unknown settings: REWRITER_LISTN\n"),
        (
            {
                "engine": "openai", "openai_url": "http://127.0.0.1:9/v1", "openai_model": "m",
                "openai_api_key_file": "/nowhere",
            },
            "rewriter: REWRITER_OPENAI_API_KEY_FILE: No such file or directory\n",
        ),
    ],
)  # fmt: skip
def test_a_wrong_setting_ends_it_with_one_line(settings: dict[str, str], message: str) -> None:
    """The process does not start, and says in one line which setting is wrong."""
    with rewriter(**settings) as process:
        _, log = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, log) == (1, message)


def _status(health: health_pb2_grpc.HealthStub) -> int:
    return health.Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE_S).status  # type: ignore[attr-defined]
