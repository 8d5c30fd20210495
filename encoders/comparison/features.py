"""What the frozen image encoder gives for every picture, computed once: the embedding and the map under it."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from encoders.augment import Pixels, resize
from encoders.networks import ImageEncoder
from encoders.stages import autocast, device

_ROWS = 256


@dataclass(frozen=True, slots=True)
class Features:
    """n pictures as the frozen tower sees them."""

    pooled: Tensor
    """float32 (n, EMBEDDING_DIM), L2-normalised: what an index stores."""
    maps: Tensor
    """float16 (n, places, channels): the last map of the ConvNet, one row a place."""

    def take(self, rows: Tensor) -> "Features":
        """Return some rows, on the device that trains."""
        return Features(self.pooled[rows].to(device()), self.maps[rows].to(device()))


def frozen_features(
    image: ImageEncoder, pixels: Pixels, view: Callable[[Pixels], Pixels], *, name: str, cache: Path
) -> Features:
    """Embed every picture, or map what an earlier run has embedded.

    Args:
        image: the tower; other weights are other files.
        pixels: uint8 (n, STORED_SIZE, STORED_SIZE, 3).
        view: gives of a stored picture what the tower sees.
        name: of the pictures and their view.
        cache: where the features are kept.
    """
    paths = [cache / f"{name}-{_digest(image)}-{part}.npy" for part in ("pooled", "maps")]
    if not all(path.exists() for path in paths):
        batches = [range(start, min(start + _ROWS, len(pixels))) for start in range(0, len(pixels), _ROWS)]
        made = [
            _embed(image, np.stack([view(pixels[row]) for row in rows]))
            for rows in tqdm(batches, f"embedding {name}", mininterval=10)
        ]
        for path, arrays in zip(paths, zip(*made, strict=True), strict=True):
            partial = path.with_suffix(".partial.npy")
            np.save(partial, np.concatenate(arrays))
            partial.rename(path)
    # Copied on write, because torch wants arrays that it could write to.
    pooled, maps = (torch.from_numpy(np.load(path, mmap_mode="c")) for path in paths)
    return Features(pooled, maps)


def plain_view(pixels: Pixels) -> Pixels:
    """Return a stored picture as serving sees it."""
    return np.asarray(resize(Image.fromarray(pixels)))


@torch.inference_mode()
def _embed(image: ImageEncoder, pixels: Pixels) -> tuple[Any, Any]:
    with _captured(image.body) as maps, autocast():
        pooled = image(torch.from_numpy(pixels).to(device()))
    places = maps[0].flatten(2).transpose(1, 2)
    return pooled.float().cpu().numpy(), places.to(torch.float16).cpu().numpy()


@contextmanager
def _captured(module: nn.Module) -> Iterator[list[Tensor]]:
    """Keep what the module gives."""
    outputs: list[Tensor] = []
    hook = module.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    try:
        yield outputs
    finally:
        hook.remove()


def _digest(image: ImageEncoder) -> str:
    digest = hashlib.sha256()
    for tensor in image.state_dict().values():
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()[:12]
