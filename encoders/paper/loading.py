"""Reads the family `paper`: a BLIP-2 with a T5, as transformers saves it, and what training for retrieval added to it.

That is adapter_model.safetensors with adapter_config.json, the LoRA of the T5 as peft saves it, merged here; and
retrieval.safetensors: the projections into the space that pictures and texts share (docs/decisions/0009), and those
parts of the BLIP-2 that were tuned as they are, which take the place of its own.
"""

from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import Blip2ForConditionalGeneration

from encoders.families import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    RETRIEVAL_FILE,
    CheckpointError,
    Family,
    open_tokenizer,
    read_json,
)
from encoders.paper.networks import PaperNetworks, Projections, join_networks
from encoders.paper.prompts import read_prompts
from encoders.pretrained import read_model

TUNED = "blip."
"""What precedes the name of a tensor of the BLIP-2 in retrieval.safetensors."""

PROMPTS = "prompts"
"""The templates' key in the metadata of retrieval.safetensors."""

_WRAPPED = "base_model.model."
"""What peft puts before the name of every tensor."""


def load_paper(family: Family) -> Mapping[str, nn.Module]:
    """Read the networks as float32, in evaluation mode, by the names of their models in vitrine.tensors.

    Raises:
        CheckpointError: a file is corrupt, or lacks weights that the configuration asks for.
    """
    networks = read_networks(family)
    parts: dict[str, nn.Module] = {
        "image_encoder": networks.image,
        "text_encoder": networks.text,
        "fusion_encoder": networks.fusion,
    }
    return {name: part.eval() for name, part in parts.items()}


def read_networks(family: Family) -> PaperNetworks:
    """Read the networks over their common BLIP-2.

    Raises:
        CheckpointError: as `load_paper` does.
    """
    blip = read_blip(family)
    if (family.folder / ADAPTER_FILE).exists():
        _merge_adapter(blip, family)
    path = family.folder / RETRIEVAL_FILE
    projections = new_projections(blip, family)
    try:
        tensors = load_file(path)
        with safe_open(path, framework="numpy") as file:
            prompts = read_prompts((file.metadata() or {}).get(PROMPTS))
        projections.load_state_dict(
            {name: tensor for name, tensor in tensors.items() if not name.startswith(TUNED)}
        )
        _put_tuned(blip, tensors)
    except (RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{path}: {error}") from None
    return join_networks(blip, projections.float(), family, prompts.ids(open_tokenizer(family)))


def read_blip(family: Family) -> Any:
    """Read the BLIP-2 as it was published, in one file or in several.

    Raises:
        CheckpointError: a file is corrupt, or lacks weights that the configuration asks for.
    """
    _check_shards(family)
    return read_model(Blip2ForConditionalGeneration, family)


def new_projections(blip: Any, family: Family) -> Projections:
    """Return projections of the BLIP-2's and the family's sizes, with weights drawn from torch's random generator."""
    return Projections(
        queries=blip.config.num_query_tokens,
        query_width=blip.config.qformer_config.hidden_size,
        text_width=blip.config.text_config.d_model,
        embedding_dim=family.dimensions.embedding_dim,
    )


def _check_shards(family: Family) -> None:
    """Name the file that an index of shards asks for and the folder lacks; a download that broke off leaves that."""
    path = family.folder / "model.safetensors.index.json"
    if not path.exists():
        return
    shards = read_json(path).get("weight_map")
    if not isinstance(shards, dict):
        raise CheckpointError(f"{path}: must give a weight_map")
    for name in sorted(set(map(str, shards.values()))):
        if not (family.folder / name).exists():
            raise CheckpointError(f"{family.folder / name}: missing; {path.name} names it")


def _put_tuned(blip: Any, tensors: Mapping[str, Tensor]) -> None:
    tuned = {name.removeprefix(TUNED): each for name, each in tensors.items() if name.startswith(TUNED)}
    unknown = blip.load_state_dict(tuned, strict=False).unexpected_keys
    if unknown:
        raise RuntimeError(f"{TUNED}{unknown[0]} is no tensor of this BLIP-2")


@torch.no_grad()
def _merge_adapter(blip: Any, family: Family) -> None:
    """Add the product of each pair of LoRA's matrices to the weight that it adapts (arXiv 2106.09685)."""
    path = family.folder / ADAPTER_FILE
    scale = _adapter_scale(family)
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: {error}") from None
    layers = {name.partition(".lora_")[0] for name in tensors}
    for layer in sorted(layers):
        try:
            weight = blip.get_parameter(f"{layer.removeprefix(_WRAPPED)}.weight")
            update = tensors[f"{layer}.lora_B.weight"].float() @ tensors[f"{layer}.lora_A.weight"].float()
            weight.add_(update, alpha=scale)
        except (AttributeError, KeyError, RuntimeError) as error:
            raise CheckpointError(f"{path}: does not fit at {layer}: {error}") from None


def _adapter_scale(family: Family) -> float:
    path = family.folder / ADAPTER_CONFIG_FILE
    config = read_json(path, way_out="peft saves it beside the adapter")
    special = ("use_dora", "use_rslora", "rank_pattern", "alpha_pattern", "fan_in_fan_out")
    if used := [name for name in special if config.get(name)]:
        raise CheckpointError(f"{path}: {used[0]} is not merged here; merge the adapter before you save")
    try:
        return float(config["lora_alpha"]) / float(config["r"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        raise CheckpointError(f"{path}: must give r and lora_alpha, numbers above 0") from None
