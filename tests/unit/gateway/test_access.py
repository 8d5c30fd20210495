"""What a gateway that asks who calls does at its door: statuses, scopes, quotas, listeners, the audit log."""

import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from gateway.edge.methods import NEEDS
from gateway.logs import call_fields
from gateway.settings import Settings
from gateway.testing import (
    PATIENT,
    FakeEncoder,
    FakeIndex,
    ServedGateway,
    product,
    send_products,
    serving,
    until,
)
from vitrine.process.logs import JsonFormatter
from vitrine.tokens import digest, new_token
from vitrine.v1 import (
    catalogue_pb2,
    catalogue_pb2_grpc,
    data_pb2,
    data_pb2_grpc,
    feedback_pb2_grpc,
    search_pb2,
    search_pb2_grpc,
)

TOKENS = {name: new_token(name) for name in ("shop", "writer", "admin", "slow", "till", "dpo")}
SCOPES = {
    "shop": ["search"],
    "writer": ["catalogue"],
    "admin": ["catalogue", "admin"],
    "slow": ["search"],
    "till": ["feedback"],
    "dpo": ["data"],
}
QUOTAS = {"slow": "requests_per_s = 0.5", "writer": "ingest_streams = 1"}
CALLERS = "\n".join(
    f"[callers.{name}]\nscopes = {json.dumps(SCOPES[name])}\n{QUOTAS.get(name, '')}\n"
    f'tokens = [{{sha256 = "{digest(token)}"}}]'
    for name, token in TOKENS.items()
)

Serve = Callable[..., Any]
WHO = grpc.StatusCode.UNAUTHENTICATED
MAY_NOT = grpc.StatusCode.PERMISSION_DENIED


