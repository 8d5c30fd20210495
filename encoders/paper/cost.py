"""What training of BLIP-2 FlanT5-XL costs: counted on tensors without data, so that no weights are needed.

The FLOPs of one step and of one picture are counted operator by operator as torch runs them, backward pass included;
bytes are those of weights, gradients and AdamW's two moments. Hours follow from a rate that is assumed, not measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode
from transformers import Blip2Config, Blip2ForConditionalGeneration, T5Config

from encoders.families import Family
from encoders.fashion200k import EXPECTED_TRAIN_IMAGES
from encoders.paper.loading import new_projections
from encoders.paper.networks import PaperNetworks, PromptIds, join_networks
from encoders.paper.training import Settings, Trainee, adapt, answer
from vitrine.tensors import Dimensions

_PIXELS = 224
_PROMPT = 4
"""Tokens of each fixed part of the prompts, about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What cannot be counted without the data and the GPU."""

    change_tokens: int = 10
    caption_tokens: int = 16
    """Of the longest text of a step."""
    pictures: int = EXPECTED_TRAIN_IMAGES
    flops_a_second: float = 312e12
    """Of an NVIDIA A100 in bfloat16, by its data sheet."""
    share_reached: float = 0.35


def count_cost(settings: Settings, assumed: Assumptions) -> dict[str, Any]:
    """Count parameters, bytes and FLOPs of a run at the size of BLIP-2 FlanT5-XL."""
    with torch.device("meta"):
        trainee = _trainee(settings)
        # Fake tensors over those without data: transformers looks into a mask that is neither.
        with FakeTensorMode(allow_non_fake_inputs=True):
            picture, step = _flops(trainee, settings, assumed)
    networks = trainee.networks
    trained = _numbers(trainee.trained())
    frozen = _numbers(networks.blip) + _numbers(networks.projections) - trained
    vision = picture * assumed.pictures
    rate = assumed.flops_a_second * assumed.share_reached
    state_bytes = 2 * 1408 * ((_PIXELS // 14) ** 2 + 1)
    return {
        "millions_of_parameters": _millions(
            {
                "vision": networks.blip.vision_model,
                "qformer": networks.blip.qformer,
                "t5": networks.blip.language_model,
            }
        )
        | {"trained": round(trained / 1e6, 1)},
        "gigabytes": {
            "weights_frozen_bf16": _gb(2 * frozen),
            "weights_gradients_moments_trained_fp32": _gb(16 * trained),
            "states_of_the_vit_on_disk": _gb(state_bytes * assumed.pictures),
        },
        "teraflops": {"picture_through_the_vit": _tera(picture), "step": _tera(step)},
        "hours": {
            "vit_once": round(vision / rate / 3600, 2),
            "steps": round(step * settings.steps / rate / 3600, 2),
        },
        "pictures_seen_per_picture": round(2 * settings.turns * settings.steps / assumed.pictures, 1),
    }


def _trainee(settings: Settings) -> Trainee:
    t5 = T5Config(  # type: ignore[call-arg]  # takes what every configuration takes
        vocab_size=32_128,
        d_model=2048,
        d_ff=5120,
        num_layers=24,
        num_heads=32,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        decoder_start_token_id=0,
    )
    # Its defaults are the ViT-g and the Q-Former of the published BLIP-2.
    # Its only way to say how attention is computed.
    blip = Blip2ForConditionalGeneration._from_config(  # type: ignore[no-untyped-call]  # noqa: SLF001
        Blip2Config(text_config=t5.to_dict()), attn_implementation="eager"
    )
    # The published one keeps it apart from the table of words; transformers learns that from the weights alone.
    blip.language_model.lm_head = nn.Linear(t5.d_model, t5.vocab_size, bias=False)
    family = Family(
        name="paper",
        folder=Path(),
        card={},
        sizes={},
        dimensions=Dimensions(
            image_size=_PIXELS, text_length=settings.text_length, embedding_dim=settings.embedding_dim
        ),
        weights={},
        vocabulary=32_128,
        pixel_mean=(0.5, 0.5, 0.5),
        pixel_deviation=(0.5, 0.5, 0.5),
    )
    part = (0,) * _PROMPT
    prompts = PromptIds(text=part, before_picture=part, after_picture=part)
    return adapt(join_networks(blip, new_projections(blip, family), family, prompts), settings)


def _flops(trainee: Trainee, settings: Settings, assumed: Assumptions) -> tuple[int, int]:
    """Return the FLOPs of one picture through the ViT, and of one step with its backward pass."""
    networks: PaperNetworks = trainee.networks
    with FlopCounterMode(display=False) as once, torch.no_grad():
        states = networks.image.patches(torch.zeros(1, _PIXELS, _PIXELS, 3, dtype=torch.uint8))
    with FlopCounterMode(display=False) as each:
        made = answer(
            networks,
            states.expand(2 * settings.turns, -1, -1),
            torch.ones(settings.turns, assumed.change_tokens, dtype=torch.int64),
            torch.ones(settings.turns, assumed.caption_tokens, dtype=torch.int64),
        )
        (made.composed.sum() + made.titles.sum() + made.images.sum() + made.said).backward()  # type: ignore[no-untyped-call]
    return once.get_total_flops(), each.get_total_flops()


def _millions(parts: Mapping[str, nn.Module]) -> dict[str, float]:
    return {name: round(_numbers(part) / 1e6, 1) for name, part in parts.items()}


def _numbers(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def _gb(size: int) -> float:
    return round(size / 1e9, 2)


def _tera(flops: int) -> float:
    return round(flops / 1e12, 3)
