"""The states of a frozen ViT, computed once for each picture and kept on disk: bounded, and filled where it stopped.

What the bound leaves no room for is computed anew whenever it is asked for. A state is a float16: for BLIP-2's
ViT-g at 224 pixels a picture takes 257 x 1,408 x 2 = 723,712 bytes.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from catalogue.product import PictureBytes, PictureFile
from encoders.paper.examples import TrainingDataError, read_picture
from encoders.paper.networks import PaperImageEncoder
from encoders.stages import device
from vitrine.preprocess import ImageRejected, decode_image

Pictures = Sequence[PictureFile | PictureBytes]

_ROWS = 32
"""Pictures that go through the ViT together."""
_SAVE_EVERY = 8
"""Batches between two notes of how far it is."""


@dataclass(slots=True, kw_only=True)
class Features:
    """The states of n pictures, of which the first `kept` are on disk."""

    pictures: Pictures
    encoder: PaperImageEncoder
    image_size: int
    kept: int
    states: NDArray[np.float16]
    """(kept, patches + 1, width), mapped from the file."""
    rejected: list[int] = field(default_factory=list)
    """Rows whose picture cannot be read, of those on disk."""

    def read(self, rows: Sequence[int]) -> Tensor:
        """Return float16 (len(rows), patches + 1, width), on the device that trains.

        Raises:
            TrainingDataError: a picture that the disk does not hold cannot be read.
        """
        there = [place for place, row in enumerate(rows) if row < self.kept]
        missing = [place for place, row in enumerate(rows) if row >= self.kept]
        found = torch.empty((len(rows), *self.states.shape[1:]), dtype=torch.float16, device=device())
        if there:
            kept = np.stack([self.states[rows[place]] for place in there])
            found[there] = torch.from_numpy(kept).to(device())
        for start in range(0, len(missing), _ROWS):
            places = missing[start : start + _ROWS]
            try:
                pixels = [self._pixels(rows[place]) for place in places]
            except ImageRejected as error:
                raise TrainingDataError(f"{error.reason}; take it out of the data") from None
            found[places] = _states(self.encoder, np.stack(pixels))
        return found

    def _pixels(self, row: int) -> NDArray[np.uint8]:
        return decode_image(read_picture(self.pictures[row]), size=self.image_size)

    def compute(self, rows: range) -> NDArray[np.float16]:
        """Return the states of some rows; those of a picture that cannot be read are 0 and noted as rejected."""
        pixels = np.zeros((len(rows), self.image_size, self.image_size, 3), np.uint8)
        bad = []
        for place, row in enumerate(rows):
            try:
                pixels[place] = self._pixels(row)
            except ImageRejected:
                bad.append(place)
        states: NDArray[np.float16] = _states(self.encoder, pixels).cpu().numpy()
        states[bad] = 0
        self.rejected += [rows[place] for place in bad]
        return states


def open_features(
    pictures: Pictures, encoder: PaperImageEncoder, *, image_size: int, folder: Path, most_bytes: int
) -> Features:
    """Open the states of these pictures, filling the file from where an earlier run stopped.

    Args:
        pictures: what is encoded; a file is known by its path, size and time of change.
        encoder: holds the ViT, in evaluation mode on the device that trains.
        image_size: side of the square that pictures are decoded to, in pixels.
        folder: holds the file; other pictures or another ViT have another file there.
        most_bytes: bound of the file's size.
    """
    shape = _states(encoder, np.zeros((1, image_size, image_size, 3), np.uint8)).shape[1:]
    row_bytes = 2 * int(np.prod(shape))
    kept = min(len(pictures), most_bytes // row_bytes)
    name = f"features-{_key(pictures, encoder, image_size)}-{kept}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.npy"
    mode = "r+" if path.exists() else "w+"
    # A file of no rows cannot be mapped.
    states = np.lib.format.open_memmap(path, mode, np.float16, (max(1, kept), *shape))  # type: ignore[no-untyped-call]
    features = Features(pictures=pictures, encoder=encoder, image_size=image_size, kept=kept, states=states)
    print(
        f"features: {kept:,} of {len(pictures):,} pictures on disk, {row_bytes * kept / 1e9:.2f} GB",
        flush=True,
    )
    _fill(features, path.with_suffix(".json"))
    return features


def _fill(features: Features, progress: Path) -> None:
    done = 0
    if progress.exists():
        noted = json.loads(progress.read_text(encoding="utf-8"))
        done, features.rejected[:] = noted["done"], noted["rejected"]
    starts = range(done, features.kept, _ROWS)
    for number, start in enumerate(tqdm(starts, "ViT", mininterval=10, disable=not starts), 1):
        rows = range(start, min(start + _ROWS, features.kept))
        features.states[rows.start : rows.stop] = features.compute(rows)
        if number % _SAVE_EVERY == 0 or rows.stop == features.kept:
            features.states.flush()  # type: ignore[attr-defined]  # it is a memmap
            partial = progress.with_suffix(".partial")
            noted = {"done": rows.stop, "rejected": features.rejected}
            partial.write_text(json.dumps(noted), encoding="utf-8")
            partial.rename(progress)


@torch.no_grad()
def _states(encoder: PaperImageEncoder, pixels: NDArray[np.uint8]) -> Tensor:
    """Return float16 states (n, patches + 1, width) on the device that trains."""
    on_device = torch.from_numpy(pixels).to(device())
    with torch.autocast(device().type, torch.bfloat16, enabled=device().type == "cuda"):
        return encoder.patches(on_device).half()


def _key(pictures: Pictures, encoder: PaperImageEncoder, image_size: int) -> str:
    """Name the ViT's weights, the normalisation and the pictures."""
    digest = hashlib.sha256(str(image_size).encode())
    for module in (encoder.vision, encoder.normalisation):
        for name, tensor in module.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    for picture in pictures:
        if isinstance(picture, PictureBytes):
            digest.update(picture.data)
        else:
            digest.update(_described(picture.path).encode())
    return digest.hexdigest()[:16]


def _described(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return f"{path}: not there\n"
    return f"{path.resolve()}: {found.st_size}, {found.st_mtime_ns}\n"
