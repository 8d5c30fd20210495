"""Training of the family `pair`: the heads on the towers' features, then the backbone's last blocks with them; the combiner is in fusion.py.

The text tower and the lower part of the backbone are frozen, so that a text and a picture's maps are computed once, and hours
become minutes; each stage resumes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from encoders.losses import contrastive_loss
from encoders.pair.backbone import Upper
from encoders.pair.data import Captions
from encoders.pair.features import VIEWS, Features, Maps, as_tensor
from encoders.pair.networks import PairEncoders, PairImageEncoder, PairTextEncoder
from encoders.progress import History
from encoders.stages import Losses, device, new_scale, new_stage, run_stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The length and pace of a run."""

    seed: int = 7
    heads_steps: int = 700
    heads_rows: int = 512
    heads_rate: float = 1e-3
    titles: float = 0.5
    """Share of pictures that are held against their titles; the others against another caption."""
    tuning_steps: int = 0
    """With the backbone's last blocks; without them the backbone stays as its package has it."""
    tuning_rows: int = 128
    """Pictures of such a step, against the texts of `heads_rows`."""
    tuning_rate: float = 3e-4
    wording_steps: int = 4_000
    """With sentences that ask for another value."""
    wording_rows: int = 384
    wording_rate: float = 2e-3
    fusion_steps: int = 1_500
    fusion_rows: int = 256
    fusion_gallery: int = 768
    """Pictures of a step beside those that its changes begin and end with."""
    fusion_rate: float = 1e-3
    fusion_colours: float = 0.8
    """Share of changes of the colour; the others are of the category."""
    fusion_captions: float = 1.0
    """Weight of the caption of what is wanted beside each way to search for it."""
    fusion_written: float = 0.25
    """Share of changes of the colour that are asked for as people wrote it, where sentences are among the data."""
    naming_both: float = 0.75
    """Share of sentences that name the old value too, of that stage and of the combiner's."""


def train_heads(
    encoders: PairEncoders, features: Features, captions: Captions, settings: Settings, work: Path
) -> History:
    """Bring pictures and what is said of them together; returns the losses."""
    image, text = encoders.image.head, encoders.text.head
    scale = new_scale()
    modules = nn.ModuleDict({"image": image, "text": text, "scales": nn.ParameterList([scale])})
    stage = new_stage("heads", modules, rate=settings.heads_rate, steps=settings.heads_steps, work=work)
    words = captions.texts.features.to(device())

    def losses_of_step(step: int) -> Losses:
        rng = np.random.default_rng((settings.seed, step))
        rows, texts = _drawn(captions, settings, rng)
        given = np.asarray(features[rows, rng.integers(VIEWS, size=len(rows))], np.float32)
        said = text(words[torch.from_numpy(texts).to(device())])
        positives = captions.positives(rows, texts)
        return _contrasted(image(torch.from_numpy(given).to(device())), said, positives, scale)

    return run_stage(stage, lambda steps: map(losses_of_step, steps))


def tune_backbone(
    encoders: PairEncoders, maps: Maps, captions: Captions, settings: Settings, work: Path
) -> History:
    """Train the backbone's last blocks and the heads together, from where `train_heads` left these; returns the losses."""
    upper, image, text = Upper(encoders.image.tower), encoders.image.head, encoders.text.head
    scale = new_scale()
    modules = nn.ModuleDict(
        {"upper": upper, "image": image, "text": text, "scales": nn.ParameterList([scale])}
    )
    stage = new_stage("tuning", modules, rate=settings.tuning_rate, steps=settings.tuning_steps, work=work)
    words = captions.texts.features.to(device())

    def losses_of_step(step: int) -> Losses:
        rng = np.random.default_rng((settings.seed, step, 2))
        rows, texts = _drawn(captions, settings, rng)
        shown = rows[: settings.tuning_rows]
        given = as_tensor(maps[shown, rng.integers(VIEWS, size=len(shown))])
        said = text(words[torch.from_numpy(texts).to(device())])
        return _contrasted(image(upper(given)), said, captions.positives(shown, texts), scale)

    return run_stage(stage, lambda steps: map(losses_of_step, steps))


@torch.no_grad()
def embed_features(encoder: PairImageEncoder, features: Features) -> Tensor:
    """Return the embeddings of all views, float32 (n, views, d)."""
    given = torch.from_numpy(np.asarray(features, np.float32)).to(device())
    return encoder.eval().embed(given.flatten(0, 1)).reshape(*given.shape[:2], -1)


@torch.no_grad()
def embed_texts(encoder: PairTextEncoder, features: Tensor) -> Tensor:
    """Return the embeddings of texts, float32 (t, d)."""
    return encoder.eval().embed(features.to(device()))


def _drawn(
    captions: Captions, settings: Settings, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw pictures and a text for each."""
    rows = rng.choice(len(captions.fitting), min(settings.heads_rows, len(captions.fitting)), replace=False)
    return rows, captions.draw(rows, rng, titles=settings.titles)


def _contrasted(pictures: Tensor, said: Tensor, positives: Tensor, scale: Tensor) -> Losses:
    """Hold pictures (m, d) against texts (n, d), of which the first m were drawn for them, and these against the pictures."""
    fits = positives.to(device())
    own = len(pictures)
    return {
        "picture to text": contrastive_loss(pictures, said, fits, scale),
        "text to picture": contrastive_loss(said[:own], pictures, fits[:, :own].T, scale),
    }


def parameters(encoders: PairEncoders, *, tuned: bool) -> Iterator[tuple[str, int]]:
    """Yield how many numbers of each network are trained here; with those of the backbone's last blocks where they are tuned."""
    parts: dict[str, Sequence[nn.Module]] = {
        "image_encoder": (encoders.image.head, *([Upper(encoders.image.tower)] if tuned else [])),
        "text_encoder": (encoders.text.head, *([encoders.text.wording] if encoders.text.wording else [])),
        "fusion_encoder": (encoders.fusion,),
    }
    for name, modules in parts.items():
        yield name, sum(each.numel() for module in modules for each in module.parameters())
