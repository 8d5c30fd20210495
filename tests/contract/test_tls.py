"""TLS on every way between services: the adapters of the gateway, the rewriter, the page, each with real sockets."""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from aiohttp import ClientConnectorError, ClientSession, web
from cryptography import x509
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from redis.asyncio import Redis

from gateway.adapters.milvus.index import open_milvus
from gateway.adapters.rewriter import open_rewriter
from gateway.adapters.triton import open_triton
from gateway.assembly.access import behind
from gateway.conversation.sessions import LoggedTurn, Owner
from gateway.errors import EncoderError, SearchError, SessionStoreError, VectorIndexError
from gateway.model import Deadline
from gateway.ports import RewriterUnavailable
from gateway.server import open_sessions
from gateway.settings import Settings
from gateway.testing import served
from gateway.testing.served import PATIENT
from rewriter.engines.rules.engine import Router
from rewriter.metrics import Metrics
from rewriter.server import serving
from rewriter.settings import Settings as RewriterSettings
from storefront.server import application
from storefront.settings import Settings as StorefrontSettings
from tests.contract.recorder import Certificates, exchange, issue, recording, write_pair
from tests.ports import free_port
from vitrine.channels import Tls
from vitrine.process.settings import InvalidSettings, read_secret
from vitrine.process.tls import RotatedContext, ServerTls
from vitrine.v1 import rewrite_pb2

TIMEOUT_S = 60.0


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    """Files of certificates for 127.0.0.1."""
    return issue(tmp_path)


async def test_triton_is_called_with_the_gateways_certificate(certificates: Certificates) -> None:
    """Triton sees the gateway's name, and a Triton that a stranger vouches for is never asked."""
    async with recording(certificates.asking) as (address, triton):
        async with open_triton(address, tls=certificates.mutual) as encoder:
            with pytest.raises(EncoderError):
                await encoder.manifest(timeout_s=TIMEOUT_S)
        assert triton.names == [b"gateway.example.com"]
        async with open_triton(address, tls=Tls(ca=certificates.stranger)) as encoder:
            with pytest.raises(SearchError):
                await encoder.manifest(timeout_s=1)
        assert len(triton.metadata) == 1


@pytest.mark.parametrize("mutual", [False, True])
async def test_milvus_is_called_with_its_token_over_tls(certificates: Certificates, *, mutual: bool) -> None:
    """User and password arrive at the Milvus whose certificate is trusted, and nowhere else."""
    tls = (
        certificates.asking if mutual else ServerTls(cert=certificates.server[0], key=certificates.server[1])
    )
    own = certificates.mutual if mutual else Tls(ca=certificates.ca)
    async with recording(tls) as (address, milvus):
        for trusted, calls in ((own, True), (Tls(ca=certificates.stranger), False)):
            async with open_milvus(f"https://{address}", token=lambda: "root:s3cret", tls=trusted) as index:
                with pytest.raises(SearchError) as failure:
                    await index.version(timeout_s=TIMEOUT_S if calls else 3)
            assert "s3cret" not in str(failure.value)
        seen = {each.get("authorization") for each in milvus.metadata}
    assert seen == {"cm9vdDpzM2NyZXQ="}
    assert isinstance(failure.value, VectorIndexError) or not milvus.names


