"""Decodes pictures to pixels; the work is done by vitrine.preprocess."""

# triton_python_backend_utils is not complete before we are loaded: annotations must not be looked up.
from __future__ import annotations

import numpy as np
import triton_python_backend_utils as pb_utils

from vitrine.preprocess import ImageRejected, decode_image


class TritonPythonModel:
    """Answers every request by itself, so that a bad picture never fails its neighbours in a batch."""

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """Give each request its pixels, or INVALID_ARGUMENT with the reason."""
        return [_respond(request) for request in requests]


def _respond(request: pb_utils.InferenceRequest) -> pb_utils.InferenceResponse:
    images = pb_utils.get_input_tensor_by_name(request, "image").as_numpy()
    try:
        pixels = np.stack([decode_image(data) for data in images.ravel()])
    except ImageRejected as error:
        invalid = pb_utils.TritonError(f"image: {error.reason}", pb_utils.TritonError.INVALID_ARG)
        return pb_utils.InferenceResponse(error=invalid)
    return pb_utils.InferenceResponse([pb_utils.Tensor("pixels", pixels)])
