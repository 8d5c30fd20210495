"""Certificates in files, and a server over TLS that keeps what its callers show."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import trustme
from grpc import aio

from vitrine.channels import Tls
from vitrine.process.tls import ServerTls


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """An authority with a server's and a client's certificate, and a stranger's authority."""

    ca: Path
    stranger: Path
    server: tuple[Path, Path]
    client: tuple[Path, Path]

    @property
    def mutual(self) -> Tls:
        """What a client needs that shows its certificate too."""
        return Tls(ca=self.ca, cert=self.client[0], key=self.client[1])

    @property
    def asking(self) -> ServerTls:
        """What a server needs that asks for certificates."""
        return ServerTls(cert=self.server[0], key=self.server[1], client_ca=self.ca)


def write_pair(folder: Path, name: str, issued: trustme.LeafCert) -> tuple[Path, Path]:
    pair = folder / f"{name}.crt", folder / f"{name}.key"
    pair[0].write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
    pair[1].write_bytes(issued.private_key_pem.bytes())
    return pair


def exchange(file: Path, data: bytes) -> None:
    """Put another file in the place of one, as the kubelet does."""
    file.with_suffix(".new").write_bytes(data)
    file.with_suffix(".new").replace(file)


def issue(folder: Path) -> Certificates:
    """Write certificates for 127.0.0.1."""
    authority, stranger = trustme.CA(), trustme.CA()
    for name, each in (("ca.crt", authority), ("stranger.crt", stranger)):
        each.cert_pem.write_to_path(str(folder / name))
    return Certificates(
        ca=folder / "ca.crt",
        stranger=folder / "stranger.crt",
        server=write_pair(folder, "server", authority.issue_cert("127.0.0.1")),
        client=write_pair(folder, "client", authority.issue_cert("gateway.example.com")),
    )


@dataclass
class Recorder(grpc.GenericRpcHandler):
    """Answers nothing but Milvus's greeting, and keeps what calls brought along."""

    metadata: list[dict[str, Any]] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)
    names: list[bytes] = field(default_factory=list)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Refuse every method as one that is not there."""
        self.metadata.append(dict(handler_call_details.invocation_metadata or ()))
        self.methods.append(handler_call_details.method.rpartition("/")[2])

        async def refuse(_: bytes, context: aio.ServicerContext[Any, Any]) -> bytes:
            self.names += context.peer_identities() or ()
            if handler_call_details.method.endswith("/Connect"):
                return b""
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "no")
            return b""

        return grpc.unary_unary_rpc_method_handler(refuse)


@asynccontextmanager
async def recording(tls: ServerTls, *, port: int = 0) -> AsyncIterator[tuple[str, Recorder]]:
    """Serve a recorder over TLS."""
    recorder, server = Recorder(), aio.server()
    server.add_generic_rpc_handlers((recorder,))
    pair = (tls.key.read_bytes(), tls.cert.read_bytes())
    roots = tls.client_ca.read_bytes() if tls.client_ca is not None else None
    credentials = grpc.ssl_server_credentials([pair], roots, require_client_auth=roots is not None)
    port = server.add_secure_port(f"127.0.0.1:{port}", credentials)
    await server.start()
    try:
        yield f"127.0.0.1:{port}", recorder
    finally:
        await server.stop(None)
