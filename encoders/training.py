"""Training in three stages: all networks together, then text and fusion encoder again on fixed pictures.

The later stages are cheap, because pictures are embedded once: many more texts and changes are seen, against many
more pictures at a time, changes even against every product of the training set; and each encoder settles on a space
that no longer moves.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from catalogue.grammar import caption
from catalogue.randomness import generator
from encoders.augment import augmented
from encoders.batches import Batch, TextBatch, TrainingSet, batches, draw_changes, draw_clusters, draw_texts
from encoders.checkpoint import Encoders
from encoders.losses import AttributeHeads, contrastive_loss
from encoders.networks import TextEncoder
from encoders.progress import History
from encoders.stages import Losses, autocast, device, new_scale, new_stage, run_stage
from vitrine.tensors import EMBEDDING_DIM

_EMBED_ROWS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The length and pace of a run."""

    seed: int = 7
    joint_steps: int = 1200
    joint_clusters: int = 64
    joint_rate: float = 2e-3
    text_steps: int = 1000
    fusion_steps: int = 1200
    fixed_clusters: int = 128
    fixed_rate: float = 1e-3
    views: int = 4
    """Augmented embeddings of a picture that the later stages draw from."""


def train_jointly(encoders: Encoders, data: TrainingSet, settings: Settings, work: Path) -> History:
    """Train all three networks and return the losses; resumes from the work folder."""
    scales = nn.ParameterDict({name: new_scale() for name in ("caption", "query", "change")})
    heads = AttributeHeads()
    modules = nn.ModuleDict({**encoders.parts(), "heads": heads, "scales": scales})
    encoders.image.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    stage = new_stage("joint", modules, rate=settings.joint_rate, steps=settings.joint_steps, work=work)

    def losses_of_steps(steps: range) -> Iterator[Losses]:
        made = batches(data, clusters=settings.joint_clusters, seed=settings.seed, steps=steps)
        return (_joint_losses(encoders, heads, scales, batch) for batch in made)

    return run_stage(stage, losses_of_steps)


def train_text(
    encoders: Encoders, data: TrainingSet, pictures: Tensor, settings: Settings, work: Path
) -> History:
    """Train the text encoder on the embeddings of `embed_pictures`; resumes from the work folder."""
    scales = nn.ParameterDict({name: new_scale() for name in ("caption", "query")})
    modules = nn.ModuleDict({"text_encoder": encoders.text, "scales": scales})
    stage = new_stage("text", modules, rate=settings.fixed_rate, steps=settings.text_steps, work=work)

    def losses_of_step(step: int) -> Losses:
        rng = generator("text", settings.seed, step)
        rows = _rows(data, settings, step)
        texts = draw_texts([data.specs[row] for row in rows], data.tokenizer, rng)
        return _text_losses(encoders.text, scales, texts, _draw_views(pictures, rows, rng))

    return run_stage(stage, lambda steps: map(losses_of_step, steps))


def train_fusion(
    encoders: Encoders, data: TrainingSet, pictures: Tensor, settings: Settings, work: Path
) -> History:
    """Train the fusion encoder on the embeddings of `embed_pictures`; resumes from the work folder."""
    scale = new_scale()
    modules = nn.ModuleDict({"fusion_encoder": encoders.fusion, "scales": nn.ParameterList([scale])})
    stage = new_stage("fusion", modules, rate=settings.fixed_rate, steps=settings.fusion_steps, work=work)
    captions = _embed_captions(encoders.text, data)
    everything = range(len(data.specs))

    def losses_of_step(step: int) -> Losses:
        rng = generator("fusion", settings.seed, step)
        rows = _rows(data, settings, step)
        changes = draw_changes([data.specs[row] for row in rows], data.tokenizer, rng, among=data.labels)
        shown, wanted = (_draw_views(pictures, drawn, rng) for drawn in (rows, everything))
        with autocast():
            composed = encoders.fusion(shown[changes.sources.to(device())], changes.token_ids.to(device()))
        positives = changes.positives.to(device())
        return {
            "image": contrastive_loss(composed, wanted, positives, scale),
            "caption": contrastive_loss(composed, captions, positives, scale),
        }

    return run_stage(stage, lambda steps: map(losses_of_step, steps))


@torch.no_grad()
def embed_pictures(encoders: Encoders, data: TrainingSet, settings: Settings) -> Tensor:
    """Return float32 (specs, views of any of a spec's pictures, EMBEDDING_DIM), on the device that trains."""
    rng = generator("views", settings.seed)
    encoders.image.eval()
    embedded = []
    for _ in range(settings.views):
        for start in range(0, len(data.pictures), _EMBED_ROWS):
            views = [augmented(picture, rng) for picture in data.pictures[start : start + _EMBED_ROWS]]
            with autocast():
                embedded.append(encoders.image(torch.from_numpy(np.stack(views)).to(device())))
    by_view = torch.cat(embedded).view(settings.views, len(data.specs), data.pictures_per_spec, EMBEDDING_DIM)
    return by_view.permute(1, 0, 2, 3).flatten(1, 2)


def _joint_losses(
    encoders: Encoders, heads: AttributeHeads, scales: nn.ParameterDict, batch: Batch
) -> Losses:
    to = device()
    labels, same, described = batch.labels.to(to), batch.texts.same.to(to), batch.texts.described.to(to)
    positives = batch.changes.positives.to(to)
    with autocast():
        features = encoders.image.features(batch.pixels.to(to))
        images = nn.functional.normalize(features, dim=-1)
        captions, queries = encoders.text(batch.texts.token_ids.to(to)).chunk(2)
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


def _text_losses(text: TextEncoder, scales: nn.ParameterDict, texts: TextBatch, pictures: Tensor) -> Losses:
    same, described = texts.same.to(device()), texts.described.to(device())
    with autocast():
        captions, queries = text(texts.token_ids.to(device())).chunk(2)
    matched = contrastive_loss(captions, pictures, same, scales["caption"])
    return {
        "caption": (matched + contrastive_loss(pictures, captions, same, scales["caption"])) / 2,
        "query": contrastive_loss(queries, pictures, described, scales["query"]),
        "title": contrastive_loss(queries, captions, described, scales["query"]) / 2,
    }


def _rows(data: TrainingSet, settings: Settings, step: int) -> list[int]:
    chosen = draw_clusters(data.clusters, settings.fixed_clusters, seed=settings.seed, step=step)
    return data.cluster_rows(chosen)


def _draw_views(pictures: Tensor, rows: Sequence[int], rng: random.Random) -> Tensor:
    return pictures[list(rows), [rng.randrange(pictures.shape[1]) for _ in rows]]


@torch.no_grad()
def _embed_captions(text: TextEncoder, data: TrainingSet) -> Tensor:
    text.eval()
    token_ids = torch.from_numpy(data.tokenizer([caption(spec) for spec in data.specs]))
    return torch.cat([text(rows.to(device())) for rows in torch.split(token_ids, _EMBED_ROWS)])
