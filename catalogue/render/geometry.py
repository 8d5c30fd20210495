"""Points and paths; a smooth outline is a list of corners and bends."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import skia


class Point(NamedTuple):
    """A corner of an outline, or the control point of a bend between its neighbours."""

    x: float
    y: float
    is_bend: bool = False


def at(x: float, y: float) -> Point:
    """Return a point that the outline passes through."""
    return Point(x, y)


def bend(x: float, y: float) -> Point:
    """Return a point that the outline is drawn towards; between two bends it passes midway."""
    return Point(x, y, is_bend=True)


def mirrored(points: Iterable[Point]) -> list[Point]:
    """Return the points on the other side of the centre line, in reverse order."""
    return [Point(-x, y, is_bend) for x, y, is_bend in reversed(list(points))]


def symmetric(right: Sequence[Point]) -> list[Point]:
    """Return the right half, from top to bottom, and its mirror image back to the top."""
    return [*right, *mirrored(right)]


def on_side(side: int, points: Iterable[Point]) -> list[Point]:
    """Return the points as they are for the right side (1), and with x negated for the left one (-1)."""
    return [Point(side * x, y, is_bend) for x, y, is_bend in points]


def shifted(points: Iterable[Point], dx: float, dy: float) -> list[Point]:
    """Return the points moved."""
    return [Point(x + dx, y + dy, is_bend) for x, y, is_bend in points]


def outline(points: Sequence[Point]) -> skia.Path:
    """Return the closed path through the points; the first one must be a corner."""
    path = line([*points, at(*points[0][:2])])
    path.close()
    return path


def line(points: Sequence[Point]) -> skia.Path:
    """Return the open path through the points; the first and the last must be corners."""
    path = skia.Path()
    path.moveTo(points[0].x, points[0].y)
    pairs = zip(points[1:], [*points[2:], None], strict=True)
    control: Point | None = None
    for point, following in pairs:
        if point.is_bend:
            control = point
            if following is not None and following.is_bend:
                path.quadTo(point.x, point.y, (point.x + following.x) / 2, (point.y + following.y) / 2)
                control = None
        elif control is not None:
            path.quadTo(control.x, control.y, point.x, point.y)
            control = None
        else:
            path.lineTo(point.x, point.y)
    return path
