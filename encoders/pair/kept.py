"""Room in an embedding for what the image tower tells apart and the heads never learnt: other trades than the data's.

After training, the heads' numbers are reduced to their principal ones, which hold nearly all of them, and the image tower's own
fill the room. No picture of another trade and no label is needed.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from encoders.pair.backbone import FEATURES, usual_features
from encoders.pair.dimensions import EMBEDDING_DIM, TRAINED_DIM
from encoders.pair.features import Features
from encoders.pair.networks import Head, Kept, PairEncoders, PairImageEncoder, PairTextEncoder
from encoders.stages import device

_MOST = 20_000
"""Pictures and texts that the axes are fitted on."""
_LIKE = 0.99
"""Share of the data's pictures that the head alone speaks for, each measured on axes of the half that it is not in."""
_LEAST = 0.1
"""Of the limit: pictures that repeat each other leave nothing outside their axes, and another of their kind may."""

_HIDDEN, _OUT = "perceptron.0", "perceptron.3"
"""The layers of a head's perceptron."""


@torch.no_grad()
def keep(encoders: PairEncoders, features: Features, texts: Tensor) -> PairEncoders:
    """Return encoders whose heads fill TRAINED_DIM numbers, and whose image tower fills the others.

    Args:
        encoders: trained, with heads that fill EMBEDDING_DIM numbers.
        features: what their image tower makes of the data's pictures, (n, VIEWS, FEATURES).
        texts: what their text tower makes of the data's captions, (t, 512).
    """
    image, text = encoders.image.eval(), encoders.text.eval()
    rows = _drawn(len(features))
    seen = torch.from_numpy(np.asarray(features[rows, 0], np.float32)).to(device())
    said = texts[_drawn(len(texts))].to(device())
    axes = _principal(torch.cat([image.head(seen), text.head(said)]), TRAINED_DIM)
    kept = fitted(seen)
    kept.usual.copy_(usual_features(image.tower))
    return replace(
        encoders,
        sizes=replace(encoders.sizes, trained_dim=TRAINED_DIM),
        image=PairImageEncoder(image.tower, _reduced(image.head, axes), kept).eval(),
        text=PairTextEncoder(text.tower, _reduced(text.head, axes)).eval(),
    )


def fitted(features: Tensor) -> Kept:
    """Return the axes of the data's features (n, FEATURES), and the limit by its halves."""
    kept = _on(features)
    even, odd = features[::2], features[1::2]
    unlike = torch.cat([_on(one).unlike(other) for one, other in ((even, odd), (odd, even))])
    kept.limit.copy_(torch.quantile(unlike, _LIKE).clamp(min=_LEAST))
    return kept


def _on(features: Tensor) -> Kept:
    kept = Kept(FEATURES, EMBEDDING_DIM - TRAINED_DIM).to(features.device)
    kept.centre.copy_(features.mean(0))
    kept.axes.copy_(_principal(features - kept.centre, len(kept.axes)))
    return kept


def _principal(rows: Tensor, count: int) -> Tensor:
    """Return the directions (count, d) in which the rows are largest, orthonormal, also where there are fewer rows."""
    directions: Tensor = torch.linalg.eigh((rows.T @ rows).double()).eigenvectors[:, -count:]
    return directions.T.flip(0).to(rows.dtype)


def _reduced(head: Head, axes: Tensor) -> Head:
    """Return the head that gives the coordinates on the axes (k, d) of what the head gives."""
    tensors = head.state_dict()
    reduced = Head(head.linear.in_features, len(tensors[f"{_HIDDEN}.bias"]), len(axes)).to(axes.device)
    for name in ("linear", _OUT):
        for part in ("weight", "bias"):
            tensors[f"{name}.{part}"] = axes @ tensors[f"{name}.{part}"]
    reduced.load_state_dict(tensors)
    return reduced


def _drawn(size: int) -> list[int]:
    rows: list[int] = np.sort(np.random.default_rng(0).permutation(size)[:_MOST]).tolist()
    return rows
