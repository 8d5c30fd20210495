"""The combiner's training: pictures moved the way that changes say, among all pictures of the data.

It reads embeddings of the heads as they are, so that a step costs what the combiner costs, and new heads need no more than
this stage again.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from encoders.pair.captions import CHANGES, NAMING_BOTH
from encoders.pair.data import NONE, Change, Changes
from encoders.pair.features import Features
from encoders.pair.networks import PairEncoders
from encoders.pair.training import Settings, embed_features, embed_texts
from encoders.progress import History
from encoders.stages import Losses, device, new_scale, new_stage, run_stage

FUSION = "fusion"
"""The stage; the losses of a card begin with its name."""
_CAPTION = "composed to caption"
_MASKED = -1e9
_MAX_SCALE = 100.0


def train_fusion(
    encoders: PairEncoders, features: Features, changes: Changes, settings: Settings, work: Path
) -> History:
    """Train the combiner; returns the losses, none where the data have no changes.

    A change is right with any picture of its outcome, among the pictures that the changes of the step begin with and others
    drawn by lot. They are looked for by themselves and, as the gateway searches an index, by the mean of picture and title; and
    what is wanted is told from all other kinds by its caption.
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
    captions = words[torch.from_numpy(changes.captions).to(device())]
    scales = {name: new_scale() for name in (*searched, _CAPTION)}
    modules = nn.ModuleDict({"fusion": encoders.fusion, "scales": nn.ParameterList(scales.values())})
    stage = new_stage(FUSION, modules, rate=settings.fusion_rate, steps=settings.fusion_steps, work=work)
    members, drawn = _Members(changes.kinds), ChangesDrawn(changes, settings)

    def losses_of_step(step: int) -> Losses:
        rng = np.random.default_rng((settings.seed, step, 1))
        chosen, texts = drawn.of(rng, settings.fusion_rows)
        sources = np.array([each.source for each in chosen])
        targets = np.array([each.target for each in chosen])
        composed = encoders.fusion(pictures[torch.from_numpy(sources)], words[texts])
        others = rng.choice(len(kinds), min(len(kinds), settings.fusion_gallery), replace=False)
        rows = torch.from_numpy(np.unique(np.concatenate([sources, members.draw(targets, rng), others])))
        asked = torch.from_numpy(targets).to(device())
        wanted = kinds[rows][None] == asked[:, None]
        losses = {
            name: _any_found(_scaled(scales[name], composed, gallery[rows]), wanted)
            for name, gallery in searched.items()
        }
        told = functional.cross_entropy(_scaled(scales[_CAPTION], composed, captions), asked)
        return {**losses, _CAPTION: settings.fusion_captions * told}

    return run_stage(stage, lambda steps: map(losses_of_step, steps))


class ChangesDrawn:
    """Draws changes, of colour and category in the shares of the settings, with a way to ask for each, or a sentence of people.

    A sentence that names both values is drawn more often than one that names the new value alone: it is the harder one, for
    the text tower hardly tells the order of words.
    """

    def __init__(self, changes: Changes, settings: Settings) -> None:
        self._all = changes.all
        of_colour = np.array([each.is_of_colour for each in changes.all])
        self._rows = np.flatnonzero(of_colour), np.flatnonzero(~of_colour)
        self._written = changes.written
        self._settings = settings

    def of(self, rng: np.random.Generator, count: int) -> tuple[list[Change], list[int]]:
        """Return so many changes, and the number of a text for each."""
        coloured, others = self._rows
        first = (
            count if not len(others) else int(count * self._settings.fusion_colours) if len(coloured) else 0
        )
        rows = [
            *(rng.choice(coloured, first) if first else ()),
            *(rng.choice(others, count - first) if count > first else ()),
        ]
        chosen = [self._all[row] for row in rows]
        ways = way_of_each(rng, count, naming_both=self._settings.naming_both)
        by_people = rng.random(count) < self._settings.fusion_written
        return chosen, [
            int(rng.choice(self._written[each.new]))
            if people and each.is_of_colour and each.new in self._written
            else each.texts[way]
            for each, way, people in zip(chosen, ways, by_people, strict=True)
        ]


def way_of_each(rng: np.random.Generator, count: int, *, naming_both: float) -> NDArray[np.int64]:
    """Return the numbers of ways of `captions.CHANGES`, (count,): that share of them names both values."""
    both = rng.integers(NAMING_BOTH, size=count)
    alone = rng.integers(NAMING_BOTH, len(CHANGES), size=count)
    return np.where(rng.random(count) < naming_both, both, alone)


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


def _scaled(scale: Tensor, composed: Tensor, searched: Tensor) -> Tensor:
    return scale.exp().clamp(max=_MAX_SCALE) * composed @ searched.T


def _any_found(logits: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean of -log of the probability that what is found is any of what is wanted.

    Args:
        logits: float32 (m, n).
        wanted: bool (m, n); every row has one at least.
    """
    found = torch.logsumexp(logits.masked_fill(~wanted, _MASKED), 1) - torch.logsumexp(logits, 1)
    return -found.mean()
