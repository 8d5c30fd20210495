"""The three networks of the family `pair`: two pretrained towers, a head on each into one space, and a combiner.

Every embedding is L2-normalised float32 of one space, so that inner products are cosines.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from encoders.pair import backbone, sentences
from encoders.pair.backbone import Backbone
from encoders.pair.dimensions import EMBEDDING_DIM
from encoders.pair.pieces import PAD_ID, VOCABULARY
from encoders.pair.sentences import Sentences

_DROPOUT = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What is trained here is made of."""

    head_width: int = 1_024
    fusion_width: int = 512


class Head(nn.Module):
    """A linear map beside a perceptron of one hidden layer, on normalised features."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features)
        self.linear = nn.Linear(features, EMBEDDING_DIM)
        self.perceptron = nn.Sequential(
            nn.Linear(features, width), nn.GELU(), nn.Dropout(_DROPOUT), nn.Linear(width, EMBEDDING_DIM)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Embed float32 features (n, features)."""
        normed = self.norm(features)
        return functional.normalize(self.linear(normed) + self.perceptron(normed), dim=-1)


class PairImageEncoder(nn.Module):
    """The backbone and its head."""

    def __init__(self, tower: Backbone, head: Head) -> None:
        super().__init__()
        self.tower = tower
        self.head = head

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed uint8 pixels (n, 224, 224, 3), rows first, RGB."""
        embedding: Tensor = self.head(self.tower(pixels))
        return embedding


class PairTextEncoder(nn.Module):
    """The sentence encoder and its head."""

    padding: int = PAD_ID
    """Fills texts up, and changes no embedding."""
    vocabulary: int = VOCABULARY

    def __init__(self, tower: Sentences, head: Head) -> None:
        super().__init__()
        self.tower = tower
        self.head = head

    def forward(self, token_ids: Tensor) -> Tensor:
        """Embed int64 token ids (n, length <= 64)."""
        embedding: Tensor = self.head(self.tower(token_ids))
        return embedding


class Combiner(nn.Module):
    """Moves a reference embedding the way a text's embedding says.

    The combiner of Baldrati et al. (2022, "Effective conditioned and composed image retrieval combining CLIP-based
    features"), as in the family `small`; it reads the text's embedding, so that the table of words is held once.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.read_reference = _dense(EMBEDDING_DIM, width)
        self.read_text = _dense(EMBEDDING_DIM, width)
        self.residual = nn.Sequential(_dense(2 * width, 2 * width), nn.Linear(2 * width, EMBEDDING_DIM))
        self.mix = nn.Sequential(_dense(2 * width, width), nn.Linear(width, 1))

    def forward(self, reference_embedding: Tensor, text_embedding: Tensor) -> Tensor:
        """Embed float32 references and texts, (n, 256) each."""
        scale = EMBEDDING_DIM**0.5  # brings the entries of a unit vector to unit variance and back
        joint = torch.cat(
            [self.read_reference(reference_embedding * scale), self.read_text(text_embedding * scale)], dim=-1
        )
        share = torch.sigmoid(self.mix(joint))
        composed = share * text_embedding + (1 - share) * reference_embedding + self.residual(joint) / scale
        return functional.normalize(composed, dim=-1)


def _dense(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(_DROPOUT))


@dataclass(frozen=True, slots=True, kw_only=True)
class PairEncoders:
    """The three networks."""

    sizes: Sizes
    image: PairImageEncoder
    text: PairTextEncoder
    fusion: Combiner

    def parts(self) -> Mapping[str, nn.Module]:
        """Return the networks by the names of their models in vitrine.tensors."""
        return {"image_encoder": self.image, "text_encoder": self.text, "fusion_encoder": self.fusion}


def new_pair(sizes: Sizes) -> PairEncoders:
    """Put new heads and a new combiner, drawn from torch's random generator, on the pretrained towers.

    Raises:
        CheckpointError: a tower's package is missing, or not the one that is meant.
    """
    return PairEncoders(
        sizes=sizes,
        image=PairImageEncoder(backbone.load_backbone(), Head(backbone.FEATURES, sizes.head_width)),
        text=PairTextEncoder(sentences.load_sentences(), Head(sentences.FEATURES, sizes.head_width)),
        fusion=Combiner(sizes.fusion_width),
    )
