"""Encoded pictures to pixels and texts to token ids, the same way in training, export and serving.

    bytes -- inspect_image --> ImageHeader       at the door: microseconds, allocates nothing, trusts no decoder
    bytes -- decode_image ---> uint8 pixels      in Triton and in training
    texts -- Tokenizer ------> int64 token ids

Everything here is pure and safe to call from several threads.

A picture keeps its proportions: it is scaled until its longer side is the family's size and the rest is padded with
white, evenly on both sides. A centre crop would cut hems, shoes and sleeves off; squashing would turn a midi
dress into a mini one, and lengths are what people search for. White is what transparent pictures lie on too.
"""

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from vitrine.image_header import (
    MAX_IMAGE_BYTES,
    MAX_IMAGE_PIXELS,
    MAX_IMAGE_SIDE,
    MAX_QUERY_WORK,
    ImageHeader,
    ImageRejected,
    inspect_image,
)
from vitrine.tensors import IMAGE_SIZE, TEXT_LENGTH

__all__ = [
    "MAX_IMAGE_BYTES",
    "MAX_IMAGE_PIXELS",
    "MAX_IMAGE_SIDE",
    "MAX_QUERY_WORK",
    "ImageHeader",
    "ImageRejected",
    "Tokenizer",
    "decode_image",
    "inspect_image",
    "to_pixels",
]

PAD_ID = 0
"""Token id that fills a text up, where the tokenizer names no other."""

_WHITE = (255, 255, 255)
_METADATA_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    LookupError,
    TypeError,
    EOFError,
    struct.error,
    zlib.error,
)


def decode_image(data: bytes, *, size: int = IMAGE_SIZE) -> NDArray[np.uint8]:
    """Decodes a picture to (size, size, 3) uint8 RGB, upright, whole and on white.

    Raises:
        ImageRejected: as `inspect_image` does, and when the decoder finds the file truncated or damaged. No file
            raises anything else.
    """
    header = inspect_image(data)
    try:
        with Image.open(io.BytesIO(data), formats=(header.format,)) as image:
            _check_agreement(image, header)
            return to_pixels(image, size)
    except ImageRejected:
        raise
    except Exception:  # noqa: BLE001 - the edge to decoders of damaged files: whatever they raise says the same
        raise ImageRejected("is truncated or damaged") from None


def to_pixels(image: Image.Image, side: int) -> NDArray[np.uint8]:
    """Return what `decode_image` does of a picture that Pillow has opened, and that was inspected."""
    size = _fitted(image.size, side)
    # A JPEG is decoded at 1/2, 1/4 or 1/8, the smallest that still holds twice the pixels we keep:
    # the DCT then does most of the shrinking, and one filtered resize the rest.
    image.draft(None, (2 * size[0], 2 * size[1]))
    small = _resizable(image).resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    upright = _on_white(_rotated(small, like=image))
    square = Image.new("RGB", (side, side), _WHITE)
    square.paste(upright, ((side - upright.width) // 2, (side - upright.height) // 2))
    return np.array(square, dtype=np.uint8)


class Tokenizer:
    """Turns texts into token ids, cut or padded to the length that the file says; TEXT_LENGTH where it says none."""

    def __init__(self, serialised: str) -> None:
        # Imported here because the gateway and the client inspect pictures without this library.
        import tokenizers  # noqa: PLC0415

        self._tokenizer = tokenizers.Tokenizer.from_str(serialised)
        padding = self._tokenizer.padding or {}
        self.length: int = padding.get("length") or TEXT_LENGTH
        self._tokenizer.enable_truncation(self.length)
        self._tokenizer.enable_padding(length=self.length, pad_id=padding.get("pad_id", PAD_ID))

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Reads a tokenizer.json of the Hugging Face `tokenizers` format."""
        return cls(path.read_text(encoding="utf-8"))

    def __call__(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return (n, length) int64 token ids; of an empty text, padding and what the tokenizer puts around texts."""
        token_ids, _ = self.encode(texts)
        return token_ids

    def encode(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the token ids, (n, length), and whether each text had more of them than fit, (n,)."""
        encodings = self._tokenizer.encode_batch_fast(list(texts))
        token_ids = np.array([e.ids for e in encodings], dtype=np.int64).reshape(-1, self.length)
        return token_ids, np.array([bool(e.overflowing) for e in encodings], dtype=np.bool_)


def _check_agreement(image: Image.Image, header: ImageHeader) -> None:
    # A file may hold two headers: what was checked must be what is decoded.
    if image.size != (header.width, header.height):
        raise ImageRejected("contradicts its own header")


def _fitted(size: tuple[int, int], longest: int) -> tuple[int, int]:
    scale = longest / max(size)
    width, height = (max(1, round(side * scale)) for side in size)
    return width, height


def _resizable(image: Image.Image) -> Image.Image:
    """Return the picture in a mode that can be filtered: eight bits, no palette, alpha kept."""
    if image.mode.startswith("I"):  # 16-bit greyscale, which Pillow would clip rather than scale
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        return image if image.mode == "RGBA" else image.convert("RGBA")
    return image if image.mode in {"RGB", "L", "CMYK"} else image.convert("RGB")


def _rotated(image: Image.Image, *, like: Image.Image) -> Image.Image:
    """Turns the picture as the metadata of the file says; a change of mode may have dropped them on the way."""
    try:
        image.getexif().update(like.getexif())
        return ImageOps.exif_transpose(image)
    except _METADATA_ERRORS:
        return image  # broken metadata is no reason to refuse a sound picture


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", image.size, (*_WHITE, 255)), image).convert("RGB")
