"""Whether the files of a published model repository are those that its manifest tells of.

The manifest's digest is the identity of the embeddings (`export/manifest.py` writes it). Whatever serves a model of the
repository asks for it here when it loads, so that an altered file never serves under the digest of another.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

MANIFEST_FILE = "manifest.json"

_BYTECODE = "__pycache__"
"""Written by Python beside what it loads."""
_CODE = "model.py"


class AlteredRepository(Exception):  # noqa: N818 - a finding about files
    """A file of the repository is not the one that was published; the message names it."""


def verified_digest(model: Path, expected: str) -> str:
    """Return the digest of the manifest of the repository that holds the model's folder, once its files are proven.

    Proven are the files of the model itself and of those models that run no Python and cannot prove themselves:
    ensembles, and encoders on a backend of Triton's own.

    Args:
        model: the folder of the model that loads.
        expected: the digest in the configuration with which the server began to load it.

    Raises:
        AlteredRepository: a file is missing, was added or changed, or the manifest is of another publication.
    """
    repository = model.parent
    manifest = _read(repository / MANIFEST_FILE)
    digest: str = manifest["digest"]
    if identity_digest(manifest["identity"]) != digest:
        raise AlteredRepository(f"{MANIFEST_FILE}: its digest is not that of its identity")
    if expected != digest:
        raise AlteredRepository(
            f"{model.name}: configured for {expected[:12] or 'no manifest'}, not {digest[:12]}"
        )
    files: Mapping[str, str] = manifest["files"]
    models = {name.partition("/")[0] for name in files}
    silent = {name for name in models if not any((repository / name).glob(f"*/{_CODE}"))}
    for name in sorted(silent | {model.name}):
        _prove(repository, name, files)
    return digest


def read_digest(repository: Path) -> str:
    """Return the digest that the repository's manifest tells of; raises AlteredRepository where none can be read."""
    digest: str = _read(repository / MANIFEST_FILE)["digest"]
    return digest


def identity_digest(identity: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the canonical JSON of what moves an embedding, in hexadecimal."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def published_files(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder in order, without what Python writes beside them."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and _BYTECODE not in path.parts:
            yield path


def _read(path: Path) -> Mapping[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AlteredRepository(f"{path.name}: cannot be read: {error}") from None
    if not isinstance(manifest, dict) or not {"digest", "identity", "files"} <= manifest.keys():
        raise AlteredRepository(f"{path.name}: not as `python -m export publish` writes it")
    return manifest


def _prove(repository: Path, model: str, files: Mapping[str, str]) -> None:
    wanted = {name for name in files if name.startswith(f"{model}/")}
    there = {path.relative_to(repository).as_posix() for path in published_files(repository / model)}
    for name in sorted(wanted ^ there):
        raise AlteredRepository(f"{name}: {'missing' if name in wanted else 'was not published'}")
    for name in sorted(wanted):
        with (repository / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != files[name]:
                raise AlteredRepository(f"{name}: not the file that {MANIFEST_FILE} tells of")
