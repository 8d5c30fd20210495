"""The word pieces of the text tower as a tokenizer of the library `tokenizers`. Nothing here imports torch."""

import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors

from encoders.pair.dimensions import TEXT_LENGTH
from encoders.pair.packages import PIECES, packaged

VOCABULARY = 128_010
"""Rows of the table of words."""
PAD_ID = 3
"""Fills a text up: the first of the pieces that the model keeps in reserve, and that no text has."""


def load_tokenizer() -> tokenizers.Tokenizer:
    """Read the pieces as a tokenizer that cuts and pads to TEXT_LENGTH.

    Its ids are those of SentencePiece with the package's own model: the same characters are folded, spaces are marks of the
    words that follow them, and the segmentation is the likeliest.

    Raises:
        CheckpointError: the package is missing, or not the one that is meant.
    """
    # Imported here because transformers takes seconds; it brings the format's definition.
    from transformers.utils.sentencepiece_model_pb2_new import ModelProto  # type: ignore[attr-defined] # noqa: PLC0415

    path = packaged(PIECES)
    model = ModelProto.FromString(path.read_bytes())
    pieces = [(piece.piece, piece.score) for piece in model.pieces]
    tokenizer = tokenizers.Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Precompiled(model.normalizer_spec.precompiled_charsmap),
            normalizers.Replace(tokenizers.Regex(" {2,}"), " "),
            normalizers.Strip(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    tokenizer.enable_truncation(TEXT_LENGTH)
    tokenizer.enable_padding(length=TEXT_LENGTH, pad_id=PAD_ID, pad_token=pieces[PAD_ID][0])
    return tokenizer
