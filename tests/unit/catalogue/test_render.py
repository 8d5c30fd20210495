"""The renderer's pictures."""

import numpy as np
import pytest
import skia
from numpy.typing import NDArray

from catalogue.grammar import CATEGORIES, PATTERNS, Edit, edited, make_spec, sample_spec
from catalogue.randomness import generator
from catalogue.render.brush import ink
from catalogue.render.patterns import Pattern, draw_pattern, sample_pattern
from catalogue.render.picture import render

TOP = make_spec(
    "top",
    colour="red",
    pattern="striped",
    material="cotton",
    sleeve="long-sleeve",
    neck="v-neck",
    accent="white",
)


def _reduced(pixels: NDArray[np.uint8], side: int) -> NDArray[np.float64]:
    """Average square blocks until `side` rows are left."""
    block = pixels.shape[0] // side
    return pixels.reshape(side, block, side, block, 3).mean(axis=(1, 3))


def test_equal_arguments_give_equal_pixels() -> None:
    """A picture depends on spec, seed and size alone, not on what was drawn before."""
    first = render(TOP, 5, 64)
    for category in CATEGORIES:
        render(sample_spec(generator(category), category), 1, 64)
    assert first.shape == (64, 64, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(render(TOP, 5, 64), first)
    assert not np.array_equal(render(TOP, 6, 64), first)


@pytest.mark.parametrize("category", CATEGORIES)
def test_size_changes_the_resolution_and_not_the_picture(category: str) -> None:
    """A picture of 256 pixels, averaged down, is the picture of 64 pixels but for noise and edges."""
    spec = sample_spec(generator("sizes", category), category)
    large, small = _reduced(render(spec, 3, 256), 16), _reduced(render(spec, 3, 64), 16)
    assert np.abs(large - small).mean() < 4
    assert np.corrcoef(large.ravel(), small.ravel())[0, 1] > 0.97


@pytest.mark.parametrize("kind", [kind for kind in PATTERNS if kind != "plain"])
def test_print_leaves_the_main_colour_65_percent(kind: str) -> None:
    """However a print comes out, the accent colour covers between 8 and 35 % of the cloth."""
    rng = generator("prints", kind)
    for _ in range(12):
        pattern = sample_pattern(rng, kind)
        assert isinstance(pattern, Pattern)
        surface = skia.Surface(400, 400)
        canvas = surface.getCanvas()
        canvas.clear(ink((0, 0, 0)))
        canvas.translate(200, 200)
        draw_pattern(canvas, rng, pattern, 200, (255, 0, 0))
        red = surface.toarray(colorType=skia.kRGBA_8888_ColorType)[:, :, 0]
        assert 0.08 < red.mean() / 255 < 0.35


def test_colour_word_changes_the_garments_colour() -> None:
    """The middle of a plain red top is red, and that of its blue neighbour blue."""
    plain = edited(TOP, Edit("pattern", "striped", "plain"))
    for word, channel in (("red", 0), ("green", 1), ("blue", 2)):
        spec = plain if word == "red" else edited(plain, Edit("colour", "red", word))
        middle = np.mean(
            [render(spec, seed, 64)[28:44, 26:38].mean(axis=(0, 1)) for seed in range(8)], axis=0
        )
        assert int(np.argmax(middle)) == channel
