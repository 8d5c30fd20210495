"""The probes put together: what health says of the gateway."""

from collections.abc import Mapping

from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health_aio

from gateway.encoders import Encoders
from gateway.metrics import Metrics
from gateway.ports import VectorIndex
from gateway.readiness import (
    CATALOGUE_SERVICE,
    OVERALL,
    SEARCH_SERVICE,
    STARTED,
    ProbeSettings,
    Readiness,
)
from gateway.retrieval.compatibility import Compatibility
from gateway.settings import Settings

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def open_readiness(
    settings: Settings,
    encoders: Encoders,
    index: VectorIndex,
    *,
    compatibility: Compatibility,
    health: health_aio.HealthServicer,
    metrics: Metrics,
) -> Readiness:
    """Return the probes; until the first one has succeeded, health says NOT_SERVING."""

    async def tell(statuses: Mapping[str, bool]) -> None:
        for service, serves in statuses.items():
            metrics.serving.labels(service or "all").set(serves)
            await health.set(service, _SERVING if serves else _NOT_SERVING)

    await tell(dict.fromkeys((OVERALL, SEARCH_SERVICE, CATALOGUE_SERVICE, STARTED), False))
    readiness = Readiness(
        encoders,
        index,
        compatibility,
        settings=ProbeSettings(
            timeout_s=settings.probe_timeout_ms / 1e3, failures=max(1, settings.probe_failures)
        ),
        tell=tell,
        answered=metrics.last_answer,
    )
    metrics.index_outdated.set_function(lambda: readiness.index_outdated)
    return readiness
