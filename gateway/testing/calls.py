"""Calls that tests make of a gateway, and what they wait for."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

import grpc
from google.rpc import error_details_pb2  # type: ignore[import-untyped] # it has no py.typed
from grpc_status import rpc_status

from gateway.testing.served import ServedGateway
from vitrine.v1 import catalogue_pb2, catalogue_pb2_grpc

_PATIENCE_S = 30.0


async def send_products(
    gateway: ServedGateway,
    requests: Iterable[catalogue_pb2.UpsertProductsRequest],
    *,
    metadata: Sequence[tuple[str, str]] = (),
) -> list[catalogue_pb2.UpsertProductsResponse]:
    """Send a stream of products; return every answer.

    It goes over gRPC's threaded stack, which keeps the status of a stream that is refused while it is being sent.
    """

    def answers() -> list[catalogue_pb2.UpsertProductsResponse]:
        with grpc.insecure_channel(gateway.address) as channel:
            stub = catalogue_pb2_grpc.CatalogueServiceStub(channel)
            return list(stub.UpsertProducts(iter(requests), timeout=_PATIENCE_S, metadata=tuple(metadata)))

    return await asyncio.to_thread(answers)


def refused_field(error: grpc.RpcError) -> str:
    """Return the field that the error's details name; empty where they name none."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type] # it has what is asked of a call
    for detail in status.details if status is not None else ():
        request = error_details_pb2.BadRequest()
        if detail.Unpack(request):
            return str(request.field_violations[0].field)
    return ""


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that sets no event; TimeoutError where it never comes."""
    async with asyncio.timeout(_PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.001)
