"""Where the gateway listens: one server for those who search, and one of its own for those who write, where it is set."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from gateway.api.campaign_servicer import CampaignServicer
from gateway.api.catalogue_servicer import CatalogueServicer
from gateway.api.data_servicer import DataServicer
from gateway.api.document_servicer import DocumentServicer
from gateway.api.feedback_servicer import FeedbackServicer
from gateway.api.moderation_servicer import ModerationServicer
from gateway.api.report_servicer import ReportServicer
from gateway.api.search_servicer import SearchServicer
from gateway.assembly.entrance import most_calls
from gateway.callers import Quotas
from gateway.edge.authentication import Authentication, MeshRules
from gateway.edge.callers_file import InvalidCallers
from gateway.edge.door import Door
from gateway.edge.interceptors import Edge
from gateway.edge.quotas import QuotaKeeper
from gateway.edge.saturation import open_calls, open_servers
from gateway.exposure import mesh_networks
from gateway.metrics import Metrics
from gateway.readiness import CATALOGUE_SERVICE, SEARCH_SERVICE
from gateway.settings import PREFIX, Settings
from vitrine.process.settings import InvalidSettings
from vitrine.process.tls import add_port, server_tls
from vitrine.v1 import (
    campaigns_pb2,
    campaigns_pb2_grpc,
    catalogue_pb2_grpc,
    data_pb2,
    data_pb2_grpc,
    documents_pb2,
    documents_pb2_grpc,
    feedback_pb2,
    feedback_pb2_grpc,
    moderation_pb2,
    moderation_pb2_grpc,
    report_pb2,
    report_pb2_grpc,
    search_pb2_grpc,
)

DOCUMENT_SERVICE = documents_pb2.DESCRIPTOR.services_by_name["DocumentService"].full_name
CAMPAIGN_SERVICE = campaigns_pb2.DESCRIPTOR.services_by_name["CampaignService"].full_name
DATA_SERVICE = data_pb2.DESCRIPTOR.services_by_name["DataService"].full_name
FEEDBACK_SERVICE = feedback_pb2.DESCRIPTOR.services_by_name["FeedbackService"].full_name
REPORT_SERVICE = report_pb2.DESCRIPTOR.services_by_name["ReportService"].full_name
MODERATION_SERVICE = moderation_pb2.DESCRIPTOR.services_by_name["ModerationService"].full_name
HEALTH_SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

_EVERYWHERE = (
    CATALOGUE_SERVICE,
    DOCUMENT_SERVICE,
    DATA_SERVICE,
    CAMPAIGN_SERVICE,
    MODERATION_SERVICE,
    REPORT_SERVICE,
    HEALTH_SERVICE,
    reflection.SERVICE_NAME,
)
"""What each listener answers, and describes where it may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Servicers:
    """What answers calls."""

    search: SearchServicer
    catalogue: CatalogueServicer
    documents: DocumentServicer
    feedback: FeedbackServicer
    data: DataServicer
    reports: ReportServicer
    moderation: ModerationServicer
    campaigns: CampaignServicer
    health: health_aio.HealthServicer


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may call, and what was counted of them; the same at every listener."""

    authentication: Authentication
    quotas: QuotaKeeper

    async def refresh(self) -> None:
        """Take over an exchanged file of callers, and forget those who are not in it any more."""
        await self.authentication.refresh()
        self.quotas.forget_all_but(self.authentication.callers)

    def door(self, *, takes_writes: bool) -> Door:
        """Return the door of one listener."""
        return Door(authentication=self.authentication, quotas=self.quotas, takes_writes=takes_writes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One server, and the port that it has."""

    server: aio.Server
    edge: Edge
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """All servers of a gateway."""

    search: Listener
    catalogue: Listener
    """The same as `search` where the catalogue has no listener of its own."""
    servers: frozenset[str]
    """The ids that gRPC's core has for them."""

    @property
    def all(self) -> tuple[Listener, ...]:
        """Each of them once."""
        return (self.search,) if self.catalogue is self.search else (self.search, self.catalogue)

    async def start(self) -> None:
        """Serve."""
        for listener in self.all:
            await listener.server.start()

    def waiting(self) -> int:
        """Return how many calls gRPC's core has received and not handed over yet."""
        standard = sum(listener.edge.crowding.standard.here for listener in self.all)
        taken = standard + self.search.edge.crowding.searches.under_way
        return max(0, open_calls(self.servers) - taken)

    def refuse(self) -> None:
        """Refuse every new call from now on."""
        for listener in self.all:
            listener.edge.close()

    async def stop(self, grace_s: float | None) -> None:
        """Stop; calls in flight get the grace."""
        for listener in reversed(self.all):
            await listener.server.stop(grace_s)


