"""The word pieces of the multilingual sentence encoder as a tokenizer of the library `tokenizers`."""

from functools import cache
from typing import Any

import tokenizers
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from tokenizers import models, normalizers, pre_tokenizers, processors

from vitrine.packages import PIECES, packaged

PAD_ID = 3
"""Fills a text up: the first of the pieces that the model keeps in reserve, and that no text has."""

WORD_BEGINS = "\u2581"
"""Stands before a piece with which a word begins."""

_FIELD = descriptor_pb2.FieldDescriptorProto


def load_pieces(length: int, *, pad: bool) -> tokenizers.Tokenizer:
    """Read the pieces as a tokenizer that cuts to `length` ids, and pads to it, or to the longest text of a batch.

    Its ids are those of SentencePiece with the package's own model: the same characters are folded, spaces are marks of the
    words that follow them, and the segmentation is the likeliest.

    Raises:
        PackageError: the package is missing, or not the one that is meant.
    """
    model = _model_class().FromString(packaged(PIECES).read_bytes())
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
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(length=length if pad else None, pad_id=PAD_ID, pad_token=pieces[PAD_ID][0])
    return tokenizer


@cache
def _model_class() -> Any:
    """Return the message of SentencePiece's model files, with the fields that are read of it."""
    file = descriptor_pb2.FileDescriptorProto(name="vitrine/pieces.proto", package="vitrine.pieces")
    optional, repeated = _FIELD.LABEL_OPTIONAL, _FIELD.LABEL_REPEATED
    piece = file.message_type.add(name="Piece")
    piece.field.add(name="piece", number=1, type=_FIELD.TYPE_STRING, label=optional)
    piece.field.add(name="score", number=2, type=_FIELD.TYPE_FLOAT, label=optional)
    spec = file.message_type.add(name="NormalizerSpec")
    spec.field.add(name="precompiled_charsmap", number=2, type=_FIELD.TYPE_BYTES, label=optional)
    model = file.message_type.add(name="Model")
    kinds = {"type": _FIELD.TYPE_MESSAGE, "label": repeated, "type_name": ".vitrine.pieces.Piece"}
    model.field.add(name="pieces", number=1, **kinds)
    kinds |= {"label": optional, "type_name": ".vitrine.pieces.NormalizerSpec"}
    model.field.add(name="normalizer_spec", number=3, **kinds)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("vitrine.pieces.Model"))
