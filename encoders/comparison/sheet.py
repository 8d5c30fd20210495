"""The failures as a contact sheet: what was asked, what was wanted, and what was found instead."""

import textwrap
from pathlib import Path

from PIL import Image, ImageDraw
from torch import Tensor

from catalogue.grammar import caption
from catalogue.randomness import generator
from encoders.augment import Pixels
from encoders.comparison.measure import Exam

_ROWS = 10
_FOUND = 5
_SIDE = 128
_TEXT_WIDTH = 210
_ROW_HEIGHT = _SIDE + 66
_CELL = _SIDE + 10
_RIGHT, _WRONG = "#2f6f4f", "#b3261e"


def draw_failures(exam: Exam, found: Tensor, pictures: Pixels, path: Path) -> None:
    """Draw questions whose first answer is wrong, drawn by lot and sorted by kind, into a JPEG.

    Args:
        exam: the questions.
        found: int64 (m, 5 or more), as `Exam.find` gives them.
        pictures: of the gallery, then of the references.
        path: where to; its folder is made.
    """
    wrong = (~exam.hits(found)[:, 0]).nonzero().squeeze(1).tolist()
    chosen = generator("failures").sample(wrong, min(_ROWS, len(wrong)))
    chosen.sort(key=lambda row: exam.neighbourhoods.questions[row].kind)
    width = _TEXT_WIDTH + (2 + _FOUND) * _CELL
    sheet = Image.new("RGB", (width, max(1, len(chosen)) * _ROW_HEIGHT), "white")
    for position, row in enumerate(chosen):
        band = Image.new("RGB", (width, _ROW_HEIGHT), "white")
        _draw_row(band, exam, row, found[row, :_FOUND].tolist(), pictures)
        sheet.paste(band, (0, position * _ROW_HEIGHT))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, quality=68)


def _draw_row(band: Image.Image, exam: Exam, row: int, found: list[int], pictures: Pixels) -> None:
    gallery = exam.neighbourhoods.gallery
    question = exam.neighbourhoods.questions[row]
    wanted = exam.wanted[row].tolist()
    where = "unseen" if question.unseen else "seen"
    said = [f"{question.kind}, {where}", "", *textwrap.wrap(question.text, 32)]
    ImageDraw.Draw(band).multiline_text((6, 8), "\n".join(said), fill="black")
    reference = pictures[len(gallery) + int(exam.rows[row])]
    _draw_cell(band, 0, reference, f"asked: {caption(question.reference)}", "black")
    _draw_cell(band, 1, pictures[wanted[0]], f"wanted: {caption(question.wanted[0])}", _RIGHT)
    for rank, place in enumerate(found, 1):
        colour = _RIGHT if place in wanted else _WRONG
        _draw_cell(band, rank + 1, pictures[place], f"found {rank}: {caption(gallery[place])}", colour)


def _draw_cell(band: Image.Image, column: int, pixels: Pixels, said: str, colour: str) -> None:
    draw = ImageDraw.Draw(band)
    left = _TEXT_WIDTH + column * _CELL
    draw.rectangle((left - 2, 2, left + _SIDE + 1, _SIDE + 5), fill=colour)
    band.paste(Image.fromarray(pixels).resize((_SIDE, _SIDE)), (left, 4))
    lines = textwrap.wrap(said, 26)[:5]
    draw.multiline_text((left, _SIDE + 8), "\n".join(lines), fill=colour, font_size=10)
