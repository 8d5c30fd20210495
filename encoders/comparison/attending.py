"""Fusion designs in which the tokens of the text and of the picture attend to each other."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from encoders.comparison.composers import Composer
from encoders.comparison.features import Features
from encoders.networks import Sizes, TextEncoder, TransformerBlock
from vitrine.preprocess import PAD_ID
from vitrine.tensors import EMBEDDING_DIM, IMAGE_SIZE

_MASKED = -1e4
"""Added to the attention logits of what must not be read."""


def padding_bias(token_ids: Tensor) -> Tensor:
    """Return float32 (n, 1, 1, length) that masks padding."""
    return token_ids.eq(PAD_ID).float()[:, None, None, :] * _MASKED


class CrossBlock(nn.Module):
    """A transformer block, then attention from its states to a context."""

    def __init__(self, width: int, *, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.block = TransformerBlock(width, heads=heads)
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, width)

    def forward(self, states: Tensor, bias: Tensor, context: Tensor, context_bias: Tensor) -> Tensor:
        """Return the next states, (n, length, width); the context is (n, other length, width)."""
        states = self.block(states, bias)
        query = self._split(self.query(self.norm(states)))
        key, value = map(self._split, self.key_value(context).chunk(2, dim=-1))
        # Written out for the same reason as in `TransformerBlock`.
        logits = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
        mixed = (logits + context_bias).softmax(dim=-1).to(value.dtype) @ value
        return torch.add(states, self.output(mixed.transpose(1, 2).flatten(2)))

    def _split(self, states: Tensor) -> Tensor:
        rows, length, width = states.shape
        return states.view(rows, length, self.heads, width // self.heads).transpose(1, 2)


class TransformerComposer(Composer):
    """The pooled picture as one more token beside the text's, through a small transformer.

    What is read at the picture's place moves the reference: nothing, before training.
    """

    _BLOCKS = 2

    def __init__(self, text: TextEncoder, sizes: Sizes) -> None:
        super().__init__()
        self.text = text
        self.read_words = nn.Linear(sizes.text_width, EMBEDDING_DIM)
        self.blocks = nn.ModuleList(
            TransformerBlock(EMBEDDING_DIM, heads=sizes.text_heads) for _ in range(self._BLOCKS)
        )
        self.norm = nn.LayerNorm(EMBEDDING_DIM)
        self.move = nn.Linear(EMBEDDING_DIM, EMBEDDING_DIM)
        nn.init.zeros_(self.move.weight)
        nn.init.zeros_(self.move.bias)

    def forward(self, reference: Features, token_ids: Tensor) -> Tensor:
        """Embed as `Composer` says."""
        bias = padding_bias(token_ids)
        words = self.text.tokens(token_ids) + self.text.positions[: token_ids.shape[1]]
        for block in self.text.blocks:
            words = block(words, bias)
        picture = reference.pooled[:, None] * EMBEDDING_DIM**0.5
        states = torch.cat([picture, self.read_words(self.text.norm(words))], dim=1)
        bias = functional.pad(bias, (1, 0))
        for block in self.blocks:
            states = block(states, bias)
        moved = reference.pooled + self.move(self.norm(states[:, 0])).float()
        return functional.normalize(moved, dim=-1)


class QFormerComposer(Composer):
    """The retrieval model of Barbany et al. (2024, arXiv 2404.15790) at a size that trains on a CPU.

    Learned queries attend to the frozen picture's map; what they found stands before the text's words in a
    language model's encoder, and the embedding is read where the queries stand. Beside the contrast, a decoder
    learns to say the wanted caption. The language model is the text encoder, all of it tuned, and a decoder of
    one block that begins untrained: theirs is a pretrained T5 under LoRA, and their map a ViT's.
    """

    _QUERIES = 8
    _BLOCKS = 2
    _GENERATION_WEIGHT = 0.2

    def __init__(self, text: TextEncoder, sizes: Sizes) -> None:
        super().__init__()
        width, channels = sizes.text_width, sizes.image_widths[-1]
        self.text = text
        self.read_map = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, width))
        self.places = nn.Parameter(torch.randn(_places(sizes), width) * 0.02)
        self.queries = nn.Parameter(torch.randn(self._QUERIES, width) * 0.02)
        self.former = nn.ModuleList(CrossBlock(width, heads=sizes.text_heads) for _ in range(self._BLOCKS))
        self.decoder = CrossBlock(width, heads=sizes.text_heads)
        self.decoder_norm = nn.LayerNorm(width)
        self.head = nn.Linear(self._QUERIES * width, EMBEDDING_DIM)

    def forward(self, reference: Features, token_ids: Tensor) -> Tensor:
        """Embed as `Composer` says."""
        return self._read(self._encode(reference, token_ids))

    def with_losses(
        self, reference: Features, token_ids: Tensor, wanted_ids: Tensor
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return the embedding, and the weighted loss of saying the wanted caption word by word."""
        states = self._encode(reference, token_ids)
        spoken = functional.pad(wanted_ids, (1, -1), value=PAD_ID)  # T5's decoder, too, starts from padding
        length = spoken.shape[1]
        words = self.text.tokens(spoken) + self.text.positions[:length]
        later = torch.ones(length, length, device=words.device).triu(1) * _MASKED
        said = self.decoder(words, later, states, self._bias(token_ids))
        logits = self.decoder_norm(said) @ self.text.tokens.weight.T
        loss = functional.cross_entropy(
            logits.float().flatten(0, 1), wanted_ids.flatten(), ignore_index=PAD_ID
        )
        return self._read(states), {"generation": self._GENERATION_WEIGHT * loss}

    def _encode(self, reference: Features, token_ids: Tensor) -> Tensor:
        """Return the encoder's states, (n, queries + length, width)."""
        seen = self.read_map(reference.maps.float()) + self.places
        found = self.queries.expand(len(token_ids), -1, -1)
        nothing = found.new_zeros(())
        for block in self.former:
            found = block(found, nothing, seen, nothing)
        words = self.text.tokens(token_ids) + self.text.positions[: token_ids.shape[1]]
        states = torch.cat([found, words], dim=1)
        for block in self.text.blocks:
            states = block(states, self._bias(token_ids))
        normalised: Tensor = self.text.norm(states)
        return normalised

    def _bias(self, token_ids: Tensor) -> Tensor:
        return functional.pad(padding_bias(token_ids), (self._QUERIES, 0))

    def _read(self, states: Tensor) -> Tensor:
        found = states[:, : self._QUERIES].flatten(1)
        return functional.normalize(self.head(found).float(), dim=-1)


def _places(sizes: Sizes) -> int:
    """Return the places of the last map: the patches of 4x4 pixels, halved a side by every stage but the first."""
    return (IMAGE_SIZE // 4 >> (len(sizes.image_widths) - 1)) ** 2
