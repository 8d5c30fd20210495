"""The Triton adapter against a server that speaks its protocol: what is sent, and how failures are read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import numpy as np
import pytest
from grpc import aio
from tritonclient.grpc import service_pb2 as triton_pb2
from tritonclient.grpc import service_pb2_grpc as triton_grpc

from gateway.adapters.triton import TritonEncoder, open_triton
from gateway.context import Call, enter_call
from gateway.errors import (
    DeadlineExceeded,
    EncoderError,
    FailedPrecondition,
    InvalidQuery,
    Overloaded,
    SearchError,
)
from gateway.model import Deadline, Embedding, EncoderInputs
from vitrine.tensors import EMBEDDING_DIM, MANIFEST, MANIFEST_PARAMETER, MAX_BATCH_SIZE, TEXT_CUT

Abort = tuple[grpc.StatusCode, str]


class Inference(triton_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc] # generated without types
    """Records requests; answers with row numbers, or aborts as told."""

    def __init__(self, abort: Abort | None, manifests: dict[str, str]) -> None:
        self._abort = abort
        self._manifests = manifests
        self.requests: list[Any] = []
        self.metadata: list[dict[str, str]] = []
        self.cut: bytes | None = None
        self.said: bytes | None = None
        self.tells = True
        """Whether the models say with every inference what computed it."""
        self.refusals = 0
        """Calls that are refused first, as by a server that ends."""
        self.hangs = False
        self.cancelled = asyncio.Event()

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Answer one inference."""
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        if self.refusals:
            self.refusals -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "Server is stopping")
        if self._abort is not None:
            await context.abort(*self._abort)
        if self.hangs:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        rows = request.inputs[0].shape[0]
        embedding = np.arange(rows * EMBEDDING_DIM, dtype="<f4")
        output = triton_pb2.ModelInferResponse.InferOutputTensor(
            name="embedding", datatype="FP32", shape=[rows, EMBEDDING_DIM]
        )
        response = triton_pb2.ModelInferResponse(outputs=[output], raw_output_contents=[embedding.tobytes()])
        if self.cut is not None:
            response.outputs.add(name=TEXT_CUT.name, datatype=TEXT_CUT.dtype, shape=[rows, 1])
            response.raw_output_contents.append(self.cut)
        if self.said is not None:
            response.outputs.add(name=MANIFEST.name, datatype=MANIFEST.dtype, shape=[rows, 32])
            response.raw_output_contents.append(self.said)
        return response

    async def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Give the model's manifest."""
        if request.name not in self._manifests:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown model")
        response = triton_pb2.ModelConfigResponse()
        if self.tells:
            response.config.output.add(name=MANIFEST.name)
        response.config.parameters[MANIFEST_PARAMETER].string_value = self._manifests[request.name]
        return response


@asynccontextmanager
async def triton(
    abort: Abort | None = None, **manifests: str
) -> AsyncIterator[tuple[TritonEncoder, Inference]]:
    async with (
        serving_inference(abort, **manifests) as (address, inference),
        open_triton(address) as encoder,
    ):
        yield encoder, inference


@asynccontextmanager
async def serving_inference(
    abort: Abort | None = None, **manifests: str
) -> AsyncIterator[tuple[str, Inference]]:
    inference = Inference(abort, manifests)
    server = aio.server()
    triton_grpc.add_GRPCInferenceServiceServicer_to_server(inference, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}", inference
    finally:
        await server.stop(None)


def reference(rows: int = 1) -> Embedding:
    return np.full((rows, EMBEDDING_DIM), 0.5, np.float32)


@pytest.mark.parametrize(
    ("inputs", "model", "tensors"),
    [
        (EncoderInputs(texts=["é"]), "embed_text", {"text": b"\x02\0\0\0\xc3\xa9"}),
        (EncoderInputs(images=[b"abc"]), "embed_image", {"image": b"\x03\0\0\0abc"}),
        (
            EncoderInputs(images=[b"abc"], texts=["x"]),
            "embed_composed",
            {"image": b"\x03\0\0\0abc", "text": b"\x01\0\0\0x"},
        ),
        (
            EncoderInputs(references=reference(), texts=["x"]),
            "embed_refined",
            {"reference_embedding": reference().tobytes(), "text": b"\x01\0\0\0x"},
        ),
    ],
)
async def test_what_is_given_chooses_the_ensemble(
    inputs: EncoderInputs, model: str, tensors: dict[str, bytes]
) -> None:
    """Each combination goes to its ensemble, in Triton's raw layout."""
    async with triton() as (encoder, inference):
        embedding = (await encoder.embed(inputs, timeout_s=60)).rows
    (request,) = inference.requests
    assert request.model_name == model
    names = [tensor.name for tensor in request.inputs]
    assert dict(zip(names, request.raw_input_contents, strict=True)) == tensors
    assert (embedding.shape, embedding.dtype) == ((1, EMBEDDING_DIM), np.float32)


