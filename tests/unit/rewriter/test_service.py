"""The service over a loopback port: limits, shedding, deadlines, health, measurements."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from rewriter.engines.port import Engine, EngineError, Failure
from rewriter.engines.rules.engine import Router
from rewriter.metrics import Metrics
from rewriter.server import SERVICE, open_engine, open_linker, serving
from rewriter.servicer import REQUEST_ID_HEADER
from rewriter.settings import Settings
from vitrine.domain import limits
from vitrine.process.logs import JsonFormatter
from vitrine.process.settings import InvalidSettings
from vitrine.v1 import query_pb2, rewrite_pb2, rewrite_pb2_grpc, schema_pb2

Facets = Sequence[rewrite_pb2.Facet]


class Gate:
    """An engine that waits until it is let through, and keeps the time that it was given."""

    version = "gate-1"

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.arrived = asyncio.Semaphore(0)
        self.timeouts: list[float] = []

    async def rewrite(self, request: rewrite_pb2.RewriteRequest, *, timeout_s: float) -> rewrite_pb2.Rewrite:
        """Wait, then give a text search for the words."""
        self.timeouts.append(timeout_s)
        self.arrived.release()
        await self.open.wait()
        return rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query=request.text)


@asynccontextmanager
async def service(
    engine: Engine, metrics: Metrics | None = None, *, max_in_flight: int = 2, **timeouts_ms: int
) -> AsyncIterator["tuple[rewrite_pb2_grpc.RewriteServiceAsyncStub, health_pb2_grpc.HealthStub]"]:
    """Serve the engine on a free port; give stubs of the service and of health."""
    timeouts_ms = {"max_timeout_ms": 2_000} | timeouts_ms
    settings = Settings(listen="127.0.0.1:0", max_in_flight=max_in_flight, grace_s=0, **timeouts_ms)
    async with (
        serving(settings, engine, metrics or Metrics()) as server,
        aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        yield rewrite_pb2_grpc.RewriteServiceStub(channel), health_pb2_grpc.HealthStub(channel)


async def test_a_turn_is_answered(facets: Facets) -> None:
    """The router answers over gRPC what it answers in process."""
    async with service(Router()) as (stub, _):
        response = await stub.Rewrite(rewrite_pb2.RewriteRequest(text="red dress", facets=facets), timeout=60)
    assert response.rewrite.query == "red dress"
    assert response.rewrite.source == "router"
    assert response.model_version == Router().version


_TOO_MUCH = {
    "text": rewrite_pb2.RewriteRequest(text="x" * (limits.MAX_QUERY_LENGTH + 1)),
    "product_id": rewrite_pb2.RewriteRequest(product_id="x" * (limits.MAX_ID_LENGTH + 1)),
    "history": rewrite_pb2.RewriteRequest(history=[rewrite_pb2.Turn()] * (limits.MAX_HISTORY_TURNS + 1)),
    "facets": rewrite_pb2.RewriteRequest(facets=[rewrite_pb2.Facet()] * (limits.MAX_FACETS + 1)),
    "facets[0].values": rewrite_pb2.RewriteRequest(
        facets=[rewrite_pb2.Facet(field="brand", values=["x"] * (limits.MAX_FACET_VALUES + 1))]
    ),
    "history[0].text": rewrite_pb2.RewriteRequest(
        history=[rewrite_pb2.Turn(text="x" * (limits.MAX_QUERY_LENGTH + 1))]
    ),
    "history[0].rewrite.query": rewrite_pb2.RewriteRequest(
        history=[rewrite_pb2.Turn(rewrite=rewrite_pb2.Rewrite(query="x" * (limits.MAX_QUERY_LENGTH + 1)))]
    ),
    "history[1].shown": rewrite_pb2.RewriteRequest(
        history=[rewrite_pb2.Turn(), rewrite_pb2.Turn(shown=[query_pb2.Product()] * (limits.MAX_SHOWN + 1))]
    ),
    "schema.fields": rewrite_pb2.RewriteRequest(schema=schema_pb2.CatalogueSchema(name="shop")),
    "schema.fields.size.kind": rewrite_pb2.RewriteRequest(
        schema=schema_pb2.CatalogueSchema(name="shop", fields=[schema_pb2.CatalogueField(name="size")])
    ),
    "history[0].shown[0].fields['weight']": rewrite_pb2.RewriteRequest(
        history=[
            rewrite_pb2.Turn(
                shown=[query_pb2.Product(fields={"weight": query_pb2.FieldValue(number=float("inf"))})]
            )
        ]
    ),
    "history[0].shown[0].price": rewrite_pb2.RewriteRequest(
        history=[rewrite_pb2.Turn(shown=[query_pb2.Product(price=float("nan"))])]
    ),
}


@pytest.mark.parametrize("field", _TOO_MUCH)
async def test_a_request_beyond_a_limit_names_the_field(field: str) -> None:
    """INVALID_ARGUMENT carries the field and its limit, and the next request is answered."""
    async with service(Router()) as (stub, _):
        with pytest.raises(aio.AioRpcError) as caught:
            await stub.Rewrite(_TOO_MUCH[field], timeout=60)
        assert (await stub.Rewrite(rewrite_pb2.RewriteRequest(text="hat"), timeout=60)).rewrite.query == "hat"
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    status = rpc_status.from_call(caught.value)
    details = error_details_pb2.BadRequest()
    assert status is not None
    assert status.details[0].Unpack(details)
    assert [violation.field for violation in details.field_violations] == [field]


async def test_one_call_too_many_is_shed_and_health_still_answers() -> None:
    """Beyond the bound callers are told to retry later; the others finish, and the bound is free again."""
    gate, metrics = Gate(), Metrics()
    async with service(gate, metrics, max_in_flight=2) as (stub, health):
        request = rewrite_pb2.RewriteRequest(text="hat")
        waiting = [asyncio.ensure_future(stub.Rewrite(request, timeout=60)) for _ in range(2)]
        async with asyncio.timeout(60):
            for _ in waiting:
                await gate.arrived.acquire()
        with pytest.raises(aio.AioRpcError) as caught:
            await stub.Rewrite(request, timeout=60)
        probe = health_pb2.HealthCheckRequest(service=SERVICE)
        answer = await health.Check(probe, timeout=60)  # type: ignore[attr-defined]
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        gate.open.set()
        assert [(await call).rewrite.query for call in waiting] == ["hat", "hat"]
        assert (await stub.Rewrite(request, timeout=60)).rewrite.query == "hat"
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    status = rpc_status.from_call(caught.value)
    retry = error_details_pb2.RetryInfo()
    assert status is not None
    assert status.details[0].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == 100
    assert (
        metrics.registry.get_sample_value("vitrine_rewriter_requests_total", {"code": "RESOURCE_EXHAUSTED"})
        == 1
    )
    assert metrics.registry.get_sample_value("vitrine_rewriter_in_flight") == 0


async def test_the_engine_gets_the_callers_time_and_never_more_than_the_most() -> None:
    """The caller's deadline reaches the engine; without one the default holds, and a cap above all."""
    gate = Gate()
    gate.open.set()
    async with service(gate, default_timeout_ms=30_000, max_timeout_ms=60_000) as (stub, _):
        request = rewrite_pb2.RewriteRequest(text="hat")
        await stub.Rewrite(request, timeout=50)
        await stub.Rewrite(request)
        await stub.Rewrite(request, timeout=600)
    # gRPC tells what is left by another clock than it was set by: a tenth of a second more was seen.
    assert 30 < gate.timeouts[0] < 51
    assert gate.timeouts[1] == 30.0
    assert gate.timeouts[2] == 60.0


