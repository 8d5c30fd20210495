"""Checkpoints with random weights, as users of the families that transformers saves bring them: tiny, or of a published size."""

import json
from pathlib import Path
from typing import Any, Literal

import tokenizers
import torch
from safetensors.torch import save_file
from tokenizers import models, pre_tokenizers, processors
from torch import nn
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    CLIPConfig,
    CLIPModel,
    SiglipConfig,
    SiglipModel,
    T5Config,
)

from encoders.families import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    PIXELS_FILE,
    RETRIEVAL_FILE,
    TOKENIZER_CONFIG_FILE,
    TOKENIZER_FILE,
)
from encoders.paper.loading import PROMPTS
from encoders.paper.networks import Projections
from encoders.paper.prompts import Prompts

IMAGE_SIZE = 32
TEXT_LENGTH = 16
EMBEDDING_DIM = 24
WORDS = ("[PAD]", "[UNK]", "[BOS]", "red", "blue", "dress", "boots", "bag", "make", "it", "[EOS]")

QUERIES = 4
"""Query tokens of the Q-Former; each has its share of the embedding."""

PAPER_PROMPTS = Prompts(text="make {words}", change="red {picture} make {words}")

_WIDTH = 16
_RANK = 2
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
_B_16_VISION: dict[str, Any] = {
    "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
    "image_size": 224, "patch_size": 16,
}  # fmt: skip
_B_16_TEXT: dict[str, Any] = {
    "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 8,
    "vocab_size": 49_408, "max_position_embeddings": 77,
}  # fmt: skip


FamilyName = Literal["clip", "siglip", "paper"]
FAMILIES: tuple[FamilyName, ...] = ("clip", "siglip", "paper")


def write_checkpoint(folder: Path, family: FamilyName, *, seed: int = 1) -> None:
    """Write weights, configuration, tokenizer and normalisation, as `save_pretrained` of each does."""
    torch.manual_seed(seed)
    {"clip": _write_clip, "siglip": _write_siglip, "paper": _write_paper}[family](folder)
    _write_preprocessing(folder)


def write_vit_b_16(folder: Path, *, seed: int = 1) -> None:
    """Write CLIP of the published ViT-B/16 sizes with random weights, for what depends on sizes alone, such as speed."""
    torch.manual_seed(seed)
    ids = {name: _TEXT[name] for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    CLIPModel(
        CLIPConfig(text_config=_B_16_TEXT | ids, vision_config=_B_16_VISION, projection_dim=512)
    ).save_pretrained(folder)
    _write_preprocessing(folder)


def _write_preprocessing(folder: Path) -> None:
    normalisation = {"image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]}
    (folder / PIXELS_FILE).write_text(json.dumps(normalisation), encoding="utf-8")
    (folder / TOKENIZER_CONFIG_FILE).write_text(json.dumps({"pad_token": "[PAD]"}), encoding="utf-8")
    _tokenizer().save(str(folder / TOKENIZER_FILE))


def _write_clip(folder: Path) -> None:
    text, vision = {**_TEXT, "hidden_size": _WIDTH}, {**_VISION, "hidden_size": _WIDTH}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=EMBEDDING_DIM)
    CLIPModel(config).save_pretrained(folder)


def _write_siglip(folder: Path) -> None:
    text, vision = ({**part, "hidden_size": EMBEDDING_DIM} for part in (_TEXT, _VISION))
    SiglipModel(SiglipConfig(text_config=text, vision_config=vision)).save_pretrained(folder)


def _write_paper(folder: Path) -> None:
    t5 = T5Config(  # type: ignore[call-arg]  # takes what every configuration takes
        vocab_size=len(WORDS),
        d_model=_WIDTH,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=2,
        pad_token_id=WORDS.index("[PAD]"),
        eos_token_id=WORDS.index("[EOS]"),
        decoder_start_token_id=WORDS.index("[PAD]"),
    )
    config = Blip2Config(
        vision_config={**_VISION, "hidden_size": _WIDTH, "initializer_range": 0.5},
        qformer_config={
            **_LAYERS,
            "hidden_size": _WIDTH,
            "cross_attention_frequency": 1,
            "initializer_range": 0.5,
        },
        text_config=t5.to_dict(),
        num_query_tokens=QUERIES,
    )
    model = Blip2ForConditionalGeneration(config)
    nn.init.normal_(model.query_tokens)
    model.save_pretrained(folder)
    projections = Projections(
        queries=QUERIES, query_width=_WIDTH, text_width=_WIDTH, embedding_dim=EMBEDDING_DIM
    )
    nn.init.normal_(projections.centre)
    metadata = {"family": "paper", "text_length": str(TEXT_LENGTH), PROMPTS: PAPER_PROMPTS.to_json()}
    save_file(projections.state_dict(), folder / RETRIEVAL_FILE, metadata)
    _write_adapter(folder, model)


def _write_adapter(folder: Path, model: nn.Module) -> None:
    """Write LoRA for every query and value of the T5's attention, as peft does."""
    tensors = {}
    for name, _ in model.named_modules():
        if name.startswith("language_model.") and name.endswith((".q", ".v")):
            tensors[f"base_model.model.{name}.lora_A.weight"] = torch.randn(_RANK, _WIDTH)
            tensors[f"base_model.model.{name}.lora_B.weight"] = torch.randn(_WIDTH, _RANK)
    save_file(tensors, folder / ADAPTER_FILE, {"format": "pt"})
    adapter = {"peft_type": "LORA", "r": _RANK, "lora_alpha": 1, "target_modules": ["q", "v"]}
    (folder / ADAPTER_CONFIG_FILE).write_text(json.dumps(adapter), encoding="utf-8")


def _tokenizer() -> tokenizers.Tokenizer:
    ids = {word: number for number, word in enumerate(WORDS)}
    tokenizer = tokenizers.Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))  # noqa: S106 - of a text
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[BOS] $A [EOS]",
        special_tokens=[(word, ids[word]) for word in ("[BOS]", "[EOS]")],
    )
    return tokenizer
