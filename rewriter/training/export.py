"""The latest checkpoint as an ONNX file of one decoding step, held against torch, and its card."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from rewriter.environment import describe_environment
from rewriter.training.network import Decoder, Shape, Step
from rewriter.training.train import CHECKPOINT

MODEL = "decoder.onnx"
CARD = "card.json"
_TOLERANCE = 1e-3
"""Of a logit, between torch and ONNX Runtime."""

_DYNAMIC = {
    "tokens": {0: "rows", 1: "length"},
    "positions": {0: "rows", 1: "length"},
    "mask": {0: "rows", 2: "length", 3: "seen"},
    "past_keys": {1: "rows", 3: "past"},
    "past_values": {1: "rows", 3: "past"},
    "last": {0: "rows"},
    "logits": {0: "rows"},
    "keys": {1: "rows", 3: "length"},
    "values": {1: "rows", 3: "length"},
}


class ExportError(Exception):
    """The exported step differs from the network."""


def export(out: Path, work: Path) -> None:
    """Write decoder.onnx and card.json; raises ExportError where ONNX Runtime and torch differ."""
    saved = torch.load(work / CHECKPOINT, weights_only=True)
    shape = Shape(**saved["shape"])
    decoder = Decoder(shape)
    decoder.load_state_dict(saved["decoder"])
    step = Step(decoder).eval()
    names = list(_DYNAMIC)
    out.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        step,
        _inputs(shape, rows=2, length=3, past=4),
        out / MODEL,
        input_names=names[:6],
        output_names=names[6:],
        dynamic_axes=_DYNAMIC,
        opset_version=18,
        dynamo=False,
    )
    difference = _difference(step, shape, out / MODEL)
    if difference > _TOLERANCE:
        raise ExportError(f"a logit differs by {difference:.2g}, over {_TOLERANCE}")
    state = saved["state"]
    card = {
        "family": "llama-like decoder",
        "shape": saved["shape"],
        "parameters": sum(parameter.numel() for parameter in decoder.parameters()),
        "training": {name: state[name] for name in ("step", "passes", "seconds", "samples")}
        | saved["settings"],
        "held_back": dict(zip(("step", "loss", "exact"), state["held"][-1], strict=True)),
        "onnx_difference": difference,
        "environment": describe_environment(),
    }
    (out / CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def _inputs(shape: Shape, *, rows: int, length: int, past: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    cache = (shape.layers, rows, shape.heads, past, shape.head_width)
    return (
        torch.randint(shape.vocabulary, (rows, length), generator=generator),
        torch.arange(past, past + length).expand(rows, length).contiguous(),
        torch.zeros(rows, 1, length, past + length),
        torch.randn(cache, generator=generator),
        torch.randn(cache, generator=generator),
        torch.full((rows,), length - 1),
    )


def _difference(step: Step, shape: Shape, path: Path) -> float:
    """Return the largest difference of a logit, over batches and pasts of several sizes."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_inputs()]
    largest = 0.0
    for rows, length, past in ((1, 7, 0), (3, 1, 12), (5, 4, 30)):
        inputs = _inputs(shape, rows=rows, length=length, past=past)
        with torch.inference_mode():
            expected = step(*inputs)[0].numpy()
        feed = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
        largest = max(largest, float(np.abs(session.run(["logits"], feed)[0] - expected).max()))
    return largest
