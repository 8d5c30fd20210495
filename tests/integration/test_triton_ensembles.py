"""The published repository on the real tritonserver, with nothing else of the stack around it."""

import asyncio
import io
import json
import os
import shutil
import struct
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import httpx
import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from stack import triton_runtime
from stack.processes import unlink_shared_memory
from stack.settings import Settings
from vitrine.preprocess import Tokenizer, decode_image
from vitrine.tensors import EMBEDDING_DIM, ENSEMBLES, MANIFEST, MANIFEST_PARAMETER, MAX_BATCH_SIZE

from .tritons import START_S, start_triton

STOP_S = 120.0
CALL_S = 60.0

TEXTS = ("red dress", "navy checked midi dress with long sleeves", "", "zzz", "the same but in blue")


def picture(seed: int, kind: str = "JPEG", size: tuple[int, int] = (256, 192)) -> bytes:
    """A blurred picture, different for each seed."""
    cells = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC).save(buffer, kind)
    return buffer.getvalue()


PICTURES = (picture(0), picture(1, "PNG"), picture(2, "WEBP"), picture(3, size=(100, 300)), picture(4))
TRUNCATED = PICTURES[0][: len(PICTURES[0]) // 2]
NO_PALETTE = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000008000000080803000000f3d14eb9"
    "0000000c49444154789c6360a00e0000004800012eb83c7e0000000049454e44ae426082"
)
"""A PNG of palette colours that has no palette, on which Pillow fails with an assertion."""


