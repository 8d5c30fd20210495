"""Runs an exported encoder on ONNX Runtime; publishing copies this file to each encoder as its model.py.

The target `local` needs it because its server has no ONNX Runtime backend; the other targets do not.
"""

# triton_python_backend_utils is not complete before we are loaded: annotations must not be looked up.
from __future__ import annotations

import json
import os
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when the library is loaded

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

from vitrine.repository import verified_digest


class TritonPythonModel:
    """Runs all requests of a batch as one; tensors go by the names of config.pbtxt."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the graph that was published beside this file.

        Raises:
            AlteredRepository: a file is not the one that was published: the server must not serve.
        """
        config = json.loads(args["model_config"])
        expected = config["parameters"].get("manifest", {}).get("string_value", "")
        verified_digest(Path(args["model_repository"]), expected)
        self._inputs = [tensor["name"] for tensor in config["input"]]
        self._outputs = [tensor["name"] for tensor in config["output"]]
        graph = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self._session = onnxruntime.InferenceSession(graph, _session_options())

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """Return each request the rows that it asked for."""
        feeds = {name: [_rows(request, name) for request in requests] for name in self._inputs}
        results = self._session.run(self._outputs, {n: np.concatenate(rows) for n, rows in feeds.items()})
        ends = np.cumsum([len(rows) for rows in feeds[self._inputs[0]]])[:-1]
        outputs = zip(*(np.split(result, ends) for result in results), strict=True)
        return [pb_utils.InferenceResponse(self._named(rows)) for rows in outputs]

    def _named(self, rows: tuple[np.ndarray, ...]) -> list[pb_utils.Tensor]:
        return [pb_utils.Tensor(name, part) for name, part in zip(self._outputs, rows, strict=True)]


def _rows(request: pb_utils.InferenceRequest, name: str) -> np.ndarray:
    return pb_utils.get_input_tensor_by_name(request, name).as_numpy()


def _session_options() -> onnxruntime.SessionOptions:
    # One thread a session: Triton scales by instances, and threads that spin while they wait
    # would burn the cores that the other models need.
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
