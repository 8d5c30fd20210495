"""The model of arXiv 2404.15790 as the three networks that Vitrine serves: frozen ViT, Q-Former, T5 under LoRA.

A checkpoint is BLIP-2 with a T5, as transformers saves it, and what training for retrieval adds to it:
adapter_model.safetensors with adapter_config.json, the LoRA of the T5 as peft saves it, merged here; and
retrieval.safetensors, the projections into the space that pictures and texts share (docs/decisions/0009).
"""

from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import Blip2ForConditionalGeneration

from encoders.families import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    RETRIEVAL_FILE,
    CheckpointError,
    Family,
    read_json,
)
from encoders.pretrained import PixelNormalisation, read_model

_WRAPPED = "base_model.model."
"""What peft puts before the name of every tensor."""


class Projections(nn.Module):
    """The maps between the spaces of the Q-Former, of the embeddings and of the T5."""

    def __init__(self, *, queries: int, query_width: int, text_width: int, embedding_dim: int) -> None:
        super().__init__()
        self.image = nn.Linear(query_width, embedding_dim // queries)
        self.reference = nn.Linear(embedding_dim // queries, text_width)
        self.embedding = nn.Linear(text_width, embedding_dim)


class PaperImageEncoder(nn.Module):
    """ViT and Q-Former: the embedding is the query tokens side by side, each projected to its share of it."""

    def __init__(self, blip: Any, projections: Projections, family: Family) -> None:
        super().__init__()
        self.normalisation = PixelNormalisation(family)
        self.vision = blip.vision_model
        self.queries = blip.query_tokens
        self.qformer = blip.qformer
        self.projection = projections.image

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed uint8 pixels (n, size, size, 3), RGB."""
        patches = self.vision(pixel_values=self.normalisation(pixels)).last_hidden_state
        queries = self.queries.expand(pixels.shape[0], -1, -1)
        tokens = self.qformer(query_embeds=queries, encoder_hidden_states=patches).last_hidden_state
        return functional.normalize(self.projection(tokens).flatten(1), dim=-1)


class PaperTextEncoder(nn.Module):
    """The T5: the embedding is the projection of what its decoder answers at its first position."""

    def __init__(self, blip: Any, projections: Projections) -> None:
        super().__init__()
        self.t5 = blip.language_model
        self.projection = projections.embedding
        config = blip.config.text_config
        self.pad_id: int = config.pad_token_id
        self.start_id: int = config.decoder_start_token_id

    def forward(self, token_ids: Tensor) -> Tensor:
        """Embed int64 token ids (n, length)."""
        # Shapes are read as `shape`: `len` would make a constant of the batch in the exported graph.
        return self.answer(self.t5.shared(token_ids), (token_ids != self.pad_id).long())

    def answer(self, tokens: Tensor, present: Tensor) -> Tensor:
        """Embed float32 tokens (n, m, width), of which the int64 mask (n, m) says which are there."""
        encoded = self.t5.encoder(inputs_embeds=tokens, attention_mask=present).last_hidden_state
        start = torch.full((tokens.shape[0], 1), self.start_id, dtype=torch.int64, device=tokens.device)
        decoded = self.t5.decoder(
            input_ids=start,
            encoder_hidden_states=encoded,
            encoder_attention_mask=present,
            use_cache=False,
        ).last_hidden_state
        return functional.normalize(self.projection(decoded[:, 0]), dim=-1)


class PaperFusion(nn.Module):
    """The T5 on a picture's query tokens and the words that change it; the tokens are read from the embedding."""

    def __init__(self, text: PaperTextEncoder, projections: Projections) -> None:
        super().__init__()
        self.text = text
        self.reference = projections.reference

    def forward(self, reference_embedding: Tensor, token_ids: Tensor) -> Tensor:
        """Embed float32 references (n, d) with int64 token ids (n, length)."""
        narrow = torch.unflatten(reference_embedding, 1, (-1, self.reference.in_features))
        tokens = torch.cat([self.reference(narrow), self.text.t5.shared(token_ids)], dim=1)
        words = (token_ids != self.text.pad_id).long()
        pictures = torch.ones_like(tokens[:, : narrow.shape[1], 0], dtype=torch.int64)
        return self.text.answer(tokens, torch.cat([pictures, words], dim=1))


def load_paper(family: Family) -> Mapping[str, nn.Module]:
    """Read the networks as float32, in evaluation mode, by the names of their models in vitrine.tensors.

    Raises:
        CheckpointError: a file is corrupt, or lacks weights that the configuration asks for.
    """
    blip = read_model(Blip2ForConditionalGeneration, family)
    if (family.folder / ADAPTER_FILE).exists():
        _merge_adapter(blip, family)
    projections = _read_projections(blip, family)
    text = PaperTextEncoder(blip, projections)
    parts: dict[str, nn.Module] = {
        "image_encoder": PaperImageEncoder(blip, projections, family),
        "text_encoder": text,
        "fusion_encoder": PaperFusion(text, projections),
    }
    return {name: part.eval() for name, part in parts.items()}


def _read_projections(blip: Any, family: Family) -> Projections:
    path = family.folder / RETRIEVAL_FILE
    projections = Projections(
        queries=blip.config.num_query_tokens,
        query_width=blip.config.qformer_config.hidden_size,
        text_width=blip.config.text_config.d_model,
        embedding_dim=family.dimensions.embedding_dim,
    )
    try:
        projections.load_state_dict(load_file(path))
    except (RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{path}: {error}") from None
    return projections.float()


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
