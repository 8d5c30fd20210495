"""A gateway process that asks who calls: TLS, tokens, certificates, their rotation, and what does not start."""

import asyncio
import json
import os
import ssl
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from aiohttp import ClientSession
from click.testing import CliRunner
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.ports import free_port
from vitrine.cli import main
from vitrine.client import VitrineClient, VitrineError
from vitrine.tokens import digest, new_token
from vitrine.v1 import catalogue_pb2, search_pb2

from .test_gateway_lifecycle import NOBODY, ROOT, address_settings, gateway_process

DELETION = catalogue_pb2.DeleteProductsRequest(product_ids=["p1"])
TIMEOUT_S = 120.0
"""A process starts slowly where many do."""
REFUSED, UNREACHABLE, PASSING = 1, 3, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What a secured gateway and its callers have on disk."""

    folder: Path
    authority: trustme.CA

    def path(self, name: str) -> str:
        """Return where a file of that name is."""
        return str(self.folder / name)

    def read(self, name: str) -> str:
        """Return what a file holds, without its last line's end."""
        return (self.folder / name).read_text().strip()

    def write(self, name: str, text: str) -> str:
        """Write a file; return its path."""
        (self.folder / name).write_text(text)
        return self.path(name)

    def certificate(self, name: str, *names: str, authority: trustme.CA | None = None) -> dict[str, str]:
        """Write a certificate and its key; return them as the client's options."""
        issued = (authority or self.authority).issue_cert(*names)
        (self.folder / f"{name}.key").write_bytes(issued.private_key_pem.bytes())
        (self.folder / f"{name}.crt").write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
        return {"cert": self.path(f"{name}.crt"), "key": self.path(f"{name}.key")}

    def authorities(self, name: str, authority: trustme.CA) -> str:
        """Write an authority's certificate; return its path."""
        (self.folder / name).write_bytes(authority.cert_pem.bytes())
        return self.path(name)

    def caller(self, name: str, *scopes: str, certificates: tuple[str, ...] = ()) -> str:
        """Add a caller with a token to the file of callers; return the path of its token."""
        token = new_token(name)
        with (self.folder / "callers.toml").open("a") as callers:
            callers.write(
                f"[callers.{name}]\nscopes = {json.dumps(scopes)}\ncertificates = {json.dumps(certificates)}\n"
                f'[[callers.{name}.tokens]]\nsha256 = "{digest(token)}"\n'
            )
        (self.folder / f"{name}.token").write_text(token + "\n")
        return self.path(f"{name}.token")


