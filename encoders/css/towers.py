"""The towers that every design starts from: ours, made small, trained to match scenes with what is said of them.

They learn from the scenes of training alone and from no change, so they favour no design.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from encoders.augment import Pixels
from encoders.batches import draw_clusters
from encoders.checkpoint import Encoders, new_encoders
from encoders.css.scenes import COLOURS, PLACES, SHAPES, SIZES, Family, Scene, Thing, describe
from encoders.losses import contrastive_loss
from encoders.networks import Sizes
from encoders.stages import Losses, autocast, device, new_scale, new_stage, run_stage
from encoders.vocabulary import train_tokenizer
from vitrine.preprocess import Tokenizer
from vitrine.tensors import EMBEDDING_DIM

_FAMILIES = 64
_RATE = 2e-3

_THINGS = tuple(Thing(size=s, colour=c, shape=f) for s in SIZES for c in COLOURS for f in SHAPES)
_NOTHING = len(_THINGS)


def make_tokenizer(families: Sequence[Family]) -> Tokenizer:
    """Learn the tokens of the scenes' descriptions and of the changes."""
    said = [text for family in families for text in (describe(family.source), *family.texts)]
    return Tokenizer(train_tokenizer(said).to_str())


def train_towers(
    families: Sequence[Family], pictures: Pixels, tokenizer: Tokenizer, *, steps: int, work: Path
) -> Encoders:
    """Train image and text encoder together; goes on where an earlier run stopped.

    Args:
        families: of training; their scenes are consecutive rows of `pictures`.
        pictures: uint8 (scenes, IMAGE_SIZE, IMAGE_SIZE, 3).
        tokenizer: of the descriptions.
        steps: how many.
        work: keeps the state.
    """
    scenes = [scene for family in families for scene in family.scenes()]
    size = len(families[0].scenes())
    texts = torch.from_numpy(tokenizer([describe(scene) for scene in scenes]))
    things = _label(scenes)
    torch.manual_seed(1)
    encoders = new_encoders(
        Sizes(vocabulary=int(texts.max()) + 200, image_widths=(32, 64, 128), image_blocks=(1, 1, 1))
    )
    heads, scale = nn.Linear(EMBEDDING_DIM, len(PLACES) * (_NOTHING + 1)), new_scale()
    trained = {"image": encoders.image, "text": encoders.text, "heads": heads}
    modules = nn.ModuleDict({**trained, "scales": nn.ParameterList([scale])})
    stage = new_stage("css-towers", modules, rate=_RATE, steps=steps, work=work)

    def losses_of_step(step: int) -> Losses:
        chosen = draw_clusters(len(families), _FAMILIES, seed=1, step=step)
        rows = [size * family + member for family in chosen for member in range(size)]
        pixels = torch.from_numpy(np.stack([pictures[row] for row in rows])).to(device())
        with autocast():
            features = encoders.image.features(pixels)
            said = encoders.text(texts[rows].to(device()))
            answers = heads(features).unflatten(1, (len(PLACES), -1))
        images = functional.normalize(features, dim=-1)
        same = (texts[rows][:, None] == texts[rows][None]).all(dim=2).to(device())
        return {
            "text to image": contrastive_loss(said, images, same, scale) / 2,
            "image to text": contrastive_loss(images, said, same, scale) / 2,
            "things": functional.cross_entropy(
                answers.float().flatten(0, 1), things[rows].flatten().to(device())
            ),
        }

    run_stage(stage, lambda steps: map(losses_of_step, steps))
    return encoders


def _label(scenes: Sequence[Scene]) -> Tensor:
    """Return int64 (scenes, PLACES): which thing stands there."""
    numbers = {thing: number for number, thing in enumerate(_THINGS)}
    return torch.tensor([[numbers[thing] if thing else _NOTHING for thing in scene] for scene in scenes])
