"""A rolling restart of two gateways and two Tritons behind an Envoy, under load: no request may fail."""

import asyncio
import signal
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stack.probes import ProbeError, within
from stack.services import Service, services
from stack.settings import Settings
from tests.chaos import envoy
from tests.chaos.load import DEADLINE_S, OK, SEARCH, Sample, wrong_answers
from tests.chaos.material import Material, prepare
from tests.chaos.oracle import ExactIndex
from vitrine.client import VitrineClient, VitrineError

READY_S = 180.0
SETTLE_S = 2.0
"""Between an instance that is ready and the next restart; a balancer asks for health every half a second."""

GATEWAY = {
    "GATEWAY_LEXICAL_SHARE": "0",
    "GATEWAY_PICTURE_CATEGORY_PRECISION": "0",
    "GATEWAY_EMBEDDING_CACHE_ENTRIES": "8",
    # Longer than two questions for health.
    "GATEWAY_DRAIN_S": "2",
    "GATEWAY_MAX_CONNECTION_AGE_S": "10",
}
_DEADLINE_S = 5 * DEADLINE_S


@dataclass
class Instance:
    """One process that is started, stopped with grace, and started again."""

    service: Service
    log: Path
    process: "subprocess.Popen[bytes] | None" = None

    def _launched(self) -> "subprocess.Popen[bytes]":
        self.service.prepare()
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self.service.command,
                env=self.service.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def start(self) -> None:
        """Start it, and wait until it is ready."""
        self.process = self._launched()
        until = time.monotonic() + READY_S
        while True:
            try:
                await within(self.service.ready(self.process.pid))
            except ProbeError as error:
                if time.monotonic() > until or self.process.poll() is not None:
                    raise TimeoutError(f"{self.service.name} did not become ready: {error}") from error
                await asyncio.sleep(0.1)
            else:
                return

    async def stop(self) -> float:
        """Tell it to end, as Kubernetes does; return how long it took."""
        assert self.process is not None
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(self.process.wait, self.service.grace_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.service.clean()
        return time.monotonic() - begun


@dataclass
class Cluster:
    """Two gateways and two Tritons, each pair behind the Envoy, and what they share."""

    address: str
    triton: str
    gateways: list[Instance]
    tritons: list[Instance]


@asynccontextmanager
async def cluster(folder: Path, *, port_base: int, repository: Path) -> AsyncIterator[Cluster]:
    """Run one with an empty index."""
    settings = [
        Settings(state=folder / str(number), port_base=port_base + 40 * number, repository=repository)
        for number in range(2)
    ]
    front, back, admin = (f"127.0.0.1:{port_base + 80 + number}" for number in range(3))
    document = envoy.config(
        {
            "gateway": (front, [each.gateway for each in settings]),
            "triton": (back, [each.triton_grpc for each in settings]),
        },
        admin=admin,
    )
    shared = settings[0]
    environment = {
        "GATEWAY_TRITON": back,
        "GATEWAY_MILVUS": shared.milvus,
        "GATEWAY_REWRITER": shared.rewriter,
        **GATEWAY,
    }
    instances = _instances(settings, environment)
    async with AsyncExitStack() as held:
        held.enter_context(envoy.running(folder, document))
        for name in ("triton", "milvus", "rewriter", "gateway"):
            for instance in instances[name]:
                held.push_async_callback(instance.stop)
                await instance.start()
        yield Cluster(front, back, instances["gateway"], instances["triton"])


def _instances(settings: Sequence[Settings], environment: Mapping[str, str]) -> dict[str, list[Instance]]:
    """Return the instances by kind: two of what is restarted, one of what is shared."""
    instances: dict[str, list[Instance]] = {"triton": [], "milvus": [], "rewriter": [], "gateway": []}
    for each in settings:
        each.state.mkdir(parents=True, exist_ok=True)
        for service in services(each):
            if service.name in instances and (each is settings[0] or service.name in {"triton", "gateway"}):
                service.environment.update(environment if service.name == "gateway" else {})
                instances[service.name].append(Instance(service, each.state / f"{service.name}.log"))
    return instances


async def roll(
    folder: Path,
    *,
    port_base: int,
    repository: Path,
    catalogue: Path,
    requests: int,
    clients: int,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Restart every instance in turn, again and again until so many requests were answered; return what was seen."""
    async with cluster(folder, port_base=port_base, repository=repository) as running:
        material, index = await prepare(
            running.address, running.triton, catalogue, products=200, texts=120, seed=3
        )
        samples: list[Sample] = []
        failures: Counter[str] = Counter()
        enough = asyncio.Event()
        restarts: Counter[str] = Counter()
        async with VitrineClient(running.address, retry=False) as client, asyncio.TaskGroup() as group:
            for number in range(clients):
                group.create_task(_client(client, material, samples, failures, enough, number))
            while not restarts or len(samples) < requests:
                for kind, instances in (("gateway", running.gateways), ("triton", running.tritons)):
                    for number, instance in enumerate(instances):
                        took = await instance.stop()
                        await instance.start()
                        await asyncio.sleep(SETTLE_S)
                        restarts[kind] += 1
                        failed = sum(each.status != OK for each in samples)
                        say(
                            f"{kind} {number} ended in {took:.1f} s; {len(samples):,} requests, {failed} failed"
                        )
            enough.set()
        return _result(samples, restarts, material, index) | {"failures": dict(failures)}


def _result(
    samples: list[Sample], restarts: Counter[str], material: Material, index: ExactIndex
) -> dict[str, Any]:
    latencies = sorted(each.ended - each.begun for each in samples)
    return {
        "requests": len(samples),
        "failed": sum(each.status != OK for each in samples),
        "statuses": dict(Counter(each.status for each in samples)),
        "wrong": wrong_answers(samples, material, index),
        "restarts": dict(restarts),
        "p50_ms": round(latencies[len(latencies) // 2] * 1e3, 1),
        "p99_ms": round(latencies[len(latencies) * 99 // 100] * 1e3, 1),
        "longest_ms": round(latencies[-1] * 1e3, 1),
    }


async def _client(  # noqa: PLR0917 - one call
    client: VitrineClient,
    material: Material,
    samples: list[Sample],
    failures: Counter[str],
    enough: asyncio.Event,
    number: int,
) -> None:
    """Ask one question after the other, and count what failures say."""
    while not enough.is_set():
        number += 1
        chosen = number * 7 % len(material.questions)
        begun = time.monotonic()
        status = OK
        hits: tuple[tuple[str, float], ...] = ()
        try:
            answer = await client.search(material.questions[chosen].request, timeout_s=_DEADLINE_S)
            hits = tuple((hit.product_id, hit.score) for hit in answer.hits)
        except VitrineError as error:
            status = error.code.name
            failures[str(error)] += 1
        samples.append(
            Sample(
                kind=SEARCH,
                status=status,
                begun=begun,
                ended=time.monotonic(),
                deadline_s=_DEADLINE_S,
                question=chosen,
                hits=hits,
            )
        )
