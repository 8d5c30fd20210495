"""Calls Triton's ensembles without a gateway."""

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
from grpc import aio
from tritonclient.grpc import service_pb2, service_pb2_grpc

from benchmarks.generator import OK, Send
from vitrine.tensors import ENSEMBLES
from vitrine.v1.search_pb2 import SearchRequest

_INPUTS = {spec.name: [tensor.name for tensor in spec.inputs] for spec in ENSEMBLES}
_CHANNELS = 4


@asynccontextmanager
async def infer_sender(address: str) -> AsyncIterator[Send[service_pb2.ModelInferRequest]]:
    """Yield what sends an inference over one connection after the other, and gives its status."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    channels = [aio.insecure_channel(address, options=options) for _ in range(_CHANNELS)]
    stubs = [service_pb2_grpc.GRPCInferenceServiceStub(channel) for channel in channels]
    sent = 0

    async def send(request: service_pb2.ModelInferRequest, timeout_s: float) -> str:
        nonlocal sent
        sent += 1
        try:
            await stubs[sent % _CHANNELS].ModelInfer(request, timeout=timeout_s)
        except aio.AioRpcError as error:
            return str(error.code().name)
        return OK

    try:
        yield send
    finally:
        for channel in channels:
            await channel.close()


def query_inputs(model: str, query: SearchRequest, embedding_dim: int) -> service_pb2.ModelInferRequest:
    """Return the inference that the ensemble makes of a query; a reference is a vector of zeros."""
    request = service_pb2.ModelInferRequest(model_name=model)
    for name in _INPUTS[model]:
        if name == "reference_embedding":
            request.inputs.add(name=name, datatype="FP32", shape=(1, embedding_dim))
            request.raw_input_contents.append(np.zeros(embedding_dim, np.float32).tobytes())
        else:
            data = query.image if name == "image" else query.text.encode()
            request.inputs.add(name=name, datatype="BYTES", shape=(1, 1))
            request.raw_input_contents.append(struct.pack("<I", len(data)) + data)
    return request
