"""Triton's model that decodes pictures answers each request of a batch by itself, whatever happens to another."""

import importlib.util
import io
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

MODEL = Path(__file__).parents[3] / "model_repository/preprocessor.py"
SIZE = 64
DIGEST = "ab" * 32


@dataclass
class Request:
    """A request as the backend hands it over: one picture, and how long its caller waits."""

    picture: object
    timeout_us: int = 0
    cancelled: bool = False

    def request_id(self) -> str:
        """Return its id."""
        return "r1"

    def timeout(self) -> int:
        """Return microseconds; 0 for none."""
        return self.timeout_us

    def is_cancelled(self) -> bool:
        """Return whether its caller hung up."""
        return self.cancelled


@dataclass
class Answer:
    """What the model returns: tensors, or an error."""

    tensors: list[Any] = field(default_factory=list)
    error: Any = None


class TritonError:
    """The backend's error with its codes."""

    INVALID_ARG, INTERNAL, UNAVAILABLE = range(3)

    def __init__(self, message: str, code: int) -> None:
        self.message, self.code = message, code


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The model, over a stand-in of the backend's module, which exists inside Triton alone."""
    backend = ModuleType("triton_python_backend_utils")
    backend.__dict__.update(
        InferenceResponse=Answer,
        TritonError=TritonError,
        Tensor=lambda name, array: (name, array),
        Logger=SimpleNamespace(log_info=lambda _: None, log_error=lambda _: None),
        get_input_tensor_by_name=lambda request, _: SimpleNamespace(
            as_numpy=lambda: np.array([[request.picture]], dtype=object)
        ),
    )
    monkeypatch.setitem(sys.modules, backend.__name__, backend)
    spec = importlib.util.spec_from_file_location("preprocessor_model", MODEL)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.TritonPythonModel()
    config = {
        "input": [{"name": "image", "dims": [1]}],
        "output": [{"name": "pixels", "dims": [SIZE, SIZE, 3]}],
        "parameters": {"manifest": {"string_value": DIGEST}},
    }
    monkeypatch.setattr(module, "verified_digest", lambda _, expected: expected)
    model.initialize({"model_config": json.dumps(config), "model_repository": "image_decode"})
    return model


@pytest.fixture
def sound() -> bytes:
    """A picture that can be decoded."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_whatever_one_request_raises_its_neighbours_are_answered(model: Any, sound: bytes) -> None:
    """A request that the code did not foresee fails alone, without a word of what it held."""
    good, unforeseen, again = model.execute([Request(sound), Request(12345), Request(sound)])
    assert [answer.tensors[0][1].shape for answer in (good, again)] == [(1, SIZE, SIZE, 3)] * 2
    assert [[row.tobytes().hex() for row in answer.tensors[1][1]] for answer in (good, again)] == [
        [DIGEST]
    ] * 2
    assert (unforeseen.error.code, unforeseen.error.message) == (TritonError.INTERNAL, "internal error")


def test_a_picture_that_nobody_waits_for_is_not_decoded(model: Any, sound: bytes) -> None:
    """Neither when its caller hung up, nor when its time ran out while the batch was prepared."""
    on_time, hung_up, late = model.execute(
        [Request(sound, timeout_us=60_000_000), Request(sound, cancelled=True), Request(sound, timeout_us=1)]
    )
    assert on_time.error is None
    assert [answer.error.code for answer in (hung_up, late)] == [TritonError.UNAVAILABLE] * 2
    assert "timeout expired" in late.error.message
