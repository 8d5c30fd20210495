"""Failures as contact sheets: what was asked, what was wanted, and what was found instead.

They show the data's pictures, which may not be published: they belong under build/, never into the repository.
"""

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from encoders.photographs.gallery import Failure
from vitrine.lettering import lettered
from vitrine.preprocess import decode_image

_SIDE = 128
_TEXT_WIDTH = 210
_ROW_HEIGHT = _SIDE + 50
_CELL = _SIDE + 10
_CELLS = 7
_RIGHT, _WRONG, _ASKED = "#2f6f4f", "#b3261e", "#333333"


def draw_sheet(failures: Sequence[Failure], path: Path) -> None:
    """Draw a row for each failure into a JPEG; its folder is made."""
    width = _TEXT_WIDTH + _CELLS * _CELL
    sheet = Image.new("RGB", (width, max(1, len(failures)) * _ROW_HEIGHT), "white")
    for row, failure in enumerate(failures):
        _draw_row(sheet, row * _ROW_HEIGHT, failure)
    path.parent.mkdir(parents=True, exist_ok=True)
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=75)
    path.write_bytes(out.getvalue())


def _draw_row(sheet: Image.Image, top: int, failure: Failure) -> None:
    asked, font = lettered(failure.asked, 12)
    said = "\n".join(textwrap.wrap(asked, 32)[:8])
    ImageDraw.Draw(sheet).multiline_text((6, top + 8), said, fill="black", font=font)
    cells = [
        (picture, name, colour)
        for picture, name, colour in (
            (failure.reference, "asked", _ASKED),
            (failure.wanted, "wanted", _RIGHT),
            *((picture, name, _RIGHT if right else _WRONG) for picture, name, right in failure.found),
        )
        if picture is not None
    ]
    for column, (picture, name, colour) in enumerate(cells[:_CELLS]):
        left = _TEXT_WIDTH + column * _CELL
        draw = ImageDraw.Draw(sheet)
        draw.rectangle((left - 2, top + 2, left + _SIDE + 1, top + _SIDE + 5), fill=colour)
        sheet.paste(Image.fromarray(decode_image(picture, size=_SIDE)), (left, top + 4))
        title, font = lettered(name, 10)
        lines = "\n".join(textwrap.wrap(title, 23)[:3])
        draw.multiline_text((left, top + _SIDE + 8), lines, fill=colour, font=font)
