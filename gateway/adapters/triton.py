"""Triton's ensembles as the encoder: tritonclient's messages over a plain channel of grpc.aio.

tritonclient's own client object costs more CPU a call and turns status codes into strings. Cancelling the awaiting
task cancels the inference, also while it is queued, and so does the call's deadline: the models' queues have no
bounds of their own (decision 25).
"""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import numpy as np
from grpc import aio
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2 as triton_pb2
from tritonclient.grpc import service_pb2_grpc as triton_grpc

from gateway.adapters.channels import CHANNEL_OPTIONS
from gateway.context import hop_metadata, request_id
from gateway.errors import (
    DeadlineExceeded,
    EncoderError,
    FailedPrecondition,
    InvalidQuery,
    Overloaded,
    SearchError,
)
from gateway.logs import log_event
from gateway.model import Embedded, Embedding, EncoderInputs
from vitrine.channels import Tls, open_channel
from vitrine.process.tracing import span
from vitrine.tensors import (
    EMBED_COMPOSED,
    EMBED_IMAGE,
    EMBED_REFINED,
    EMBED_TEXT,
    EMBEDDING,
    ENSEMBLES,
    IMAGE_DECODE,
    MANIFEST,
    MANIFEST_PARAMETER,
    MAX_BATCH_SIZE,
    NUDITY,
    TEXT_CUT,
    ModelSpec,
)

# Batches of pictures are large.
_UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]

# A repository with a queue policy of its own answers UNAVAILABLE to a full queue and to a request that outlived its time
# in the queue, and so does a server that is not there; only its words tell these apart.
_QUEUE_FULL = "maximum queue size"
_QUEUE_EXPIRED = "timeout expired"
_RETRY_S = 0.1

_IMAGE_REASON = "image: "
"""Before the reason, in an error of the image_decode model."""

_logger = logging.getLogger(__name__)


@asynccontextmanager
async def open_triton(address: str, *, tls: Tls | None = None) -> AsyncIterator["TritonEncoder"]:
    """Open the encoder; a server that is not there yet is connected to when it comes."""
    async with open_channel(address, tls, options=[*CHANNEL_OPTIONS, *_UNLIMITED]) as channel:
        yield TritonEncoder(triton_grpc.GRPCInferenceServiceStub(channel))


class TritonEncoder:
    """Implements gateway.ports.Encoder, and the decoder and the classifier of moderation."""

    def __init__(self, stub: triton_grpc.GRPCInferenceServiceStub) -> None:
        self._stub = stub

    async def embed(self, inputs: EncoderInputs, *, timeout_s: float) -> Embedded:
        """Return one row for each row of the inputs, of which there are 1 to MAX_BATCH_SIZE."""
        ensemble = _ensemble(inputs)
        outputs = await self._infer(_infer_request(ensemble, inputs), ensemble, timeout_s)
        shape, raw = outputs[EMBEDDING.name]
        _, cut = outputs.get(TEXT_CUT.name, ((), b""))
        _, said = outputs.get(MANIFEST.name, ((), b""))
        return Embedded(
            rows=np.frombuffer(raw, "<f4").reshape(shape),
            cut=tuple(map(bool, cut)),
            manifest=_digest(said),
        )

    async def pixels(self, images: Sequence[bytes], *, timeout_s: float) -> NDArray[np.uint8]:
        """As `gateway.moderation.ports.PictureDecoder` says, of any number of pictures."""
        rows: list[NDArray[np.uint8]] = []
        for first in range(0, len(images), MAX_BATCH_SIZE):
            inputs = EncoderInputs(images=images[first : first + MAX_BATCH_SIZE])
            outputs = await self._infer(_infer_request(IMAGE_DECODE, inputs), IMAGE_DECODE, timeout_s)
            shape, raw = outputs[IMAGE_DECODE.outputs[0].name]
            rows.extend(np.frombuffer(raw, np.uint8).reshape(shape))
        return np.stack(rows)

    async def nudity(self, pixels: NDArray[np.uint8], *, timeout_s: float) -> NDArray[np.float32]:
        """As `gateway.moderation.ports.PictureClassifier` says."""
        request = triton_pb2.ModelInferRequest(model_name=NUDITY.name, id=request_id())
        request.inputs.add(name=NUDITY.inputs[0].name, datatype="UINT8", shape=pixels.shape)
        request.raw_input_contents.append(pixels.tobytes())
        outputs = await self._infer(request, NUDITY, timeout_s)
        _, raw = outputs[NUDITY.outputs[0].name]
        return np.frombuffer(raw, "<f4")

    async def manifest(self, *, timeout_s: float) -> str:
        """Return the digest that every ensemble carries.

        Raises:
            EncoderError: they differ, as between two deployments.
            FailedPrecondition: the models do not tell with every inference what computed it.
        """
        configs = [await self._config(ensemble, timeout_s) for ensemble in ENSEMBLES]
        if any(MANIFEST.name not in {output.name for output in config.output} for config in configs):
            raise FailedPrecondition(
                "the models were published by an earlier version and do not say what computes an embedding: publish"
                " them anew with `python -m export publish`, or `make export`"
            )
        digests = {config.parameters[MANIFEST_PARAMETER].string_value for config in configs}
        if len(digests) != 1 or "" in digests:
            log_event(_logger, logging.WARNING, "ensembles_differ", manifests=sorted(digests))
            raise EncoderError
        digest: str = digests.pop()
        return digest

    async def embedding_dim(self, *, timeout_s: float) -> int:
        """Return the length of the embeddings, which is that of every ensemble's output."""
        config = await self._config(EMBED_TEXT, timeout_s)
        dim: int = config.output[0].dims[0]
        return dim

    async def _infer(
        self, request: triton_pb2.ModelInferRequest, model: ModelSpec, timeout_s: float
    ) -> dict[str, tuple[Sequence[int], bytes]]:
        """Return shape and bytes of every output by its name."""
        with span("triton ModelInfer", **{"peer.service": "triton", "vitrine.model": model.name}):
            try:
                response = await self._stub.ModelInfer(request, timeout=timeout_s, metadata=hop_metadata())
            except aio.AioRpcError as error:
                raise _translated(error, model) from error
        return {
            output.name: (output.shape, raw)
            for output, raw in zip(response.outputs, response.raw_output_contents, strict=True)
        }

    async def _config(self, ensemble: ModelSpec, timeout_s: float) -> Any:
        try:
            response = await self._stub.ModelConfig(
                triton_pb2.ModelConfigRequest(name=ensemble.name), timeout=timeout_s
            )
        except aio.AioRpcError as error:
            raise _translated(error, ensemble) from error
        return response.config


