"""Decodes pictures and tokenises texts; the work is done by vitrine.preprocess.

Publishing copies this file to every model that prepares inputs, as its model.py; its config.pbtxt says which.
"""

# triton_python_backend_utils is not complete before we are loaded: annotations must not be looked up.
from __future__ import annotations

import json
import os
import time
import warnings
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils

from vitrine.preprocess import ImageRejected, Tokenizer, decode_image
from vitrine.repository import verified_digest

# A batch takes microseconds: threads of the tokenizer's own would only take cores from the encoders.
os.environ["TOKENIZERS_PARALLELISM"] = "false"

# Pillow warns of damaged metadata in words that hold numbers of the file; Python remembers each for ever.
warnings.filterwarnings("ignore", module="PIL")


class TritonPythonModel:
    """Answers every request by itself, so that a bad one never fails its neighbours in a batch."""

    def initialize(self, args: dict[str, str]) -> None:
        """Prove the files, read how large pictures are to be, and the tokenizer that was published beside this one.

        Raises:
            AlteredRepository: a file is not the one that was published: the server must not serve.
        """
        config = json.loads(args["model_config"])
        expected = config["parameters"].get("manifest", {}).get("string_value", "")
        digest = verified_digest(Path(args["model_repository"]), expected)
        self._manifest = np.frombuffer(bytes.fromhex(digest), np.uint8)[np.newaxis]
        self._inputs = [tensor["name"] for tensor in config["input"]]
        dims = {tensor["name"]: tensor["dims"] for tensor in config["output"]}
        if "image" in self._inputs:
            self._image_size = dims["pixels"][0]
        if "text" in self._inputs:
            folder = Path(args["model_repository"]) / args["model_version"]
            self._tokenizer = Tokenizer.from_file(folder / "tokenizer.json")

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """Return each request its tensors, or INVALID_ARGUMENT with the field and the reason.

        A request that was cancelled, or whose time ran out while others of its batch were prepared, is not.
        """
        started = time.monotonic()
        return [self._respond(request, started) for request in requests]

    def _respond(self, request: pb_utils.InferenceRequest, started: float) -> pb_utils.InferenceResponse:
        try:
            if _is_late(request, started):
                return _failed(
                    "Request timeout expired before it was prepared", pb_utils.TritonError.UNAVAILABLE
                )
            prepared = [tensor for name in self._inputs for tensor in self._prepared(request, name)]
            return pb_utils.InferenceResponse([*prepared, self._said(request)])
        except ImageRejected as error:
            return _invalid(request, f"image: {error.reason}")
        except UnicodeDecodeError:
            return _invalid(request, "text: is not valid UTF-8")
        except Exception as error:  # noqa: BLE001 - what leaves execute() fails every request of the batch
            pb_utils.Logger.log_error(f"request {request.request_id() or '-'} failed: {type(error).__name__}")
            return _failed("internal error", pb_utils.TritonError.INTERNAL)

    def _prepared(self, request: pb_utils.InferenceRequest, name: str) -> list[pb_utils.Tensor]:
        values = pb_utils.get_input_tensor_by_name(request, name).as_numpy().ravel()
        if name == "image":
            pixels = [decode_image(data, size=self._image_size) for data in values]
            return [pb_utils.Tensor("pixels", np.stack(pixels))]
        token_ids, cut = self._tokenizer.encode([data.decode() for data in values])
        return [pb_utils.Tensor("token_ids", token_ids), pb_utils.Tensor("text_cut", cut[:, np.newaxis])]

    def _said(self, request: pb_utils.InferenceRequest) -> pb_utils.Tensor:
        """Return what these models are, once a row: whoever reads the embeddings holds it against the index."""
        rows = len(pb_utils.get_input_tensor_by_name(request, self._inputs[0]).as_numpy())
        return pb_utils.Tensor("manifest", np.repeat(self._manifest, rows, axis=0))


def _is_late(request: pb_utils.InferenceRequest, started: float) -> bool:
    """Return whether nobody waits for the request any more."""
    timeout_s = request.timeout() / 1e6
    return bool(request.is_cancelled()) or 0 < timeout_s < time.monotonic() - started


def _failed(message: str, code: int) -> pb_utils.InferenceResponse:
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))


def _invalid(request: pb_utils.InferenceRequest, message: str) -> pb_utils.InferenceResponse:
    """Refuse a request, and leave its id in the server's log, where the gateway's can be found beside it."""
    pb_utils.Logger.log_info(f"request {request.request_id() or '-'} refused: {message}")
    return _failed(message, pb_utils.TritonError.INVALID_ARG)
