"""What every channel to a dependency has in common."""

import json

from vitrine.channels import Options

_POLICY = {
    # Every address that the name has gets its share: behind a headless service those are the pods.
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{}],
            # A pod that ends refuses what has not reached it yet; another one answers, once, within the deadline.
            "retryPolicy": {
                "maxAttempts": 2,
                "initialBackoff": "0.02s",
                "maxBackoff": "0.1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    # An outage is told, and is not fed: after ten failures nothing is repeated until calls succeed again.
    "retryThrottling": {"maxTokens": 20, "tokenRatio": 0.5},
}

CHANNEL_OPTIONS: Options = [
    # gRPC's own would wait up to two minutes before it looks for a restarted server again.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # When a connection breaks, the name is looked up again: where did the pods go?
    ("grpc.dns_min_time_between_resolutions_ms", 5_000),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.service_config", json.dumps(_POLICY)),
    # A batch of pictures fits, so that it can be sent once more.
    ("grpc.per_rpc_retry_buffer_size", 32_000_000),
]
