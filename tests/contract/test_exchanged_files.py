"""Clients take over the files that are exchanged under them: tokens, authorities, their own certificates."""

import asyncio
import ssl
from base64 import b64encode
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
import trustme
from aiohttp import web
from grpc import aio

from gateway.adapters.milvus.connection import MilvusConnection, connect
from gateway.adapters.milvus.searching import Asked
from gateway.assembly.access import behind
from gateway.errors import SearchError
from gateway.settings import Settings
from rewriter.engines.chat.completions import ServerAccess, open_client
from rewriter.settings import Settings as RewriterSettings
from speech.settings import Settings as SpeechSettings
from tests.contract.recorder import Recorder, exchange, issue, recording, write_pair
from tests.ports import free_port
from vitrine.channels import Tls, open_channel
from vitrine.process.settings import InvalidSettings
from vitrine.process.tls import ServerTls

TIMEOUT_S = 60.0


@pytest.fixture
def looking_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are looked at by every call, and not once a second."""
    monkeypatch.setattr("vitrine.followed.LOOK_S", 0)
    monkeypatch.setattr("gateway.adapters.milvus.clients.LOOK_S", 0)


async def ask_twice(
    milvus: MilvusConnection, recorder: Recorder, *, timeout_s: float = TIMEOUT_S
) -> set[str | None]:
    """Call by each of the two ways to Milvus, pymilvus and our own; return the tokens that arrived."""
    recorder.metadata.clear()
    recorder.methods.clear()
    for call in (
        milvus.call("list_collections", timeout_s=timeout_s),
        milvus.search(
            Asked("shop", expression="", rows=1, columns=()), np.zeros(4, np.float32), timeout_s=timeout_s
        ),
    ):
        with pytest.raises(SearchError):
            await call
    assert {"Search", "ShowCollections"} <= {*recorder.methods} or not recorder.methods
    return {each.get("authorization") for each in recorder.metadata}


@pytest.mark.usefixtures("looking_always")
async def test_milvus_is_asked_with_the_token_and_the_authority_of_the_moment(
    tmp_path: Path,
) -> None:
    """A file that is exchanged is taken over by the next call, on both ways to Milvus; one that is none changes nothing."""
    certificates = issue(tmp_path)
    exchange(tmp_path / "token", b"root:first")
    token = behind(Settings(milvus_token_file=str(tmp_path / "token"))).milvus_token
    first, second = b64encode(b"root:first").decode(), b64encode(b"root:second").decode()
    later = trustme.CA()
    served_by = ServerTls(cert=certificates.server[0], key=certificates.server[1])
    trusted = Tls(ca=certificates.ca)
    port = free_port()
    async with connect(f"https://127.0.0.1:{port}", token=token, tls=trusted, max_concurrency=4) as milvus:
        async with recording(served_by, port=port) as (_, recorder):
            assert await ask_twice(milvus, recorder) == {first}
            exchange(tmp_path / "token", b"root:second\n")
            assert await ask_twice(milvus, recorder) == {second}
            exchange(tmp_path / "token", b"")
            exchange(certificates.ca, b"half of a certifi")
            assert await ask_twice(milvus, recorder) == {second}
        write_pair(tmp_path, "server", later.issue_cert("127.0.0.1"))
        async with recording(served_by, port=port) as (_, recorder):
            assert await ask_twice(milvus, recorder, timeout_s=5) == set()
            exchange(certificates.ca, later.cert_pem.bytes())
            assert await ask_twice(milvus, recorder) == {second}


async def test_a_server_of_completions_is_trusted_by_the_authority_of_the_moment(tmp_path: Path) -> None:
    """One that a stranger signed is not asked; once the stranger's authority is in the file, it is."""
    certificates = issue(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificates.server)
    trusted = certificates.ca.read_bytes()
    exchange(certificates.ca, certificates.stranger.read_bytes())
    settings = RewriterSettings(openai_ca=str(certificates.ca))

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="here")

    app = web.Application()
    app.router.add_get("/v1", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    access = ServerAccess(
        url=f"https://127.0.0.1:{runner.addresses[0][1]}/",
        api_key=lambda: "",
        connections=1,
        authorities=settings.authorities(),
    )
    async with open_client(**access) as client:
        for _ in range(2):
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await client.get("v1", timeout=TIMEOUT_S)
            exchange(certificates.ca, b"half of a certifi")
        exchange(certificates.ca, trusted)
        assert (await client.get("v1", timeout=TIMEOUT_S)).text == "here"
    await runner.cleanup()
    exchange(certificates.ca, b"half of a certifi")
    for other in (settings, SpeechSettings(openai_ca=str(certificates.ca))):
        with pytest.raises(InvalidSettings, match=r"_OPENAI_CA: .* holds no certificates"):
            other.authorities()


@pytest.mark.usefixtures("looking_always")
async def test_an_exchanged_certificate_is_shown_and_no_call_is_cut_off(tmp_path: Path) -> None:
    """The next call is made by it, while the one under way ends on the channel before; a half pair changes nothing."""
    authority, under_way, go_on = trustme.CA(), asyncio.Event(), asyncio.Event()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    own = write_pair(tmp_path, "client", authority.issue_cert("first.example.com"))
    pair = write_pair(tmp_path, "server", authority.issue_cert("127.0.0.1"))
    names: list[bytes] = []

    async def answer(request: bytes, context: aio.ServicerContext[Any, Any]) -> bytes:
        names.extend(context.peer_identities() or ())
        if request == b"wait":
            under_way.set()
            await go_on.wait()
        return request

    server = aio.server()
    handler: Any = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("x.Y", {"Z": handler}),))
    keys = [(pair[1].read_bytes(), pair[0].read_bytes())]
    credentials = grpc.ssl_server_credentials(keys, authority.cert_pem.bytes(), require_client_auth=True)
    address = f"127.0.0.1:{server.add_secure_port('127.0.0.1:0', credentials)}"
    await server.start()
    tls = Tls(ca=tmp_path / "ca.crt", cert=own[0], key=own[1])
    async with open_channel(address, tls, options=[]) as channel:
        call: Any = channel.unary_unary("/x.Y/Z")
        first = asyncio.ensure_future(call(b"wait", timeout=TIMEOUT_S))
        await asyncio.wait_for(under_way.wait(), TIMEOUT_S)
        later = authority.issue_cert("second.example.com")
        exchange(own[1], later.private_key_pem.bytes())
        assert await call(b"half", timeout=TIMEOUT_S) == b"half"
        exchange(own[0], later.cert_chain_pems[0].bytes())
        assert await call(b"whole", timeout=TIMEOUT_S) == b"whole"
        assert not first.done()
        go_on.set()
        assert await first == b"wait"
    await server.stop(None)
    assert names == [b"first.example.com", b"first.example.com", b"second.example.com"]
