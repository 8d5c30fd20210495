"""The service under test: a stack of its own, whose gateway reaches everything through proxies, and a Redis."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import psutil

from stack import record
from stack.processes import dead_children
from stack.record import State
from stack.settings import Settings
from tests.chaos.proxy import Proxy

ROOT = Path(__file__).parents[2]

START_S = 180.0
REDIS = "redis"
SUPERVISED = ("triton", "milvus", "rewriter", "gateway")
MILVUS_SERVER = "127.0.0.1:19530"
"""Where a real Milvus listens, in a network namespace of its own."""
STUB = "triton_python_backend_stub"

GATEWAY_SETTINGS = {
    # The exact index beside the service knows vectors alone.
    "GATEWAY_LEXICAL_SHARE": "0",
    "GATEWAY_PICTURE_CATEGORY_PRECISION": "0",
    # Nearly every search must reach the encoders.
    "GATEWAY_EMBEDDING_CACHE_ENTRIES": "8",
    "GATEWAY_DEFAULT_DEADLINE_MS": "5000",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What the processes of a service hold."""

    rss_mb: float
    descriptors: int
    threads: int
    processes: int


@dataclass
class Service:
    """A stack, its proxies by the name of what is behind them, and its Redis."""

    settings: Settings
    proxies: Mapping[str, Proxy]
    own: Mapping[str, "Server"]
    """What runs beside the stack's supervisor, by name."""
    offsets: dict[str, int] = field(default_factory=dict)

    def pid(self, name: str) -> int:
        """Return the pid of a process; 0 while there is none."""
        if (own := self.own.get(name)) is not None:
            return own.pid
        current = record.read(self.settings.record)
        for each in current.services if current else ():
            if each.name == name and each.process is not None:
                return each.process.pid
        return 0

    def pids(self) -> dict[str, int]:
        """Return the pid of each process that the supervisor keeps."""
        return {name: self.pid(name) for name in SUPERVISED}

    def is_ready(self, name: str) -> bool:
        """Whether the supervisor says that it is ready."""
        if (own := self.own.get(name)) is not None:
            return own.answers()
        current = record.read(self.settings.record)
        return any(
            each.name == name and each.state is State.READY for each in (current.services if current else ())
        )

    def stubs(self) -> list[int]:
        """Return the pids of the Python models inside Triton."""
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.pid("triton")).children(recursive=True)
            return [child.pid for child in children if STUB in " ".join(child.cmdline())]
        return []

    def has_dead_stub(self) -> bool:
        """Whether a Python model inside Triton has died, and Triton is not started anew yet."""
        return bool(dead_children(self.pid("triton")))

    def resources(self) -> dict[str, Resources]:
        """Return what each process and its children hold."""
        return {name: _resources(pid) for name, pid in self.pids().items() if pid}

    def calls(self) -> Iterator[tuple[str, str, float]]:
        """Yield method, status and milliseconds of the calls that the gateway has logged since it was last asked."""
        path = self.settings.log("gateway")
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        begun = self.offsets.get("gateway", 0)
        self.offsets["gateway"] = len(text)
        for line in text[begun if begun <= len(text) else 0 :].splitlines():
            with suppress(ValueError):
                entry = json.loads(line)
                if entry.get("event") == "call":
                    yield entry["method"], entry["code"], float(entry["ms"])


class Server(Protocol):
    """A server that this suite starts itself."""

    @property
    def pid(self) -> int:
        """Return its pid; 0 where it does not run."""
        ...

    def start(self) -> None:
        """Start it, and wait until it answers."""
        ...

    def stop(self) -> None:
        """Kill it."""
        ...

    def answers(self) -> bool:
        """Whether it takes connections."""
        ...


