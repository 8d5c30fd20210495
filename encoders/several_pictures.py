"""`python -m encoders several-pictures`: how a product with several pictures is best found by one more.

Two ways to index them are compared: a row a picture, of which the best counts, and one row with the normalised mean of
the pictures' embeddings. Two kinds of product: one thing seen several times, and variants (another colour, another
length) that share a product. The query is a picture of the product that the index does not hold.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from catalogue.splits import make_splits
from encoders.checkpoint import TOKENIZER_FILE, load_encoders
from encoders.evaluate import Model
from encoders.pictures import drawn_pictures
from vitrine.preprocess import Tokenizer

PICTURES = 4
"""Pictures of a product in the index; one more is its query."""

CLUSTERS = 150
"""Neighbourhoods of similar products, of each of the two test splits."""

CUTS = (1, 10)


def measure(weights: Path, work: Path, *, seed: int) -> dict[str, dict[str, dict[str, float]]]:
    """Return recall at 1 and 10, in percent, by kind of product and by way of indexing."""
    splits = make_splits(seed=seed)
    clusters = [
        cluster.specs[:PICTURES]
        for split in (splits.iid, splits.ood)
        for cluster in split.clusters[:CLUSTERS]
        if len(cluster.specs) >= PICTURES
    ]
    views = range(1_000, 1_001 + PICTURES)
    shown = [(spec, view) for specs in clusters for spec in specs for view in views]
    stored = drawn_pictures("several", shown, cache=work)
    # Shape: a cluster, one of its specs, a view of it, the embedding.
    model = Model(load_encoders(weights), Tokenizer.from_file(weights / TOKENIZER_FILE))
    embeddings = model.embed_images(stored).reshape(len(clusters), PICTURES, len(views), -1)
    things = embeddings.flatten(0, 1)
    return {
        "one thing seen several times": _compare(things[:, :PICTURES], things[:, PICTURES]),
        # One picture of each variant is in the index; another one of the second variant is the query.
        "variants that share a product": _compare(embeddings[:, :, 0], embeddings[:, 1, PICTURES]),
    }


def _compare(indexed: Tensor, queries: Tensor) -> dict[str, dict[str, float]]:
    """Compare the ways to index (products, PICTURES, d) for queries (products, d), a query for each product."""
    pooled = functional.normalize(indexed.mean(dim=1), dim=-1)
    return {
        "products": {"count": len(indexed)},
        "first picture alone": _recalls(queries @ indexed[:, 0].T),
        "mean of the pictures": _recalls(queries @ pooled.T),
        "a row a picture": _recalls(torch.einsum("qd,npd->qnp", queries, indexed).amax(dim=2)),
    }


def _recalls(scores: Tensor, cuts: Sequence[int] = CUTS) -> dict[str, float]:
    """Return the share of queries, in percent, whose own product is among the first of (queries, products)."""
    better = (scores > scores.diagonal()[:, None]).sum(dim=1)
    return {f"R@{cut}": round(100 * (better < cut).float().mean().item(), 1) for cut in cuts}
