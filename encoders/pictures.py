"""The drawn pictures of a split, kept on disk so that a second training run draws nothing."""

import hashlib
import io
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image
from tqdm import tqdm

import catalogue.render
from catalogue.build import PICTURE_SIZE
from catalogue.grammar import Spec, caption
from catalogue.render.picture import render
from encoders.augment import STORED_SIZE, Pixels

_JPEG_QUALITY = 90

Picture = tuple[Spec, int]
"""A product and the seed of one of its pictures."""


def drawn_pictures(name: str, pictures: Sequence[Picture], *, cache: Path) -> Pixels:
    """Return (n, STORED_SIZE, STORED_SIZE, 3) uint8, mapped from the cache; what is missing there is drawn first.

    Another renderer or another list of pictures is another file.
    """
    path = cache / f"{name}-{digest_of(pictures)}.npy"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        _draw_all(name, pictures, partial)
        partial.rename(path)
    pixels: Pixels = np.load(path, mmap_mode="r")
    return pixels


def stored_pixels(jpeg: bytes) -> Pixels:
    """Decode a JPEG to STORED_SIZE a side, as `vitrine.preprocess` does before its last resize."""
    with Image.open(io.BytesIO(jpeg)) as picture:
        picture.draft("RGB", (STORED_SIZE, STORED_SIZE))
        return np.asarray(picture.convert("RGB"))


def digest_of(pictures: Sequence[Picture]) -> str:
    """Name the pictures: another renderer gives another name."""
    digest = hashlib.sha256()
    for source in sorted(Path(catalogue.render.__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    for spec, seed in pictures:
        digest.update(f"{caption(spec)}|{seed}\n".encode())
    return digest.hexdigest()[:16]


def _draw_all(name: str, pictures: Sequence[Picture], path: Path) -> None:
    shape = (len(pictures), STORED_SIZE, STORED_SIZE, 3)
    rows: Pixels = np.lib.format.open_memmap(path, "w+", np.uint8, shape)  # type: ignore[no-untyped-call]
    # Spawned, not forked: the renderer's surfaces must not be shared.
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        drawn = pool.map(_draw, pictures, chunksize=32)
        for row, pixels in enumerate(tqdm(drawn, f"drawing {name}", len(pictures), mininterval=10)):
            rows[row] = pixels


def _draw(picture: Picture) -> Pixels:
    spec, seed = picture
    drawn = render(spec, seed, PICTURE_SIZE)
    return stored_pixels(simplejpeg.encode_jpeg(drawn, quality=_JPEG_QUALITY))
