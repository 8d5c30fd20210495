"""Liveness and the endpoint of metrics: it answers while the loop hangs, and no stranger holds it."""

import asyncio
import contextlib
import socket
import threading
import time
import urllib.error
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, Gauge

from tests.ports import free_port
from vitrine.process import http
from vitrine.process.http import Answer, serving_http
from vitrine.process.lifecycle import Heartbeat, metrics_endpoint


def echoed(path: str, accept: str) -> Answer:
    del accept
    return Answer(status=200, body=path.encode())


def fetched(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


async def test_metrics_and_liveness_are_answered() -> None:
    """The metrics are at / and /metrics, liveness at /livez, and nothing is anywhere else."""
    registry = CollectorRegistry()
    Gauge("things", "Things.", registry=registry).set(3)
    port = free_port()
    async with metrics_endpoint(f"127.0.0.1:{port}", registry, lambda: True):
        answers = [await asyncio.to_thread(fetched, port, path) for path in ("/metrics", "/", "/livez", "/x")]
    assert [status for status, _ in answers] == [200, 200, 200, 404]
    assert "things 3.0" in answers[0][1]


async def test_a_loop_that_hangs_is_told_from_outside() -> None:
    """While the loop stands still, its liveness is answered all the same, with 503; afterwards it is well again."""
    heart = Heartbeat(silent_s=1.0)
    port = free_port()
    statuses: list[int] = []

    def probe() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and 503 not in statuses:
            statuses.append(fetched(port, "/livez")[0])
            time.sleep(0.05)

    async def well() -> None:
        """Wait until it is well: on a busy machine a heart may miss a beat."""
        async with asyncio.timeout(60):
            while (await asyncio.to_thread(fetched, port, "/livez"))[0] != 200:  # noqa: ASYNC110 - another thread answers
                await asyncio.sleep(0.05)

    async with heart.beating(), metrics_endpoint(f"127.0.0.1:{port}", CollectorRegistry(), heart.alive):
        await well()
        probing = threading.Thread(target=probe)
        probing.start()
        probing.join()  # the loop hangs here
        assert statuses[-1] == 503
        await asyncio.sleep(0)
        heart.beat()
        await well()


def test_half_open_connections_are_few_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a number the oldest makes room; each ends after its time; and others are answered meanwhile."""
    monkeypatch.setattr(http, "MAX_CONNECTIONS", 8)
    monkeypatch.setattr(http, "CONNECTION_S", 1.0)
    before = set(threading.enumerate())
    with serving_http("127.0.0.1", 0, echoed) as port:
        halves = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(50)]
        for half in halves:
            half.sendall(b"GET /")
        assert fetched(port, "/well") == (200, "/well")
        assert len(set(threading.enumerate()) - before) == 1
        for half in halves:
            with contextlib.suppress(ConnectionResetError):
                assert half.recv(1) == b""
            half.close()
    assert not set(threading.enumerate()) - before


@pytest.mark.parametrize(
    ("question", "status"),
    [
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", b""),
    ],
)
def test_what_is_no_question_gets_no_answer(question: bytes, status: bytes) -> None:
    """Another method, no HTTP, and a head without end are turned away."""
    with (
        serving_http("127.0.0.1", 0, echoed) as port,
        socket.create_connection(("127.0.0.1", port), timeout=60) as connection,
    ):
        connection.sendall(question)
        try:
            answer = connection.recv(1_000)
        except ConnectionResetError:
            answer = b""
    assert answer.split(b" ")[1:2] == ([status] if status else [])
