"""The text head's second stage: a sentence that asks for another value is embedded as that value.

The text tower hardly tells the order of words: "replace red with blue" and "replace blue with red" have nearly one embedding. A
head of one hidden layer can learn for the values of a trade which of the two is wanted; a combiner behind it then reads the
same from a sentence that names both values as from one that names the new value alone.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from encoders.pair.data import Captions, Changes
from encoders.pair.fusion import way_of_each
from encoders.pair.networks import PairEncoders
from encoders.pair.training import Settings, embed_texts
from encoders.progress import History
from encoders.stages import Losses, device, new_stage, run_stage

WORDING = "wording"
"""The stage."""
_CAPTIONS = 4.0
"""Weight of the captions, which every search by words depends on, beside the sentences."""


def train_wording(
    encoders: PairEncoders, captions: Captions, changes: Changes, settings: Settings, work: Path
) -> History:
    """Train the text head; returns the losses, none where the data have no changes.

    Titles and captions stay where they are, as near as the head can have both; losses are 1 less the cosine.
    """
    if not changes.all:
        return {}
    asked = sorted({(each.new, each.texts) for each in changes.all})
    ways = torch.tensor([texts for _, texts in asked])
    said, sentences = captions.texts.features.to(device()), changes.texts.features.to(device())
    before = embed_texts(encoders.text, said)
    wanted = embed_texts(encoders.text, sentences[[new for new, _ in asked]])
    modules = nn.ModuleDict({"text": encoders.text.head})
    stage = new_stage(WORDING, modules, rate=settings.wording_rate, steps=settings.wording_steps, work=work)

    def losses_of_step(step: int) -> Losses:
        rng = np.random.default_rng((settings.seed, step, 4))
        pairs = torch.from_numpy(rng.integers(len(asked), size=settings.wording_rows))
        drawn = torch.from_numpy(way_of_each(rng, settings.wording_rows, naming_both=settings.naming_both))
        rows = torch.from_numpy(rng.integers(len(said), size=settings.wording_rows)).to(device())
        meant = encoders.text.embed(sentences[ways[pairs, drawn]])
        kept = encoders.text.embed(said[rows])
        return {
            "sentence to new value": (1 - (meant * wanted[pairs]).sum(1)).mean(),
            "captions as before": _CAPTIONS * (1 - (kept * before[rows]).sum(1)).mean(),
        }

    return run_stage(stage, lambda steps: map(losses_of_step, steps))
