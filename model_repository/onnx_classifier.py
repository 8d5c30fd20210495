"""Runs the classifier of moderation on ONNX Runtime; `python -m export nudity` copies this file to it as its model.py.

Like onnx_encoder.py, for the target `local` alone. It computes no embedding, so its files are none of the manifest's.
"""

# triton_python_backend_utils is not complete before we are loaded: annotations must not be looked up.
from __future__ import annotations

import os
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when the library is loaded

import onnxruntime
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Runs one request after the other: pictures of different families are of different sizes."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the graph that was published beside this file."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        graph = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self._session = onnxruntime.InferenceSession(graph, options)

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """Return each request its scores."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: pb_utils.InferenceRequest) -> pb_utils.InferenceResponse:
        pixels = pb_utils.get_input_tensor_by_name(request, "pixels").as_numpy()
        (scores,) = self._session.run(["nudity"], {"pixels": pixels})
        return pb_utils.InferenceResponse([pb_utils.Tensor("nudity", scores)])
