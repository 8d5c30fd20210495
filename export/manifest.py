"""What a published repository holds and what it was made of: manifest.json.

The manifest's digest is the identity of the embeddings: two repositories with equal digests give
interchangeable vectors, so an index made with one may be asked with the other. It covers what moves a
vector (weights, tokenizer, preprocessing, precision, dims, the way of exporting) and nothing else: not the
target, not the figures measured on the way, whose last digits differ from machine to machine.
"""

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from export.errors import ExportError
from vitrine.preprocess import decode_image
from vitrine.tensors import EMBEDDING_DIM, ENCODERS, IMAGE_SIZE, TEXT_LENGTH

MANIFEST_FILE = "manifest.json"
TOKENIZER_FILE = "tokenizer.json"
CARD_FILE = "card.json"

EXPORT_VERSION = 1
"""Raised by hand when a change in this room moves the embeddings of unchanged weights."""

_PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime", "pillow", "tokenizers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Everything that moves an embedding."""

    family: str
    sizes: Mapping[str, Any]
    """What the networks are made of, as the card says."""
    precision: str
    embedding_dim: int
    image_size: int
    text_length: int
    export_version: int
    weights: Mapping[str, str]
    """SHA-256 of each encoder's safetensors file."""
    tokenizer: str
    """SHA-256 of tokenizer.json."""
    preprocessing: str
    """SHA-256 of the pixels that the reference picture becomes."""

    def digest(self) -> str:
        """Give the SHA-256 of the canonical JSON of all fields, in hexadecimal."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def identify(weights: Path, *, precision: str, picture: Path) -> Identity:
    """Read what moves the embeddings of these weights.

    Args:
        weights: folder of a family: three safetensors files, tokenizer.json and card.json.
        precision: of the graphs, such as fp32.
        picture: the reference picture, whose pixels stand for the preprocessing.

    Raises:
        ExportError: a file is missing or the card cannot be read.
    """
    card = read_card(weights)
    return Identity(
        family=card["family"],
        sizes=card["sizes"],
        precision=precision,
        embedding_dim=EMBEDDING_DIM,
        image_size=IMAGE_SIZE,
        text_length=TEXT_LENGTH,
        export_version=EXPORT_VERSION,
        weights=weights_digests(weights),
        tokenizer=file_digest(weights / TOKENIZER_FILE),
        preprocessing=hashlib.sha256(decode_image(picture.read_bytes()).tobytes()).hexdigest(),
    )


def weights_digests(weights: Path) -> dict[str, str]:
    """Give the SHA-256 of each encoder's weights."""
    return {model.name: file_digest(weights / f"{model.name}.safetensors") for model in ENCODERS}


def file_digest(path: Path) -> str:
    """Give a file's SHA-256 in hexadecimal.

    Raises:
        ExportError: it is not there.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise ExportError(f"{path}: missing") from None


def inputs_digest(files: Mapping[str, Path], *, target: str) -> str:
    """Give the SHA-256 of all that a repository is made of: named files, packages and the target."""
    made_of = {
        "files": {name: file_digest(path) for name, path in files.items()},
        "environment": environment(),
        "target": target,
    }
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()


def environment() -> dict[str, str]:
    """Give the versions of the packages that make graphs and pixels, without importing them."""
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), **versions}


def read_card(weights: Path) -> dict[str, Any]:
    """Read what the family says of itself: name, sizes, figures.

    Raises:
        ExportError: the card is missing, or lacks family or sizes.
    """
    path = weights / CARD_FILE
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ExportError(f"{path}: missing; is this a folder of weights?") from None
    except ValueError as error:
        raise ExportError(f"{path}: no valid JSON: {error}") from None
    if not isinstance(card, dict) or not {"family", "sizes"} <= card.keys():
        raise ExportError(f"{path}: must name the family and its sizes")
    return card


def read_manifest(repository: Path) -> dict[str, Any] | None:
    """Read the manifest of a published repository; None where there is none that we wrote."""
    try:
        manifest = json.loads((repository / MANIFEST_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and {"digest", "files"} <= manifest.keys() else None
