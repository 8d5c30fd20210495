"""What training minimises."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from encoders.labels import ABSENT, SLOT_VALUES
from vitrine.tensors import EMBEDDING_DIM

_MAX_SCALE = 100.0


def contrastive_loss(queries: Tensor, targets: Tensor, positives: Tensor, scale: Tensor) -> Tensor:
    """InfoNCE with several positives a row: the mean of their log-probabilities.

    Args:
        queries: float32 (m, d), L2-normalised.
        targets: float32 (n, d), L2-normalised.
        positives: bool (m, n); every row has one at least.
        scale: logarithm of the inverse temperature, a scalar.
    """
    logits = scale.exp().clamp(max=_MAX_SCALE) * queries @ targets.T
    log_probabilities = functional.log_softmax(logits, dim=1)
    kept = torch.where(positives, log_probabilities, 0.0).sum(1)
    return -(kept / positives.sum(1)).mean()


class AttributeHeads(nn.Module):
    """Linear classifiers of every slot on the image features; used in training alone."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(EMBEDDING_DIM, len(values)) for values in SLOT_VALUES.values())

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return the mean cross-entropy over the slots; rows that lack a slot do not count for it."""
        losses = []
        for column, head in enumerate(self.heads):
            answers = labels[:, column]
            logits = head(features).float()
            total = functional.cross_entropy(logits, answers, ignore_index=ABSENT, reduction="sum")
            losses.append(total / (answers != ABSENT).sum().clamp(min=1))
        return torch.stack(losses).mean()