def _digest(said: bytes) -> str:
    """Return what all rows say that computed them; empty where they say nothing, or not the same."""
    (size,) = MANIFEST.shape
    return said[:size].hex() if said == said[:size] * (len(said) // size) else ""


def _ensemble(inputs: EncoderInputs) -> ModelSpec:
    given = (inputs.texts is not None, inputs.images is not None, inputs.references is not None)
    match given:
        case (True, False, False):
            return EMBED_TEXT
        case (False, True, False):
            return EMBED_IMAGE
        case (True, True, False):
            return EMBED_COMPOSED
        case (True, False, True):
            return EMBED_REFINED
        case _:
            raise ValueError(f"no ensemble takes these inputs: texts, images, references = {given}")


def _infer_request(ensemble: ModelSpec, inputs: EncoderInputs) -> triton_pb2.ModelInferRequest:
    columns = {
        "text": None if inputs.texts is None else [text.encode() for text in inputs.texts],
        "image": inputs.images,
        "reference_embedding": inputs.references,
    }
    request = triton_pb2.ModelInferRequest(model_name=ensemble.name, id=request_id())
    for tensor in ensemble.inputs:
        column = columns[tensor.name]
        assert column is not None, "the ensemble was chosen by what is given"
        if not 1 <= len(column) <= MAX_BATCH_SIZE:
            raise ValueError(f"1 to {MAX_BATCH_SIZE} rows fit into one call, got {len(column)}")
        shape = column.shape if isinstance(column, np.ndarray) else (len(column), 1)
        request.inputs.add(name=tensor.name, datatype=tensor.dtype, shape=shape)
        request.raw_input_contents.append(_serialised(column))
    return request


def _serialised(column: Sequence[bytes] | Embedding) -> bytes:
    """Return a column as Triton reads it: float32 rows, or strings each after its length, all little-endian."""
    if isinstance(column, np.ndarray):
        return column.astype("<f4", copy=False).tobytes()
    return b"".join(len(value).to_bytes(4, "little") + value for value in column)


def _translated(error: aio.AioRpcError, ensemble: ModelSpec) -> SearchError:
    code, details = error.code(), error.details() or ""
    if code is grpc.StatusCode.DEADLINE_EXCEEDED or _QUEUE_EXPIRED in details:
        return DeadlineExceeded("the encoder did not answer in time")
    if code is grpc.StatusCode.UNAVAILABLE and _QUEUE_FULL in details:
        return Overloaded("the encoder's queue is full", retry_after_s=_RETRY_S)
    if code is grpc.StatusCode.INVALID_ARGUMENT and _IMAGE_REASON in details:
        return InvalidQuery("image", details.partition(_IMAGE_REASON)[2])
    # What it says may repeat what it was given; its own log has it, under the request's id.
    log_event(_logger, logging.WARNING, "encoder_failed", model=ensemble.name, code=code.name)
    return EncoderError()