@dataclass(frozen=True, slots=True, kw_only=True)
class Secured:
    """A gateway process with TLS, which asks who calls; Triton and Milvus are away unless a test says otherwise."""

    files: Files
    address: str
    catalogue: str
    health: str
    process: Process

    def client(self, **access: Any) -> VitrineClient:
        """Return a client that trusts the authority and shows what it is given."""
        options: dict[str, Any] = {"ca": self.files.path("ca.crt"), "timeout_s": TIMEOUT_S, "retry": False}
        return VitrineClient(self.address, catalogue_address=self.catalogue, **options | access)

    async def outcome(self, call: str, **access: Any) -> tuple[grpc.StatusCode, str]:
        """Search or delete with a client of its own; return how that ended."""
        async with self.client(**access) as client:
            try:
                if call == "search":
                    await client.search(search_pb2.SearchRequest(text="red dress"))
                else:
                    await client.delete(DELETION)
            except VitrineError as error:
                return error.code, str(error)
        return grpc.StatusCode.OK, ""

    async def vitrine(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """Run the command line against it; return its status and what it wrote."""
        env = {"VITRINE_ADDRESS": self.address, **environment}
        result = await asyncio.to_thread(CliRunner(env=env).invoke, main, arguments)
        return result.exit_code, result.output


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """An authority, the gateway's certificate, and a caller who may search."""
    made = Files(folder=tmp_path, authority=trustme.CA())
    made.authorities("ca.crt", made.authority)
    made.certificate("server", "127.0.0.1", "localhost")
    made.caller("shop", "search")
    return made


@asynccontextmanager
async def secured(files: Files, **settings: str) -> AsyncIterator[Secured]:
    """Run a gateway process with TLS and the file of callers until the block is left; its log is never told a token."""
    port, catalogue, health = free_port(), free_port(), free_port()
    env = {
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "GATEWAY_CATALOGUE_LISTEN": f"127.0.0.1:{catalogue}",
        "GATEWAY_HEALTH_LISTEN": f"127.0.0.1:{health}",
        "GATEWAY_METRICS_LISTEN": "",
        "GATEWAY_TRITON": NOBODY,
        "GATEWAY_MILVUS": f"http://{NOBODY}",
        "GATEWAY_CALLERS": files.path("callers.toml"),
        "GATEWAY_TLS_CERT": files.path("server.crt"),
        "GATEWAY_TLS_KEY": files.path("server.key"),
        "GATEWAY_DRAIN_S": "0",
        **settings,
    }
    async with gateway_process(**env) as process:
        gateway = Secured(
            files=files,
            address=f"127.0.0.1:{port}",
            catalogue=f"127.0.0.1:{catalogue}",
            health=f"127.0.0.1:{health}",
            process=process,
        )
        assert await plain_health(gateway.health) in {"SERVING", "NOT_SERVING"}
        yield gateway
        process.terminate()
        _, log = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    assert process.returncode == 0
    for token in files.folder.glob("*.token"):
        assert token.read_bytes().strip() not in log


async def plain_health(address: str) -> str:
    async with aio.insecure_channel(address, options=[("grpc.max_reconnect_backoff_ms", 200)]) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S, wait_for_ready=True)
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({}, "gateway: GATEWAY_CALLERS must name the file of callers, since 0.0.0.0:"),
        (
            {"GATEWAY_OPEN": "anybody-may-call"},
            "gateway: GATEWAY_CATALOGUE_LISTEN must be an address of its own",
        ),
        (
            {"GATEWAY_CALLERS": "callers.toml", "GATEWAY_CATALOGUE_LISTEN": "127.0.0.1:1"},
            "gateway: GATEWAY_TLS_CERT and GATEWAY_TLS_KEY must be set",
        ),
        (
            {"GATEWAY_LISTEN": "127.0.0.1:0", "GATEWAY_CALLERS": "/nowhere/callers.toml"},
            "gateway: GATEWAY_CALLERS: /nowhere/callers.toml: No such file or directory",
        ),
        (
            {"GATEWAY_LISTEN": "127.0.0.1:0", "GATEWAY_MILVUS_TOKEN_FILE": "/nowhere/token"},
            "gateway: GATEWAY_MILVUS_TOKEN_FILE: No such file or directory",
        ),
        (
            {
                "GATEWAY_LISTEN": "127.0.0.1:0",
                "GATEWAY_TLS_CERT": "/nowhere/c",
                "GATEWAY_TLS_KEY": "/nowhere/k",
            },
            "gateway: /nowhere/c: No such file or directory",
        ),
    ],
)
async def test_what_nobody_meant_to_open_does_not_start(settings: dict[str, str], complaint: str) -> None:
    """Beyond loopback without asking who calls, with writes beside searches or without TLS: one line and no listener."""
    env = {"GATEWAY_LISTEN": f"0.0.0.0:{free_port()}", "GATEWAY_METRICS_LISTEN": "", **settings}
    async with gateway_process(**env) as process:
        out, errors = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    lines = (out + errors).decode().strip().splitlines()
    assert (process.returncode, len(lines)) == (1, 1), lines
    assert lines[0].startswith(complaint)


async def test_the_command_line_comes_with_tls_and_a_token(files: Files) -> None:
    """With both it reaches the engines, which are away here; each mistake is told in one line with the way out."""
    shop, forged = files.path("shop.token"), files.write("forged.token", new_token("shop"))
    ca = ("--ca", files.path("ca.crt"))
    async with secured(files) as gateway:
        for arguments, environment, status, words in (
            ((*ca, "--token-file", shop), {}, PASSING, "is unavailable"),
            ((), {"VITRINE_CA": ca[1], "VITRINE_TOKEN_FILE": shop}, PASSING, "is unavailable"),
            ((*ca, "--token-file", forged), {}, REFUSED, "the token is not known"),
            (ca, {}, REFUSED, "who calls?"),
            (("--tls", "--token-file", shop), {}, REFUSED, "see --tls, --ca and --cert"),
            (("--ca", shop), {}, REFUSED, "holds no certificates"),
            ((*ca, "--token-file", "/nowhere"), {}, REFUSED, "/nowhere: No such file"),
        ):
            code, output = await gateway.vitrine("search", "red dress", *arguments, **environment)
            assert (code, words in output) == (status, True), output
        code, output = await gateway.vitrine("search", "red dress", "--token-file", shop)
        assert code in {REFUSED, UNREACHABLE, PASSING}
        assert (await gateway.vitrine("search", "red", "--token-file", shop, "--address", "10.0.0.1:7700"))[
            1
        ].startswith("Error: the token would go to 10.0.0.1:7700 in clear")