def open_access(settings: Settings, metrics: Metrics) -> Access:
    """Read who may call; raises InvalidSettings where the file of callers cannot be used."""
    mesh = MeshRules(header=settings.mesh_header.lower(), proxies=mesh_networks(settings.mesh_proxies))
    try:
        authentication = Authentication(Path(settings.callers) if settings.callers else None, mesh, metrics)
    except InvalidCallers as error:
        raise InvalidSettings(f"{PREFIX}CALLERS: {error}") from None
    defaults = Quotas(
        requests_per_s=settings.quota_requests_per_s,
        concurrent=settings.quota_concurrent,
        ingest_streams=settings.quota_ingest_streams,
    )
    return Access(authentication=authentication, quotas=QuotaKeeper(defaults, metrics))


def open_listeners(
    settings: Settings,
    servicers: Servicers,
    access: Access,
    *,
    edge: Callable[[Door], Edge],
    options: Sequence[tuple[str, int]],
) -> Listeners:
    """Make the servers that the settings name, none of them started; raises InvalidSettings for their TLS."""

    def listener(address: str, *further: str, searches: bool, takes_writes: bool) -> Listener:
        entrance = edge(access.door(takes_writes=takes_writes))
        most = most_calls(settings)
        server = aio.server(interceptors=[entrance], options=options, maximum_concurrent_rpcs=most)
        if searches:
            search_pb2_grpc.add_SearchServiceServicer_to_server(servicers.search, server)
            feedback_pb2_grpc.add_FeedbackServiceServicer_to_server(servicers.feedback, server)
        catalogue_pb2_grpc.add_CatalogueServiceServicer_to_server(servicers.catalogue, server)
        data_pb2_grpc.add_DataServiceServicer_to_server(servicers.data, server)
        report_pb2_grpc.add_ReportServiceServicer_to_server(servicers.reports, server)
        campaigns_pb2_grpc.add_CampaignServiceServicer_to_server(servicers.campaigns, server)
        documents_pb2_grpc.add_DocumentServiceServicer_to_server(servicers.documents, server)
        moderation_pb2_grpc.add_ModerationServiceServicer_to_server(servicers.moderation, server)
        health_pb2_grpc.add_HealthServicer_to_server(servicers.health, server)
        if settings.reflection:
            in_front = (SEARCH_SERVICE, FEEDBACK_SERVICE) if searches else ()
            reflection.enable_server_reflection((*in_front, *_EVERYWHERE), server)
        tls = server_tls(settings.tls_cert, settings.tls_key, settings.tls_client_ca, prefix=PREFIX)
        expires = partial(entrance.metrics.certificate_expires, "server")
        port, *_ = [add_port(server, each, tls, expires=expires) for each in (address, *further)]
        return Listener(server=server, edge=entrance, port=port)

    others = open_servers()
    own = settings.catalogue_listen
    further = (settings.own_listen,) if settings.own_listen else ()
    search = listener(settings.listen, *further, searches=True, takes_writes=not own)
    catalogue = listener(own, searches=False, takes_writes=True) if own else search
    return Listeners(search=search, catalogue=catalogue, servers=frozenset(open_servers() - others))
