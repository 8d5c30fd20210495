"""What family of encoders a folder holds, and all that the family decides: dims, pixels' normalisation, tokenizer.

A folder is one of ours (card.json; `python -m encoders train` writes it) or a checkpoint of CLIP, SigLIP or BLIP-2
as transformers saves it (config.json): whoever has weights writes no code. Nothing here imports torch.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tokenizers
from safetensors import SafetensorError, safe_open

from encoders.errors import CheckpointError as CheckpointError  # noqa: PLC0414 - whoever reads a family needs it
from encoders.pair.dimensions import DIMENSIONS as PAIR_DIMENSIONS
from encoders.pair.packages import TOWERS, describe_towers, packaged
from encoders.pair.pieces import VOCABULARY, load_tokenizer
from vitrine.preprocess import PAD_ID
from vitrine.tensors import ENCODERS, Dimensions

FAMILY = "vitrine-small"
PAIR = "vitrine-pair"
PRETRAINED = {"clip": "clip", "siglip": "siglip", "blip-2": "paper"}
"""Families that transformers saves, by the model_type of their config.json."""

CARD_FILE = "card.json"
TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "config.json"
PIXELS_FILE = "preprocessor_config.json"
PROCESSOR_FILE = "processor_config.json"
"""Holds what PIXELS_FILE does where transformers 5 saved a processor with its tokenizer."""
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"

# What the family `paper` has beside its BLIP-2.
RETRIEVAL_FILE = "retrieval.safetensors"
ADAPTER_FILE = "adapter_model.safetensors"
ADAPTER_CONFIG_FILE = "adapter_config.json"
TRAINING_FILE = "training.json"
"""What the run was: base, data, settings, losses."""

_RGB = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A family's weights with everything that preprocessing, graphs, server and index take from it."""

    name: str
    folder: Path
    card: Mapping[str, Any]
    """What the folder says of itself."""
    sizes: Mapping[str, Any]
    """What the networks are made of, as far as it moves an embedding."""
    dimensions: Dimensions
    weights: Mapping[str, Path]
    """The safetensors files by name."""
    vocabulary: int
    """Rows of the table of token embeddings."""
    pixel_mean: tuple[float, ...] = ()
    """Of each channel, as a share of the brightest; empty where the networks know it themselves."""
    pixel_deviation: tuple[float, ...] = ()


def read_family(folder: Path) -> Family:
    """Read what the folder holds.

    Raises:
        CheckpointError: a file is missing or cannot be read, the family is none of ours, or the tokenizer has more
            tokens than the weights.
    """
    family = _pretrained(folder) if (folder / CONFIG_FILE).exists() else _ours(folder)
    open_tokenizer(family)
    return family


def read_untrained(folder: Path, *, text_length: int, embedding_dim: int) -> Family:
    """Read a BLIP-2 as it was published: training for retrieval begins with it, and these sizes are chosen for it.

    Raises:
        CheckpointError: as `read_family` does; or the folder holds no BLIP-2 with a T5, or its query tokens cannot share
            the length of the embeddings.
    """
    family = _pretrained(folder, text_length=text_length, embedding_dim=embedding_dim)
    if family.name != "paper":
        raise CheckpointError(
            f"{folder / CONFIG_FILE}: of the family {family.name!r}; a BLIP-2 is trained here"
        )
    open_tokenizer(family)
    return family


def open_tokenizer(family: Family) -> tokenizers.Tokenizer:
    """Return the tokenizer, which cuts and pads to the family's length.

    Raises:
        CheckpointError: it is missing, corrupt, or made for other weights.
    """
    if family.name == PAIR:
        return load_tokenizer()
    path = family.folder / TOKENIZER_FILE
    content = read_json(path, way_out="AutoTokenizer.from_pretrained(...).save_pretrained(...) writes it")
    try:
        tokenizer = tokenizers.Tokenizer.from_str(json.dumps(content))
    except Exception as error:  # noqa: BLE001 - the library raises nothing narrower
        raise CheckpointError(f"{path}: no tokenizer of the library `tokenizers`: {error}") from None
    if tokenizer.get_vocab_size() > family.vocabulary:
        raise CheckpointError(
            f"{path}: has {tokenizer.get_vocab_size():,} tokens, and the weights embed {family.vocabulary:,}: "
            "it belongs to other weights"
        )
    length = family.dimensions.text_length
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(length=length, pad_id=_pad_id(family, tokenizer))
    return tokenizer