async def test_rows_come_back_in_order() -> None:
    """A batch keeps its order."""
    async with triton() as (encoder, _):
        embedded = await encoder.embed(EncoderInputs(texts=["a", "b", "c"]), timeout_s=60)
    assert embedded.rows[:, 0].tolist() == [0.0, EMBEDDING_DIM, 2 * EMBEDDING_DIM]


@pytest.mark.parametrize(
    ("abort", "error", "message"),
    [
        (
            (grpc.StatusCode.INVALID_ARGUMENT, "in ensemble 'embed_text', image: is truncated"),
            InvalidQuery("image", ""),
            "image: is truncated",
        ),
        ((grpc.StatusCode.INVALID_ARGUMENT, "wrong shape"), EncoderError(), "encoder is unavailable"),
        ((grpc.StatusCode.UNAVAILABLE, "secret address refused"), EncoderError(), "encoder is unavailable"),
        ((grpc.StatusCode.INTERNAL, "secret"), EncoderError(), "encoder is unavailable"),
        ((grpc.StatusCode.NOT_FOUND, "unknown model"), EncoderError(), "encoder is unavailable"),
        (
            (grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size"),
            Overloaded("", retry_after_s=1),
            "the encoder's queue is full",
        ),
        (
            (grpc.StatusCode.UNAVAILABLE, "Request timeout expired"),
            DeadlineExceeded(),
            "did not answer in time",
        ),
    ],
)
async def test_failures_are_read_by_their_kind(abort: Abort, error: SearchError, message: str) -> None:
    """A bad picture is the caller's, a full queue is overload, the rest is the encoder's and keeps its words."""
    async with triton(abort) as (encoder, _):
        with pytest.raises(type(error)) as failed:
            await encoder.embed(EncoderInputs(texts=["x"]), timeout_s=60)
    assert message in str(failed.value)
    assert "secret" not in str(failed.value)


async def test_a_server_that_is_not_there_is_an_encoder_error() -> None:
    """Nobody listening is told as such, at once."""
    async with open_triton("127.0.0.1:1") as encoder:
        with pytest.raises(EncoderError):
            await encoder.embed(EncoderInputs(texts=["x"]), timeout_s=60)
        with pytest.raises(EncoderError):
            await encoder.manifest(timeout_s=60)


async def test_the_timeout_and_the_callers_cancellation_reach_the_server() -> None:
    """A call that is too slow, or no longer wanted, is cancelled where it runs."""
    async with triton() as (encoder, inference):
        await encoder.embed(EncoderInputs(texts=["x"]), timeout_s=60)  # it is connected then
        inference.hangs = True
        with pytest.raises(DeadlineExceeded):
            await encoder.embed(EncoderInputs(texts=["x"]), timeout_s=0.5)
        await asyncio.wait_for(inference.cancelled.wait(), 60)
        inference.cancelled.clear()
        call = asyncio.create_task(encoder.embed(EncoderInputs(texts=["x"]), timeout_s=60))
        while len(inference.requests) < 3:  # noqa: ASYNC110 - it arrives through a socket
            await asyncio.sleep(0.005)
        call.cancel()
        await asyncio.wait_for(inference.cancelled.wait(), 60)


@pytest.mark.parametrize("rows", [0, MAX_BATCH_SIZE + 1])
async def test_a_call_carries_one_batch(rows: int) -> None:
    """More rows than one execution takes are the caller's bug."""
    async with triton() as (encoder, _):
        with pytest.raises(ValueError, match="1 to 32 rows"):
            await encoder.embed(EncoderInputs(texts=["x"] * rows), timeout_s=60)


async def test_the_manifest_is_that_of_every_ensemble() -> None:
    """One digest in all of them is the answer; different ones, or a missing model, are no answer."""
    names = ("embed_text", "embed_image", "embed_composed", "embed_refined")
    async with triton(**dict.fromkeys(names, "m1")) as (encoder, _):
        assert await encoder.manifest(timeout_s=60) == "m1"
    async with triton(**dict.fromkeys(names, "m1") | {"embed_image": "m2"}) as (encoder, _):
        with pytest.raises(EncoderError):
            await encoder.manifest(timeout_s=60)
    async with triton(embed_text="m1") as (encoder, _):
        with pytest.raises(EncoderError):
            await encoder.manifest(timeout_s=60)


async def test_models_that_do_not_say_what_computed_a_row_are_told_to_be_published_anew() -> None:
    """Without it nobody could tell whose vectors they are: the message names the command."""
    names = ("embed_text", "embed_image", "embed_composed", "embed_refined")
    async with triton(**dict.fromkeys(names, "m1")) as (encoder, inference):
        inference.tells = False
        with pytest.raises(FailedPrecondition, match="python -m export publish"):
            await encoder.manifest(timeout_s=60)


@pytest.mark.parametrize(
    ("said", "manifest"),
    [(None, ""), (b"\x0a" * 64, "0a" * 32), (b"\x0a" * 32 + b"\x0b" * 32, "")],
)
async def test_what_computed_the_rows_comes_with_them(said: bytes | None, manifest: str) -> None:
    """One digest of all rows is the answer's; none, or different ones, are nobody's."""
    async with triton() as (encoder, inference):
        inference.said = said
        embedded = await encoder.embed(EncoderInputs(texts=["a", "b"]), timeout_s=60)
    assert embedded.manifest == manifest


async def test_a_server_that_ends_costs_no_search() -> None:
    """What it refuses is asked once more within the deadline; who refuses always is told, after two calls."""
    async with triton() as (encoder, inference):
        inference.refusals = 1
        await encoder.embed(EncoderInputs(texts=["a"]), timeout_s=60)
        assert len(inference.requests) == 2
        inference.refusals = 100
        with pytest.raises(EncoderError):
            await encoder.embed(EncoderInputs(images=[b"x" * 2_000_000]), timeout_s=60)
        assert len(inference.requests) == 4


async def test_an_outage_is_not_fed() -> None:
    """After ten refusals nothing is repeated, until calls succeed again."""
    async with triton() as (encoder, inference):
        inference.refusals = 1_000
        for _ in range(30):
            with pytest.raises(EncoderError):
                await encoder.embed(EncoderInputs(texts=["a"]), timeout_s=60)
    assert 30 < len(inference.requests) <= 45


async def test_every_address_of_a_name_gets_its_share() -> None:
    """The calls of one gateway are spread over the servers behind the name."""
    async with AsyncExitStack() as stack:
        served = [await stack.enter_async_context(serving_inference()) for _ in range(2)]
        addresses = ",".join(address for address, _ in served)
        encoder = await stack.enter_async_context(open_triton(f"ipv4:{addresses}"))
        async with asyncio.timeout(60):  # the second one may be connected later than the first
            while not all(inference.requests for _, inference in served):
                await encoder.embed(EncoderInputs(texts=["a"]), timeout_s=60)
        before = [len(inference.requests) for _, inference in served]
        for _ in range(20):
            await encoder.embed(EncoderInputs(texts=["a"]), timeout_s=60)
    assert [len(inference.requests) for _, inference in served] == [each + 10 for each in before]


@pytest.mark.parametrize(("flags", "cut"), [(None, ()), (b"\x00\x01", (False, True))])
async def test_the_texts_that_were_cut_are_told(flags: bytes | None, cut: tuple[bool, ...]) -> None:
    """Encoders that say it say so of each text; of those that do not, nothing is claimed."""
    async with triton() as (encoder, inference):
        inference.cut = flags
        embedded = await encoder.embed(EncoderInputs(texts=["a", "b"]), timeout_s=60)
    assert embedded.cut == cut


async def test_the_requests_id_goes_along() -> None:
    """Triton gets it as metadata and as the id of the inference, which its log tells; outside of a call there is none."""
    async with triton() as (encoder, inference):
        await encoder.embed(EncoderInputs(texts=["a"]), timeout_s=60)
        enter_call(Call(method="Search", request_id="abc-1", deadline=Deadline.after(60)))
        await encoder.embed(EncoderInputs(texts=["a"]), timeout_s=60)
    assert [request.id for request in inference.requests] == ["", "abc-1"]
    assert [each.get("x-request-id") for each in inference.metadata] == [None, "abc-1"]