async def test_a_deadline_ends_the_call() -> None:
    """A caller whose time runs out gets DEADLINE_EXCEEDED and holds no place any longer."""
    gate = Gate()
    async with service(gate, max_in_flight=1) as (stub, _):
        with pytest.raises(aio.AioRpcError) as caught:
            await stub.Rewrite(rewrite_pb2.RewriteRequest(text="hat"), timeout=0.05)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        gate.open.set()
        async with asyncio.timeout(60):
            while True:
                try:
                    await stub.Rewrite(rewrite_pb2.RewriteRequest(text="hat"), timeout=60)
                    break
                except aio.AioRpcError as error:
                    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # noqa: PT017 - the place is being freed
                    await asyncio.sleep(0.01)


async def test_without_any_engine_the_caller_is_told() -> None:
    """An engine's failure that nothing stands in for is UNAVAILABLE, without its detail."""

    class Broken:
        async def rewrite(
            self, request: rewrite_pb2.RewriteRequest, *, timeout_s: float
        ) -> rewrite_pb2.Rewrite:
            raise EngineError(Failure.STATUS, f"{request.text} {timeout_s}")

    async with service(Broken()) as (stub, _):
        with pytest.raises(aio.AioRpcError) as caught:
            await stub.Rewrite(rewrite_pb2.RewriteRequest(text="secret"), timeout=60)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert caught.value.details() == "no engine answered"


async def test_the_log_holds_no_words_of_the_shopper(
    caplog: pytest.LogCaptureFixture, facets: Facets
) -> None:
    """A call leaves one line with route, source and sizes; at no level does it hold what was said."""
    caplog.set_level(logging.DEBUG)
    async with service(Router()) as (stub, _):
        await stub.Rewrite(rewrite_pb2.RewriteRequest(text="chartreuse dress", facets=facets), timeout=60)
    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    assert not any("chartreuse" in json.dumps(line) for line in lines)
    rewritten = [line for line in lines if line["event"] == "rewritten"]
    assert [(line["route"], line["source"], line["characters"]) for line in rewritten] == [
        ("ROUTE_TEXT", "router", 16)
    ]


