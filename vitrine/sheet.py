"""Contact sheets: a query's picture and words at the left, the pictures of its hits at the right.

Everything is drawn with Pillow and the font that it carries, so no system package is needed; vitrine/lettering.py says what other
scripts need.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from vitrine.lettering import lettered, own_font
from vitrine.picture_files import read_picture
from vitrine.preprocess import ImageRejected, decode_image
from vitrine.v1.query_pb2 import Product
from vitrine.v1.search_pb2 import Hit

PICTURES = Path("build/catalogue")
"""Where the pictures of products are, unless told."""

_PICTURE = 208
_CAPTION = 74
_GAP = 18
_MARGIN = 24
_PANEL = 264
_PADDING = 16
_RADIUS = 10
_PAPER = "#ffffff"
_PANEL_FILL = "#f3f1ec"
_FRAME = "#d9d6cf"
_INK = "#22211f"
_QUIET = "#77746d"
_ACCENT = "#b3261e"
_ROUNDING_SCALE = 4

_Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A query and what it found: one row of a sheet."""

    heading: str
    """What kind of query it was, such as "picture and words"."""
    words: str = ""
    picture: bytes | None = None
    """The query's own picture, encoded."""
    hits: Sequence[Hit] = ()


def draw_sheet(
    answers: Sequence[Answer], *, columns: int = 5, pictures: Path | None = None, currency: str = ""
) -> Image.Image:
    """Draw each answer as a row, its hits `columns` abreast.

    A hit shows the one of its product's pictures that matched, where that is a file in the folder `pictures`, else its
    first one, else `pictures`/<id>.jpg; without any an empty frame shows the product's id. A price is drawn where the product has
    one, in `currency`, an ISO 4217 code.
    """
    panels = [_draw_answer(answer, columns, pictures, currency) for answer in answers]
    height = sum(panel.height for panel in panels) + _GAP * (len(panels) - 1) + 2 * _MARGIN
    width = max((panel.width for panel in panels), default=0) + 2 * _MARGIN
    sheet = Image.new("RGB", (width, max(height, 1)), _PAPER)
    top = _MARGIN
    for panel in panels:
        sheet.paste(panel, (_MARGIN, top))
        top += panel.height + _GAP
    return sheet


def product_picture(product: Product, pictures: Path | None = None, *, index: int = 0) -> bytes | None:
    """Read one of the product's pictures, or its first one, where it is a file in the folder; None where not."""
    if pictures is None:
        return None
    uris = [*product.image_uris[index : index + 1], product.image_uri, *product.image_uris[:1]]
    for uri in dict.fromkeys([*uris, f"{product.id}.jpg"]):
        if (picture := read_picture(uri, pictures)) is not None:
            return picture.data
    return None