async def test_a_service_may_be_known_by_another_name_than_its_address(files: Files) -> None:
    """As behind a forwarded port: the certificate's own name is said, and no other is taken for it."""
    files.certificate("server", "gateway.example.com")
    shop = files.path("shop.token")
    async with secured(files) as gateway:
        for name, reached in (("gateway.example.com", True), ("other.example.com", False), ("", False)):
            _, words = await gateway.outcome("search", token_file=shop, server_name=name)
            assert ("is unavailable" in words) is reached, words


async def test_scopes_hold_at_each_listener(files: Files) -> None:
    """Who may search may not write, and who may write writes at the listener of the catalogue alone."""
    shop, writer = files.path("shop.token"), files.caller("writer", "catalogue")
    async with secured(files) as gateway:
        code, words = await gateway.outcome("delete", token_file=shop)
        assert (code, words) == (grpc.StatusCode.PERMISSION_DENIED, "shop lacks the scope catalogue")
        code, words = await gateway.outcome("search", token_file=writer)
        assert (code, words) == (grpc.StatusCode.PERMISSION_DENIED, "writer lacks the scope search")
        assert (await gateway.outcome("delete", token_file=writer))[0] is grpc.StatusCode.UNAVAILABLE
        async with VitrineClient(gateway.address, ca=files.path("ca.crt"), token_file=writer) as client:
            with pytest.raises(VitrineError, match="an address of its own"):
                await client.delete(DELETION)


async def test_callers_and_tokens_are_exchanged_without_a_restart(files: Files) -> None:
    """A token that `vitrine token new` adds is known within seconds, the one before is until it is taken out."""
    callers, shop, first = files.path("callers.toml"), files.path("shop.token"), files.read("shop.token")
    async with secured(files) as gateway:
        assert (await gateway.outcome("search", token_file=shop))[0] is grpc.StatusCode.UNAVAILABLE
        made = files.path("next.token")
        code, output = await gateway.vitrine("token", "new", "shop", "--callers", callers, "--out", made)
        assert (code, output) == (0, "")
        async with gateway.client(token_file=shop) as lasting:
            await until_known(gateway, made, known=True)
            assert (await gateway.outcome("search", token=first))[0] is grpc.StatusCode.UNAVAILABLE
            files.write("callers.toml", files.read("callers.toml").replace(digest(first), "0" * 64))
            await until_known(gateway, shop, known=False)
            # A client that lives on reads the new token from its file.
            files.write("shop.token", files.read("next.token"))
            with pytest.raises(VitrineError, match="is unavailable"):
                await lasting.search(search_pb2.SearchRequest(text="red dress"))
        files.write("callers.toml", "[callers")
        await asyncio.sleep(2.5)  # longer than between two looks at the file
        assert (await gateway.outcome("search", token_file=made))[0] is grpc.StatusCode.UNAVAILABLE


async def until_known(gateway: Secured, token_file: str, *, known: bool) -> None:
    wanted = grpc.StatusCode.UNAVAILABLE if known else grpc.StatusCode.UNAUTHENTICATED
    async with asyncio.timeout(TIMEOUT_S):
        while (await gateway.outcome("search", token_file=token_file))[0] is not wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.1)  # it happens in another process


async def test_the_certificate_is_exchanged_without_a_restart(files: Files) -> None:
    """The next connection sees the new certificate; a half-written pair leaves the one before."""
    shop, later = files.path("shop.token"), trustme.CA()
    files.authorities("later.crt", later)
    async with secured(files) as gateway:
        files.certificate("server", "127.0.0.1", authority=later)
        code, words = await gateway.outcome("search", ca=files.path("later.crt"), token_file=shop)
        assert (code, "is unavailable" in words) == (grpc.StatusCode.UNAVAILABLE, True), words
        _, words = await gateway.outcome("search", token_file=shop)
        assert "is unavailable" not in words
        files.write("server.key", "half")
        _, words = await gateway.outcome("search", ca=files.path("later.crt"), token_file=shop)
        assert "is unavailable" in words


