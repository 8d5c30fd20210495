"""Health for probes: a listener that tells it and does nothing else, without TLS and without asking who it is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from grpc import aio
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health_aio

_MAX_CALLS = 32
"""At once; each is answered from memory."""


@asynccontextmanager
async def health_endpoint(listen: str, health: health_aio.HealthServicer) -> AsyncIterator[int]:
    """Answer `Check`, and no other call, while the block runs; yield the port, 0 where the address is empty."""
    if not listen:
        yield 0
        return
    server = aio.server(
        maximum_concurrent_rpcs=_MAX_CALLS,
        options=[("grpc.max_receive_message_length", 1_024), ("grpc.so_reuseport", 0)],
    )
    check = grpc.unary_unary_rpc_method_handler(
        health.Check,
        request_deserializer=health_pb2.HealthCheckRequest.FromString,
        response_serializer=health_pb2.HealthCheckResponse.SerializeToString,
    )
    service = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Check": check}),))
    port = server.add_insecure_port(listen)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)
