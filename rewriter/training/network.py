"""The network: a small decoder of Llama's kind, whose step takes and gives the keys and values of its past.

Rotary positions (Su et al. 2021), RMS norms (Zhang and Sennrich 2019), gated feed-forward layers (Shazeer 2020); the
embedding is the output layer too.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The network's sizes."""

    vocabulary: int
    width: int = 128
    layers: int = 4
    heads: int = 4
    inner: int = 344

    @property
    def head_width(self) -> int:
        """Channels of a head."""
        return self.width // self.heads


class Decoder(nn.Module):
    """Predicts the next token."""

    def __init__(self, shape: Shape, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(_Layer(shape, dropout) for _ in range(shape.layers))
        self.norm = _Norm(shape.width)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(
        self, tokens: Tensor, positions: Tensor, mask: Tensor, past_keys: Tensor, past_values: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Read tokens after a past.

        Args:
            tokens: int64 (n, t).
            positions: int64 (n, t), each token's place in its own text.
            mask: float32 (n, 1, t, s + t), 0 where a token may look and very negative where it may not.
            past_keys: float32 (layers, n, heads, s, head width).
            past_values: likewise.

        Returns:
            hidden states (n, t, width), and the tokens' own keys and values, (layers, n, heads, t, head width).
        """
        turns = _turns(positions, self.shape.head_width)
        hidden = self.dropout(self.embedding(tokens))
        keys, values = [], []
        for layer, past_key, past_value in zip(self.layers, past_keys, past_values, strict=True):
            hidden, key, value = layer(hidden, turns, mask, past_key, past_value)
            keys.append(key)
            values.append(value)
        return self.norm(hidden), torch.stack(keys), torch.stack(values)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits (..., vocabulary) of hidden states (..., width)."""
        return functional.linear(hidden, self.embedding.weight)


class Step(nn.Module):
    """One step of decoding as it is exported: the logits after each row's last token alone."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(  # noqa: PLR0917 - ONNX inputs are positional
        self,
        tokens: Tensor,
        positions: Tensor,
        mask: Tensor,
        past_keys: Tensor,
        past_values: Tensor,
        last: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits (n, vocabulary) after the token at `last`, int64 (n,), and the tokens' keys and values."""
        hidden, keys, values = self.decoder(tokens, positions, mask, past_keys, past_values)
        index = last.reshape(-1, 1, 1).expand(-1, 1, hidden.shape[-1])
        return self.decoder.logits(hidden.gather(1, index).squeeze(1)), keys, values


class _Norm(nn.Module):
    """The RMS norm, spelt out, for the exporter knows no operator for it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the hidden states at a root mean square of one, scaled by channel."""
        return hidden * torch.rsqrt(hidden.square().mean(-1, keepdim=True) + 1e-6) * self.weight


class _Layer(nn.Module):
    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.heads, self.head_width = shape.heads, shape.head_width
        self.attention_norm, self.inner_norm = _Norm(shape.width), _Norm(shape.width)
        self.queries_keys_values = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.attended = nn.Linear(shape.width, shape.width, bias=False)
        self.gate_and_up = nn.Linear(shape.width, 2 * shape.inner, bias=False)
        self.down = nn.Linear(shape.inner, shape.width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, hidden: Tensor, turns: tuple[Tensor, Tensor], mask: Tensor, past_key: Tensor, past_value: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows, length, width = hidden.shape
        joined = self.queries_keys_values(self.attention_norm(hidden))
        query, key, value = (
            part.reshape(rows, length, self.heads, self.head_width).transpose(1, 2)
            for part in joined.chunk(3, -1)
        )
        query, key = _turned(query, turns), _turned(key, turns)
        seen = functional.scaled_dot_product_attention(
            query, torch.cat([past_key, key], 2), torch.cat([past_value, value], 2), attn_mask=mask
        )
        hidden = hidden + self.dropout(self.attended(seen.transpose(1, 2).reshape(rows, length, width)))
        gate, up = self.gate_and_up(self.inner_norm(hidden)).chunk(2, -1)
        return hidden + self.dropout(self.down(functional.silu(gate) * up)), key, value


def _turns(positions: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Return the cosines and sines of rotary positions, (n, 1, t, width)."""
    rates = 10_000.0 ** (-torch.arange(0, width, 2, dtype=torch.float32) / width)
    angles = positions[:, None, :, None].float() * torch.cat([rates, rates])
    return angles.cos(), angles.sin()


def _turned(part: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    first, second = part.chunk(2, -1)
    return part * turns[0] + torch.cat([-second, first], -1) * turns[1]
