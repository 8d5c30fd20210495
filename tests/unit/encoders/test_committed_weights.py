"""The committed weights work with the code beside them: renderer, preprocessing, tokenizer and networks."""

from pathlib import Path

import numpy as np
import pytest
import simplejpeg
import torch

from catalogue.grammar import Spec, caption, modification_text
from catalogue.render.picture import render
from catalogue.splits import Cluster, make_splits
from encoders.checkpoint import TOKENIZER_FILE, Encoders, load_encoders, read_card
from vitrine.preprocess import Tokenizer, decode_image

WEIGHTS = Path(__file__).parents[3] / "encoders/weights/small"
SEED = 5_000


@pytest.fixture(scope="module")
def encoders() -> Encoders:
    return load_encoders(WEIGHTS)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(WEIGHTS / TOKENIZER_FILE)


@pytest.fixture(scope="module")
def clusters() -> tuple[Cluster, ...]:
    """Products of combinations that training never saw; those of a cluster are one word apart."""
    return make_splits().ood.clusters[:12]


@torch.inference_mode()
def embed_pictures(encoders: Encoders, specs: list[Spec], seed: int) -> torch.Tensor:
    jpegs = [simplejpeg.encode_jpeg(render(spec, seed, 256), quality=88) for spec in specs]
    return encoders.image(torch.from_numpy(np.stack([decode_image(jpeg) for jpeg in jpegs])))


@pytest.mark.slow
def test_a_caption_finds_its_picture_among_look_alikes(
    encoders: Encoders, tokenizer: Tokenizer, clusters: tuple[Cluster, ...]
) -> None:
    """Three of four unseen captions have their own picture first."""
    specs = [spec for cluster in clusters for spec in cluster.specs]
    with torch.inference_mode():
        texts = encoders.text(torch.from_numpy(tokenizer([caption(spec) for spec in specs])))
    found = (texts @ embed_pictures(encoders, specs, SEED).T).argmax(dim=1)
    assert (found == torch.arange(len(specs))).float().mean() >= 0.75


@pytest.mark.slow
def test_a_change_finds_its_outcome_among_look_alikes(
    encoders: Encoders, tokenizer: Tokenizer, clusters: tuple[Cluster, ...]
) -> None:
    """Three of four changes of an unseen product have their outcome first, the product itself left out."""
    specs = [spec for cluster in clusters for spec in cluster.specs]
    edges = [
        (4 * n + edge.source, 4 * n + edge.target, edge.edit)
        for n, c in enumerate(clusters)
        for edge in c.edges
    ]
    sources, targets = torch.tensor([edge[:2] for edge in edges]).T
    token_ids = torch.from_numpy(tokenizer([modification_text(edit) for _, _, edit in edges]))
    with torch.inference_mode():
        composed = encoders.fusion(embed_pictures(encoders, specs, SEED + 1)[sources], token_ids)
    scores = composed @ embed_pictures(encoders, specs, SEED).T
    scores[torch.arange(len(edges)), sources] = -1
    assert (scores.argmax(dim=1) == targets).float().mean() >= 0.75


@pytest.mark.parametrize("task", ["text", "composed"])
def test_the_card_says_what_was_measured_and_it_is_enough(task: str) -> None:
    """Held-out queries find their target among the first ten of over 3,000 pictures eight times of ten."""
    figures = read_card(WEIGHTS)["figures"]
    assert figures[task]["held_out"]["R@10"] >= 80
    assert figures["image"]["held_out"]["queries"] >= 3000


def test_the_weights_stay_small() -> None:
    """What is committed is a few megabytes."""
    assert sum(path.stat().st_size for path in WEIGHTS.iterdir()) < 12_000_000
