"""A BLIP-2 with random weights, for where no pretrained one exists: it shows that the way holds, not what it leads to.

A frozen ViT of random weights still says what its patches look like, since it is a random projection of them; a
frozen T5 of random weights knows no language, and its LoRA learns all that it will ever know.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, processors
from torch import nn
from transformers import Blip2Config, Blip2ForConditionalGeneration, T5Config

from encoders.families import PIXELS_FILE, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE
from encoders.vocabulary import train_tokenizer

_PAD, _END = "[PAD]", "</s>"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseSizes:
    """Sizes of a BLIP-2; those given train on two cores."""

    image_size: int = 64
    patch_size: int = 8
    vision_width: int = 192
    vision_layers: int = 1
    queries: int = 8
    query_width: int = 128
    query_layers: int = 2
    text_width: int = 128
    text_layers: int = 2
    heads: int = 4


def write_base(folder: Path, texts: Iterable[str], sizes: BaseSizes, *, seed: int) -> None:
    """Write a BLIP-2 with random weights and a tokenizer that was learnt from the texts, as they are published."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(texts)
    torch.manual_seed(seed)
    model = Blip2ForConditionalGeneration(_config(sizes, tokenizer))
    nn.init.normal_(model.query_tokens)
    model.save_pretrained(folder)
    tokenizer.save(str(folder / TOKENIZER_FILE))
    _write(folder / TOKENIZER_CONFIG_FILE, {"pad_token": _PAD, "eos_token": _END})
    _write(folder / PIXELS_FILE, {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]})


def _config(sizes: BaseSizes, tokenizer: Tokenizer) -> Blip2Config:
    t5 = T5Config(  # type: ignore[call-arg]  # takes what every configuration takes
        vocab_size=tokenizer.get_vocab_size(),
        d_model=sizes.text_width,
        d_kv=sizes.text_width // sizes.heads,
        d_ff=2 * sizes.text_width,
        num_layers=sizes.text_layers,
        num_heads=sizes.heads,
        dropout_rate=0.0,  # its few weights forget more than they learn by heart
        feed_forward_proj="gated-gelu",
        pad_token_id=tokenizer.token_to_id(_PAD),
        eos_token_id=tokenizer.token_to_id(_END),
        decoder_start_token_id=tokenizer.token_to_id(_PAD),
    )
    vision = {
        "hidden_size": sizes.vision_width,
        "intermediate_size": 2 * sizes.vision_width,
        "num_hidden_layers": sizes.vision_layers,
        "num_attention_heads": sizes.heads,
        "image_size": sizes.image_size,
        "patch_size": sizes.patch_size,
        "initializer_range": 0.1,
    }
    qformer = {
        "hidden_size": sizes.query_width,
        "intermediate_size": 2 * sizes.query_width,
        "num_hidden_layers": sizes.query_layers,
        "num_attention_heads": sizes.heads,
        "cross_attention_frequency": 1,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "encoder_hidden_size": sizes.vision_width,
        "initializer_range": 0.05,
    }
    return Blip2Config(
        vision_config=vision,
        qformer_config=qformer,
        text_config=t5.to_dict(),
        num_query_tokens=sizes.queries,
    )


def _tokenizer(texts: Iterable[str]) -> Tokenizer:
    tokenizer = train_tokenizer(texts)
    tokenizer.add_special_tokens([_END])
    # What the T5 reads ends with the end of text, as its own tokenizer has it.
    end = (_END, tokenizer.token_to_id(_END))
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {_END}", special_tokens=[end])
    return tokenizer


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
