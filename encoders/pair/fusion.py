"""The combiner's training: pictures moved the way that changes say, among all pictures of the data.

It reads embeddings of the heads as they are, so that a step costs what the combiner costs, and new heads need no more than
this stage again.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from encoders.pair.data import NONE, Changes
from encoders.pair.features import Features
from encoders.pair.networks import PairEncoders
from encoders.pair.training import Settings, embed_features, embed_texts
from encoders.progress import History
from encoders.stages import Losses, device, new_scale, new_stage, run_stage

FUSION = "fusion"
"""The stage; the losses of a card begin with its name."""
_MASKED = -1e9
_MAX_SCALE = 100.0


def train_fusion(
    encoders: PairEncoders, features: Features, changes: Changes, settings: Settings, work: Path
) -> History:
    """Train the combiner; returns the losses, none where the data have no changes.

    A change is right with any picture of its outcome, among the pictures that the changes of the step begin with and others
    drawn by lot. They are looked for by themselves and, as the gateway searches an index, by the mean of picture and title.
    """
    if not changes.all:
        return {}
    pictures = embed_features(encoders.image, features[:, :1])[:, 0]
    words = embed_texts(encoders.text, changes.texts.features)
    kinds = torch.from_numpy(changes.kinds).to(device())
    searched = {
        "composed to picture": pictures,
        "composed to picture and title": (pictures + _titles(changes, words)) / 2,
    }
    scales = {name: new_scale() for name in searched}
    modules = nn.ModuleDict({"fusion": encoders.fusion, "scales": nn.ParameterList(scales.values())})
    stage = new_stage(FUSION, modules, rate=settings.fusion_rate, steps=settings.fusion_steps, work=work)
    members = _Members(changes.kinds)

    def losses_of_step(step: int) -> Losses:
        rng = np.random.default_rng((settings.seed, step, 1))
        chosen = [changes.all[row] for row in rng.integers(len(changes.all), size=settings.fusion_rows)]
        sources = np.array([each.source for each in chosen])
        targets = np.array([each.target for each in chosen])
        texts = [each.texts[rng.integers(len(each.texts))] for each in chosen]
        composed = encoders.fusion(pictures[torch.from_numpy(sources)], words[texts])
        others = rng.choice(len(kinds), min(len(kinds), settings.fusion_gallery), replace=False)
        rows = torch.from_numpy(np.unique(np.concatenate([sources, members.draw(targets, rng), others])))
        wanted = kinds[rows][None] == torch.from_numpy(targets).to(device())[:, None]
        return {
            name: _any_found(scales[name].exp().clamp(max=_MAX_SCALE) * composed @ gallery[rows].T, wanted)
            for name, gallery in searched.items()
        }

    return run_stage(stage, lambda steps: map(losses_of_step, steps))


class _Members:
    """Which pictures are of a kind."""

    def __init__(self, kinds: NDArray[np.int64]) -> None:
        self._order = np.argsort(kinds, kind="stable")
        self._counts = np.bincount(kinds)
        self._starts = np.cumsum(self._counts) - self._counts

    def draw(self, kinds: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Return a picture of each kind, (m,)."""
        drawn: NDArray[np.int64] = self._order[self._starts[kinds] + rng.integers(self._counts[kinds])]
        return drawn


def _titles(changes: Changes, words: Tensor) -> Tensor:
    """Return the embeddings of the titles, (n, d); zeros where a picture has none, as in an index."""
    rows = torch.from_numpy(changes.titles).to(words.device)
    return torch.where((rows != NONE)[:, None], words[rows.clamp(min=0)], 0.0)


def _any_found(logits: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean of -log of the probability that what is found is any of what is wanted.

    Args:
        logits: float32 (m, n).
        wanted: bool (m, n); every row has one at least.
    """
    found = torch.logsumexp(logits.masked_fill(~wanted, _MASKED), 1) - torch.logsumexp(logits, 1)
    return -found.mean()
