"""What every channel to a dependency has in common."""

CHANNEL_OPTIONS: list[tuple[str, int]] = [
    # gRPC's own would wait up to two minutes before it looks for a restarted server again.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # A refused call is told to the caller, who has the deadline; repeating it here would feed an overload.
    ("grpc.enable_retries", 0),
]
