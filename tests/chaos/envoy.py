"""An Envoy in front of gateways and of Tritons, with the configuration that docs/operations.md asks of a balancer."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ENVOY = Path(sys.executable).parent / "envoy"

HEALTH_S = 0.5
"""Between two questions for health; two failures take an instance out."""

RETRIES = 3
PICKS = 32
"""How often a retry looks for an instance that has not failed it. An instance that refuses at once is the one with the fewest
requests, so that the balancer picks it three times of four, and takes it in the end."""
STOP_S = 10.0


def config(listeners: Mapping[str, tuple[str, Sequence[str]]], *, admin: str) -> dict[str, Any]:
    """Return the configuration: by name, where it listens and which instances stand behind."""
    return {
        "admin": {"address": _address(admin)},
        "static_resources": {
            "listeners": [_listener(name, listen) for name, (listen, _) in listeners.items()],
            "clusters": [_cluster(name, behind) for name, (_, behind) in listeners.items()],
        },
    }


@contextmanager
def running(folder: Path, document: dict[str, Any]) -> Iterator["subprocess.Popen[bytes]"]:
    """Run an Envoy."""
    path = folder / "envoy.json"
    path.write_text(json.dumps(document, indent=1))
    command = [
        str(ENVOY),
        "-c",
        str(path),
        "--log-level",
        "warning",
        "--concurrency",
        "1",
        "--disable-hot-restart",
    ]
    with (folder / "envoy.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listener(name: str, listen: str) -> dict[str, Any]:
    route = {
        "match": {"prefix": "/"},
        "route": {
            "cluster": name,
            # The caller's deadline, and no other.
            "timeout": "0s",
            "max_stream_duration": {"grpc_timeout_header_max": "0s"},
            # Another instance is asked where one had not begun, has too much to do or says that it ends: that promises no work done,
            # or work that may be done again: searches read, and writes of one content are one.
            "retry_policy": {
                "retry_on": "unavailable,resource-exhausted,connect-failure,refused-stream,reset",
                "num_retries": RETRIES,
                "retry_host_predicate": [
                    {
                        "name": "envoy.retry_host_predicates.previous_hosts",
                        "typed_config": {
                            "@type": _type("retry.host.previous_hosts.v3.PreviousHostsPredicate")
                        },
                    }
                ],
                "host_selection_retry_max_attempts": PICKS,
                "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
            },
        },
    }
    manager = {
        "@type": _type("filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": name,
        "codec_type": "HTTP2",
        "route_config": {"virtual_hosts": [{"name": name, "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": _type("filters.http.router.v3.Router")},
            }
        ],
    }
    return {
        "name": name,
        "address": _address(listen),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _cluster(name: str, behind: Sequence[str]) -> dict[str, Any]:
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": _type("upstreams.http.v3.HttpProtocolOptions"),
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(each)}} for each in behind]}],
        },
        "health_checks": [
            {
                "timeout": "2s",
                "interval": f"{HEALTH_S}s",
                "unhealthy_threshold": 2,
                "healthy_threshold": 1,
                "no_traffic_interval": f"{HEALTH_S}s",
                "grpc_health_check": {},
            }
        ],
        "outlier_detection": {
            "consecutive_gateway_failure": 3,
            "enforcing_consecutive_gateway_failure": 100,
            "base_ejection_time": "1s",
            "max_ejection_percent": 50,
        },
        # With one of two instances away the other takes everything.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "circuit_breakers": {"thresholds": [{"max_requests": 4096, "max_retries": 256}]},
    }


def _address(address: str) -> dict[str, Any]:
    host, _, port = address.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}


def _type(name: str) -> str:
    return f"type.googleapis.com/envoy.extensions.{name}"
