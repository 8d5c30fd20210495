"""Which calls a client repeats, and how it spreads them over addresses: gRPC's service config, as JSON."""

import json

# Reads are safe to repeat. Refused calls (RESOURCE_EXHAUSTED) are not repeated here: the caller has the delay.
# Throttling keeps repeats from feeding an outage: it takes ten successes to earn back one failure.
_READS = [
    {"service": f"vitrine.v1.{service}", "method": method}
    for service, method in (
        ("SearchService", "Search"),
        ("SearchService", "Recommend"),
        ("CatalogueService", "GetProduct"),
        ("CatalogueService", "Describe"),
    )
]
_SPREAD: dict[str, object] = {"loadBalancingConfig": [{"round_robin": {}}]}
"""Of several addresses, as `ipv4:HOST:PORT,HOST:PORT` or a name that has several, each gets its share of the calls."""
ONCE = json.dumps(_SPREAD)
"""The service config of a channel that repeats nothing."""
RETRIES = json.dumps(
    _SPREAD
    | {
        "methodConfig": [
            {
                "name": _READS,
                "retryPolicy": {
                    "maxAttempts": 3,
                    "initialBackoff": "0.05s",
                    "maxBackoff": "0.5s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ],
        "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
    }
)
"""The service config of a channel that repeats reads."""
