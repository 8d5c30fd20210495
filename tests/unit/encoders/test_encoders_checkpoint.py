"""Weights survive a round trip, and weights that cannot be used say why."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from encoders.checkpoint import CheckpointError, load_encoders, new_encoders, read_card, save_encoders
from encoders.networks import Sizes
from vitrine.tensors import TEXT_LENGTH

SIZES = Sizes(vocabulary=20, image_widths=(8,), image_blocks=(1,), text_width=8, text_heads=2, fusion_width=8)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    save_encoders(tmp_path, new_encoders(SIZES), card={"seed": 1})
    return tmp_path


def test_saved_encoders_come_back_with_their_card(tmp_path: Path) -> None:
    """Sizes and card return as written, and the embeddings stay within what float16 rounds away."""
    torch.manual_seed(1)
    made = new_encoders(SIZES)
    save_encoders(tmp_path, made, card={"seed": 1})
    loaded = load_encoders(tmp_path)
    token_ids = torch.arange(TEXT_LENGTH).remainder(20).unsqueeze(0)
    cosine = (made.text(token_ids) * loaded.text(token_ids)).sum()
    assert loaded.sizes == SIZES
    assert read_card(tmp_path)["seed"] == 1
    assert cosine > 0.999
    assert not loaded.image.training


def test_a_missing_card_names_the_file_and_the_way_out(tmp_path: Path) -> None:
    """A directory without weights says what writes them."""
    with pytest.raises(CheckpointError, match=r"card\.json: missing; `make train`"):
        load_encoders(tmp_path)


def test_a_missing_file_is_named(weights: Path) -> None:
    """A directory that lacks one encoder names its file."""
    (weights / "text_encoder.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"text_encoder\.safetensors: missing"):
        load_encoders(weights)


@pytest.mark.parametrize("cut", [0, 4, 100])
def test_a_corrupt_file_is_named(weights: Path, cut: int) -> None:
    """A file cut short is called corrupt."""
    path = weights / "fusion_encoder.safetensors"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(CheckpointError, match=r"fusion_encoder\.safetensors: corrupt"):
        load_encoders(weights)


def test_a_corrupt_card_is_named(weights: Path) -> None:
    """A card that is no JSON is refused."""
    (weights / "card.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"card\.json: no valid JSON"):
        load_encoders(weights)


def test_a_card_of_another_family_is_refused(weights: Path) -> None:
    """Weights of another family are not loaded, whatever their shapes."""
    card = read_card(weights) | {"family": "clip-base"}
    (weights / "card.json").write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match="of the family 'clip-base', this code reads 'vitrine-small'"):
        load_encoders(weights)


def test_a_file_of_another_family_is_refused(weights: Path) -> None:
    """One file of another family under a right card is refused too."""
    path = weights / "image_encoder.safetensors"
    save_file(load_file(path), path, metadata={"family": "clip-base"})
    with pytest.raises(CheckpointError, match=r"image_encoder\.safetensors: of the family 'clip-base'"):
        load_encoders(weights)


def test_missing_and_unknown_tensors_are_named(weights: Path) -> None:
    """A file with too few tensors, or others, names the first of them."""
    path = weights / "text_encoder.safetensors"
    tensors = load_file(path)
    positions = tensors.pop("positions")
    save_file(tensors, path, metadata={"family": "vitrine-small"})
    with pytest.raises(CheckpointError, match="1 tensors are missing, the first is positions"):
        load_encoders(weights)
    save_file(
        tensors | {"positions": positions, "extra": positions.clone()},
        path,
        metadata={"family": "vitrine-small"},
    )
    with pytest.raises(CheckpointError, match="1 tensors are unknown, the first is extra"):
        load_encoders(weights)


def test_sizes_that_differ_from_the_file_are_named(weights: Path) -> None:
    """A card whose sizes are not the file's names the tensor and both shapes."""
    card = read_card(weights)
    card["sizes"]["vocabulary"] = 21
    (weights / "card.json").write_text(json.dumps(card))
    with pytest.raises(
        CheckpointError, match=r"tokens.weight is \(20, 8\), the card's sizes make it \(21, 8\)"
    ):
        load_encoders(weights)


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ({"vocabulary": 20}, "must name exactly"),
        (None, "must name exactly"),
        ("text_width", "whole and positive"),
    ],
)
def test_sizes_that_make_no_network_are_refused(weights: Path, sizes: object, reason: str) -> None:
    """A card with sizes missing or negative is refused before any tensor is read."""
    card = read_card(weights)
    card["sizes"] = card["sizes"] | {sizes: -1} if isinstance(sizes, str) else sizes
    (weights / "card.json").write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match=reason):
        load_encoders(weights)