@pytest.mark.parametrize(
    ("sent", "logged"), [("req-1:a.b_C", "req-1:a.b_C"), ("no id", ""), ("x" * 65, ""), (None, "")]
)
async def test_the_log_names_the_callers_request(
    caplog: pytest.LogCaptureFixture, sent: str | None, logged: str
) -> None:
    """The id that the caller sends as metadata stands in the line of the rewrite; what is no id does not."""
    caplog.set_level(logging.INFO)
    metadata = ((REQUEST_ID_HEADER, sent),) if sent is not None else ()
    async with service(Router()) as (stub, _):
        await stub.Rewrite(rewrite_pb2.RewriteRequest(text="hat"), timeout=60, metadata=metadata)
    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    assert [line["request_id"] for line in lines if line["event"] == "rewritten"] == [logged]


def test_settings_are_read_from_the_environment() -> None:
    """Each REWRITER_ variable sets the field of its name, and others are left alone."""
    settings = Settings.from_env(
        {"REWRITER_LISTEN": "127.0.0.1:1", "REWRITER_DRAIN_S": "0.5", "PATH": "/bin"}
    )
    assert (settings.listen, settings.drain_s, settings.engine) == ("127.0.0.1:1", 0.5, "model")


_OPENAI = {
    "REWRITER_ENGINE": "openai",
    "REWRITER_OPENAI_URL": "http://vllm:8000/v1",
    "REWRITER_OPENAI_MODEL": "tiny",
}


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"REWRITER_LISTN": "x"}, "unknown settings: REWRITER_LISTN"),
        ({"REWRITER_MAX_IN_FLIGHT": "many"}, "REWRITER_MAX_IN_FLIGHT must be int, got 'many'"),
        ({"REWRITER_MAX_IN_FLIGHT": "0"}, "REWRITER_MAX_IN_FLIGHT must be a number >= 1"),
        ({"REWRITER_DRAIN_S": "-1"}, "REWRITER_DRAIN_S must be a number >= 0"),
        ({"REWRITER_DRAIN_S": "nan"}, "REWRITER_DRAIN_S must be a number >= 0"),
        ({"REWRITER_ENGINE": "gpt"}, "REWRITER_ENGINE must be one of router"),
        ({"REWRITER_LOG_LEVEL": "loud"}, "REWRITER_LOG_LEVEL must be one of"),
        ({"REWRITER_ENGINE": "openai"}, "REWRITER_OPENAI_URL must be an http"),
        (_OPENAI | {"REWRITER_OPENAI_URL": "vllm:8000"}, "REWRITER_OPENAI_URL must be an http"),
        (_OPENAI | {"REWRITER_OPENAI_MODEL": ""}, "REWRITER_OPENAI_MODEL must name"),
        (
            _OPENAI
            | {
                "REWRITER_OPENAI_URL": "https://vllm/v1",
                "REWRITER_OPENAI_API_KEY": "a",
                "REWRITER_OPENAI_API_KEY_FILE": "b",
            },
            "exclude each other",
        ),
        (
            _OPENAI | {"REWRITER_OPENAI_URL": "https://vllm/v1", "REWRITER_OPENAI_API_KEY_FILE": "/nowhere"},
            "REWRITER_OPENAI_API_KEY_FILE: No such file",
        ),
        (_OPENAI | {"REWRITER_OPENAI_API_KEY": "a"}, "REWRITER_OPENAI_URL must be https where a key"),
        (_OPENAI | {"REWRITER_OPENAI_API_KEY_FILE": "b"}, "REWRITER_OPENAI_URL must be https where a key"),
    ],
)
def test_a_wrong_setting_is_named(env: dict[str, str], message: str) -> None:
    """A typo, a wrong type or a contradiction stops the start with one sentence."""
    with pytest.raises(InvalidSettings, match=message):
        Settings.from_env(env).api_key()()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/v1", "http://[::1]:1/v1", "http://localhost/v1", "https://x/v1"]
)
def test_a_key_goes_to_this_machine_or_by_tls(url: str) -> None:
    """Plain HTTP carries a key no further than loopback."""
    env = _OPENAI | {"REWRITER_OPENAI_URL": url, "REWRITER_OPENAI_API_KEY": "sesame"}
    assert Settings.from_env(env).api_key()() == "sesame"


def test_the_key_is_read_from_its_file_and_never_shown(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A key from a file loses its line end; a key in the settings is not in their text."""
    file = tmp_path_factory.mktemp("key") / "key"
    file.write_text("sesame\n", encoding="utf-8")
    assert Settings(openai_api_key_file=str(file)).api_key()() == "sesame"
    assert "sesame" not in repr(Settings(openai_api_key="sesame"))


async def test_the_openai_engine_falls_back_when_nobody_listens(facets: Facets) -> None:
    """With the engine that the settings name out of reach, the router answers, and the failure is counted."""
    metrics = Metrics()
    settings = Settings(engine="openai", openai_url="http://127.0.0.1:9/v1", openai_model="tiny")
    async with open_linker(settings) as linker, open_engine(settings, metrics, linker) as engine:
        rewrite = await engine.rewrite(
            rewrite_pb2.RewriteRequest(text="red dress", facets=facets), timeout_s=5
        )
    assert (rewrite.query, rewrite.source) == ("red dress", "router (unreachable: tiny)")
    assert (
        metrics.registry.get_sample_value("vitrine_rewriter_engine_failures_total", {"reason": "unreachable"})
        == 1
    )
