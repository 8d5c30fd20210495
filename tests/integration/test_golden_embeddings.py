"""What the stack serves is what the committed weights gave when they were committed (tests/golden/README.md)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient

from vitrine.tensors import EMBED_COMPOSED, EMBED_IMAGE, EMBED_REFINED, EMBED_TEXT, ModelSpec

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = 8
CALL_S = 30.0
MINIMUM_COSINE = {"fp32": 0.9999, "int8": 0.995}
"""Between the server and torch, by the precision that is served."""

Embeddings = NDArray[np.float32]


@pytest.fixture(scope="module")
def golden() -> Mapping[str, Any]:
    with np.load(GOLDEN / "embeddings.npz") as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def inputs(golden: Mapping[str, Any]) -> Mapping[str, list[Any]]:
    """Inputs of the ensembles by name, CASES rows each."""
    return {
        "texts": [str(text).encode() for text in golden["texts"]],
        "changes": [str(text).encode() for text in golden["changes"]],
        "image": [(GOLDEN / f"picture-{number}.jpg").read_bytes() for number in range(CASES)],
        "reference_embedding": list(golden["image"]),
    }


def tensor(name: str, rows: list[Any]) -> InferInput:
    if name == "reference_embedding":
        values, dtype = np.stack(rows), "FP32"
    else:
        values, dtype = np.array(rows, dtype=object).reshape(-1, 1), "BYTES"
    given = InferInput(name, list(values.shape), dtype)
    given.set_data_from_numpy(values)
    return given


async def served(stack: Any, ensemble: ModelSpec, inputs: Mapping[str, list[Any]], rows: slice) -> Embeddings:
    """Embed these rows in one call; a text alone is a caption, beside something else it is a change."""
    texts = "texts" if len(ensemble.inputs) == 1 else "changes"
    names = {spec.name: texts if spec.name == "text" else spec.name for spec in ensemble.inputs}
    given = [tensor(name, inputs[column][rows]) for name, column in names.items()]
    async with InferenceServerClient(stack.triton) as client:
        answer = await client.infer(ensemble.name, given, client_timeout=CALL_S)
    return np.asarray(answer.as_numpy("embedding"))


CALLS = [
    pytest.param(EMBED_TEXT, "text", id="text"),
    pytest.param(EMBED_IMAGE, "image", id="image"),
    pytest.param(EMBED_COMPOSED, "composed", id="composed"),
    pytest.param(EMBED_REFINED, "composed", id="refined"),
]


@pytest.mark.parametrize(("ensemble", "expected"), CALLS)
async def test_embeddings_are_the_golden_ones(
    stack: Any, golden: Mapping[str, Any], inputs: Any, ensemble: ModelSpec, expected: str
) -> None:
    """Every row points where torch's does, within what its precision may lose, and nowhere near another row."""
    manifest = json.loads((stack.settings.repository / "manifest.json").read_text())
    tolerance = min(MINIMUM_COSINE[precision] for precision in manifest["identity"]["precisions"].values())
    given = await served(stack, ensemble, inputs, slice(CASES))
    cosines = given @ golden[expected].T
    np.testing.assert_allclose(np.linalg.norm(given, axis=1), 1, atol=1e-5)
    assert cosines.diagonal().min() >= tolerance
    assert (cosines - 2 * np.eye(CASES)).max() < tolerance


@pytest.mark.parametrize(("ensemble", "expected"), CALLS)
async def test_a_row_is_the_same_alone_and_among_eight(
    stack: Any, inputs: Any, ensemble: ModelSpec, expected: str
) -> None:
    """Who shares a batch with a query does not change it."""
    together = await served(stack, ensemble, inputs, slice(CASES))
    assert together.shape[0] == CASES, expected
    for number in range(CASES):
        (alone,) = await served(stack, ensemble, inputs, slice(number, number + 1))
        np.testing.assert_allclose(alone, together[number], atol=1e-4)
