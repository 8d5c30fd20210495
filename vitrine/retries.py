"""How the client repeats calls, as gRPC's service configuration."""

import json

# Reads are safe to repeat. Refused calls (RESOURCE_EXHAUSTED) are not repeated here: the caller has the delay.
# Throttling keeps repeats from feeding an outage: it takes ten successes to earn back one failure.
_READS = [{"service": "vitrine.v1.SearchService", "method": "Search"}] + [
    {"service": "vitrine.v1.CatalogueService", "method": method} for method in ("GetProduct", "Describe")
]
_SPREAD: dict[str, object] = {"loadBalancingConfig": [{"round_robin": {}}]}
"""Of several addresses, as `ipv4:HOST:PORT,HOST:PORT` or a name that has several, each gets its share of the calls."""
ONCE = json.dumps(_SPREAD)
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
