"""The three encoders as torch modules; what they take and give is written in vitrine.tensors.

Every embedding is L2-normalised float32 of one shared space, so that inner products are cosines.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vitrine.preprocess import PAD_ID
from vitrine.tensors import EMBEDDING_DIM, TEXT_LENGTH

_MASKED = -1e4
"""Added to the attention logit of a padding token; finite, so that an empty text gives no NaN."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What the networks of one family are made of."""

    vocabulary: int
    """Tokens, padding included."""
    image_widths: tuple[int, ...] = (64, 128, 256)
    image_blocks: tuple[int, ...] = (1, 2, 2)
    text_width: int = 128
    text_layers: int = 2
    text_heads: int = 4
    fusion_width: int = 512


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch normalisation beside an identity or 1x1 shortcut."""

    def __init__(self, channels_in: int, channels_out: int, *, stride: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
            nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
            )

    def forward(self, maps: Tensor) -> Tensor:
        """Return the block's maps, (n, channels_out, height/stride, width/stride)."""
        return functional.relu(self.convolutions(maps) + self.shortcut(maps))


class ImageEncoder(nn.Module):
    """A small residual ConvNet over 4x4 patches, pooled by mean and maximum.

    The maximum keeps what covers few pixels (a collar, a sole) and would drown in the mean.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.image_widths[0]
        layers: list[nn.Module] = [
            nn.PixelUnshuffle(4),
            nn.Conv2d(3 * 4 * 4, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
        for stage, (stage_width, blocks) in enumerate(
            zip(sizes.image_widths, sizes.image_blocks, strict=True)
        ):
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(ResidualBlock(width, stage_width, stride=stride))
                width = stage_width
        self.body = nn.Sequential(*layers)
        self.projection = nn.Linear(2 * width, EMBEDDING_DIM)

    def features(self, pixels: Tensor) -> Tensor:
        """Return the embedding before its normalisation, (n, EMBEDDING_DIM), from uint8 (n, h, w, 3)."""
        maps = self.body((pixels.float().permute(0, 3, 1, 2) - 127.5) / 64)
        pooled = torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1)
        features: Tensor = self.projection(pooled).float()
        return features

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed uint8 pixels (n, IMAGE_SIZE, IMAGE_SIZE, 3), rows first, RGB."""
        return functional.normalize(self.features(pixels), dim=-1)


class TransformerBlock(nn.Module):
    """Pre-norm self-attention and a two-layer perceptron."""

    def __init__(self, width: int, *, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.perceptron = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, states: Tensor, bias: Tensor) -> Tensor:
        """Return the next states, (n, length, width); the bias (n, 1, 1, length) masks padding."""
        rows, length, width = states.shape
        packed = self.query_key_value(self.attention_norm(states))
        packed = packed.view(rows, length, 3, self.heads, width // self.heads)
        query, key, value = packed.permute(2, 0, 3, 1, 4).unbind(0)
        # Written out: the fused kernel's backward pass is several times slower on the CPU at such lengths.
        logits = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
        mixed = (logits + bias).softmax(dim=-1).to(value.dtype) @ value
        states = states + self.output(mixed.transpose(1, 2).reshape(rows, length, width))
        return torch.add(states, self.perceptron(states))


class TextEncoder(nn.Module):
    """A small transformer, mean-pooled over the tokens that are no padding."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.text_width
        self.tokens = nn.Embedding(sizes.vocabulary, width)
        self.positions = nn.Parameter(torch.randn(TEXT_LENGTH, width) * 0.02)
        nn.init.normal_(self.tokens.weight, std=0.05)
        self.blocks = nn.ModuleList(
            TransformerBlock(width, heads=sizes.text_heads) for _ in range(sizes.text_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.projection = nn.Linear(width, EMBEDDING_DIM)

    def forward(self, token_ids: Tensor) -> Tensor:
        """Embed int64 token ids (n, length <= TEXT_LENGTH), PAD_ID after the text's end."""
        mask = token_ids.ne(PAD_ID).float()
        bias = ((1 - mask) * _MASKED)[:, None, None, :]
        states = self.tokens(token_ids) + self.positions[: token_ids.shape[1]]
        for block in self.blocks:
            states = block(states, bias)
        weights = mask.unsqueeze(-1)
        pooled = (self.norm(states) * weights).sum(1) / weights.sum(1).clamp(min=1)
        return functional.normalize(self.projection(pooled).float(), dim=-1)


class FusionEncoder(nn.Module):
    """Moves a reference embedding the way a text says, with a text tower of its own.

    The combiner of Baldrati et al. (2022, "Effective conditioned and composed image retrieval combining
    CLIP-based features"): a perceptron's residual around a learned convex mix of both embeddings. It
    starts from the pooled reference, so a product that is in the index already needs no image encode.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.fusion_width
        self.text = TextEncoder(sizes)
        self.read_reference = _dense(EMBEDDING_DIM, width // 2)
        self.read_text = _dense(EMBEDDING_DIM, width // 2)
        self.residual = nn.Sequential(_dense(width, width), nn.Linear(width, EMBEDDING_DIM))
        self.mix = nn.Sequential(_dense(width, width // 2), nn.Linear(width // 2, 1))

    def forward(self, reference_embedding: Tensor, token_ids: Tensor) -> Tensor:
        """Embed float32 references (n, EMBEDDING_DIM) with int64 token ids (n, TEXT_LENGTH)."""
        text = self.text(token_ids)
        scale = EMBEDDING_DIM**0.5  # brings the entries of a unit vector to unit variance and back
        joint = torch.cat(
            [self.read_reference(reference_embedding * scale), self.read_text(text * scale)], dim=-1
        )
        share = torch.sigmoid(self.mix(joint).float())
        composed = share * text + (1 - share) * reference_embedding + self.residual(joint).float() / scale
        return functional.normalize(composed, dim=-1)


def _dense(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(0.1))
