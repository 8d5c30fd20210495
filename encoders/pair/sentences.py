"""Google's multilingual Universal Sentence Encoder, the text tower: word pieces, convolutions over 2, 3 and 5 of them, a mean.

Yang et al. (2019, "Multilingual universal sentence encoder for semantic retrieval"), 16 languages: ar de en es fr it ja ko nl
pl pt ru th tr zh zh-TW. Written for batches of padded rows, of which the padding changes nothing.
"""

import zipfile

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from encoders.errors import CheckpointError
from encoders.pair.packages import packaged
from vitrine.packages import SENTENCES
from vitrine.pieces import PAD_ID

FEATURES = 512

_BRANCHES = ((2, 0), (3, 1), (5, 2))
"""Pieces that a convolution sees, and how many of them lie before the one in question."""
_WIDTH = 256
_CHUNKS = 17
"""Blocks of the word table with a scale of their own; a row belongs to the block of its number modulo this."""


class Sentences(nn.Module):
    """Token ids to the encoder's 512 numbers, L2-normalised."""

    table: Tensor
    scale: Tensor
    lowest: Tensor

    def __init__(self, rows: int, epsilon: float) -> None:
        super().__init__()
        self.register_buffer("table", torch.zeros(rows, FEATURES, dtype=torch.uint8))
        self.register_buffer("scale", torch.zeros(_CHUNKS))
        self.register_buffer("lowest", torch.zeros(_CHUNKS))
        self.epsilon = epsilon
        self.projection = nn.Linear(FEATURES, len(_BRANCHES) * _WIDTH)
        self.projected_norm = nn.LayerNorm(len(_BRANCHES) * _WIDTH, eps=epsilon)
        self.first = nn.ModuleList(nn.Conv1d(_WIDTH, _WIDTH, size) for size, _ in _BRANCHES)
        self.second = nn.ModuleList(nn.Conv1d(_WIDTH, _WIDTH, size) for size, _ in _BRANCHES)
        width = FEATURES + len(_BRANCHES) * _WIDTH
        self.norm = nn.LayerNorm(width, eps=epsilon)
        self.pooled = nn.Linear(width, FEATURES)
        self.hidden = nn.ModuleList(
            nn.Linear(i, o, bias=False)
            for i, o in ((FEATURES, 320), (320, 320), (320, FEATURES), (FEATURES, FEATURES))
        )
        self.shortcuts = nn.ModuleList(
            nn.Linear(i, o, bias=False) for i, o in ((FEATURES, 320), (320, FEATURES))
        )

    def forward(self, token_ids: Tensor) -> Tensor:
        """Return float32 (n, FEATURES) of int64 token ids (n, length), PAD_ID behind the text's end."""
        mask = token_ids.ne(PAD_ID).float().unsqueeze(-1)
        chunk = token_ids.remainder(_CHUNKS)
        words = functional.embedding(token_ids, self.table).float()
        words = words * self.scale[chunk].unsqueeze(-1) + self.lowest[chunk].unsqueeze(-1)
        parts = [words]
        projected = self.projected_norm(self.projection(words)) * mask
        for branch, (size, before) in enumerate(_BRANCHES):
            states = projected[..., branch * _WIDTH : (branch + 1) * _WIDTH]
            for convolution in (self.first[branch], self.second[branch]):
                padded = functional.pad(states.transpose(1, 2), (before, size - 1 - before))
                states = (functional.relu(convolution(padded).transpose(1, 2)) + states) * mask
            parts.append(states)
        states = self.norm(torch.cat(parts, dim=-1)) * mask
        count = mask.sum(1).clamp(min=1)
        mean = self.pooled(states.sum(1) / count) * count.sqrt()
        first = functional.relu(self.hidden[0](mean))
        second = functional.relu(self.shortcuts[0](mean) + self.hidden[1](first))
        third = functional.relu(self.hidden[2](second))
        return functional.normalize(torch.tanh(self.shortcuts[1](second) + self.hidden[3](third)), dim=-1)


def load_sentences() -> Sentences:
    """Read the pretrained encoder, in evaluation mode.

    Raises:
        CheckpointError: the package is missing, or not the one that is meant, or its tensors are others.
    """
    path = packaged(SENTENCES)
    try:
        with np.load(path, allow_pickle=False) as given:
            tensors = {name: torch.from_numpy(given[name]) for name in given.files}
        encoder = Sentences(_CHUNKS * len(tensors["q1"]), float(tensors["eps"]))
        encoder.load_state_dict(_renamed(tensors))
    except (OSError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path}: not the tensors of the sentence encoder: {error}") from None
    return encoder.eval()


def _renamed(given: dict[str, Tensor]) -> dict[str, Tensor]:
    table = torch.stack([given[f"q{chunk + 1}"] for chunk in range(_CHUNKS)], dim=1).flatten(0, 1)
    named = {"table": table, "scale": given["scale"], "lowest": given["lo"]}
    sizes = [size for size, _ in _BRANCHES]
    named |= {
        "projection.weight": torch.cat([given[f"proj{size}"].T for size in sizes]),
        "projection.bias": torch.cat([given[f"proj_b{size}"] for size in sizes]),
        "projected_norm.weight": torch.cat([given[f"ln_g{size}"] for size in sizes]),
        "projected_norm.bias": torch.cat([given[f"ln_b{size}"] for size in sizes]),
    }
    for branch, size in enumerate(sizes):
        named |= {
            f"first.{branch}.weight": _as_convolution(given[f"w1_{size}"], size),
            f"first.{branch}.bias": given[f"b1_{size}"],
            f"second.{branch}.weight": _as_convolution(given[f"w2_{size}"], size),
            f"second.{branch}.bias": given[f"b2_{size}"],
        }
    named |= {"norm.weight": given["ln_g"], "norm.bias": given["ln_b"]}
    named |= {"pooled.weight": given["cnn_W"].T, "pooled.bias": given["cnn_b"]}
    named |= {f"hidden.{number}.weight": given[f"d{number}"].T for number in range(4)}
    return named | {"shortcuts.0.weight": given["p1"].T, "shortcuts.1.weight": given["p3"].T}


def _as_convolution(weight: Tensor, size: int) -> Tensor:
    """Return (out, in, size) of (size * in, out)."""
    return weight.reshape(size, _WIDTH, _WIDTH).permute(2, 1, 0)
