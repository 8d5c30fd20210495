"""The word pieces of the text tower as a tokenizer of the library `tokenizers`. Nothing here imports torch."""

import tokenizers

from encoders.errors import CheckpointError
from encoders.pair.dimensions import TEXT_LENGTH
from vitrine.packages import PackageError
from vitrine.pieces import PAD_ID, load_pieces

__all__ = ["PAD_ID", "VOCABULARY", "load_tokenizer"]

VOCABULARY = 128_010
"""Rows of the table of words."""


def load_tokenizer() -> tokenizers.Tokenizer:
    """Read the pieces as a tokenizer that cuts and pads to TEXT_LENGTH.

    Raises:
        CheckpointError: the package is missing, or not the one that is meant.
    """
    try:
        return load_pieces(TEXT_LENGTH, pad=True)
    except PackageError as error:
        raise CheckpointError(str(error)) from None
