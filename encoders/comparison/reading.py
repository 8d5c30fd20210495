"""What the frozen towers see: how often linear classifiers read each attribute from the embedding of a picture."""

import torch

from catalogue.randomness import generator
from encoders.comparison.measure import Exam
from encoders.comparison.training import Material
from encoders.labels import ABSENT, SLOT_VALUES, encode_specs
from encoders.losses import AttributeHeads
from encoders.stages import device
from vitrine.tensors import EMBEDDING_DIM

_STEPS = 600
_ROWS = 512
_RATE = 2e-3
_SCALE = EMBEDDING_DIM**0.5
"""Brings the entries of a unit vector to unit variance."""

EVERY_SLOT = "every slot"


def read_attributes(material: Material, exam: Exam) -> dict[str, float]:
    """Return the percent of the gallery's pictures whose value is read rightly, by slot, and of all slots at once.

    The classifiers learn from the training pictures; a slot counts where the product has it.
    """
    torch.manual_seed(1)
    heads = AttributeHeads().to(device())
    optimiser = torch.optim.AdamW(heads.parameters(), _RATE)
    labels = torch.from_numpy(material.data.labels)
    for step in range(_STEPS):
        rng = generator("reading", step)
        rows = [rng.randrange(len(labels)) for _ in range(_ROWS)]
        seen = material.draw_pictures(rows, rng).pooled * _SCALE
        loss = heads(seen, labels[rows].to(device()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return _measure(heads, exam)


@torch.inference_mode()
def _measure(heads: AttributeHeads, exam: Exam) -> dict[str, float]:
    labels = torch.from_numpy(encode_specs(exam.neighbourhoods.gallery))
    pictures = exam.gallery.to(device()) * _SCALE
    right = torch.stack([head(pictures).argmax(dim=1) for head in heads.heads], dim=1).cpu() == labels
    absent = labels == ABSENT
    shares = {
        slot: right[~absent[:, column], column].float().mean()
        for column, slot in enumerate(SLOT_VALUES)
        if not absent[:, column].all()
    }
    shares[EVERY_SLOT] = (right | absent).all(dim=1).float().mean()
    return {slot: round(100 * share.item(), 2) for slot, share in shares.items()}
