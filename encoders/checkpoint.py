"""Weights on disk: one safetensors file an encoder, the tokenizer, and a card that says what they are."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from encoders import families
from encoders.families import CARD_FILE, FAMILY, check_family, weights_path
from encoders.families import TOKENIZER_FILE as TOKENIZER_FILE  # noqa: PLC0414 - whoever loads weights needs it
from encoders.families import CheckpointError as CheckpointError  # noqa: PLC0414 - likewise
from encoders.networks import FusionEncoder, ImageEncoder, Sizes, TextEncoder


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoders:
    """The three networks of one family."""

    sizes: Sizes
    image: ImageEncoder
    text: TextEncoder
    fusion: FusionEncoder

    def parts(self) -> Mapping[str, nn.Module]:
        """Return the networks by the names of their models in vitrine.tensors."""
        return {"image_encoder": self.image, "text_encoder": self.text, "fusion_encoder": self.fusion}


def new_encoders(sizes: Sizes) -> Encoders:
    """Make the networks with weights drawn from torch's random generator."""
    return Encoders(
        sizes=sizes, image=ImageEncoder(sizes), text=TextEncoder(sizes), fusion=FusionEncoder(sizes)
    )


def save_encoders(directory: Path, encoders: Encoders, *, card: Mapping[str, Any]) -> None:
    """Write the weights as float16, which halves the files and moves no cosine by more than 1e-3.

    Args:
        directory: made where it is missing; the tokenizer is the caller's to put there.
        encoders: the networks.
        card: what else the card says: seed, figures, environment.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for name, network in encoders.parts().items():
        tensors = {
            key: tensor.detach().cpu().to(torch.float16 if tensor.is_floating_point() else tensor.dtype)
            for key, tensor in network.state_dict().items()
        }
        save_file(
            {key: tensor.contiguous() for key, tensor in tensors.items()},
            weights_path(directory, name),
            metadata={"family": FAMILY},
        )
    write_card(directory, {"family": FAMILY, "sizes": asdict(encoders.sizes), **card})


def load_encoders(directory: Path) -> Encoders:
    """Read the networks as float32, in evaluation mode.

    Raises:
        CheckpointError: the card or a file is missing, corrupt, of another family, or of other sizes.
    """
    card = read_card(directory)
    encoders = new_encoders(_sizes(directory / CARD_FILE, card))
    for name, network in encoders.parts().items():
        _load_into(network, weights_path(directory, name))
        network.eval()
    return encoders


def read_card(directory: Path) -> dict[str, Any]:
    """Read card.json.

    Raises:
        CheckpointError: it is missing, no JSON object, or of another family.
    """
    path = directory / CARD_FILE
    card = families.read_card(directory)
    check_family(path, card.get("family"))
    return card


def write_card(directory: Path, card: Mapping[str, Any]) -> None:
    """Write card.json."""
    (directory / CARD_FILE).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def _sizes(path: Path, card: Mapping[str, Any]) -> Sizes:
    given: object = card.get("sizes")
    known = {field.name for field in fields(Sizes)}
    if not isinstance(given, dict) or set(given) != known:
        raise CheckpointError(f"{path}: sizes must name exactly {', '.join(sorted(known))}")
    values: dict[str, Any] = {}
    for name, value in given.items():
        numbers = value if isinstance(value, list) else [value]
        if not all(isinstance(number, int) and number > 0 for number in numbers):
            raise CheckpointError(f"{path}: sizes.{name} must be whole and positive, got {value}")
        values[name] = tuple(value) if isinstance(value, list) else value
    return Sizes(**values)


def _load_into(network: nn.Module, path: Path) -> None:
    tensors = _read_tensors(path)
    expected = network.state_dict()
    if missing := sorted(expected.keys() - tensors.keys()):
        raise CheckpointError(f"{path}: {len(missing)} tensors are missing, the first is {missing[0]}")
    if unknown := sorted(tensors.keys() - expected.keys()):
        raise CheckpointError(f"{path}: {len(unknown)} tensors are unknown, the first is {unknown[0]}")
    for key, tensor in tensors.items():
        if tensor.shape != expected[key].shape:
            given, wanted = tuple(tensor.shape), tuple(expected[key].shape)
            raise CheckpointError(f"{path}: {key} is {given}, the card's sizes make it {wanted}")
    network.load_state_dict(tensors)


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            check_family(path, (file.metadata() or {}).get("family"))
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
    except FileNotFoundError:
        raise CheckpointError(f"{path}: missing") from None
    except SafetensorError as error:
        raise CheckpointError(f"{path}: corrupt: {error}") from None
