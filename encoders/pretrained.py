"""Checkpoints of transformers as the three networks that Vitrine serves.

They take uint8 pixels and token ids and give L2-normalised float32, as those of the family `small` do. No such
checkpoint brings a fusion: its composed embedding is the normalised sum of picture and text, the usual baseline.
"""

from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModel
from transformers.utils import logging

from encoders.families import CheckpointError, Family


class PixelNormalisation(nn.Module):
    """Bytes as the values that a vision tower was trained with."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, family: Family) -> None:
        super().__init__()
        self.register_buffer("mean", 255 * torch.tensor(family.pixel_mean))
        self.register_buffer("deviation", 255 * torch.tensor(family.pixel_deviation))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return float32 (n, 3, size, size) of uint8 (n, size, size, 3), RGB."""
        normalised: Tensor = ((pixels.float() - self.mean) / self.deviation).permute(0, 3, 1, 2)
        return normalised


class PretrainedImageEncoder(nn.Module):
    """The vision tower with its projection, and the normalisation of pixels that it was trained with."""

    def __init__(self, model: Any, family: Family) -> None:
        super().__init__()
        self.model = model
        self.normalisation = PixelNormalisation(family)

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed uint8 pixels (n, size, size, 3), RGB."""
        features = self.model.get_image_features(pixel_values=self.normalisation(pixels))
        return functional.normalize(features.pooler_output, dim=-1)


class PretrainedTextEncoder(nn.Module):
    """The text tower with its projection; padding is what the tokenizer makes it, as in its training."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, token_ids: Tensor) -> Tensor:
        """Embed int64 token ids (n, length)."""
        features = self.model.get_text_features(input_ids=token_ids)
        return functional.normalize(features.pooler_output, dim=-1)


class SumFusion(nn.Module):
    """The normalised sum of a reference and a text."""

    def __init__(self, text: PretrainedTextEncoder) -> None:
        super().__init__()
        self.text = text

    def forward(self, reference_embedding: Tensor, token_ids: Tensor) -> Tensor:
        """Embed float32 references (n, d) with int64 token ids (n, length)."""
        return functional.normalize(reference_embedding + self.text(token_ids), dim=-1)


def load_pretrained(family: Family) -> Mapping[str, nn.Module]:
    """Read the networks of CLIP or SigLIP, by the names of their models in vitrine.tensors.

    Raises:
        CheckpointError: as `read_model` does.
    """
    model = read_model(AutoModel, family)
    text = PretrainedTextEncoder(model)
    return {
        "image_encoder": PretrainedImageEncoder(model, family),
        "text_encoder": text,
        "fusion_encoder": SumFusion(text),
    }


def read_model(model_class: Any, family: Family) -> Any:
    """Read a model of transformers as float32, in evaluation mode.

    Raises:
        CheckpointError: a file is corrupt, or lacks weights that the configuration asks for.
    """
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model, found = model_class.from_pretrained(
            family.folder,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            attn_implementation="eager",  # the exporter knows its operators
            output_loading_info=True,
            # With peft installed, transformers would apply an adapter that lies in the folder: what reads the family merges it.
            adapter_kwargs={"subfolder": "none"},
        )
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{family.folder}: {error}") from None
    if lacking := sorted(found["missing_keys"]):
        raise CheckpointError(
            f"{family.folder}: {len(lacking)} tensors are missing, the first is {lacking[0]}"
        )
    return model.eval()