def shows(name: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {TOKENS[name]}"),)


@pytest.fixture
def asking(tmp_path: Path) -> Serve:
    """Return a function that serves a gateway which asks who calls, over one product in the fakes."""
    callers = tmp_path / "callers.toml"
    callers.write_text(CALLERS)

    def serve(**settings: Any) -> Any:
        own: Settings = replace(PATIENT, callers=str(callers), **settings)
        return serving(products=[product("p1", "red dress")], settings=own)

    return serve


@pytest.fixture
async def asked(asking: Serve) -> AsyncIterator[ServedGateway]:
    """A gateway that asks who calls."""
    async with asking() as gateway:
        yield gateway


async def search(gateway: ServedGateway, **call: Any) -> search_pb2.SearchResponse:
    stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
    return await stub.Search(search_pb2.SearchRequest(text="red dress"), timeout=30, **call)


async def delete(channel: aio.Channel, **call: Any) -> catalogue_pb2.DeleteProductsResponse:
    stub = catalogue_pb2_grpc.CatalogueServiceStub(channel)
    return await stub.DeleteProducts(
        catalogue_pb2.DeleteProductsRequest(product_ids=["p1", "p2"]), timeout=30, **call
    )


async def upsert(
    gateway: ServedGateway, *, rebuild: bool = False, metadata: Sequence[tuple[str, str]] = ()
) -> list[catalogue_pb2.UpsertProductsResponse]:
    message = catalogue_pb2.UpsertProductsRequest()
    message.product.product.id, message.product.product.title = "p9", "secret dress"
    options = catalogue_pb2.UpsertProductsRequest(options=catalogue_pb2.UpsertOptions(rebuild=rebuild))
    return await send_products(gateway, [options, message], metadata=metadata)


async def refused(call: Any) -> Any:
    with pytest.raises(grpc.RpcError) as refusal:
        await call
    return refusal.value


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    """Every line that the gateway logs, as it would be written; the level is what the logger's own is."""
    written: list[dict[str, Any]] = []

    class Collecting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(json.loads(JsonFormatter(call_fields).format(record)))

    handler, logger = Collecting(), logging.getLogger("gateway")
    logger.addHandler(handler)
    yield written
    logger.removeHandler(handler)


async def test_nobody_searches_without_a_token_and_the_shop_does(asked: ServedGateway) -> None:
    """UNAUTHENTICATED says what to send, and never which callers there are."""
    error = await refused(search(asked))
    assert (error.code(), "bearer token" in (error.details() or "")) == (WHO, True)
    error = await refused(search(asked, metadata=(("authorization", f"Bearer {new_token('shop')}"),)))
    assert (error.code(), error.details()) == (WHO, "authorization: the token is not known")
    assert (await search(asked, metadata=shows("shop"))).hits[0].product_id == "p1"


async def test_who_may_search_may_not_write_delete_or_rebuild(asked: ServedGateway) -> None:
    """Each call needs its scope; a rebuild needs two; the index is as it was after every refusal."""
    for call in (delete(asked.channel, metadata=shows("shop")), upsert(asked, metadata=shows("shop"))):
        error = await refused(call)
        assert (error.code(), error.details()) == (MAY_NOT, "shop lacks the scope catalogue")
    error = await refused(search(asked, metadata=shows("writer")))
    assert (error.code(), error.details()) == (MAY_NOT, "writer lacks the scope search")
    error = await refused(upsert(asked, rebuild=True, metadata=shows("writer")))
    assert (error.code(), error.details()) == (MAY_NOT, "writer lacks the scope admin")
    assert (await search(asked, metadata=shows("shop"))).hits[0].product_id == "p1"
    (*_, last) = await upsert(asked, metadata=shows("writer"))
    assert last.written == 1
    (*_, last) = await upsert(asked, rebuild=True, metadata=shows("admin"))
    assert last.written == 1


async def test_readers_and_writers_may_read_the_catalogue(asked: ServedGateway) -> None:
    """Describe answers who may search and who may write: by the schema that it gives, products are written."""
    stub = catalogue_pb2_grpc.CatalogueServiceStub(asked.channel)
    for name in ("shop", "writer"):
        described = await stub.Describe(catalogue_pb2.DescribeRequest(), timeout=30, metadata=shows(name))
        assert described.products == 1


async def test_nothing_of_a_stranger_is_parsed_or_even_received(asked: ServedGateway) -> None:
    """A message of a stranger that is no message is refused for who sent it, as is one beyond every bound of bytes."""
    call = asked.channel.unary_unary("/vitrine.v1.SearchService/Search")
    for data in (b"\xff", b"\x0a\xff" * 3_000_000):
        assert (await refused(call(data, timeout=30))).code() is WHO
    error = await refused(call(b"\xff", timeout=30, metadata=shows("shop")))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_health_is_told_to_everybody_and_reflection_is_not(asked: ServedGateway) -> None:
    """`Check` is open for probes; to watch it, or to list the API, a caller says who it is."""
    health: Any = health_pb2_grpc.HealthStub(asked.channel)
    request = health_pb2.HealthCheckRequest()
    assert (await health.Check(request, timeout=30)).status != health_pb2.HealthCheckResponse.UNKNOWN
    assert (await refused(health.Watch(request, timeout=30).read())).code() is WHO
    watch = health.Watch(request, timeout=30, metadata=shows("shop"))
    assert (await watch.read()).status != health_pb2.HealthCheckResponse.UNKNOWN
    watch.cancel()
    reflection = reflection_pb2_grpc.ServerReflectionStub(asked.channel)
    question = reflection_pb2.ServerReflectionRequest(list_services="")
    assert (await refused(reflection.ServerReflectionInfo(iter([question]), timeout=30).read())).code() is WHO
    listing = reflection.ServerReflectionInfo(iter([question]), timeout=30, metadata=shows("shop"))
    described = {each.name for each in (await listing.read()).list_services_response.service}
    assert described >= {name.rpartition(".")[0] for name in NEEDS if name.startswith("vitrine.")}
    listing.cancel()


async def test_a_quota_refuses_its_caller_alone_and_says_when_to_come_back(asked: ServedGateway) -> None:
    """RESOURCE_EXHAUSTED has RetryInfo; another caller is answered meanwhile."""
    await search(asked, metadata=shows("slow"))
    error = await refused(search(asked, metadata=shows("slow")))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error.details() == "slow: at most 0.5 requests a second"
    status = rpc_status.from_call(error)
    retry = error_details_pb2.RetryInfo()
    assert status is not None
    assert any(detail.Unpack(retry) for detail in status.details)
    assert 0 < retry.retry_delay.ToTimedelta().total_seconds() <= 2
    assert (await search(asked, metadata=shows("shop"))).hits


async def test_one_callers_idle_streams_leave_room_for_another(asked: ServedGateway) -> None:
    """A caller holds no more streams than its quota, so that the next caller's products are written."""
    stub = catalogue_pb2_grpc.CatalogueServiceStub(asked.channel)
    idle = stub.UpsertProducts(timeout=60, metadata=shows("writer"))
    await idle.write(catalogue_pb2.UpsertProductsRequest(options=catalogue_pb2.UpsertOptions()))
    await idle.initial_metadata()
    error = await refused(upsert(asked, metadata=shows("writer")))
    assert error.details() == "writer: at most 1 streams of products at once"
    assert (await upsert(asked, metadata=shows("admin")))[-1].written == 1
    idle.cancel()


async def test_a_caller_that_is_taken_out_ends_its_stream(asked: ServedGateway, tmp_path: Path) -> None:
    """A stream that was open when its caller's token was taken out of the file writes nothing more."""
    stub = catalogue_pb2_grpc.CatalogueServiceStub(asked.channel)
    stream = stub.UpsertProducts(timeout=60, metadata=shows("writer"))
    await stream.write(catalogue_pb2.UpsertProductsRequest(options=catalogue_pb2.UpsertOptions()))
    await stream.initial_metadata()
    (tmp_path / "callers.toml").write_text(
        CALLERS.replace(digest(TOKENS["writer"]), digest(new_token("writer")))
    )
    reloads = {"outcome": "taken"}
    await until(
        lambda: asked.metrics.registry.get_sample_value("vitrine_gateway_callers_reloads_total", reloads) == 1
    )
    message = catalogue_pb2.UpsertProductsRequest()
    message.product.product.id, message.product.product.title = "p9", "dress"
    await stream.write(message)
    assert (await refused(stream.read())).code() is WHO


async def test_the_catalogue_may_have_a_listener_of_its_own(asking: Serve) -> None:
    """Where searches are answered nothing is written, whatever the scopes; the other listener writes and searches nothing."""
    async with (
        asking(catalogue_listen="127.0.0.1:0") as gateway,
        aio.insecure_channel(gateway.catalogue_address) as catalogue,
    ):
        assert gateway.catalogue_address != gateway.address
        error = await refused(delete(gateway.channel, metadata=shows("admin")))
        assert error.code() is MAY_NOT
        assert "at an address of its own" in (error.details() or "")
        assert (await search(gateway, metadata=shows("shop"))).hits
        stub = search_pb2_grpc.SearchServiceStub(catalogue)
        error = await refused(
            stub.Search(search_pb2.SearchRequest(text="x"), timeout=30, metadata=shows("shop"))
        )
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED
        assert (await delete(catalogue, metadata=shows("admin"))).deleted == 1
        health: Any = health_pb2_grpc.HealthStub(catalogue)
        await health.Check(health_pb2.HealthCheckRequest(), timeout=30)


async def test_events_come_in_front_and_shoppers_are_erased_behind(
    asking: Serve, lines: list[dict[str, Any]]
) -> None:
    """Each has a scope of its own, and its listener; an erasure leaves a line that does not say whose it was."""
    async with (
        asking(catalogue_listen="127.0.0.1:0") as gateway,
        aio.insecure_channel(gateway.catalogue_address) as behind,
    ):
        record = feedback_pb2_grpc.FeedbackServiceStub(gateway.channel).Record
        error = await refused(record(iter([]), timeout=30, metadata=shows("shop")))
        assert (error.code(), error.details()) == (MAY_NOT, "shop lacks the scope feedback")
        error = await refused(record(iter([]), timeout=30, metadata=shows("till")))
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION  # let in, and nothing is kept here
        request = data_pb2.EraseRequest(user_id="eve-herself")
        for channel, caller, complaint in (
            (gateway.channel, "dpo", "at an address of its own"),
            (behind, "admin", "admin lacks the scope data"),
        ):
            erase = data_pb2_grpc.DataServiceStub(channel).Erase
            error = await refused(erase(request, timeout=30, metadata=shows(caller)))
            assert error.code() is MAY_NOT
            assert complaint in (error.details() or "")
        erased = await data_pb2_grpc.DataServiceStub(behind).Erase(request, timeout=30, metadata=shows("dpo"))
        assert (erased.events, erased.conversations) == (0, 0)
    told = [line for line in lines if line["event"] == "audit"]
    assert [(line["caller"], line["outcome"]) for line in told][-1] == ("dpo", "OK")
    assert told[-1]["conversations"] == 0
    assert "eve-herself" not in json.dumps(lines)


async def test_every_write_leaves_a_line_that_says_who_and_how_many_also_a_refused_one(
    asked: ServedGateway, lines: list[dict[str, Any]]
) -> None:
    """The audit log has caller, method, counts, index, outcome and id at every level; nothing of products or searches."""
    assert not logging.getLogger("gateway.edge").isEnabledFor(logging.INFO)
    await search(asked, metadata=shows("shop"))
    await delete(asked.channel, metadata=(*shows("writer"), ("x-request-id", "id-1")))
    await upsert(asked, metadata=shows("writer"))
    await refused(delete(asked.channel, metadata=shows("shop")))
    await refused(delete(asked.channel))
    await until(lambda: sum(line["event"] == "audit" for line in lines) == 4)  # a line comes after its answer
    told = [line for line in lines if line["event"] == "audit"]
    assert [(line["caller"], line["method"], line["outcome"]) for line in told] == [
        ("writer", "DeleteProducts", "OK"),
        ("writer", "UpsertProducts", "OK"),
        ("shop", "DeleteProducts", "PERMISSION_DENIED"),
        ("", "DeleteProducts", "UNAUTHENTICATED"),
    ]
    assert told[0].items() >= {"request_id": "id-1", "deleted": 1, "index": "fake-0"}.items()
    assert told[1].items() >= {"written": 1, "rejected": 0, "rebuild": False, "index": "fake-0"}.items()
    assert all(line["peer"].startswith("ipv4:127.0.0.1:") for line in told)
    assert "secret dress" not in json.dumps(lines)
    assert not any(token in json.dumps(lines) for token in TOKENS.values())


async def test_a_rebuild_and_its_undoing_are_administrators_and_audited(
    asked: ServedGateway, lines: list[dict[str, Any]]
) -> None:
    """Who may write may not put an index back; who may leaves a line that names both indexes."""
    stub = catalogue_pb2_grpc.CatalogueServiceStub(asked.channel)

    async def restore(name: str) -> catalogue_pb2.RestoreIndexResponse:
        return await stub.RestoreIndex(catalogue_pb2.RestoreIndexRequest(), timeout=30, metadata=shows(name))

    rebuilt = (await upsert(asked, rebuild=True, metadata=shows("admin")))[-1]
    assert (await refused(restore("writer"))).code() is MAY_NOT
    assert (await refused(restore("shop"))).code() is MAY_NOT
    restored = await restore("admin")
    await until(lambda: sum(line["event"] == "audit" for line in lines) == 4)
    told = [line for line in lines if line["event"] == "audit"]
    assert [(line["caller"], line["outcome"]) for line in told] == [
        ("admin", "OK"), ("writer", "PERMISSION_DENIED"), ("shop", "PERMISSION_DENIED"), ("admin", "OK"),
    ]  # fmt: skip
    assert told[0].items() >= {"rebuild": True, "index": rebuilt.index, "replaced": restored.index}.items()
    assert told[3].items() >= {"index": restored.index, "replaced": rebuilt.index}.items()


async def test_a_mesh_says_who_calls_where_its_proxy_is_believed(asking: Serve, tmp_path: Path) -> None:
    """The header of the setting names the caller from the proxy's network; from elsewhere it is refused."""
    with (tmp_path / "callers.toml").open("a") as callers:
        callers.write('\n[callers.web]\nscopes = ["search"]\nidentities = ["spiffe://prod/web"]\n')
    header = (("x-forwarded-client-cert", "By=spiffe://prod/gateway;URI=spiffe://prod/web"),)
    async with asking(mesh_header="X-Forwarded-Client-Cert") as gateway:
        assert (await search(gateway, metadata=header)).hits
        forged = (("x-forwarded-client-cert", "URI=spiffe://prod/web,URI=spiffe://prod/other"),)
        assert (await refused(search(gateway, metadata=forged))).code() is WHO
    async with asking(mesh_header="x-forwarded-client-cert", mesh_proxies="10.0.0.0/8") as gateway:
        error = await refused(search(gateway, metadata=header))
        assert (error.code(), error.details()) == (
            WHO,
            "an identity is taken from the mesh's own proxy alone",
        )
    async with asking() as gateway:
        assert (await refused(search(gateway, metadata=header))).code() is WHO


async def test_every_log_line_of_a_call_names_its_caller(
    asked: ServedGateway, caplog: pytest.LogCaptureFixture, lines: list[dict[str, Any]]
) -> None:
    """The name is in the fields that every line of a call has, and in a metric; the token is nowhere."""
    caplog.set_level(logging.INFO, logger="gateway")
    await search(asked, metadata=shows("shop"))
    await refused(search(asked))
    calls = "vitrine_gateway_caller_requests_total"
    value = asked.metrics.registry.get_sample_value
    await until(lambda: value(calls, {"caller": "", "code": "UNAUTHENTICATED"}) == 1)  # told after the answer
    assert value(calls, {"caller": "shop", "code": "OK"}) == 1
    await until(lambda: len([line for line in lines if line["event"] == "call"]) == 2)
    assert [line["caller"] for line in lines if line["event"] == "call"] == ["shop", ""]
    assert TOKENS["shop"] not in json.dumps(lines)


async def test_where_nobody_is_asked_everything_is_as_before() -> None:
    """A gateway on loopback without a file of callers searches, writes and rebuilds for everybody."""
    async with serving(index=FakeIndex(), encoder=FakeEncoder()) as gateway:
        assert (await upsert(gateway, rebuild=True))[-1].written == 1
        assert (await search(gateway)).hits
