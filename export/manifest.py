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

from encoders.families import PAIR, TOKENIZER_FILE, CheckpointError, Family, open_tokenizer, read_family
from export.errors import ExportError
from vitrine.preprocess import decode_image
from vitrine.repository import MANIFEST_FILE, identity_digest

EXPORT_VERSION = 1
"""Raised by hand when a change in this room moves the embeddings of unchanged weights."""

_PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime", "pillow", "tokenizers", "transformers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Everything that moves an embedding."""

    family: str
    sizes: Mapping[str, Any]
    """What the networks are made of, as the family says."""
    precisions: Mapping[str, str]
    """Of each encoder, by its name."""
    calibration: str
    """SHA-256 of the ranges that int8 takes its scales from; empty where no encoder is in int8."""
    embedding_dim: int
    image_size: int
    text_length: int
    export_version: int
    weights: Mapping[str, str]
    """SHA-256 of each safetensors file."""
    tokenizer: str
    """SHA-256 of tokenizer.json."""
    preprocessing: str
    """SHA-256 of the pixels that the reference picture becomes."""

    def digest(self) -> str:
        """Return the SHA-256 of the canonical JSON of all fields, in hexadecimal."""
        return identity_digest(asdict(self))


def open_family(weights: Path) -> Family:
    """Read what family a folder holds.

    Raises:
        ExportError: it cannot be used.
    """
    try:
        return read_family(weights)
    except CheckpointError as error:
        raise ExportError(str(error)) from None


def identify(family: Family, *, precisions: Mapping[str, str], calibration: str, picture: Path) -> Identity:
    """Return what moves the embeddings of these weights.

    Args:
        family: the weights.
        precisions: of the graphs, by encoder.
        calibration: the digest of what int8 was calibrated with.
        picture: the reference picture, whose pixels stand for the preprocessing.
    """
    dimensions = family.dimensions
    pixels = decode_image(picture.read_bytes(), size=dimensions.image_size)
    return Identity(
        family=family.name,
        sizes=family.sizes,
        precisions=precisions,
        calibration=calibration,
        embedding_dim=dimensions.embedding_dim,
        image_size=dimensions.image_size,
        text_length=dimensions.text_length,
        export_version=EXPORT_VERSION,
        weights=weights_digests(family),
        tokenizer=_tokenizer_digest(family),
        preprocessing=hashlib.sha256(pixels.tobytes()).hexdigest(),
    )


def _tokenizer_digest(family: Family) -> str:
    """Return the digest of the file, or of what a package's pieces become."""
    if family.name == PAIR:
        return hashlib.sha256(open_tokenizer(family).to_str().encode()).hexdigest()
    return file_digest(family.folder / TOKENIZER_FILE)


def weights_digests(family: Family) -> dict[str, str]:
    """Return the SHA-256 of each file of weights."""
    return {name: file_digest(path) for name, path in family.weights.items()}


def file_digest(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal.

    Raises:
        ExportError: it is not there.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise ExportError(f"{path}: missing") from None


def inputs_digest(files: Mapping[str, Path], *, target: str, precision: str) -> str:
    """Return the SHA-256 of all that a repository is made of: named files, packages, target and precision."""
    made_of = {
        "files": {name: file_digest(path) for name, path in files.items()},
        "environment": environment(),
        "target": target,
        "precision": precision,
    }
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()


def environment() -> dict[str, str]:
    """Return the versions of the packages that make graphs and pixels, without importing them."""
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), **versions}


def read_manifest(repository: Path) -> dict[str, Any] | None:
    """Read the manifest of a published repository; None where there is none that we wrote."""
    try:
        manifest = json.loads((repository / MANIFEST_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and {"digest", "files"} <= manifest.keys() else None
