"""What tests of several kinds share: a rule for skips, checkpoints of every family, a Redis, a collector of spans."""

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, settings
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

# No example has a time to keep, nor has their making: the machine may be busy. Where CI is set, Hypothesis draws the same
# examples each time; elsewhere others, which may find what nobody has found yet.
settings.register_profile(
    "busy",
    settings(),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("busy")

DOES_NOT_APPLY = "does not apply: "
"""Begins the reason of a skip that no program on the machine would change."""

SHARED_VARIABLE = "VITRINE_TEST_SHARED"
"""Names the folder, empty at its beginning, of what the parts of one run make once for all of them."""


UNCOUNTED = tuple(
    Path(__file__).parent / name
    for name in (
        *("chaos", "unit/benchmarks", "unit/bulk", "unit/ranking"),
        *("contract/helm", "contract/test_docs.py", "contract/test_releases.py", "contract/test_tree.py"),
    )
)
"""Tests of what does not serve, and of files. What serves is asked by its own tests."""


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Let coverage count the quick tests of what serves alone: a test that is counted takes up to twice as long.

    A slow test tries much of what quicker ones cover.
    """
    for item in items:
        if item.get_closest_marker("slow") or any(map(item.path.is_relative_to, UNCOUNTED)):
            item.add_marker("no_cover")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that is skipped where CI is set: whatever the tests need is installed there (make setup-test)."""
    report = yield
    if os.environ.get("CI") and report.skipped and isinstance(report.longrepr, tuple):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        if not reason.startswith(DOES_NOT_APPLY):
            report.outcome = "failed"
            report.longrepr = f"this was skipped, and CI skips nothing for want of a program: {reason}"
    return report


Once = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Gives the folder of that name, filled by whichever process of this run asks first; no test may change it.

    The processes of one pytest share it, and all parts of `make test` do (SHARED_VARIABLE).
    """
    own = tmp_path_factory.getbasetemp()
    of_all = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder = Path(os.environ.get(SHARED_VARIABLE) or of_all / "shared")
    folder.mkdir(parents=True, exist_ok=True)

    def made(name: str, make: Callable[[Path], None]) -> Path:
        with (folder / f"{name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            ready = folder / f"{name}.ready"
            if not ready.exists():
                shutil.rmtree(folder / name, ignore_errors=True)
                (folder / name).mkdir()
                make(folder / name)
                ready.touch()
        return folder / name

    return made


@pytest.fixture(scope="session")
def published_family(once: Once) -> Callable[[Any], Path]:
    """Gives, by the name of a family, a folder with a tiny checkpoint and the repository that the command makes of it."""

    def publish(folder: Path, name: Any) -> None:
        # Imported here because torch and transformers take seconds that most tests can do without.
        from click.testing import CliRunner  # noqa: PLC0415

        from encoders.testing import write_checkpoint  # noqa: PLC0415
        from export.cli import main  # noqa: PLC0415

        write_checkpoint(folder / "checkpoint", name)
        options = ["--checkpoint", str(folder / "checkpoint"), "--out", str(folder / "repository")]
        result = CliRunner().invoke(main, ["publish", *options])
        assert result.output.splitlines()[-1] == f"published local to {folder / 'repository'}"

    return lambda name: once(name, lambda folder: publish(folder, name))


@pytest.fixture(scope="session")
def tensorrt_rtx() -> Path:
    """Return the folder with TensorRT-RTX, NVIDIA's parser and builder that need no GPU."""
    folder = Path(__file__).parents[1] / "build" / "tensorrt"
    said = folder.with_name("tensorrt.log")
    if not folder.exists() and said.exists():
        # Not every mirror has it, and not every machine reaches one that does.
        lines = said.read_text(encoding="utf-8").splitlines()
        reason = next((line for line in reversed(lines) if line.startswith("ERROR: ")), "see tensorrt.log")
        pytest.skip(f"{DOES_NOT_APPLY}TensorRT-RTX could not be installed: {reason}")
    if not folder.exists():
        pytest.skip("no TensorRT-RTX: make setup-test")
    return folder


@pytest.fixture(scope="session")
def redis_process() -> Iterator["RedisProcess"]:
    """Run a Redis on a socket in a folder of its own."""
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("no redis-server on this machine: make setup-test")
    folder = Path(tempfile.mkdtemp(prefix="vitrine-"))
    options = ("--port", "0", "--unixsocket", str(folder / "s"), "--save", "", "--dir", str(folder))
    process = subprocess.Popen([server, *options], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not (folder / "s").exists():
            assert process.poll() is None and time.monotonic() < deadline, "Redis did not start"  # noqa: PT018 - one wait
            time.sleep(0.02)
        yield RedisProcess(url=f"unix://{folder / 's'}", process=process)
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


@dataclass(frozen=True, slots=True)
class RedisProcess:
    """A Redis that runs."""

    url: str
    process: "subprocess.Popen[bytes]"

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Let it accept and answer nothing."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@dataclass(frozen=True, slots=True)
class Collector:
    """A collector of spans that runs: what OTLP over HTTP brought it."""

    endpoint: str
    payloads: list[bytes] = field(default_factory=list)

    def spans(self) -> list[Any]:
        """Return all spans as OTLP's messages, each with the `service` that sent it."""
        found = []
        for payload in list(self.payloads):
            for part in ExportTraceServiceRequest.FromString(payload).resource_spans:
                service = attributes_of(part.resource)["service.name"]
                found += [CollectedSpan(service, span) for scope in part.scope_spans for span in scope.spans]
        return found

    def wait_for(self, *names: str, timeout_s: float = 30.0) -> list[Any]:
        """Return the spans once there is one of each name."""
        give_up = time.monotonic() + timeout_s
        while missing := set(names) - {span.name for span in self.spans()}:
            assert time.monotonic() < give_up, f"no span {missing} among {[s.name for s in self.spans()]}"
            time.sleep(0.05)
        return self.spans()


@dataclass(frozen=True, slots=True)
class CollectedSpan:
    """A span, and the service that sent it."""

    service: str
    message: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.message, name)

    @property
    def attributes(self) -> dict[str, Any]:
        """Its attributes by name."""
        return attributes_of(self.message)


def attributes_of(message: Message) -> dict[str, Any]:
    """Return the attributes of an OTLP message by name."""
    named: Any = message
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in named.attributes}


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Run a collector of spans on a free port of loopback."""
    payloads: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            payloads.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield Collector(f"http://127.0.0.1:{server.server_port}/v1/traces", payloads)
        server.shutdown()
        thread.join()