@pytest.fixture(scope="module")
def triton(
    model_repository: Path, triton_ports: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """A server on loopback, stopped gracefully at the end."""
    state = tmp_path_factory.mktemp("triton")
    settings = Settings(state=state, port_base=triton_ports, repository=model_repository)
    triton_runtime.prepare(state)
    server = start_triton(
        triton_runtime.command(settings, state),
        triton_runtime.environment(os.environ),
        address=settings.triton_grpc,
        log=state / "triton.log",
        prefix=settings.prefix,
    )
    try:
        yield settings
    finally:
        server.terminate()
        try:
            assert server.wait(STOP_S) == 0
        except subprocess.TimeoutExpired:
            server.kill()
            raise
        finally:
            unlink_shared_memory(settings.prefix)


@pytest.fixture
async def client(triton: Settings) -> AsyncIterator[InferenceServerClient]:
    async with InferenceServerClient(triton.triton_grpc) as opened:
        yield opened


class Reference:
    """The same repository in this process: preprocessing, ONNX Runtime and nothing else."""

    def __init__(self, repository: Path) -> None:
        self.repository = repository
        self.tokenizer = Tokenizer.from_file(repository / "text_tokenize" / "1" / "tokenizer.json")

    def run(self, name: str, **feeds: NDArray[np.generic]) -> NDArray[np.float32]:
        """Run one graph."""
        session = onnxruntime.InferenceSession(self.repository / name / "1" / "model.onnx")
        return np.asarray(session.run(None, feeds)[0])

    def text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts."""
        return self.run("text_encoder", token_ids=self.tokenizer(texts))

    def image(self, images: Sequence[bytes]) -> NDArray[np.float32]:
        """Embed encoded pictures."""
        return self.run("image_encoder", pixels=np.stack([decode_image(data) for data in images]))

    def fusion(self, references: NDArray[np.float32], texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed references changed by texts."""
        token_ids = self.tokenizer(texts)
        return self.run("fusion_encoder", reference_embedding=references, token_ids=token_ids)


@pytest.fixture(scope="module")
def reference(model_repository: Path) -> Reference:
    return Reference(model_repository)


def strings(name: str, values: Sequence[str | bytes]) -> InferInput:
    data = np.array([v.encode() if isinstance(v, str) else v for v in values], dtype=object).reshape(-1, 1)
    tensor = InferInput(name, list(data.shape), "BYTES")
    tensor.set_data_from_numpy(data)
    return tensor


def vectors(name: str, values: NDArray[np.float32]) -> InferInput:
    tensor = InferInput(name, list(values.shape), "FP32")
    tensor.set_data_from_numpy(values)
    return tensor


async def embed(
    client: InferenceServerClient, ensemble: str, *inputs: InferInput, client_timeout: float = CALL_S
) -> NDArray[np.float32]:
    result = await client.infer(ensemble, list(inputs), client_timeout=client_timeout)
    return np.asarray(result.as_numpy("embedding"))


async def outcome(
    client: InferenceServerClient, ensemble: str, *inputs: InferInput, client_timeout: float = CALL_S
) -> str:
    """Name the status that a call ends with, and its message."""
    try:
        await embed(client, ensemble, *inputs, client_timeout=client_timeout)
    except InferenceServerException as error:
        return f"{error.status().removeprefix('StatusCode.')}: {error.message()}"
    return "OK"


def assert_same(given: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    """Rows are normalised and point the same way."""
    assert given.shape == expected.shape == (len(expected), EMBEDDING_DIM)
    np.testing.assert_allclose(np.linalg.norm(given, axis=1), 1, atol=1e-5)
    assert (given * expected).sum(axis=1).min() > 0.9999


async def test_embed_text(client: InferenceServerClient, reference: Reference) -> None:
    """Words come back as the text encoder gives them in process; an empty text too."""
    assert_same(await embed(client, "embed_text", strings("text", TEXTS)), reference.text(TEXTS))


async def test_embed_image(client: InferenceServerClient, reference: Reference) -> None:
    """JPEG, PNG and WebP come back as the image encoder gives them in process."""
    assert_same(await embed(client, "embed_image", strings("image", PICTURES)), reference.image(PICTURES))


async def test_embed_composed(client: InferenceServerClient, reference: Reference) -> None:
    """A picture and words go through decoding, image encoder and fusion."""
    given = await embed(client, "embed_composed", strings("image", PICTURES), strings("text", TEXTS))
    assert_same(given, reference.fusion(reference.image(PICTURES), TEXTS))


async def test_embed_refined(client: InferenceServerClient, reference: Reference) -> None:
    """A stored embedding and words need no picture, and agree with the same query made of the picture."""
    stored = reference.image(PICTURES)
    given = await embed(
        client, "embed_refined", vectors("reference_embedding", stored), strings("text", TEXTS)
    )
    assert_same(given, reference.fusion(stored, TEXTS))
    composed = await embed(client, "embed_composed", strings("image", PICTURES), strings("text", TEXTS))
    assert_same(given, composed)


async def test_row_does_not_depend_on_its_batch(client: InferenceServerClient) -> None:
    """A picture alone, in a full batch and among concurrent requests has one embedding."""
    alone = await embed(client, "embed_image", strings("image", PICTURES[:1]))
    batch = (PICTURES * MAX_BATCH_SIZE)[:MAX_BATCH_SIZE]
    in_batch = await embed(client, "embed_image", strings("image", batch))
    assert_same(in_batch[:1], alone)
    concurrent = await asyncio.gather(
        *(embed(client, "embed_image", strings("image", [data])) for data in batch)
    )
    assert_same(np.concatenate(concurrent), in_batch)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (TRUNCATED, "is truncated or damaged"),
        (NO_PALETTE, "is truncated or damaged"),
        (b"", "is empty"),
        (b"GIF89a...", "is not a JPEG, PNG or WebP picture"),
        (picture(0, "BMP"), "is not a JPEG, PNG or WebP picture"),
    ],
)
async def test_bad_picture_is_an_invalid_argument(
    client: InferenceServerClient, data: bytes, reason: str
) -> None:
    """The reason comes out of the ensemble, under the field's name."""
    for ensemble, others in (("embed_image", []), ("embed_composed", [strings("text", ["red"])])):
        said = await outcome(client, ensemble, strings("image", [data]), *others)
        assert said == f"INVALID_ARGUMENT: in ensemble '{ensemble}', image: {reason}"


