"""Parts of a garment: cloth with print, texture, folds and light, its bands and seams."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import skia

from catalogue.grammar import Spec
from catalogue.render.brush import fill, gradient, ink, stroke
from catalogue.render.geometry import Point, line, outline
from catalogue.render.palette import BLACK, RGB, STITCHING, WHITE, dyed, luminance, shade
from catalogue.render.patterns import Pattern, draw_pattern, sample_pattern
from catalogue.render.textures import lay_texture

_DARK = 0.25
"""Luminance below which cloth needs stronger folds and a blend that lightens."""


@dataclass(frozen=True, slots=True)
class Sketch:
    """What the drawing of one product shares among its parts."""

    canvas: skia.Canvas
    rng: random.Random
    spec: Spec
    colour: RGB
    accent: RGB
    pattern: Pattern | None
    variant: int
    """0 to 2; chooses details that the caption does not speak of."""

    def vary(self, low: float, high: float) -> float:
        """Draw a measure from the interval."""
        return self.rng.uniform(low, high)


@dataclass(frozen=True, slots=True)
class Band:
    """A strip of accent colour along a line of the part, as wide as said on its inner side."""

    along: Sequence[Point]
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How a part is made; what is left out is the product's own."""

    colour: RGB | None = None
    material: str = ""
    printed: bool = True
    angle: float = 0
    """Rotation of the print, in degrees."""
    folds: int = 5
    rounded: bool = True
    """Whether the part is lit as if it bulged."""
    bands: Sequence[Band] = ()


_PLAIN_CUT = Cut()


@dataclass(frozen=True, slots=True)
class _Surface:
    texture: str
    alpha: float
    scale: float
    gloss: float = 0
    """Opacity of highlights; 0 for matt cloth."""
    crispness: float = 1
    """Divides the softness of folds."""


_SURFACES = {
    "cotton": _Surface("grain", 40, 0.5),
    "denim": _Surface("twill", 120, 0.55),
    "wool": _Surface("wool", 110, 0.34),
    "knit": _Surface("knit", 150, 0.8),
    "canvas": _Surface("canvas", 125, 0.6),
    "suede": _Surface("wool", 65, 0.3),
    "leather": _Surface("cloud", 60, 0.35, gloss=115, crispness=1.7),
    "quilted": _Surface("grain", 30, 0.5),
    "silk": _Surface("cloud", 32, 2.0, gloss=80, crispness=1.7),
}


def sketch(canvas: skia.Canvas, rng: random.Random, spec: Spec) -> Sketch:
    """Choose the dyes, the print and the details of one product."""
    return Sketch(
        canvas=canvas,
        rng=rng,
        spec=spec,
        colour=dyed(rng, spec["colour"]),
        accent=dyed(rng, spec["accent"]),
        pattern=sample_pattern(rng, spec.get("pattern", "plain")),
        variant=rng.randrange(3),
    )


def draw_part(s: Sketch, points: Sequence[Point], cut: Cut = _PLAIN_CUT) -> skia.Path:
    """Draw a closed part and give its path."""
    path = outline(points)
    colour = cut.colour or s.colour
    surface = _SURFACES[cut.material or s.spec.get("material", "cotton")]
    bounds = path.getBounds()
    s.canvas.drawPath(path, fill(colour))
    s.canvas.save()
    s.canvas.clipPath(path, doAntiAlias=True)
    if cut.printed and s.pattern:
        _lay_pattern(s, s.pattern, bounds, cut.angle)
    for band in cut.bands:
        _lay_band(s, band)
    _lay_surface(s, bounds, surface, luminance(colour))
    if (cut.material or s.spec.get("material")) == "quilted":
        _lay_quilting(s, bounds)
    _lay_folds(s, bounds, cut.folds, surface, luminance(colour))
    if cut.rounded:
        _lay_light(s, bounds)
    _lay_gloss(s, bounds, surface)
    s.canvas.drawPath(path, stroke(BLACK, 5, alpha=75, blur=2.6))
    s.canvas.restore()
    s.canvas.drawPath(path, stroke(shade(colour, 0.42), 1.0, alpha=150))
    return path


def draw_trim(s: Sketch, points: Sequence[Point], width: float, colour: RGB | None = None) -> None:
    """Draw a rounded cord or piping, in the accent colour unless another is given."""
    colour = colour or s.accent
    path = line(points)
    s.canvas.drawPath(path, stroke(shade(colour, 0.5), width + 1.3, alpha=170))
    s.canvas.drawPath(path, stroke(colour, width))
    s.canvas.drawPath(path, stroke(shade(colour, 1.35), 0.3 * width, alpha=110, blur=0.2 * width))


def draw_seam(s: Sketch, points: Sequence[Point], width: float = 1.3) -> None:
    """Draw a dark line where two parts meet."""
    s.canvas.drawPath(line(points), stroke(shade(s.colour, 0.38), width, alpha=190))


def draw_stitches(s: Sketch, points: Sequence[Point], width: float = 0.9) -> None:
    """Draw a dashed seam: orange thread on denim, a darker one on everything else."""
    colour = STITCHING if s.spec.get("material") == "denim" else shade(s.colour, 0.5)
    s.canvas.drawPath(line(points), stroke(colour, width, alpha=200, dashes=(2.6, 1.8)))


def draw_opening(s: Sketch, points: Sequence[Point]) -> None:
    """Draw the dark inside of a garment or shoe."""
    s.canvas.drawPath(outline(points), fill(shade(s.colour, 0.36)))


def draw_button(s: Sketch, x: float, y: float, radius: float, colour: RGB | None = None) -> None:
    """Draw a button, in the accent colour unless another is given."""
    colour = colour or s.accent
    s.canvas.drawCircle(x, y + 0.5, radius + 0.6, fill(shade(colour, 0.4)))
    s.canvas.drawCircle(x, y, radius, fill(colour))
    s.canvas.drawCircle(x - 0.25 * radius, y - 0.3 * radius, 0.35 * radius, fill(WHITE, alpha=90))