def read_json(path: Path, *, way_out: str = "is its folder one of weights?") -> dict[str, Any]:
    """Read a JSON object; the way out is said where it is missing.

    Raises:
        CheckpointError: it is missing or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: missing; {way_out}") from None
    except ValueError as error:
        raise CheckpointError(f"{path}: no valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: must hold a JSON object")
    return content


def read_card(folder: Path) -> dict[str, Any]:
    """Read the card of a folder of ours, whatever its family.

    Raises:
        CheckpointError: it is missing or no JSON object.
    """
    return read_json(folder / CARD_FILE, way_out="`make train` writes it")


def check_family(path: Path, family: object) -> None:
    """Raise CheckpointError where a file of ours is of another family."""
    if family != FAMILY:
        raise CheckpointError(f"{path}: of the family {family!r}, this code reads {FAMILY!r}")


def weights_path(folder: Path, name: str) -> Path:
    """Return where a folder of ours keeps the weights of a network."""
    return folder / f"{name}.safetensors"


def _ours(folder: Path) -> Family:
    card = read_card(folder)
    if card.get("family") == PAIR:
        return _pair(folder, card)
    path = folder / CARD_FILE
    check_family(path, card.get("family"))
    sizes = card.get("sizes")
    if not isinstance(sizes, dict) or not isinstance(sizes.get("vocabulary"), int):
        raise CheckpointError(f"{path}: must say its sizes, the vocabulary among them")
    return Family(
        name=FAMILY,
        folder=folder,
        card=card,
        sizes=sizes,
        dimensions=Dimensions(),
        weights=_our_weights(folder),
        vocabulary=sizes["vocabulary"],
    )


def _pair(folder: Path, card: Mapping[str, Any]) -> Family:
    path = folder / CARD_FILE
    sizes = card.get("sizes")
    if not isinstance(sizes, dict):
        raise CheckpointError(f"{path}: must say its sizes")
    if card.get("towers") != describe_towers():
        raise CheckpointError(f"{path}: made for other towers than those of requirements/towers.txt")
    for tower in TOWERS:
        packaged(tower)
    return Family(
        name=PAIR,
        folder=folder,
        card=card,
        sizes={**sizes, "towers": card["towers"]},
        dimensions=PAIR_DIMENSIONS,
        weights=_our_weights(folder),
        vocabulary=VOCABULARY,
    )


def _our_weights(folder: Path) -> dict[str, Path]:
    weights = {model.name: weights_path(folder, model.name) for model in ENCODERS}
    for file in weights.values():
        if not file.exists():
            raise CheckpointError(f"{file}: missing")
    return weights


def _pretrained(folder: Path, *, text_length: int = 0, embedding_dim: int = 0) -> Family:
    """Read a checkpoint of transformers; the lengths are those of a BLIP-2 that was not trained for retrieval yet."""
    path = folder / CONFIG_FILE
    stated = read_json(path)
    name = PRETRAINED.get(str(stated.get("model_type")))
    if name is None:
        known = ", ".join(PRETRAINED)
        raise CheckpointError(
            f"{path}: a checkpoint of {stated.get('model_type')!r}; this code reads {known}"
        )
    weights = {file.stem: file for file in sorted(folder.glob("model*.safetensors"))}
    if not weights:
        raise CheckpointError(f"{folder}: holds no model.safetensors; model.save_pretrained(...) writes it")
    if name == "paper":
        added = (folder / RETRIEVAL_FILE, folder / ADAPTER_FILE)
        weights |= {file.stem: file for file in added if file.exists()}
    config = _read_config(folder)
    mean, deviation = _normalisation(folder)
    if name == "paper":
        if not text_length:
            text_length, embedding_dim = _retrieval_lengths(folder)
        dimensions = _paper_dimensions(folder, config, text_length, embedding_dim)
    else:
        dimensions = _tower_dimensions(name, config)
    return Family(
        name=name,
        folder=folder,
        card={"family": name, "config": stated},
        sizes=_sizes(folder, stated) | {"pixel_mean": mean, "pixel_deviation": deviation},
        dimensions=_checked(path, dimensions),
        weights=weights,
        vocabulary=config.text_config.vocab_size,
        pixel_mean=mean,
        pixel_deviation=deviation,
    )


def _read_config(folder: Path) -> Any:
    """Read config.json with the sizes that it leaves out."""
    # Imported here because it takes seconds.
    from huggingface_hub.errors import StrictDataclassError  # noqa: PLC0415
    from transformers import AutoConfig  # noqa: PLC0415

    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True)
    except (StrictDataclassError, OSError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / CONFIG_FILE}: {error}") from None


def _checked(path: Path, dimensions: Dimensions) -> Dimensions:
    for name, value in asdict(dimensions).items():
        if isinstance(value, bool):
            continue
        if not isinstance(value, int) or value < 1:
            raise CheckpointError(f"{path}: {name} must be a whole number above 0, got {value!r}")
    return dimensions


def _sizes(folder: Path, stated: Mapping[str, Any]) -> dict[str, Any]:
    adapter = folder / ADAPTER_CONFIG_FILE
    return {"config": stated} | ({"adapter": read_json(adapter)} if adapter.exists() else {})


def _tower_dimensions(name: str, config: Any) -> Dimensions:
    text, vision = config.text_config, config.vision_config
    return Dimensions(
        image_size=vision.image_size,
        text_length=text.max_position_embeddings,
        embedding_dim=config.projection_dim if name == "clip" else vision.hidden_size,
    )


def _paper_dimensions(folder: Path, config: Any, text_length: int, embedding_dim: int) -> Dimensions:
    path = folder / CONFIG_FILE
    if config.text_config.model_type != "t5":
        raise CheckpointError(
            f"{path}: its language model is {config.text_config.model_type!r}; the family paper reads 't5'"
        )
    if embedding_dim % config.num_query_tokens:
        raise CheckpointError(
            f"{path}: embeddings of {embedding_dim} numbers cannot be shared by {config.num_query_tokens} query tokens"
        )
    return Dimensions(
        image_size=config.vision_config.image_size, text_length=text_length, embedding_dim=embedding_dim
    )


def _retrieval_lengths(folder: Path) -> tuple[int, int]:
    """Return the lengths of texts and of embeddings that training for retrieval left."""
    path = folder / RETRIEVAL_FILE
    if not path.exists():
        raise CheckpointError(
            f"{path}: missing; `python -m encoders train --family paper --checkpoint {folder} --data ...` writes it "
            "beside the BLIP-2"
        )
    try:
        with safe_open(path, framework="numpy") as file:
            length = int((file.metadata() or {})["text_length"])
            rows, _ = file.get_slice("embedding.weight").get_shape()
    except (KeyError, ValueError, SafetensorError):
        raise CheckpointError(
            f"{path}: must hold embedding.weight, and text_length in its metadata"
        ) from None
    return length, rows


def _normalisation(folder: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    path = folder / PIXELS_FILE
    if (folder / PROCESSOR_FILE).exists() and not path.exists():
        path = folder / PROCESSOR_FILE
        stated = read_json(path).get("image_processor") or {}
    else:
        stated = read_json(path)
    values = [stated.get(name) for name in ("image_mean", "image_std")]
    for value in values:
        if not isinstance(value, list) or len(value) != _RGB:
            raise CheckpointError(f"{path}: must give image_mean and image_std, three numbers each")
    mean, deviation = (tuple(map(float, value)) for value in values if value is not None)
    return mean, deviation


def _pad_id(family: Family, tokenizer: tokenizers.Tokenizer) -> int:
    """Return the token that fills a text up: what the tokenizer itself says, else what the checkpoint says of it."""
    if tokenizer.padding is not None:
        pad_id: int = tokenizer.padding["pad_id"]
        return pad_id
    if family.name == FAMILY:
        return PAD_ID
    path = family.folder / TOKENIZER_CONFIG_FILE
    token = read_json(path).get("pad_token")
    known = tokenizer.token_to_id(token["content"] if isinstance(token, dict) else str(token))
    if known is None:
        raise CheckpointError(f"{path}: pad_token {token!r} is no token of {TOKENIZER_FILE}")
    return known