async def test_bad_picture_fails_alone(client: InferenceServerClient, reference: Reference) -> None:
    """Requests that share a batch with bad pictures get their embeddings."""

    async def call(index: int) -> NDArray[np.float32] | str:
        data = TRUNCATED if index % 3 == 0 else PICTURES[index % len(PICTURES)]
        if index % 3 == 0:
            return await outcome(client, "embed_image", strings("image", [data]))
        return await embed(client, "embed_image", strings("image", [data]))

    expected = reference.image(PICTURES)
    for index, answer in enumerate(await asyncio.gather(*(call(i) for i in range(30)))):
        if isinstance(answer, str):
            assert answer.startswith("INVALID_ARGUMENT")
        else:
            assert_same(answer, expected[[index % len(PICTURES)]])


@pytest.mark.parametrize("ensemble", ["embed_image", "embed_composed"])
async def test_fifteen_bad_pictures_among_forty_good_ones(
    client: InferenceServerClient, ensemble: str
) -> None:
    """Each good one is answered and each bad one refused, however they share batches."""
    words = [strings("text", ["red"])] if ensemble == "embed_composed" else []
    said = await asyncio.gather(
        *(
            outcome(
                client,
                ensemble,
                strings("image", [NO_PALETTE if i % 11 in {2, 5, 8} else PICTURES[0]]),
                *words,
            )
            for i in range(55)
        )
    )
    refused = f"INVALID_ARGUMENT: in ensemble '{ensemble}', image: is truncated or damaged"
    assert Counter(said) == {"OK": 40, refused: 15}


async def test_bad_pictures_never_hang_the_server(client: InferenceServerClient) -> None:
    """However many composed queries fail at their first step, alone or at once, every one of them is answered."""
    bad = (strings("image", [b""]), strings("text", ["red"]))
    one_by_one = [await outcome(client, "embed_composed", *bad) for _ in range(50)]
    at_once = await asyncio.gather(*(outcome(client, "embed_composed", *bad) for _ in range(100)))
    said = Counter([*one_by_one, *at_once])
    assert said == {"INVALID_ARGUMENT: in ensemble 'embed_composed', image: is empty": 150}
    for ensemble in ("embed_composed", "embed_image"):
        inputs = [strings("image", PICTURES), strings("text", TEXTS)]
        wanted = [tensor for tensor in inputs if tensor.name() == "image" or ensemble == "embed_composed"]
        assert await outcome(client, ensemble, *wanted) == "OK"


async def test_text_that_is_no_utf8(client: InferenceServerClient) -> None:
    """Bytes that are no text are refused by name."""
    said = await outcome(client, "embed_text", strings("text", [b"\xff\xfe"]))
    assert said == "INVALID_ARGUMENT: in ensemble 'embed_text', text: is not valid UTF-8"


async def test_too_many_rows(client: InferenceServerClient) -> None:
    """A batch over the limit is refused before any work."""
    said = await outcome(client, "embed_text", strings("text", ["red"] * (MAX_BATCH_SIZE + 1)))
    assert said.startswith("INVALID_ARGUMENT")
    assert f"batch-size must be <= {MAX_BATCH_SIZE}" in said


async def test_who_waits_no_longer_frees_the_queue(client: InferenceServerClient, triton: Settings) -> None:
    """Requests whose callers' deadlines pass in the queue are never computed, and the next one is answered."""
    full = strings("image", (PICTURES * MAX_BATCH_SIZE)[:MAX_BATCH_SIZE])
    before = await computed(triton, "image_encoder")
    said = await asyncio.gather(
        *(outcome(client, "embed_image", full, client_timeout=0.05) for _ in range(60))
    )
    late = [s for s in said if s.startswith("DEADLINE_EXCEEDED")]
    assert len(late) >= 40
    assert await outcome(client, "embed_image", strings("image", PICTURES)) == "OK"
    assert await computed(triton, "image_encoder") - before < 60 - len(late) // 2


