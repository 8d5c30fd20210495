"""Letters of drawn sheets: Pillow's own font where it has them, else one that the machine has.

Pillow carries Latin letters alone, and no font of other scripts is carried here. Where a package of MACHINE_FONTS is installed
(`apt-get install fonts-wqy-microhei`, 1.6 MB), Chinese, Japanese and Korean are drawn too; elsewhere they are drawn as "?".
"""

import unicodedata
from functools import cache, lru_cache
from pathlib import Path

from PIL import ImageFont

MACHINE_FONTS = (
    Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"),
    Path("/usr/share/fonts/truetype/wqy/wqy-microhei.ttc"),
)
"""Where Debian's fonts-noto-cjk and fonts-wqy-microhei put their files; the first that is there is taken."""

_OWN = frozenset("…“”·")
"""What Pillow's font has beside ASCII, of what sheets are written with."""
_NO_LETTER = "\uffff"


def lettered(text: str, size: int) -> tuple[str, ImageFont.FreeTypeFont]:
    """Return the text as it can be drawn, and the font to draw it with.

    Accents are dropped where Pillow's own font can then draw the text. What no font has becomes "?".
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    font = None if all(map(_is_own, plain)) else machine_font(size)
    if font is None:
        return "".join(c if _is_own(c) else "?" for c in plain), own_font(size)
    composed = unicodedata.normalize("NFKC", text)
    return "".join(c if _has(font, c) else "?" for c in composed), font


@cache
def own_font(size: int) -> ImageFont.FreeTypeFont:
    """Return Pillow's own font.

    Raises:
        TypeError: Pillow was built without FreeType.
    """
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("Pillow was built without FreeType")
    return font


def machine_font(size: int) -> ImageFont.FreeTypeFont | None:
    """Return the machine's font of many scripts; None where it has none that can be read."""
    for path in MACHINE_FONTS:
        try:
            return _opened(path, size)
        except OSError:
            continue
    return None


def _is_own(letter: str) -> bool:
    return letter.isascii() or letter in _OWN


@lru_cache(maxsize=16)
def _opened(path: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), size)


@lru_cache(maxsize=4096)
def _has(font: ImageFont.FreeTypeFont, letter: str) -> bool:
    """Return whether a letter is drawn otherwise than what the font has no letter for."""
    return letter.isspace() or bytes(font.getmask(letter)) != bytes(font.getmask(_NO_LETTER))
