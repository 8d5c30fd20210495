"""Turns texts into token ids; the work is done by vitrine.preprocess."""

# triton_python_backend_utils is not complete before we are loaded: annotations must not be looked up.
from __future__ import annotations

import os
from pathlib import Path

import triton_python_backend_utils as pb_utils

from vitrine.preprocess import Tokenizer

# A batch takes microseconds: threads of the tokenizer's own would only take cores from the encoders.
os.environ["TOKENIZERS_PARALLELISM"] = "false"


class TritonPythonModel:
    """Answers every request by itself, so that a bad text never fails its neighbours in a batch."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the tokenizer that was published beside this file."""
        folder = Path(args["model_repository"]) / args["model_version"]
        self._tokenizer = Tokenizer.from_file(folder / "tokenizer.json")

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """Give each request its token ids, or INVALID_ARGUMENT with the reason."""
        return [self._respond(request) for request in requests]

    def _respond(self, request: pb_utils.InferenceRequest) -> pb_utils.InferenceResponse:
        texts = pb_utils.get_input_tensor_by_name(request, "text").as_numpy()
        try:
            token_ids = self._tokenizer([data.decode() for data in texts.ravel()])
        except UnicodeDecodeError:
            invalid = pb_utils.TritonError("text: is not valid UTF-8", pb_utils.TritonError.INVALID_ARG)
            return pb_utils.InferenceResponse(error=invalid)
        return pb_utils.InferenceResponse([pb_utils.Tensor("token_ids", token_ids)])