def _draw_answer(answer: Answer, columns: int, pictures: Path | None, currency: str) -> Image.Image:
    rows = max(1, -(-len(answer.hits) // columns))
    height = max(rows * (_PICTURE + _CAPTION + _GAP) - _GAP, _PICTURE + _CAPTION)
    width = _PANEL + _GAP + columns * (_PICTURE + _GAP) - _GAP
    canvas = Image.new("RGB", (width, height), _PAPER)
    _draw_query(canvas, answer)
    for position, hit in enumerate(answer.hits):
        row, column = divmod(position, columns)
        corner = (_PANEL + _GAP + column * (_PICTURE + _GAP), row * (_PICTURE + _CAPTION + _GAP))
        _draw_picture(canvas, corner, hit, pictures)
        _draw_rank(ImageDraw.Draw(canvas), corner, position + 1)
        _draw_caption(ImageDraw.Draw(canvas), corner, hit, currency)
    return canvas


def _draw_query(canvas: Image.Image, answer: Answer) -> None:
    draw = ImageDraw.Draw(canvas)
    _paste_rounded(canvas, Image.new("RGB", (_PANEL, canvas.height), _PANEL_FILL), (0, 0))
    heading, font = lettered(answer.heading.upper(), 12)
    draw.text((_PADDING, _PADDING), heading, font=font, fill=_QUIET)
    top = _PADDING + 26
    side = _PANEL - 2 * _PADDING
    words = f"“{answer.words}”" if answer.words else ""
    if answer.picture is not None:
        side = min(side, canvas.height - top - _PADDING - (78 if words else 0))
        picture = _picture(answer.picture, side)
        if picture is None:
            _draw_frame(canvas, (_PADDING, top, _PADDING + side, top + side), "unreadable picture")
        else:
            _paste_rounded(canvas, picture, (_PADDING, top))
        top += side + 14
    size = 19 if answer.picture is not None else 24
    lines = max(1, (canvas.height - top - _PADDING) // (size + 7))
    drawn, font = lettered(words, size)
    for line in _wrapped(drawn, font, _PANEL - 2 * _PADDING, lines):
        draw.text((_PADDING, top), line, font=font, fill=_INK)
        top += size + 7


def _draw_picture(canvas: Image.Image, corner: tuple[int, int], hit: Hit, pictures: Path | None) -> None:
    left, top = corner
    data = product_picture(hit.product, pictures, index=hit.image_index)
    picture = _picture(data, _PICTURE) if data is not None else None
    if picture is None:
        _draw_frame(canvas, (left, top, left + _PICTURE, top + _PICTURE), hit.product_id)
    else:
        _paste_rounded(canvas, picture, corner)


def _draw_caption(draw: ImageDraw.ImageDraw, corner: tuple[int, int], hit: Hit, currency: str) -> None:
    left, top = corner
    below = top + _PICTURE + 8
    title, font = lettered(hit.product.title or hit.product.caption or hit.product_id, 14)
    for line in _wrapped(title, font, _PICTURE, 2):
        draw.text((left, below), line, font=font, fill=_INK)
        below += 19
    last = top + _PICTURE + _CAPTION - 18
    if hit.product.HasField("price"):
        price, font = lettered(f"{hit.product.price:,.2f} {currency}".rstrip(), 15)
        draw.text((left, last), price, font=font, fill=_INK, stroke_width=0.3)
    draw.text((left + _PICTURE, last), f"{hit.score:.3f}", font=own_font(13), fill=_QUIET, anchor="ra")


def _draw_rank(draw: ImageDraw.ImageDraw, corner: tuple[int, int], rank: int) -> None:
    left, top = corner[0] + 8, corner[1] + 8
    fill = _ACCENT if rank == 1 else _INK
    width = 24 if rank < 10 else 32  # noqa: PLR2004 - a second digit
    draw.rounded_rectangle((left, top, left + width, top + 24), radius=12, fill=fill)
    draw.text((left + width / 2, top + 12), str(rank), font=own_font(14), fill=_PAPER, anchor="mm")


def _draw_frame(canvas: Image.Image, box: _Box, label: str) -> None:
    draw = ImageDraw.Draw(canvas)
    draw.rounded_rectangle(box, radius=_RADIUS, outline=_FRAME, width=2)
    drawn, font = lettered(label, 14)
    lines = _wrapped(drawn, font, box[2] - box[0] - 2 * _PADDING, 3)
    centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    draw.multiline_text(centre, "\n".join(lines), font=font, fill=_QUIET, anchor="mm", align="center")


def _picture(data: bytes, side: int) -> Image.Image | None:
    """Decode and fit a picture into a white square, as the encoders see it; None for what is no picture."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of metadata that does not concern a thumbnail
            return Image.fromarray(decode_image(data, size=side))
    except ImageRejected:
        return None


def _paste_rounded(canvas: Image.Image, picture: Image.Image, corner: tuple[int, int]) -> None:
    width, height = picture.size
    mask = Image.new("L", (width * _ROUNDING_SCALE, height * _ROUNDING_SCALE), 0)
    box = (0, 0, mask.width - 1, mask.height - 1)
    ImageDraw.Draw(mask).rounded_rectangle(box, radius=_RADIUS * _ROUNDING_SCALE, fill=255)
    canvas.paste(picture, corner, mask.resize(picture.size, Image.Resampling.BOX))


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int, most: int) -> list[str]:
    """Break a text into at most so many lines of that many pixels; what is left out becomes an ellipsis."""
    lines: list[str] = []
    words = text.split()
    while words and len(lines) < most:
        taken = 1
        while taken < len(words) and font.getlength(" ".join(words[: taken + 1])) <= width:
            taken += 1
        lines.append(_cut(" ".join(words[:taken]), font, width))
        words = words[taken:]
    if words:
        lines[-1] = _cut(f"{lines[-1].removesuffix('…')}…", font, width)
    return lines


def _cut(line: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    kept = line[:width]  # no letter is narrower than a pixel, and measuring is slow
    if kept == line and font.getlength(line) <= width:
        return line
    while kept and font.getlength(f"{kept}…") > width:
        kept = kept[:-1]
    return f"{kept}…"
