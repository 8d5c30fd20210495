"""Weights of the family `pair` on disk: what was trained here alone, beside a card that names the towers.

A file holds the tensors of its network that the tower's package does not hold as they are: the head, and the layers of the tower
that were tuned. float16 halves the files.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from encoders.checkpoint import write_card
from encoders.families import CARD_FILE, PAIR, CheckpointError, read_card, weights_path
from encoders.pair.dimensions import EMBEDDING_DIM
from encoders.pair.networks import PairEncoders, Sizes, new_pair
from encoders.pair.packages import describe_towers

_TOWER = "tower."
_MAY_LACK = frozenset({"trained_dim", "wording_width"})
"""What cards of weights without it leave out."""
_LEAST = {"wording_width": 0}
"""What is not at least 1."""


def save_pair(directory: Path, encoders: PairEncoders, *, card: Mapping[str, Any]) -> None:
    """Write the weights and the card.

    Args:
        directory: made where it is missing.
        encoders: the networks.
        card: what else the card says: seed, data, figures, environment.
    """
    directory.mkdir(parents=True, exist_ok=True)
    untrained = new_pair(encoders.sizes).parts()
    for name, network in encoders.parts().items():
        packaged = untrained[name].state_dict()
        tensors = {
            key: _stored(tensor)
            for key, tensor in network.state_dict().items()
            if not key.startswith(_TOWER) or not torch.equal(tensor.cpu(), packaged[key])
        }
        save_file(tensors, weights_path(directory, name), metadata={"family": PAIR})
    write_card(
        directory,
        {"family": PAIR, "sizes": asdict(encoders.sizes), "towers": describe_towers(), **card},
    )


def load_pair(directory: Path) -> PairEncoders:
    """Read the networks as float32, in evaluation mode.

    Raises:
        CheckpointError: the card, a file or a tower's package is missing, corrupt, or another one.
    """
    card = read_card(directory)
    encoders = new_pair(_sizes(directory / CARD_FILE, card))
    for name, network in encoders.parts().items():
        _load_into(network, weights_path(directory, name))
        network.eval()
    return encoders


def _stored(tensor: Tensor) -> Tensor:
    kept = tensor.detach().cpu()
    return (kept.to(torch.float16) if kept.is_floating_point() else kept).contiguous()


def _sizes(path: Path, card: Mapping[str, Any]) -> Sizes:
    given = card.get("sizes")
    known = {each.name for each in fields(Sizes)}
    if not isinstance(given, dict) or not known - _MAY_LACK <= set(given) <= known:
        raise CheckpointError(f"{path}: sizes must name exactly {', '.join(sorted(known))}")
    if not all(isinstance(value, int) and value >= _LEAST.get(name, 1) for name, value in given.items()):
        raise CheckpointError(f"{path}: sizes must be whole and positive, wording_width may be 0")
    sizes = Sizes(**given)
    if sizes.trained_dim > EMBEDDING_DIM:
        raise CheckpointError(f"{path}: trained_dim must be {EMBEDDING_DIM} at most")
    return sizes


def _load_into(network: nn.Module, path: Path) -> None:
    tensors = _read(path)
    expected = network.state_dict()
    needed = {key for key in expected if not key.startswith(_TOWER)}
    if missing := sorted(needed - tensors.keys()):
        raise CheckpointError(f"{path}: {len(missing)} tensors are missing, the first is {missing[0]}")
    for key, tensor in tensors.items():
        if key not in expected:
            raise CheckpointError(f"{path}: the tensor {key} is unknown")
        if tensor.shape != expected[key].shape:
            given, wanted = tuple(tensor.shape), tuple(expected[key].shape)
            raise CheckpointError(f"{path}: {key} is {given}, the card's sizes make it {wanted}")
    network.load_state_dict({**expected, **tensors})


def _read(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            family = (file.metadata() or {}).get("family")
            if family != PAIR:
                raise CheckpointError(f"{path}: of the family {family!r}, not {PAIR!r}")
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
    except FileNotFoundError:
        raise CheckpointError(f"{path}: missing") from None
    except SafetensorError as error:
        raise CheckpointError(f"{path}: corrupt: {error}") from None
