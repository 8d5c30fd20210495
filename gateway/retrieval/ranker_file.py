"""The file of a learnt ranker: JSON that says what it is, of what it was made and what it was worth, with a digest over all of it."""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gateway.retrieval.features import FEATURES
from gateway.retrieval.ranker import LinearRanker

FORMAT = 1
MAX_BYTES = 16_000_000
MAX_PRODUCTS = 200_000
"""Products whose popularity a file has, at most."""


class UnusableRanker(ValueError):  # noqa: N818 - read by operators as a sentence
    """The file is no ranker that may serve; the message says why."""


def write_ranker(path: Path, ranker: LinearRanker, card: Mapping[str, Any]) -> None:
    """Write a ranker with its card: what it was trained on and what it was worth, `refused` among it."""
    content = {
        "format": FORMAT,
        "card": dict(card),
        "features": list(ranker.features),
        "weights": ranker.weights.tolist(),
        "mean": ranker.mean.tolist(),
        "scale": ranker.scale.tolist(),
        "usual_popularity": ranker.usual_popularity,
        "popularity": dict(sorted(ranker.popularity.items())),
    }
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps({"digest": digest_of(content), **content}, indent=1) + "\n")
    partial.replace(path)


def read_ranker(path: Path) -> tuple[LinearRanker, Mapping[str, Any]]:
    """Return a ranker and its card.

    Raises:
        UnusableRanker: it cannot be read, is damaged or of another version, names a feature that nobody computes, or was
            refused when it was trained.
    """
    content = _read(path)
    digest = content.pop("digest", "")
    if digest != digest_of(content):
        raise UnusableRanker(f"{path}: is damaged or was edited, its digest is another; train it again")
    card = content.get("card")
    if not isinstance(card, dict) or card.get("refused") is not False:
        raise UnusableRanker(
            f"{path}: was refused when it was trained, since it did not beat the default order on held-out events"
        )
    features = content.get("features")
    if not isinstance(features, list) or not features or len(set(map(str, features))) != len(features):
        raise UnusableRanker(f"{path}: features must name each feature once")
    if unknown := sorted(str(name) for name in features if name not in FEATURES):
        raise UnusableRanker(
            f"{path}: features: {', '.join(unknown)[:200]}: not known here; these are: {', '.join(FEATURES)}"
        )
    columns = {name: _numbers(path, content, name, len(features)) for name in ("weights", "mean", "scale")}
    if not (columns["scale"] > 0).all():
        raise UnusableRanker(f"{path}: scale: every number must be more than 0")
    popularity = content.get("popularity")
    if not isinstance(popularity, dict) or len(popularity) > MAX_PRODUCTS:
        raise UnusableRanker(f"{path}: popularity: must be a table of at most {MAX_PRODUCTS:,} products")
    if not all(map(_is_finite, [*popularity.values(), content.get("usual_popularity")])):
        raise UnusableRanker(f"{path}: popularity: every value must be a number")
    ranker = LinearRanker(
        features=tuple(features),
        popularity={str(name): float(value) for name, value in popularity.items()},
        usual_popularity=float(content["usual_popularity"]),
        **columns,
    )
    return ranker, card


def digest_of(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of everything that a file says but the digest itself."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _read(path: Path) -> dict[str, Any]:
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise UnusableRanker(f"{path}: may have {MAX_BYTES:,} bytes, this one has {size:,}")
        content = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, UnusableRanker):
            raise
        raise UnusableRanker(f"{path}: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UnusableRanker(f"{path}: is no ranker of format {FORMAT}; train it again")
    return content


def _numbers(
    path: Path, content: Mapping[str, Any], name: str, length: int
) -> "np.ndarray[Any, np.dtype[np.float64]]":
    values = content.get(name)
    if not isinstance(values, list) or len(values) != length or not all(map(_is_finite, values)):
        raise UnusableRanker(f"{path}: {name}: must be {length} numbers, one a feature")
    return np.array(values, dtype=np.float64)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
