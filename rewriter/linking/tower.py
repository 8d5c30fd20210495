"""Google's multilingual Universal Sentence Encoder in numpy: words of 16 languages to directions that tell what they mean.

Yang et al. (2019, "Multilingual universal sentence encoder for semantic retrieval"). The network is that of
encoders/pair/sentences.py, without torch: a word is a handful of pieces, for which numpy is quick enough.
"""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import numpy as np
import tokenizers
from numpy.typing import NDArray

from vitrine.packages import SENTENCES, PackageError, packaged
from vitrine.pieces import PAD_ID, WORD_BEGINS, load_pieces

FEATURES = 512

Vectors = NDArray[np.float32]

_MAX_PIECES = 32
"""Pieces of a phrase that are read; values are phrases of a few words."""
_SHORT = 3
"""Letters of words that mean too many things."""
_BATCH = 64
"""Phrases that are computed at once, so that nothing else waits long."""
_BRANCHES = ((2, 0), (3, 1), (5, 2))
"""Pieces that a convolution sees, and how many of them lie before the one in question."""
_ENDS = 2
"""Pieces that stand for the beginning and the end of a text."""
_CHUNKS = 17
"""Blocks of the word table with a scale of their own; a row belongs to the block of its number modulo this."""


class Encoder(Protocol):
    """Tells what words mean; its calls may come from several threads."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one L2-normalised row of FEATURES numbers for each text."""
        ...

    def is_word(self, word: str) -> bool:
        """Return whether it is a word of some language."""
        ...

    def is_common(self, word: str) -> bool:
        """Return whether it is a word of some language also where it is written small: no name alone."""
        ...

    def common_words(self, count: int) -> list[str]:
        """Return so many common words, always the same ones."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tower:
    """Implements Encoder."""

    tokenizer: tokenizers.Tokenizer
    table: NDArray[np.uint8]
    """By chunk and row."""
    weights: dict[str, Any]

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one L2-normalised row of FEATURES numbers for each text.

        Small letters are read as capitals where only then each word has a piece of its own: "italy", "milch".
        """
        encoded = [self._ids(text) for text in texts]
        lengths = [len(ids) for ids in encoded]
        rows = np.empty((len(texts), FEATURES), np.float32)
        order = sorted(range(len(texts)), key=lengths.__getitem__)
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            ids = np.full((len(batch), lengths[batch[-1]]), PAD_ID)
            for place, row in enumerate(batch):
                ids[place, : lengths[row]] = encoded[row]
            rows[batch] = self._encode(ids)
        return rows

    def common_words(self, count: int) -> list[str]:
        """Return the words of any language that have the most frequent pieces, of four small letters at least."""
        size = self.tokenizer.get_vocab_size()
        pieces = (self.tokenizer.id_to_token(number) or "" for number in range(size))
        words = (piece.removeprefix(WORD_BEGINS) for piece in pieces if piece.startswith(WORD_BEGINS))
        common = (word for word in words if len(word) > _SHORT and word.isalpha() and word.islower())
        return [*islice(common, count)]

    def is_word(self, word: str) -> bool:
        """Return whether the word is frequent enough in one of the languages to have a piece of its own."""
        known = (word, word.capitalize())
        return any(self.tokenizer.token_to_id(WORD_BEGINS + form) is not None for form in known)

    def is_common(self, word: str) -> bool:
        """Return whether the word, written small, is frequent enough in one of the languages to have a piece of its own."""
        return self.tokenizer.token_to_id(WORD_BEGINS + word.lower()) is not None

    def _ids(self, text: str) -> list[int]:
        """Return the ids of a text without padding."""
        ids: list[int] = self.tokenizer.encode(text).ids
        words = text.split(" ")
        if text.islower() and len(ids) > len(words) + _ENDS:
            capitalised: list[int] = self.tokenizer.encode(" ".join(map(str.capitalize, words))).ids
            return capitalised if len(capitalised) == len(words) + _ENDS else ids
        return ids

    def _encode(self, ids: NDArray[np.int64]) -> Vectors:
        """Return the vectors of padded rows of ids; padding changes nothing."""
        weights, mask = self.weights, (ids != PAD_ID)[..., None].astype(np.float32)
        chunk = ids % _CHUNKS
        words = self.table[chunk, ids // _CHUNKS].astype(np.float32)
        words = words * weights["scale"][chunk][..., None] + weights["lo"][chunk][..., None]
        projected = self._normed(words @ weights["proj"] + weights["proj_b"], "proj_g", "proj_h") * mask
        branches = np.split(projected, len(_BRANCHES), axis=-1)
        seen = [
            self._branch(states, mask, *branch) for states, branch in zip(branches, _BRANCHES, strict=True)
        ]
        states = self._normed(np.concatenate([words, *seen], axis=-1), "ln_g", "ln_b") * mask
        count = np.maximum(mask.sum(1), 1)
        mean = (states.sum(1) / count @ weights["cnn_W"] + weights["cnn_b"]) * np.sqrt(count)
        first = np.maximum(mean @ weights["d0"], 0)
        second = np.maximum(mean @ weights["p1"] + first @ weights["d1"], 0)
        third = np.maximum(second @ weights["d2"], 0)
        vectors = np.tanh(second @ weights["p3"] + third @ weights["d3"])
        normalised: Vectors = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
        return normalised

    def _branch(self, states: Vectors, mask: Vectors, size: int, before: int) -> Vectors:
        """Return what two convolutions over `size` pieces make of the states."""
        weights = self.weights
        for number in (1, 2):
            padded = np.pad(states, ((0, 0), (before, size - 1 - before), (0, 0)))
            windows = np.concatenate(
                [padded[:, place : place + states.shape[1]] for place in range(size)], axis=-1
            )
            convolved = windows @ weights[f"w{number}_{size}"] + weights[f"b{number}_{size}"]
            states = (np.maximum(convolved, 0) + states) * mask
        return states

    def _normed(self, states: Vectors, gain: str, bias: str) -> Vectors:
        mean = states.mean(-1, keepdims=True)
        spread = np.sqrt(states.var(-1, keepdims=True) + self.weights["eps"])
        normed: Vectors = (states - mean) / spread * self.weights[gain] + self.weights[bias]
        return normed


def load_tower() -> Tower:
    """Read the encoder from its package.

    Raises:
        PackageError: the package is missing, or not the one that is meant, or cannot be read.
    """
    path = packaged(SENTENCES)
    try:
        with np.load(path, allow_pickle=False) as given:
            tensors = {name: given[name] for name in given.files}
        table = np.stack([tensors.pop(f"q{chunk + 1}") for chunk in range(_CHUNKS)])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise PackageError(f"{path}: not the tensors of the sentence encoder: {error}") from None
    for name, given_name in (("proj", "proj"), ("proj_b", "proj_b"), ("proj_g", "ln_g"), ("proj_h", "ln_b")):
        tensors[name] = np.concatenate([tensors.pop(f"{given_name}{size}") for size, _ in _BRANCHES], axis=-1)
    return Tower(tokenizer=load_pieces(_MAX_PIECES, pad=False), table=table, weights=tensors)