async def test_the_rewriter_answers_those_who_have_a_certificate(certificates: Certificates) -> None:
    """A gateway with one is answered; one without is not connected, and probes find health without TLS."""
    settings = RewriterSettings(
        listen="127.0.0.1:0",
        tls_cert=str(certificates.server[0]),
        tls_key=str(certificates.server[1]),
        tls_client_ca=str(certificates.ca),
        health_listen=f"127.0.0.1:{free_port()}",
        grace_s=0,
    )
    request = rewrite_pb2.RewriteRequest(text="red dress")
    metrics = Metrics()
    async with serving(settings, Router(), metrics) as server:
        address = f"127.0.0.1:{server.port}"
        issued = x509.load_pem_x509_certificate(certificates.server[0].read_bytes())
        ends = "vitrine_rewriter_certificate_expiry_timestamp_seconds"
        assert (
            metrics.registry.get_sample_value(ends, {"use": "server"})
            == issued.not_valid_after_utc.timestamp()
        )
        async with open_rewriter(address, tls=certificates.mutual) as known:
            assert (await known.rewrite(request, timeout_s=TIMEOUT_S)).rewrite.query == "red dress"
        for tls in (Tls(ca=certificates.ca), None):
            async with open_rewriter(address, tls=tls) as stranger:
                with pytest.raises(RewriterUnavailable):
                    await stranger.rewrite(request, timeout_s=TIMEOUT_S)
        async with aio.insecure_channel(settings.health_listen) as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)
            question = health_pb2.HealthCheckRequest(service="vitrine.v1.RewriteService")
            answer = await health.Check(question, timeout=TIMEOUT_S)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
            with pytest.raises(aio.AioRpcError) as refused:
                await health.Watch(question, timeout=TIMEOUT_S).read()
            assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.fixture
def redis_over_tls(certificates: Certificates, tmp_path: Path) -> Iterator[str]:
    """Run a Redis that speaks TLS alone, asks for certificates and has a password; its URL is in a file."""
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("no redis-server on this machine: make setup-test")
    port = free_port()
    options = {
        "port": "0", "tls-port": str(port), "bind": "127.0.0.1", "save": "", "dir": str(tmp_path), "requirepass": "s3cret",
        "tls-cert-file": str(certificates.server[0]), "tls-key-file": str(certificates.server[1]),
        "tls-ca-cert-file": str(certificates.ca),
    }  # fmt: skip
    (tmp_path / "redis.conf").write_text(
        "".join(f"{name} {value or chr(34) * 2}\n" for name, value in options.items())
    )
    process = subprocess.Popen([server, str(tmp_path / "redis.conf")], stdout=subprocess.DEVNULL)
    (tmp_path / "url").write_text(f"rediss://:s3cret@127.0.0.1:{port}/0\n")
    try:
        yield str(tmp_path / "url")
    finally:
        process.kill()
        process.wait()


async def test_sessions_are_kept_in_a_redis_over_tls(certificates: Certificates, redis_over_tls: str) -> None:
    """A session is begun and found again; without the right authority or a certificate there is no store."""
    known = Settings(
        sessions_file=redis_over_tls,
        sessions_ca=str(certificates.ca),
        client_cert=str(certificates.client[0]),
        client_key=str(certificates.client[1]),
    )
    async with open_sessions(known) as store:
        session_id = await _begun(store)
        async with store.hold(session_id, Owner("alice"), Deadline.after(TIMEOUT_S)) as session:
            assert session.id == session_id
        await _authority_exchanged(certificates, redis_over_tls, store, session_id)
    strangers = (
        Settings(sessions_file=redis_over_tls, sessions_ca=str(certificates.ca)),
        Settings(sessions_file=redis_over_tls, sessions_ca=str(certificates.stranger)),
        Settings(sessions_file=redis_over_tls),
    )
    for settings in strangers:
        async with open_sessions(settings) as store:
            with pytest.raises(SessionStoreError):
                async with store.hold(session_id, Owner("alice"), Deadline.after(TIMEOUT_S)):
                    pass


async def _authority_exchanged(certificates: Certificates, url: str, store: Any, session_id: str) -> None:
    """Connections that are made after an exchange trust the authority that is then in the file, and no other."""
    pair = {"ssl_certfile": str(certificates.client[0]), "ssl_keyfile": str(certificates.client[1])}
    trusted = certificates.ca.read_bytes()
    async with Redis.from_url(read_secret(url, "url"), ssl_ca_certs=str(certificates.ca), **pair) as known:
        await known.ping()
        for data, found in ((certificates.stranger.read_bytes(), False), (trusted, True)):
            exchange(certificates.ca, data)
            await known.client_kill_filter(_type="normal", skipme=True)
            with nullcontext() if found else pytest.raises(SessionStoreError):
                async with store.hold(session_id, Owner("alice"), Deadline.after(TIMEOUT_S)) as session:
                    assert session.id == session_id


