"""Trains one design on frozen pictures: equal steps see equal products, pictures and texts, whatever the design."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from catalogue.grammar import caption
from catalogue.randomness import generator
from encoders.batches import TrainingSet, draw_changes, draw_clusters
from encoders.checkpoint import Encoders
from encoders.comparison.composers import Composer
from encoders.comparison.designs import Design
from encoders.comparison.features import Features
from encoders.losses import contrastive_loss
from encoders.stages import Losses, autocast, device, new_scale, new_stage, run_stage

_ROWS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What every design may spend."""

    steps: int = 600
    clusters: int = 64
    rate: float = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What every design learns from."""

    data: TrainingSet
    features: Features
    """Of `data.pictures`, as often as there are views: view by view."""
    caption_ids: Tensor
    """int64 (specs, TEXT_LENGTH)."""
    captions: Tensor
    """float32 (specs, EMBEDDING_DIM): the captions as the frozen text encoder embeds them."""

    @classmethod
    def prepare(cls, data: TrainingSet, features: Features, encoders: Encoders) -> "Material":
        """Embed the captions once."""
        caption_ids = torch.from_numpy(data.tokenizer([caption(spec) for spec in data.specs]))
        with torch.no_grad():
            embedded = [encoders.text(rows.to(device())) for rows in torch.split(caption_ids, _ROWS)]
        return cls(data=data, features=features, caption_ids=caption_ids, captions=torch.cat(embedded))

    def draw_pictures(self, rows: list[int], rng: random.Random) -> Features:
        """Draw for each of these specs one view of one of its pictures."""
        return self.features.take(self._draw(rows, rng))

    def draw_gallery(self, rng: random.Random) -> Tensor:
        """Draw one view of one picture of every spec: float32 (specs, EMBEDDING_DIM)."""
        return self.features.pooled[self._draw(range(len(self.data.specs)), rng)].to(device())

    def _draw(self, rows: Sequence[int], rng: random.Random) -> Tensor:
        count, pictures = len(rows), len(self.data.pictures)
        views = rng.choices(range(len(self.features.pooled) // pictures), k=count)
        members = rng.choices(range(self.data.pictures_per_spec), k=count)
        return (
            torch.tensor(views) * pictures
            + torch.tensor(rows) * self.data.pictures_per_spec
            + torch.tensor(members)
        )


LossesOf = Callable[[Composer, Tensor, int, int], Losses]
"""Gives the losses of a composer with its scale, its place among those of the design, and the step."""


def train_design(
    design: Design, encoders: Encoders, material: Material, budget: Budget, *, seed: int, work: Path
) -> Composer:
    """Train the composers of a design in turn and give the last; goes on where an earlier run stopped."""

    def losses_of(composer: Composer, scale: Tensor, number: int, step: int) -> Losses:
        own = 100 * number + seed
        chosen = draw_clusters(material.data.clusters, budget.clusters, seed=own, step=step)
        rows = material.data.cluster_rows(chosen)
        return _losses(composer, scale, material, rows, generator("comparison", own, step))

    return train_composers(
        design, encoders, losses_of, steps=budget.steps, rate=budget.rate, seed=seed, work=work
    )


def train_composers(
    design: Design,
    encoders: Encoders,
    losses_of: LossesOf,
    *,
    steps: int,
    rate: float,
    seed: int,
    work: Path,
) -> Composer:
    """Train the composers of a design on any losses, each with its part of the steps, and give the last."""
    torch.manual_seed(seed)
    for number, composer in enumerate(design.composers(encoders)):
        scale = new_scale()
        modules = nn.ModuleDict({"composer": composer, "scales": nn.ParameterList([scale])})
        name = f"{design.name}-{number}-{seed}"
        stage = new_stage(name, modules, rate=rate, steps=steps // design.stages, work=work)
        run_stage(stage, partial(map, partial(losses_of, composer, scale, number)))
    return composer


def _losses(
    composer: Composer, scale: Tensor, material: Material, rows: list[int], rng: random.Random
) -> Losses:
    """Contrast with a picture and the caption of every training product, since towers that are frozen allow it."""
    data = material.data
    changes = draw_changes([data.specs[row] for row in rows], data.tokenizer, rng, among=data.labels)
    shown, wanted = material.draw_pictures(rows, rng), material.draw_gallery(rng)
    positives = changes.positives.to(device())
    wanted_ids = material.caption_ids[changes.positives.float().argmax(dim=1)]
    with autocast():
        composed, others = composer.with_losses(
            shown, changes.token_ids.to(device()), wanted_ids.to(device())
        )
    return {
        "image": contrastive_loss(composed, wanted, positives, scale),
        "caption": contrastive_loss(composed, material.captions, positives, scale),
        **others,
    }
