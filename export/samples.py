"""Pictures and texts of the procedural catalogue as inputs of the encoders: to calibrate with, and to compare on.

Calibration takes the training split alone; what judges a graph takes products that training has not seen.
"""

import io
from collections.abc import Mapping
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from catalogue.build import PICTURE_SIZE
from catalogue.grammar import Spec, caption, modification_text
from catalogue.render.picture import render
from catalogue.splits import CLUSTER_SIZE, Split
from encoders.families import Family, open_tokenizer
from export.parity import Feeds, Run, run_in_batches
from vitrine.preprocess import Tokenizer, decode_image


def family_tokenizer(family: Family) -> Tokenizer:
    """Return the tokenizer as the server will have it."""
    return Tokenizer(open_tokenizer(family).to_str())


def fusion_feeds(
    references: NDArray[np.float32], token_ids: NDArray[np.int64], text_run: Run | None
) -> Feeds:
    """Return what a fusion encoder reads: references with tokens, or with what `text_run` makes of those."""
    if text_run is None:
        return {"reference_embedding": references, "token_ids": token_ids}
    texts = run_in_batches(text_run, {"token_ids": token_ids})
    return {"reference_embedding": references, "text_embedding": texts}


def draw_samples(split: Split, family: Family, runs: Mapping[str, Run], *, rows: int) -> Mapping[str, Feeds]:
    """Return `rows` inputs of each encoder, by its name, from clusters all over the split.

    Args:
        split: whose products are drawn and described.
        family: decides the size of pictures and the tokens of texts.
        runs: the image and text encoders, whose embeddings the fusion encoder reads.
        rows: a multiple of CLUSTER_SIZE.
    """
    tokenizer = family_tokenizer(family)
    clusters = split.clusters[:: max(1, len(split.clusters) * CLUSTER_SIZE // rows)]
    specs = list(islice((spec for cluster in clusters for spec in cluster.specs), rows))
    edges = [
        (CLUSTER_SIZE * number, edge) for number, cluster in enumerate(clusters) for edge in cluster.edges
    ]
    chosen = edges[:: max(1, len(edges) // rows)][:rows]
    size = family.dimensions.image_size
    pixels = np.stack([_pixels(spec, split.picture_seeds[0], size) for spec in specs])
    references = run_in_batches(runs["image_encoder"], {"pixels": pixels})
    changes = tokenizer([modification_text(edge.edit) for _, edge in chosen])
    sources = references[[(first + edge.source) % len(specs) for first, edge in chosen]]
    return {
        "image_encoder": {"pixels": pixels},
        "text_encoder": {"token_ids": tokenizer([caption(spec) for spec in specs])},
        "fusion_encoder": fusion_feeds(
            sources, changes, runs["text_encoder"] if family.dimensions.fusion_reads_text else None
        ),
    }


def _pixels(spec: Spec, seed: int, size: int) -> NDArray[np.uint8]:
    encoded = io.BytesIO()
    Image.fromarray(render(spec, seed, PICTURE_SIZE)).save(encoded, "JPEG", quality=90)
    return decode_image(encoded.getvalue(), size=size)
