"""Fusion designs that start from the pooled reference and a pooled text.

Each design owns a copy of the trained text encoder and may tune it; what it adds begins untrained.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from encoders.comparison.features import Features
from encoders.networks import FusionEncoder, Sizes, TextEncoder
from vitrine.tensors import EMBEDDING_DIM

_SCALE = EMBEDDING_DIM**0.5
"""Brings the entries of a unit vector to unit variance."""


class Composer(nn.Module, ABC):
    """A design that is trained."""

    @abstractmethod
    def forward(self, reference: Features, token_ids: Tensor) -> Tensor:
        """Embed n references with int64 token ids (n, length): float32 (n, EMBEDDING_DIM), L2-normalised."""

    def with_losses(
        self, reference: Features, token_ids: Tensor, wanted_ids: Tensor
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return the embedding, and what is minimised beside the contrast; `wanted_ids` say the wanted caption."""
        del wanted_ids
        return self(reference, token_ids), {}


class SumComposer(Composer):
    """The picture's embedding plus the text's, whose encoder learns to say the difference.

    The first stage of CLIP4CIR.
    """

    def __init__(self, text: TextEncoder) -> None:
        super().__init__()
        self.text = text

    def forward(self, reference: Features, token_ids: Tensor) -> Tensor:
        """Embed as `Composer` says."""
        return functional.normalize(reference.pooled + self.text(token_ids), dim=-1)


class GatedResidualComposer(Composer):
    """TIRG: a gated picture plus a residual, each from both embeddings.

    Vo et al. (2019), "Composing text and image for image retrieval: an empirical odyssey"; the mix starts at 1
    to 10, as theirs does.
    """

    def __init__(self, text: TextEncoder) -> None:
        super().__init__()
        width = 2 * EMBEDDING_DIM
        self.text = text
        self.gate = nn.Sequential(nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, EMBEDDING_DIM))
        self.residual = nn.Sequential(
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, EMBEDDING_DIM),
        )
        self.mix = nn.Parameter(torch.tensor([1.0, 10.0]))

    def forward(self, reference: Features, token_ids: Tensor) -> Tensor:
        """Embed as `Composer` says."""
        picture = reference.pooled * _SCALE
        joint = torch.cat([picture, self.text(token_ids) * _SCALE], dim=-1)
        gated = torch.sigmoid(self.gate(joint).float()) * picture
        composed = self.mix[0] * gated + self.mix[1] * self.residual(joint).float()
        return functional.normalize(composed, dim=-1)


class CombinerComposer(Composer):
    """The residual around a convex mix that `FusionEncoder` is.

    Where the text encoder is `frozen`, this is the second stage of CLIP4CIR; where it is tuned with the rest, it
    is the design that is served.
    """

    def __init__(self, text: TextEncoder, sizes: Sizes, *, frozen: bool) -> None:
        super().__init__()
        self.fusion = FusionEncoder(sizes)
        self.fusion.text = text.requires_grad_(not frozen)

    def forward(self, reference: Features, token_ids: Tensor) -> Tensor:
        """Embed as `Composer` says."""
        composed: Tensor = self.fusion(reference.pooled, token_ids)
        return composed
