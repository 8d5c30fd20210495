"""Recall as google/tirg's `test_retrieval.py` defines it: a hit is any picture whose caption is the target's."""

from collections.abc import Mapping

import torch
from torch import Tensor

CUTS = (1, 10, 50)
NOTHING = -1
"""Stands for "leave no picture out" where a query is no picture of the gallery."""


def nearest(
    queries: Tensor, gallery: Tensor, *, left_out: Tensor | None = None, count: int = max(CUTS)
) -> Tensor:
    """Return the rows of the gallery with the largest inner products, int64 (m, count), best first.

    Args:
        queries: float32 (m, d), L2-normalised.
        gallery: float32 (n, d), L2-normalised.
        left_out: int64 (m,): the row that each query must not find, or NOTHING.
        count: at most n.
    """
    found = []
    for start in range(0, len(queries), 1024):
        scores = queries[start : start + 1024] @ gallery.T
        if left_out is not None:
            banned = left_out[start : start + 1024]
            asked = banned != NOTHING
            scores[asked.nonzero().squeeze(1), banned[asked]] = -torch.inf
        found.append(scores.topk(min(count, len(gallery)), dim=1).indices)
    return torch.cat(found)


def recalls(found: Tensor, captions: Tensor, targets: Tensor) -> Mapping[str, float]:
    """Return the share of queries, in percent, that find the target's caption among the first 1, 10 and 50.

    Args:
        found: int64 (m, max(CUTS) or fewer), rows of the gallery.
        captions: int64 (n,), the caption of each row of the gallery.
        targets: int64 (m,), the caption that each query asks for.
    """
    hits = captions[found] == targets[:, None]
    return {f"R@{cut}": round(100 * hits[:, :cut].any(dim=1).float().mean().item(), 2) for cut in CUTS}
