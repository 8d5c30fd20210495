"""Training in two stages: all three networks together, then the fusion encoder again on fixed embeddings.

The second stage is cheap, because pictures are embedded once, and it lets the fusion encoder settle on a space
that no longer moves.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from catalogue.grammar import caption
from catalogue.randomness import generator
from encoders.augment import augmented
from encoders.batches import Batch, TrainingSet, batches, draw_changes, draw_clusters
from encoders.checkpoint import Encoders
from encoders.losses import AttributeHeads, contrastive_loss
from encoders.networks import FusionEncoder
from encoders.progress import History, Progress
from vitrine.tensors import EMBEDDING_DIM

_INVERSE_TEMPERATURE = 12.0
"""Where the learned scales start."""

_REPORT_EVERY = 20
_SAVE_EVERY = 100
_EMBED_ROWS = 512


Losses = Mapping[str, Tensor]
"""Scalars by name; a step goes down their sum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The length and pace of a run."""

    seed: int = 7
    joint_steps: int = 1200
    joint_clusters: int = 64
    joint_rate: float = 2e-3
    fusion_steps: int = 1200
    fusion_clusters: int = 128
    fusion_rate: float = 1e-3
    views: int = 4
    """Augmented embeddings of a picture that the second stage draws from."""


@dataclass(slots=True, kw_only=True)
class Stage:
    """What one stage optimises and how far it is."""

    name: str
    steps: int
    modules: nn.ModuleDict
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    path: Path
    done: int = 0
    history: History = field(default_factory=dict)

    def resume(self) -> None:
        """Go on where the file of an earlier run of this stage stopped; start where there is none."""
        if not self.path.exists():
            return
        state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        self.modules.load_state_dict(state["modules"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.done = state["done"]
        self.history.update(state["history"])
        print(f"{self.name}: resumes at step {self.done}", flush=True)

    def save(self) -> None:
        """Write the state, so that a run that is killed loses no more than the steps since."""
        state = {
            "modules": self.modules.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "done": self.done,
            "history": self.history,
        }
        partial = self.path.with_suffix(".partial")
        torch.save(state, partial)
        partial.rename(self.path)

    def step(self, loss: Tensor) -> None:
        """Take one step down the loss."""
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.modules.parameters(), 2.0)
        self.optimiser.step()
        self.schedule.step()


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """Fixed embeddings of the training set, on the device that trains."""

    data: TrainingSet
    pictures: Tensor
    """float32 (specs, views of any of its pictures, EMBEDDING_DIM)."""
    captions: Tensor
    """float32 (specs, EMBEDDING_DIM)."""


def device() -> torch.device:
    """Give the GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train_jointly(encoders: Encoders, data: TrainingSet, settings: Settings, work: Path) -> History:
    """Train all three networks and return the losses; resumes from the work folder."""
    scales = nn.ParameterDict({name: _scale() for name in ("caption", "query", "change")})
    heads = AttributeHeads()
    modules = nn.ModuleDict({**encoders.parts(), "heads": heads, "scales": scales}).to(device())
    encoders.image.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    stage = _stage(
        "joint", modules, rate=settings.joint_rate, steps=settings.joint_steps, path=work / "joint.pt"
    )

    def losses_of_steps(steps: range) -> Iterator[Losses]:
        made = batches(data, clusters=settings.joint_clusters, seed=settings.seed, steps=steps)
        return (_joint_losses(encoders, heads, scales, batch) for batch in made)

    return _run(stage, losses_of_steps)


def train_fusion(encoders: Encoders, data: TrainingSet, settings: Settings, work: Path) -> History:
    """Train the fusion encoder on fixed embeddings of pictures and captions; resumes from the work folder."""
    scale = _scale()
    modules = nn.ModuleDict({"fusion_encoder": encoders.fusion, "scales": nn.ParameterList([scale])})
    modules.to(device())
    stage = _stage(
        "fusion", modules, rate=settings.fusion_rate, steps=settings.fusion_steps, path=work / "fusion.pt"
    )

    def losses_of_steps(steps: range) -> Iterator[Losses]:
        views = _embed_views(encoders, data, settings)
        return (_fusion_losses(encoders.fusion, scale, views, settings, step) for step in steps)

    return _run(stage, losses_of_steps)


