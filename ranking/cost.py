"""What a ranker costs a search: 30 products, in process, by NumPy and by ONNX Runtime."""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gateway.events import Answer, Shown
from gateway.model import Hit, StoredProduct
from gateway.retrieval.features import FEATURES, POPULARITY, features_of
from gateway.retrieval.ranker import Features, LinearRanker
from gateway.retrieval.taste import CANDIDATES
from ranking.onnx_file import export_onnx
from vitrine.domain.limits import DEFAULT_HITS
from vitrine.domain.product import Product
from vitrine.domain.schema_files import shipped_schema
from vitrine.process.machine import describe_machine

_CALLS, _REPEATS = 2_000, 9
_PRODUCTS = 100_000


def measure_cost() -> dict[str, Any]:
    """Return the result: the microseconds of CPU of one evaluation, the least of the repeats."""
    import onnxruntime  # noqa: PLC0415 - of the environment that serves

    count = len(FEATURES)
    ranker = LinearRanker(
        features=FEATURES,
        weights=np.linspace(0.1, 1, count),
        mean=np.zeros(count),
        scale=np.ones(count),
        popularity={f"p{number}": 0.1 for number in range(_PRODUCTS)},
    )
    told = [{name: 0.1 for name in FEATURES if name != POPULARITY} for _ in range(CANDIDATES)]
    ids = [f"p{number}" for number in range(CANDIDATES)]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ranker.onnx"
        export_onnx(ranker, path)
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    matrix = ranker.matrix(told, ids)
    rows = matrix.astype(np.float32)
    schema, hits = shipped_schema(), _hits()
    answer = _answer(told, ids)
    results = {
        "features of the hits": _microseconds(lambda: features_of(hits, schema, now_s=0.0)),
        "features to a matrix": _microseconds(lambda: ranker.matrix(told, ids)),
        "NumPy, from the matrix": _microseconds(lambda: 1 / (1 + np.exp(-matrix @ ranker.weights))),
        "ONNX Runtime, from the matrix": _microseconds(lambda: session.run(None, {"features": rows})),
        "as it is served": _microseconds(lambda: ranker.values(told, ids)),
        "an answer packed to be kept, beside the calls": _microseconds(answer.packed),
    }
    return {
        "environment": describe_machine(("numpy", "onnxruntime")),
        "params": {
            "benchmark": "ranking cost",
            "products": CANDIDATES,
            "features": count,
            "calls": _CALLS,
            "answer_hits": len(answer.shown),
            "answer_bytes": len(answer.packed()),
        },
        "results": results,
    }


def _hits() -> list[Hit]:
    """Return hits that have all that features are made of."""
    return [
        Hit(
            product=StoredProduct(product=Product(id=f"p{number}", values={"price": 10.0 + number})),
            score=0.5,
            text_score=0.6,
            image_score=0.4,
            signals={"lexical": 0.5, "personal": 0.5},
        )
        for number in range(CANDIDATES)
    ]


def _answer(told: Features, ids: Sequence[str]) -> Answer:
    """Return an answer of the usual length, with features of as many digits as they have."""
    shown = tuple(
        Shown(
            product_id=product_id,
            position=place,
            features={name: value / (1 + place / 7) for name, value in features.items()},
        )
        for place, (features, product_id) in enumerate(zip(told, ids, strict=True), start=1)
    )
    return Answer(request_id="r", at_ms=0, route="text", shown=shown[:DEFAULT_HITS])


def _microseconds(work: Callable[[], object]) -> float:
    least = float("inf")
    for _ in range(_REPEATS):
        begun = time.process_time()
        for _ in range(_CALLS):
            work()
        least = min(least, (time.process_time() - begun) / _CALLS)
    return round(least * 1e6, 2)
