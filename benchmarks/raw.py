"""The stages of a published repository in this process: preprocessing and ONNX Runtime, and no server.

Peers serve the same through what they are, from environments without gRPC: only what preprocesses may be imported here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from vitrine.preprocess import Tokenizer, decode_image

Floats = NDArray[np.float32]


class Query(Protocol):
    """What is embedded, such as a SearchRequest."""

    @property
    def text(self) -> str:
        """The words."""

    @property
    def image(self) -> bytes:
        """An encoded picture."""


class Raw:
    """The stages of a published repository in this process."""

    def __init__(self, repository: Path) -> None:
        self._tokenizer = Tokenizer.from_file(repository / "text_tokenize" / "1" / "tokenizer.json")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._image, self._text, self._fusion = (
            onnxruntime.InferenceSession(repository / name / "1" / "model.onnx", options)
            for name in ("image_encoder", "text_encoder", "fusion_encoder")
        )
        self.image_size = int(self._image.get_inputs()[0].shape[1])
        self._fused = {tensor.name for tensor in self._fusion.get_inputs()}
        self.embedding_dim = int(self._image.get_outputs()[0].shape[1])

    def run(self, kind: str, queries: Sequence[Query]) -> Floats:
        """Embed a batch as the ensemble of the kind does; a refined query starts from a reference of zeros."""
        if kind == "text":
            return self._texts(queries)
        if kind == "image":
            return self._images(queries)
        if kind == "composed":
            return self._fuse(self._images(queries), queries)
        return self._fuse(np.zeros((len(queries), self.embedding_dim), np.float32), queries)

    def token_ids(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the tokens of texts, in the length of the family."""
        return self._tokenizer(texts)

    def run_text(self, token_ids: NDArray[np.int64]) -> Floats:
        """Embed texts that are tokens."""
        return np.asarray(self._text.run(None, {"token_ids": token_ids})[0])

    def run_image(self, pixels: NDArray[np.uint8]) -> Floats:
        """Embed pictures that are pixels."""
        return np.asarray(self._image.run(None, {"pixels": pixels})[0])

    def _texts(self, queries: Sequence[Query]) -> Floats:
        return self.run_text(self._ids(queries))

    def _images(self, queries: Sequence[Query]) -> Floats:
        pixels = np.stack([decode_image(query.image, size=self.image_size) for query in queries])
        return self.run_image(pixels)

    def _fuse(self, references: Floats, queries: Sequence[Query]) -> Floats:
        feeds: dict[str, Any] = {"reference_embedding": references}
        if "token_ids" in self._fused:
            feeds["token_ids"] = self._ids(queries)
        else:
            feeds["text_embedding"] = self._texts(queries)
        return np.asarray(self._fusion.run(None, feeds)[0])

    def _ids(self, queries: Sequence[Query]) -> NDArray[np.int64]:
        return self.token_ids([query.text for query in queries])