def _run(stage: Stage, losses_of_steps: Callable[[range], Iterator[Losses]]) -> History:
    stage.resume()
    stage.modules.train()
    progress = Progress(stage=stage.name, steps=stage.steps, every=_REPORT_EVERY, history=stage.history)
    steps = range(stage.done, stage.steps)
    for losses in losses_of_steps(steps) if steps else ():
        stage.step(torch.stack(list(losses.values())).sum())
        progress.add(stage.done, losses)
        stage.done += 1
        if stage.done % _SAVE_EVERY == 0 or stage.done == stage.steps:
            stage.save()
    stage.modules.eval()
    return stage.history


def _stage(name: str, modules: nn.ModuleDict, *, rate: float, steps: int, path: Path) -> Stage:
    matrices = [parameter for parameter in modules.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in modules.parameters() if parameter.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}],
        lr=rate,
        betas=(0.9, 0.98),
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps + 1, pct_start=0.08)
    return Stage(name=name, steps=steps, modules=modules, optimiser=optimiser, schedule=schedule, path=path)


def _scale() -> nn.Parameter:
    return nn.Parameter(torch.tensor(_INVERSE_TEMPERATURE).log())


def _autocast() -> AbstractContextManager[None]:
    return torch.autocast(device().type, torch.bfloat16)


def _joint_losses(
    encoders: Encoders, heads: AttributeHeads, scales: nn.ParameterDict, batch: Batch
) -> Losses:
    to = device()
    labels, same, described = batch.labels.to(to), batch.same.to(to), batch.described.to(to)
    positives = batch.changes.positives.to(to)
    with _autocast():
        features = encoders.image.features(batch.pixels.to(to))
        images = nn.functional.normalize(features, dim=-1)
        captions, queries = encoders.text(batch.texts.to(to)).chunk(2)
        composed = encoders.fusion(images[batch.changes.sources.to(to)], batch.changes.token_ids.to(to))
        attributes = heads(features, labels)

    def both(texts: Tensor, mask: Tensor, scale: Tensor) -> Tensor:
        return (
            contrastive_loss(texts, images, mask, scale) + contrastive_loss(texts, captions, mask, scale)
        ) / 2

    matched = contrastive_loss(captions, images, same, scales["caption"])
    return {
        "caption": (matched + contrastive_loss(images, captions, same, scales["caption"])) / 2,
        "query": both(queries, described, scales["query"]),
        "change": both(composed, positives, scales["change"]),
        "attribute": attributes,
    }


def _fusion_losses(
    fusion: FusionEncoder, scale: Tensor, views: Views, settings: Settings, step: int
) -> Losses:
    rng = generator("fusion", settings.seed, step)
    data = views.data
    chosen = draw_clusters(data.clusters, settings.fusion_clusters, seed=settings.seed, step=step)
    rows = data.cluster_rows(chosen)
    changes = draw_changes([data.specs[row] for row in rows], data.labels[rows], data.tokenizer, rng)
    products = torch.tensor(rows)
    shown, wanted = (
        views.pictures[products, torch.tensor([rng.randrange(views.pictures.shape[1]) for _ in rows])]
        for _ in range(2)
    )
    with _autocast():
        composed = fusion(shown[changes.sources].to(device()), changes.token_ids.to(device()))
    positives = changes.positives.to(device())
    return {
        "image": contrastive_loss(composed, wanted, positives, scale),
        "caption": contrastive_loss(composed, views.captions[products], positives, scale),
    }


@torch.no_grad()
def _embed_views(encoders: Encoders, data: TrainingSet, settings: Settings) -> Views:
    rng = generator("views", settings.seed)
    encoders.image.eval()
    encoders.text.eval()
    pictures = []
    for _ in range(settings.views):
        for start in range(0, len(data.pictures), _EMBED_ROWS):
            views = np.stack(
                [augmented(picture, rng) for picture in data.pictures[start : start + _EMBED_ROWS]]
            )
            with _autocast():
                pictures.append(encoders.image(torch.from_numpy(views).to(device())))
    captions = [
        encoders.text(torch.from_numpy(data.tokenizer(texts)).to(device()))
        for texts in _chunks([caption(spec) for spec in data.specs])
    ]
    by_view = torch.cat(pictures).view(settings.views, len(data.specs), data.pictures_per_spec, EMBEDDING_DIM)
    return Views(
        data=data,
        pictures=by_view.permute(1, 0, 2, 3).flatten(1, 2),
        captions=torch.cat(captions),
    )


def _chunks(texts: list[str]) -> Iterator[list[str]]:
    return (texts[start : start + _EMBED_ROWS] for start in range(0, len(texts), _EMBED_ROWS))
