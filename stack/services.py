"""The services of a stack, in the order in which they start."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stack import probes, triton_runtime
from stack.probes import Probe
from stack.processes import unlink_shared_memory
from stack.settings import MARKER, Settings, Worker

ROOT = Path(__file__).resolve().parents[1]
"""Where the packages lie, for the children to import."""

NO_BALANCER_S = "0"
"""Between saying NOT_SERVING and refusing calls: nobody here needs time to look away."""


A_DAY_S = "86400"
"""Age of a connection to one of several gateways that keep sessions in memory: it stays where its sessions are."""


def _nothing() -> object:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """How one process is started, asked, and stopped."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    address: str
    """Where others reach it."""
    ready: Probe
    """Succeeds once it may be used."""
    alive: Probe
    """Succeeds while it runs well; asked every few seconds, so it is cheap."""
    start_timeout_s: float
    grace_s: float
    """From SIGTERM to SIGKILL."""
    prepare: Callable[[], object] = _nothing
    """Lays out what it needs before every start."""
    clean: Callable[[], object] = _nothing
    """Removes what it may leave behind, after it ended however it ended."""


def services(settings: Settings) -> tuple[Service, ...]:
    """Return Triton, Milvus Lite, the rewriter, the gateways, and the speech service and the storefront where wanted."""
    heard = (_speech(settings),) if settings.speech else ()
    shown = (_storefront(settings),) if settings.page else ()
    gateways = (_gateway(settings, worker) for worker in settings.workers)
    return (_triton(settings), _milvus(settings), _rewriter(settings), *heard, *gateways, *shown)


def ports(settings: Settings) -> dict[str, str]:
    """Return each address that must be free before the start, by its use."""
    return {
        "gateway": settings.gateway,
        **{f"{worker.name} metrics": worker.metrics for worker in settings.workers},
        **{f"{worker.name} itself": worker.own for worker in settings.workers if worker.own},
        "triton grpc": settings.triton_grpc,
        "triton metrics": settings.triton_metrics,
        "rewriter": settings.rewriter,
        **({"speech": settings.speech_grpc} if settings.speech else {}),
        **({"storefront": settings.storefront} if settings.page else {}),
    }


def _triton(settings: Settings) -> Service:
    runtime = settings.state / "triton"
    probe = probes.triton(settings.triton_grpc)
    return Service(
        name="triton",
        command=triton_runtime.command(settings, runtime),
        environment=triton_runtime.environment(_environment(settings)),
        address=settings.triton_grpc,
        ready=probe,
        alive=probe,
        start_timeout_s=90.0,  # 4 s on the quiet machine; a cold disk and a busy one are slower
        # An open stream keeps the server past its own exit timeout.
        grace_s=triton_runtime.EXIT_TIMEOUT_S + 5.0,
        prepare=lambda: triton_runtime.prepare(runtime),
        clean=lambda: unlink_shared_memory(settings.prefix),
    )


def _milvus(settings: Settings) -> Service:
    probe = probes.milvus(settings.milvus)
    database = settings.state / "milvus.db"
    return Service(
        name="milvus",
        command=(sys.executable, "-m", "stack.milvus_process", str(database), settings.milvus),
        environment=_environment(settings),
        address=settings.milvus,
        ready=probe,
        alive=probe,
        start_timeout_s=60.0,
        grace_s=5.0,  # it ends at once; SQLite's journal makes that safe
        prepare=lambda: settings.milvus_socket.unlink(missing_ok=True),
        clean=lambda: settings.milvus_socket.unlink(missing_ok=True),
    )


def _rewriter(settings: Settings) -> Service:
    own = {"REWRITER_LISTEN": settings.rewriter, "REWRITER_DRAIN_S": NO_BALANCER_S}
    return Service(
        name="rewriter",
        command=(sys.executable, "-m", "rewriter"),
        environment=_environment(settings) | own | dict(settings.overrides),
        address=settings.rewriter,
        ready=probes.rewriter(settings.rewriter),
        alive=probes.serving(
            settings.rewriter
        ),  # a rewrite by a language model is too dear to ask for so often
        start_timeout_s=120.0,  # an embedded language model is read from disk first
        grace_s=10.0,
    )


def _speech(settings: Settings) -> Service:
    own = {"SPEECH_LISTEN": settings.speech_grpc, "SPEECH_DRAIN_S": NO_BALANCER_S}
    probe = probes.serving(settings.speech_grpc)  # hearing costs a second or two of a core
    return Service(
        name="speech",
        command=(sys.executable, "-m", "speech"),
        environment=_environment(settings) | own | dict(settings.overrides),
        address=settings.speech_grpc,
        ready=probe,
        alive=probe,
        start_timeout_s=120.0,  # the weights are read from disk and their digests made first
        grace_s=15.0,  # what is being heard is heard to its end
    )


def _gateway(settings: Settings, worker: Worker) -> Service:
    own = {
        "GATEWAY_LISTEN": settings.gateway,
        "GATEWAY_OWN_LISTEN": worker.own,
        "GATEWAY_METRICS_LISTEN": worker.metrics,
        "GATEWAY_TRITON": settings.triton_grpc,
        "GATEWAY_MILVUS": settings.milvus,
        "GATEWAY_REWRITER": settings.rewriter,
        "GATEWAY_EVENTS": str(settings.state / "events.db"),
        "GATEWAY_MODERATION_UPLOADS": "refuse",  # of an empty list, until somebody blocks a picture
        "GATEWAY_CAMPAIGNS": str(settings.state / "campaigns.db"),
        "GATEWAY_DRAIN_S": NO_BALANCER_S,
        **({"GATEWAY_SPEECH": settings.speech_grpc} if settings.speech else {}),
        **({"GATEWAY_MAX_CONNECTION_AGE_S": A_DAY_S} if settings.sticky else {}),
    }
    probe = probes.serving(worker.own or settings.gateway)
    return Service(
        name=worker.name,
        command=(sys.executable, "-m", "gateway"),
        environment=_environment(settings) | own | dict(settings.overrides),
        address=worker.own or settings.gateway,
        ready=probe,
        alive=probe,
        start_timeout_s=60.0,
        grace_s=20.0,  # requests in flight finish
    )


def _storefront(settings: Settings) -> Service:
    own = {"STOREFRONT_LISTEN": settings.storefront, "STOREFRONT_GATEWAY": settings.gateway}
    probe = probes.page(settings.storefront)
    return Service(
        name="storefront",
        command=(sys.executable, "-m", "storefront"),
        environment=_environment(settings) | own | dict(settings.overrides),
        address=settings.storefront,
        ready=probe,
        alive=probe,
        start_timeout_s=60.0,
        grace_s=10.0,  # requests in flight finish
    )


def _environment(settings: Settings) -> dict[str, str]:
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        MARKER: str(settings.state),
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PYTHONUNBUFFERED": "1",
        # ONNX Runtime's official wheels report home unless told not to.
        "ORT_DISABLE_TELEMETRY": "1",
    }