async def computed(triton: Settings, model: str) -> float:
    """Return how many requests a model has computed, as the server's metrics say: its statistics are closed."""
    async with httpx.AsyncClient(timeout=CALL_S) as http:
        text = (await http.get(f"http://{triton.triton_metrics}/metrics")).text
    (family,) = (
        each
        for each in text_string_to_metric_families(text)
        if each.name.startswith("nv_inference_request_success")
    )
    return sum(sample.value for sample in family.samples if sample.labels["model"] == model)


async def test_many_at_once_are_all_answered(client: InferenceServerClient) -> None:
    """More than any gateway sends at once waits its turn; nothing hangs, and the server serves on."""
    two = strings("image", (PICTURES * 2)[:2])
    said = await asyncio.gather(
        *(outcome(client, "embed_image", two, client_timeout=START_S) for _ in range(300))
    )
    assert Counter(said) == {"OK": 300}
    assert await outcome(client, "embed_image", strings("image", PICTURES)) == "OK"


async def test_ensembles_say_which_embeddings_they_give(
    client: InferenceServerClient, model_repository: Path
) -> None:
    """The digest of the manifest is read from the configuration that the server runs."""
    digest = json.loads((model_repository / "manifest.json").read_text())["digest"]
    for spec in ENSEMBLES:
        answer = await client.get_model_config(spec.name, client_timeout=CALL_S)
        assert answer.config.parameters[MANIFEST_PARAMETER].string_value == digest


async def test_every_inference_says_what_computed_it(
    client: InferenceServerClient, model_repository: Path
) -> None:
    """Each row of each ensemble comes with the digest of the manifest of the models that computed it."""
    digest = json.loads((model_repository / "manifest.json").read_text())["digest"]
    rows = len(TEXTS)
    given = {
        "image": strings("image", PICTURES),
        "text": strings("text", TEXTS),
        "reference_embedding": vectors("reference_embedding", np.eye(rows, EMBEDDING_DIM, dtype=np.float32)),
    }
    for spec in ENSEMBLES:
        inputs = [given[tensor.name] for tensor in spec.inputs]
        answer = await client.infer(spec.name, inputs, client_timeout=CALL_S)
        said = answer.as_numpy(MANIFEST.name)
        assert said is not None
        assert [row.tobytes().hex() for row in said] == [digest] * rows


def test_an_altered_repository_does_not_serve(
    model_repository: Path, triton_ports: int, tmp_path: Path
) -> None:
    """The server ends, and its log names the files: nothing computes under the digest of what was published."""
    altered = ("text_tokenize/1/model.py", "text_encoder/1/model.onnx")
    repository = tmp_path / "repository"
    shutil.copytree(model_repository, repository)
    for name in altered:
        with (repository / name).open("ab") as file:
            file.write(b"\n")
    # It ends before it listens: the ports of the other server do.
    settings = Settings(state=tmp_path, port_base=triton_ports, repository=repository)
    triton_runtime.prepare(tmp_path)
    try:
        ended = subprocess.run(
            triton_runtime.command(settings, tmp_path),
            env=triton_runtime.environment(os.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=START_S,
            check=False,
        )
    finally:
        unlink_shared_memory(settings.prefix)
    assert ended.returncode == 1
    for name in altered:
        assert f"{name}: not the file that manifest.json tells of" in ended.stdout.decode()


async def test_malformed_string_tensor(client: InferenceServerClient) -> None:
    """A BYTES tensor whose length lies about its content is refused, and the model lives on."""
    lying = InferInput("image", [1, 1], "BYTES")
    lying.set_data_from_numpy(np.array([[b"x"]], dtype=object))
    lying._raw_content = struct.pack("<I", 1_000_000) + b"x"
    assert (await outcome(client, "embed_image", lying)).startswith("INVALID_ARGUMENT")
    assert await outcome(client, "embed_image", strings("image", PICTURES)) == "OK"