async def _begun(store: Any) -> str:
    """Begin a session; the server may still be on its way."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            try:
                async with store.hold("", Owner("alice"), Deadline.after(TIMEOUT_S)) as session:
                    turn = rewrite_pb2.Turn(text="a red dress")
                    await store.record(session, LoggedTurn(turn=turn), b"")
                    return str(session.id)
            except SessionStoreError:
                await asyncio.sleep(0.1)


async def test_the_page_is_served_over_tls_and_its_certificate_exchanged(
    certificates: Certificates, tmp_path: Path
) -> None:
    """A browser that trusts the authority gets the page; after an exchange it must trust the new one."""
    tls = ServerTls(cert=certificates.server[0], key=certificates.server[1])
    certificate = RotatedContext(tls)
    runner = web.AppRunner(await application(StorefrontSettings(hosts="127.0.0.1", pictures=tmp_path)))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=certificate.context).start()
        page = f"https://127.0.0.1:{runner.addresses[0][1]}/"
        assert await _status(page, certificates.ca) == 200
        with pytest.raises(ClientConnectorError):
            await _status(page, certificates.stranger)
        later = trustme.CA()
        later.cert_pem.write_to_path(str(tmp_path / "later.crt"))
        certificates.server[1].write_text("half")
        certificate.refresh()
        assert await _status(page, certificates.ca) == 200
        write_pair(tmp_path, "server", later.issue_cert("127.0.0.1"))
        certificate.refresh()
        assert await _status(page, tmp_path / "later.crt") == 200
    finally:
        await runner.cleanup()


async def _status(url: str, ca: Path) -> int:
    context = ssl.create_default_context(cafile=ca)
    async with ClientSession() as session, session.get(url, ssl=context) as answer:
        return answer.status


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"triton_ca": "/nowhere"}, "GATEWAY_TRITON_CA: /nowhere: No such file"),
        ({"milvus_ca": "garbage"}, "GATEWAY_MILVUS_CA: garbage holds no certificates"),
        ({"milvus_token_file": "/nowhere"}, "GATEWAY_MILVUS_TOKEN_FILE: No such file"),
        ({"milvus_token_file": "empty"}, "GATEWAY_MILVUS_TOKEN_FILE: is empty"),
        ({"sessions_file": "secret"}, "GATEWAY_SESSIONS_FILE must be memory, redis://"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], complaint: str
) -> None:
    """The gateway does not start, and says which setting; what is in the file stays there."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("garbage", "s3cret"), ("empty", "\n"), ("secret", "http://:s3cret@host")):
        (tmp_path / name).write_text(text)
    with pytest.raises(InvalidSettings) as refused:
        behind(Settings(**settings))
    assert complaint in str(refused.value)
    assert "s3cret" not in str(refused.value)


async def test_the_gateway_tells_when_its_certificates_end(
    certificates: Certificates, tmp_path: Path
) -> None:
    """That which callers see and that which those behind see, each by its name; an exchanged one from its first handshake on."""
    settings = replace(
        PATIENT,
        tls_cert=str(certificates.server[0]),
        tls_key=str(certificates.server[1]),
        client_cert=str(certificates.client[0]),
        client_key=str(certificates.client[1]),
    )
    async with served.serving(settings=settings) as gateway:

        def told(use: str) -> float | None:
            name = "vitrine_gateway_certificate_expiry_timestamp_seconds"
            return gateway.metrics.registry.get_sample_value(name, {"use": use})

        for use, pair in (("server", certificates.server), ("client", certificates.client)):
            ends = x509.load_pem_x509_certificate(pair[0].read_bytes()).not_valid_after_utc
            assert told(use) == ends.timestamp()
        exchange(certificates.client[0], certificates.server[0].read_bytes())
        assert told("client") == told("server")
        certificates.client[0].unlink()
        assert told("client") == told("server")
        authority, ends = trustme.CA(), datetime(2042, 1, 31, tzinfo=UTC)
        write_pair(tmp_path, "server", authority.issue_cert("127.0.0.1", not_after=ends))
        credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
        async with aio.secure_channel(gateway.address, credentials) as channel:
            await asyncio.wait_for(channel.channel_ready(), TIMEOUT_S)
        assert told("server") == ends.timestamp()