class Redis:
    """A Redis on a socket, without persistence, as conversations need none."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.socket = folder / "redis.sock"
        self._folder = folder
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Return its pid; 0 where it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    def start(self) -> None:
        """Start it, and wait until it answers."""
        server = shutil.which("redis-server")
        assert server, "no redis-server: make setup-test"
        self.socket.unlink(missing_ok=True)
        options = ("--port", "0", "--unixsocket", str(self.socket), "--save", "", "--dir", str(self._folder))
        self._process = subprocess.Popen(
            [server, *options], stdout=subprocess.DEVNULL, env={**os.environ, **self._environment}
        )
        until = time.monotonic() + START_S
        while not self.socket.exists() and time.monotonic() < until:
            time.sleep(0.02)

    def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()

    def answers(self) -> bool:
        """Whether it runs."""
        return self.pid != 0 and self.socket.exists()


@contextmanager
def running(
    state: Path,
    *,
    port_base: int,
    repository: Path,
    milvus: "Server | None" = None,
    environment: Mapping[str, str] | None = None,
    proxied: bool = True,
) -> Iterator[Service]:
    """Run the service with an empty index, in an empty folder; nothing of it runs afterwards.

    Not `proxied`, the gateway reaches everything by itself: proxies run in this process, and take time from the load.
    `milvus` is a server beside the stack's, to be used instead of that; `environment` is for every process.
    """
    state.mkdir(parents=True, exist_ok=True)
    settings = Settings(state=state, port_base=port_base, repository=repository)
    redis = Redis(state, environment or {})
    milvus_listen = f"127.0.0.1:{port_base + 42}" if milvus else f"unix:{state}/proxy-milvus.sock"
    proxies = {
        "triton": Proxy(f"127.0.0.1:{port_base + 41}", settings.triton_grpc),
        "milvus": Proxy(milvus_listen, MILVUS_SERVER if milvus else settings.milvus),
        "rewriter": Proxy(f"127.0.0.1:{port_base + 43}", settings.rewriter),
        REDIS: Proxy(f"unix:{state}/proxy-redis.sock", f"unix:{redis.socket}"),
    }
    through_proxies = {
        "GATEWAY_TRITON": proxies["triton"].listen,
        "GATEWAY_MILVUS": f"http://{milvus_listen}" if milvus else milvus_listen,
        "GATEWAY_REWRITER": proxies["rewriter"].listen,
        "GATEWAY_SESSIONS": f"unix://{proxies[REDIS].listen.removeprefix('unix:')}",
    }
    overrides = GATEWAY_SETTINGS | (through_proxies if proxied else {})
    with ExitStack() as held:
        redis.start()
        held.callback(redis.stop)
        for proxy in proxies.values():
            held.enter_context(proxy)
        held.callback(stack, "down", "--state", str(state), check=False)
        stack(
            *("up", "--state", str(state), "--port-base", str(port_base), "--repository", str(repository)),
            "--no-page",
            *(part for name, value in overrides.items() for part in ("--set", f"{name}={value}")),
            environment=environment,
        )
        own: dict[str, Server] = {REDIS: redis}
        yield Service(settings, proxies, own | ({"milvus": milvus} if milvus is not None else {}))


def stack(*arguments: str, check: bool = True, environment: Mapping[str, str] | None = None) -> None:
    """Run `python -m stack`; what it said is raised where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "stack", *arguments],
        cwd=ROOT,
        env={**os.environ, "ORT_DISABLE_TELEMETRY": "1", **(environment or {})},
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )
    if check and done.returncode:
        raise RuntimeError(f"stack {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}")


def _resources(pid: int) -> Resources:
    try:
        process = psutil.Process(pid)
        tree = [process, *process.children(recursive=True)]
        return Resources(
            rss_mb=round(sum(each.memory_info().rss for each in tree) / 1e6, 1),
            descriptors=sum(each.num_fds() for each in tree),
            threads=sum(each.num_threads() for each in tree),
            processes=len(tree),
        )
    except psutil.NoSuchProcess:
        return Resources(rss_mb=0.0, descriptors=0, threads=0, processes=0)
