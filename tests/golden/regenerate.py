"""Writes the pictures and the golden embeddings: `.venv/bin/python tests/golden/regenerate.py`.

Only when the committed weights change: the README says what to look at then.
"""

from pathlib import Path

import numpy as np
import simplejpeg
import torch

from catalogue.grammar import caption, modification_text
from catalogue.render.picture import render
from catalogue.splits import make_splits
from encoders.checkpoint import TOKENIZER_FILE, load_encoders
from vitrine.preprocess import Tokenizer, decode_image

GOLDEN = Path(__file__).parent
WEIGHTS = GOLDEN.parents[1] / "encoders/weights/small"
CASES = 8
PICTURE_SEED = 9_000


@torch.inference_mode()
def main() -> None:
    """Take the first product of eight clusters that training never saw, and its first change."""
    clusters = make_splits().ood.clusters[:CASES]
    edges = [cluster.edges[0] for cluster in clusters]
    specs = [cluster.specs[edge.source] for cluster, edge in zip(clusters, edges, strict=True)]
    for number, spec in enumerate(specs):
        jpeg = simplejpeg.encode_jpeg(render(spec, PICTURE_SEED, 192), quality=85)
        (GOLDEN / f"picture-{number}.jpg").write_bytes(jpeg)
    texts = [caption(spec) for spec in specs]
    changes = [modification_text(edge.edit) for edge in edges]
    encoders = load_encoders(WEIGHTS)
    tokenizer = Tokenizer.from_file(WEIGHTS / TOKENIZER_FILE)
    pictures = [(GOLDEN / f"picture-{number}.jpg").read_bytes() for number in range(CASES)]
    image = encoders.image(torch.from_numpy(np.stack([decode_image(data) for data in pictures])))
    text = encoders.text(torch.from_numpy(tokenizer(texts)))
    composed = encoders.fusion(image, torch.from_numpy(tokenizer(changes)))
    np.savez_compressed(
        GOLDEN / "embeddings.npz",
        texts=np.array(texts),
        changes=np.array(changes),
        text=text.numpy(),
        image=image.numpy(),
        composed=composed.numpy(),
    )


if __name__ == "__main__":
    main()