async def test_a_certificate_says_who_calls(files: Files) -> None:
    """Where callers must have certificates, the name in one is the caller; without one nobody is connected."""
    files.caller("jobs", "catalogue", certificates=("jobs.example.com",))
    jobs, other = (
        files.certificate("jobs", "jobs.example.com"),
        files.certificate("other", "other.example.com"),
    )
    forged = files.certificate("forged", "jobs.example.com", authority=trustme.CA())
    async with secured(files, GATEWAY_TLS_CLIENT_CA=files.path("ca.crt")) as gateway:
        assert (await gateway.outcome("delete", **jobs))[0] is grpc.StatusCode.UNAVAILABLE
        code, words = await gateway.outcome("search", **jobs)
        assert (code, words) == (grpc.StatusCode.PERMISSION_DENIED, "jobs lacks the scope search")
        assert (await gateway.outcome("search", **other))[0] is grpc.StatusCode.UNAUTHENTICATED
        # A token decides where both are shown.
        _, words = await gateway.outcome("search", **other, token_file=files.path("shop.token"))
        assert "is unavailable" in words
        for access in ({}, forged):
            code, words = await gateway.outcome("delete", **access)
            assert (code, "is unavailable" in words) == (grpc.StatusCode.UNAVAILABLE, False)
        status, output = await gateway.vitrine(
            "search", "x", "--ca", files.path("ca.crt"), "--cert", jobs["cert"], "--key", jobs["key"]
        )
        assert (status, "jobs lacks the scope search" in output) == (REFUSED, True)


@asynccontextmanager
async def page_process(files: Files, gateway: Secured, **settings: str) -> AsyncIterator[str]:
    """Run `python -m storefront` over TLS, as a client of the gateway; yield its URL once it listens."""
    address = f"127.0.0.1:{free_port()}"
    env = {name: value for name, value in os.environ.items() if not name.startswith("STOREFRONT_")} | {
        "STOREFRONT_LISTEN": address,
        "STOREFRONT_GATEWAY": gateway.address,
        "STOREFRONT_GATEWAY_CA": files.path("ca.crt"),
        "STOREFRONT_TLS_CERT": files.path("server.crt"),
        "STOREFRONT_TLS_KEY": files.path("server.key"),
        **settings,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "storefront", cwd=ROOT, env=env, stderr=PIPE
    )
    assert process.stderr is not None
    try:
        line = await asyncio.wait_for(process.stderr.readline(), TIMEOUT_S)
        assert json.loads(line)["event"] == "serving", line
        yield f"https://{address}"
    finally:
        process.kill()
        await process.wait()


async def test_the_page_is_a_caller_with_a_token_of_its_own(files: Files) -> None:
    """Over TLS on both sides it reaches the engines, which are away here; without a token it says so in its own words."""
    context = ssl.create_default_context(cafile=files.path("ca.crt"))
    async with secured(files) as gateway, ClientSession() as browser:
        for settings, status, words in (
            ({"STOREFRONT_GATEWAY_TOKEN_FILE": files.path("shop.token")}, 503, "index is unavailable"),
            ({}, 502, "The search service does not know this page."),
        ):
            async with (
                page_process(files, gateway, **settings) as page,
                browser.get(f"{page}/catalogue", ssl=context) as answer,
            ):
                assert (answer.status, (await answer.json())["error"]["message"]) == (status, words)


async def test_a_catalogue_is_indexed_and_searched_over_tls(stack: Any, files: Files) -> None:
    """`vitrine index` writes at the catalogue's listener with one token, `vitrine search` finds with another, `check` has both."""
    writer = files.caller("writer", "catalogue")
    checker = files.caller("checker", "search", "catalogue")
    settings = address_settings(stack, 0)
    own = {name: settings[name] for name in ("GATEWAY_TRITON", "GATEWAY_MILVUS")}
    async with secured(files, **own) as gateway:
        tls = {"VITRINE_CA": files.path("ca.crt"), "VITRINE_CATALOGUE_ADDRESS": gateway.catalogue}
        code, output = await gateway.vitrine("index", str(stack.catalogue), VITRINE_TOKEN_FILE=writer, **tls)
        assert code == 0, output
        code, output = await gateway.vitrine(
            "search", "red dress", "--json", VITRINE_TOKEN_FILE=files.path("shop.token"), **tls
        )
        assert (code, len(json.loads(output)["hits"])) == (0, 10), output
        code, output = await gateway.vitrine(
            "index", str(stack.catalogue), "--rebuild", VITRINE_TOKEN_FILE=writer, **tls
        )
        assert (code, "writer lacks the scope admin" in output) == (REFUSED, True), output
        code, output = await gateway.vitrine("check", VITRINE_TOKEN_FILE=checker, **tls)
        assert code == 0, output
        code, output = await gateway.vitrine("check", VITRINE_TOKEN_FILE=files.path("shop.token"), **tls)
        assert (code, "Error: write and delete: shop lacks the scope" in output) == (REFUSED, True), output
