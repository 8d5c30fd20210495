"""Tiny checkpoints with random weights, as users of the families in encoders.pretrained bring them."""

import json
from pathlib import Path
from typing import Any, Literal

import tokenizers
import torch
from tokenizers import models, pre_tokenizers, processors
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

from encoders.families import PIXELS_FILE, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE

IMAGE_SIZE = 32
TEXT_LENGTH = 16
EMBEDDING_DIM = 24
WORDS = ("[PAD]", "[UNK]", "[BOS]", "red", "blue", "dress", "boots", "bag", "make", "it", "[EOS]")

_LAYERS = {"intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
_VISION: dict[str, Any] = {**_LAYERS, "image_size": IMAGE_SIZE, "patch_size": 8}
_TEXT: dict[str, Any] = {
    **_LAYERS,
    "vocab_size": len(WORDS),
    "max_position_embeddings": TEXT_LENGTH,
    "pad_token_id": WORDS.index("[PAD]"),
    "bos_token_id": WORDS.index("[BOS]"),
    "eos_token_id": WORDS.index("[EOS]"),
}


def write_checkpoint(folder: Path, family: Literal["clip", "siglip"], *, seed: int = 1) -> None:
    """Write weights, configuration, tokenizer and normalisation, as `save_pretrained` of each does."""
    torch.manual_seed(seed)
    if family == "clip":
        text, vision = {**_TEXT, "hidden_size": 16}, {**_VISION, "hidden_size": 16}
        config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=EMBEDDING_DIM)
        CLIPModel(config).save_pretrained(folder)
    else:
        text, vision = ({**part, "hidden_size": EMBEDDING_DIM} for part in (_TEXT, _VISION))
        SiglipModel(SiglipConfig(text_config=text, vision_config=vision)).save_pretrained(folder)
    normalisation = {"image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]}
    (folder / PIXELS_FILE).write_text(json.dumps(normalisation), encoding="utf-8")
    (folder / TOKENIZER_CONFIG_FILE).write_text(json.dumps({"pad_token": "[PAD]"}), encoding="utf-8")
    _tokenizer().save(str(folder / TOKENIZER_FILE))


def _tokenizer() -> tokenizers.Tokenizer:
    ids = {word: number for number, word in enumerate(WORDS)}
    tokenizer = tokenizers.Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))  # noqa: S106 - of a text
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[BOS] $A [EOS]",
        special_tokens=[(word, ids[word]) for word in ("[BOS]", "[EOS]")],
    )
    return tokenizer