def draw_emblem(s: Sketch, x: float, y: float, size: float) -> None:
    """Draw a small badge: a disc, a star, a bar or a triangle."""
    paint = fill(s.accent)
    kind = s.rng.randrange(4)
    if kind == 0:
        s.canvas.drawCircle(x, y, size, paint)
    elif kind == 1:
        s.canvas.drawPath(outline(_star(x, y, 1.3 * size)), paint)
    elif kind == 2:  # noqa: PLR2004 - one of four
        s.canvas.drawRect(skia.Rect.MakeXYWH(x - size, y - size / 2, 2 * size, size), paint)
    else:
        s.canvas.drawPath(
            outline([Point(x - size, y + size), Point(x, y - size), Point(x + size, y + size)]), paint
        )


def _star(x: float, y: float, radius: float) -> list[Point]:
    angles = [-math.pi / 2 + index * 2 * math.tau / 5 for index in range(5)]
    return [Point(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]


def _lay_pattern(s: Sketch, pattern: Pattern, bounds: skia.Rect, angle: float) -> None:
    s.canvas.save()
    s.canvas.translate(bounds.centerX(), bounds.centerY())
    s.canvas.rotate(angle)
    extent = (
        math.hypot(bounds.width(), bounds.height()) / 2 if angle else max(bounds.width(), bounds.height()) / 2
    )
    draw_pattern(s.canvas, s.rng, pattern, extent, s.accent)
    s.canvas.restore()


def _lay_band(s: Sketch, band: Band) -> None:
    """Draw the band twice as wide as it is: the outer half falls outside the part and is clipped."""
    path = line(band.along)
    s.canvas.drawPath(path, stroke(shade(s.accent, 0.45), 2 * band.width + 1.6, alpha=170))
    s.canvas.drawPath(path, stroke(s.accent, 2 * band.width))


def _lay_surface(s: Sketch, bounds: skia.Rect, surface: _Surface, brightness: float) -> None:
    dark = brightness < _DARK
    lay_texture(
        s.canvas,
        s.rng,
        bounds,
        kind=surface.texture,
        scale=surface.scale,
        alpha=surface.alpha * (0.55 if dark else 1),
        mode=skia.BlendMode.kHardLight if dark else skia.BlendMode.kOverlay,
    )


def _lay_quilting(s: Sketch, bounds: skia.Rect, spacing: float = 13) -> None:
    """Draw crossing diagonal seams, each with its lit edge."""
    height = bounds.height()
    dark, lit = skia.Path(), skia.Path()
    for direction in (1, -1):
        first = bounds.left() - (height if direction == 1 else 0)
        for index in range(math.ceil((bounds.width() + height) / spacing) + 1):
            x = first + index * spacing
            for path, shift in ((dark, 0), (lit, 1.5)):
                path.moveTo(x + shift, bounds.top())
                path.lineTo(x + shift + direction * height, bounds.bottom())
    s.canvas.drawPath(dark, stroke(BLACK, 1.3, alpha=75))
    s.canvas.drawPath(lit, stroke(WHITE, 1.0, alpha=50))


def _lay_folds(s: Sketch, bounds: skia.Rect, count: int, surface: _Surface, brightness: float) -> None:
    """Draw soft shadows that run down the cloth, each beside its lit ridge."""
    shadow = 62 if brightness > _DARK else 110
    ridge = 46 if brightness < 0.6 else 90  # noqa: PLR2004 - white on pale cloth is hardly seen
    for _ in range(count):
        x = bounds.left() + bounds.width() * s.vary(0.1, 0.9)
        y = bounds.top() + bounds.height() * s.vary(-0.05, 0.5)
        length = bounds.height() * s.vary(0.3, 0.8)
        lean = bounds.width() * s.rng.gauss(0, 0.08)
        fold = skia.Path()
        fold.moveTo(x, y)
        fold.quadTo(x + 0.2 * lean, y + length / 2, x + lean, y + length)
        softness = s.vary(2, 5) / surface.crispness
        alpha = shadow * s.vary(0.5, 1)
        s.canvas.drawPath(fold, stroke(BLACK, s.vary(2, 5), alpha=alpha, blur=softness))
        fold.offset(s.vary(3, 5), 0)
        alpha = ridge * s.vary(0.4, 1) * surface.crispness
        s.canvas.drawPath(fold, stroke(WHITE, s.vary(1.5, 3.5), alpha=alpha, blur=0.8 * softness))


def _lay_light(s: Sketch, bounds: skia.Rect) -> None:
    stops = (
        (0.0, ink(BLACK, 78)),
        (0.22, ink(BLACK, 0)),
        (0.42, ink(WHITE, 30)),
        (0.7, ink(BLACK, 0)),
        (1.0, ink(BLACK, 88)),
    )
    corner = (bounds.left(), bounds.top())
    s.canvas.drawRect(bounds, gradient(corner, (bounds.right(), bounds.top()), stops))


def _lay_gloss(s: Sketch, bounds: skia.Rect, surface: _Surface) -> None:
    if not surface.gloss:
        return
    for _ in range(3):
        x = bounds.left() + bounds.width() * s.vary(0.2, 0.8)
        lean = bounds.width() * s.rng.gauss(0, 0.1)
        start, end = bounds.top() + 0.1 * bounds.height(), bounds.top() + bounds.height() * s.vary(0.4, 0.9)
        shine = stroke(WHITE, s.vary(1.5, 4), alpha=surface.gloss, blur=300 / surface.gloss)
        s.canvas.drawLine(x, start, x + lean, end, shine)
