"""The encoders of a published model repository, run in this process: the same files that Triton serves.

What `image_decode`, `text_tokenize` and the two encoders of the repository compute is computed here by the same code and
graphs, so that the embeddings belong to the same manifest.
"""

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when the library is loaded

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from bulk.errors import BulkError
from gateway.errors import InvalidQuery
from gateway.model import Embedded, Embedding, EncoderInputs
from vitrine.preprocess import ImageRejected, Tokenizer, decode_image
from vitrine.repository import AlteredRepository, read_digest, verified_digest
from vitrine.tensors import IMAGE_ENCODER, TEXT_ENCODER, TEXT_TOKENIZE, ModelSpec

_VERSION = "1"
_GRAPH = "model.onnx"


class OnnxEncoder:
    """Implements gateway.ports.Encoder for pictures and for texts, one thread of ONNX Runtime each.

    Raises:
        BulkError: the folder is no repository of ONNX graphs, or a file of it was altered.
    """

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        try:
            self._manifest = read_digest(repository)
            for model in (IMAGE_ENCODER, TEXT_ENCODER, TEXT_TOKENIZE):
                verified_digest(repository / model.name, self._manifest)
        except AlteredRepository as error:
            raise BulkError(f"{repository}: {error}") from None

    async def embed(self, inputs: EncoderInputs, *, timeout_s: float) -> Embedded:
        """As the port says, for pictures alone and for texts alone; `timeout_s` bounds nothing, since nothing waits."""
        del timeout_s
        if inputs.images is not None and inputs.texts is None:
            return Embedded(
                rows=self._run(self._images, self._pixels(inputs.images)), manifest=self._manifest
            )
        if inputs.texts is None or inputs.references is not None:
            raise ValueError("pictures alone, or texts alone")
        token_ids, cut = self._tokenizer.encode(inputs.texts)
        rows = self._run(self._texts, token_ids)
        return Embedded(rows=rows, cut=tuple(map(bool, cut)), manifest=self._manifest)

    async def manifest(self, *, timeout_s: float) -> str:
        """As the port says."""
        del timeout_s
        return self._manifest

    async def embedding_dim(self, *, timeout_s: float) -> int:
        """As the port says."""
        del timeout_s
        dim: int = self._texts.get_outputs()[0].shape[1]
        return dim

    async def pixels(self, images: Sequence[bytes], *, timeout_s: float) -> NDArray[np.uint8]:
        """As `gateway.moderation.ports.PictureDecoder` says."""
        del timeout_s
        return self._pixels(images)

    def _pixels(self, images: Sequence[bytes]) -> np.ndarray:  # type: ignore[type-arg] # (n, side, side, 3) uint8
        side: int = self._images.get_inputs()[0].shape[1]
        try:
            return np.stack([decode_image(image, size=side) for image in images])
        except ImageRejected as error:
            raise InvalidQuery("image", error.reason) from None

    def _run(self, session: onnxruntime.InferenceSession, column: np.ndarray) -> Embedding:  # type: ignore[type-arg]
        (rows,) = session.run(None, {session.get_inputs()[0].name: column})
        embedded: Embedding = rows
        return embedded

    @cached_property
    def _images(self) -> onnxruntime.InferenceSession:
        return self._session(IMAGE_ENCODER)

    @cached_property
    def _texts(self) -> onnxruntime.InferenceSession:
        return self._session(TEXT_ENCODER)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return Tokenizer.from_file(self._repository / TEXT_TOKENIZE.name / _VERSION / "tokenizer.json")

    def _session(self, model: ModelSpec) -> onnxruntime.InferenceSession:
        graph = self._repository / model.name / _VERSION / _GRAPH
        if not graph.is_file():
            raise BulkError(
                f"{graph}: no ONNX graph; publish with --target local or onnxruntime, or give --triton"
            )
        options = onnxruntime.SessionOptions()
        # Workers scale by their number; threads that spin while they wait would burn the cores of the others.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return onnxruntime.InferenceSession(graph, options)
