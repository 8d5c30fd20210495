"""The three networks of the family `pair`: two pretrained towers, a head on each into one space, and a combiner.

The first numbers of an embedding are those of a head; the others say what the image tower itself makes of a picture that is
unlike the data that the heads learnt from (`Kept`), and are 0 of a text.

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
_SOFTNESS = 0.01
"""How fast the weight of the tower rises beyond the limit, in shares of a picture's features."""
_SMALLEST = 1e-6
_SHUT = -4.0
"""Logarithm of the odds that a text asks for a change, before anything is learnt."""
_AXES = 192
"""Principal axes that tell what is like the data: more of them than the embedding has room for tell it better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What is trained here is made of."""

    head_width: int = 1_024
    fusion_width: int = 512
    trained_dim: int = EMBEDDING_DIM
    """Numbers that the heads fill; the image tower's own fill the others."""
    wording_width: int = 0
    """Of what reads sentences that ask for a change; 0 where the head alone reads them."""


class Head(nn.Module):
    """A linear map beside a perceptron of one hidden layer, on normalised features."""

    def __init__(self, features: int, width: int, outputs: int = EMBEDDING_DIM) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features)
        self.linear = nn.Linear(features, outputs)
        self.perceptron = nn.Sequential(
            nn.Linear(features, width), nn.GELU(), nn.Dropout(_DROPOUT), nn.Linear(width, outputs)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Embed float32 features (n, features)."""
        normed = self.norm(features)
        return functional.normalize(self.linear(normed) + self.perceptron(normed), dim=-1)


class Kept(nn.Module):
    """Lets the tower speak for pictures that are unlike the data that the head learnt from.

    A head knows what it was trained to tell apart, and lays all else on a few directions. How unlike the data a picture is, is
    the share of its features, less the data's mean, that lies outside the data's principal axes: a reconstruction error, as in
    the detection of novelties (Tax and Duin 2004 measure with it). `keep` in kept.py fits the buffers.
    """

    centre: Tensor
    """(features,), the mean of the data."""
    axes: Tensor
    """(axes, features), orthonormal, the largest first."""
    usual: Tensor
    """(features,), the mean of the pictures that the tower learnt from."""
    limit: Tensor
    """(), the share outside the axes at which head and tower weigh the same."""

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("axes", torch.zeros(max(outputs, _AXES), features))
        self.register_buffer("usual", torch.zeros(features))
        self.register_buffer("limit", torch.zeros(()))

    def unlike(self, features: Tensor) -> Tensor:
        """Return the share outside the axes, (n, 1), from 0 to 1."""
        apart = features - self.centre
        inside = apart @ self.axes.T
        whole = apart.square().sum(-1, keepdim=True).clamp(min=_SMALLEST)
        return 1 - inside.square().sum(-1, keepdim=True) / whole

    def forward(self, features: Tensor, trained: Tensor) -> Tensor:
        """Return the embeddings, (n, trained + outputs), of features with what their head makes of them."""
        weight = torch.sigmoid((self.unlike(features) - self.limit) / _SOFTNESS)
        seen = functional.normalize((features - self.usual) @ self.axes[: self.outputs].T, dim=-1)
        return torch.cat([(1 - weight).sqrt() * trained, weight.sqrt() * seen], dim=-1)


class Wording(nn.Module):
    """Moves the embedding of a sentence that asks for a change to what it asks for, and leaves other texts where the head has them.

    One perceptron says both which sentences these are and how far they move: a gated residual, as in highway networks
    (Srivastava et al. 2015), behind a head that stays as it is.
    """

    def __init__(self, features: int, width: int, outputs: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features)
        hidden, last = nn.Linear(features, width), nn.Linear(width, outputs + 1)
        nn.init.constant_(last.bias[:1], _SHUT)
        self.perceptron = nn.Sequential(hidden, nn.GELU(), nn.Dropout(_DROPOUT), last)

    def forward(self, features: Tensor, said: Tensor) -> Tensor:
        """Return the embeddings (n, outputs) of features with what their head makes of them."""
        read = self.perceptron(self.norm(features))
        share = torch.sigmoid(read[:, :1])
        return functional.normalize(said + share * read[:, 1:], dim=-1)


class PairImageEncoder(nn.Module):
    """The backbone and its head; with what the backbone itself tells, where that was fitted."""

    def __init__(self, tower: Backbone, head: Head, kept: Kept | None = None) -> None:
        super().__init__()
        self.tower = tower
        self.head = head
        self.kept = kept

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed uint8 pixels (n, 224, 224, 3), rows first, RGB."""
        return self.embed(self.tower(pixels))

    def embed(self, features: Tensor) -> Tensor:
        """Embed what the tower makes of pictures, (n, features)."""
        embedding: Tensor = self.head(features)
        return embedding if self.kept is None else self.kept(features, embedding)


class PairTextEncoder(nn.Module):
    """The sentence encoder and its head; with what reads changes, where that was trained."""

    padding: int = PAD_ID
    """Fills texts up, and changes no embedding."""
    vocabulary: int = VOCABULARY

    def __init__(self, tower: Sentences, head: Head, wording: Wording | None = None) -> None:
        super().__init__()
        self.tower = tower
        self.head = head
        self.wording = wording

    def forward(self, token_ids: Tensor) -> Tensor:
        """Embed int64 token ids (n, length <= 64)."""
        return self.embed(self.tower(token_ids))

    def embed(self, features: Tensor) -> Tensor:
        """Embed what the tower makes of texts, (n, features)."""
        embedding: Tensor = self.head(features)
        if self.wording is not None:
            embedding = self.wording(features, embedding)
        return functional.pad(embedding, (0, EMBEDDING_DIM - embedding.shape[-1]))


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
        image=PairImageEncoder(
            backbone.load_backbone(),
            Head(backbone.FEATURES, sizes.head_width, sizes.trained_dim),
            Kept(backbone.FEATURES, kept) if (kept := EMBEDDING_DIM - sizes.trained_dim) else None,
        ),
        text=PairTextEncoder(
            sentences.load_sentences(),
            Head(sentences.FEATURES, sizes.head_width, sizes.trained_dim),
            Wording(sentences.FEATURES, width, sizes.trained_dim) if (width := sizes.wording_width) else None,
        ),
        fusion=Combiner(sizes.fusion_width),
    )
