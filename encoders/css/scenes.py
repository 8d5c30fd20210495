"""Scenes of coloured shapes, texts that change them, and sets that share no scene.

Vo et al. (2019, "Composing text and image for image retrieval: an empirical odyssey") ask of CLEVR-like scenes what
they look like after "make", "add" or "remove". Their pictures are regenerated here with the same grid of nine
places, 8 colours, 3 shapes and 2 sizes; the scenes themselves, and so the figures, are not theirs.
"""

import hashlib
import random
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from catalogue.randomness import generator

SHAPES = ("circle", "square", "triangle")
COLOURS = ("grey", "red", "blue", "green", "brown", "purple", "cyan", "yellow")
SIZES = ("small", "large")
PLACES = (
    "top left", "top centre", "top right", "middle left", "middle centre", "middle right",
    "bottom left", "bottom centre", "bottom right",
)  # fmt: skip
"""Of the grid, row by row."""

_LEAST, _MOST = 2, 5
"""Shapes in a scene before it changes."""

_TEST_SHARE = 5
"""One scene of so many is a test scene."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """A shape of a scene."""

    size: str
    colour: str
    shape: str

    def __str__(self) -> str:
        return f"{self.size} {self.colour} {self.shape}"


Scene = tuple[Thing | None, ...]
"""What stands at each of PLACES."""


@dataclass(frozen=True, slots=True)
class Family:
    """A scene and what changes make of it: `outcomes[i]` is what `texts[i]` asks for."""

    source: Scene
    texts: tuple[str, ...]
    outcomes: tuple[Scene, ...]

    def scenes(self) -> tuple[Scene, ...]:
        """Return the source, then the outcomes."""
        return (self.source, *self.outcomes)


def describe(scene: Scene) -> str:
    """Describe every shape with its place."""
    return ", ".join(f"{thing} {place}" for place, thing in zip(PLACES, scene, strict=True) if thing)


def is_test(scene: Scene) -> bool:
    """Return whether the scene is kept out of training, whoever draws it."""
    return zlib.crc32(describe(scene).encode()) % _TEST_SHARE == 0


def sample_families(name: str, count: int, *, changes: int, test: bool) -> tuple[Family, ...]:
    """Draw families whose scenes are all of the test set, or all of training's; no two sources are equal."""
    rng = generator("css", name)
    families: dict[Scene, Family] = {}
    while len(families) < count:
        source = _sample_scene(rng)
        if is_test(source) == test and source not in families:
            families[source] = _sample_family(source, changes, rng)
    return tuple(families.values())


def digest_of(families: Iterable[Family]) -> str:
    """Name the content: equal for equal scenes and texts."""
    digest = hashlib.sha256()
    for family in families:
        said = [describe(family.source), *family.texts, *map(describe, family.outcomes)]
        digest.update(f"{' | '.join(said)}\n".encode())
    return digest.hexdigest()[:16]


def changed(scene: Scene, place: int, thing: Thing | None) -> Scene:
    """Return the scene with something else, or nothing, at a place."""
    return (*scene[:place], thing, *scene[place + 1 :])


def _sample_family(source: Scene, changes: int, rng: random.Random) -> Family:
    outcomes: dict[Scene, str] = {}
    while len(outcomes) < changes:
        text, outcome = _sample_change(source, rng)
        if is_test(outcome) == is_test(source):
            outcomes.setdefault(outcome, text)
    return Family(source, tuple(outcomes.values()), tuple(outcomes))


def _sample_scene(rng: random.Random) -> Scene:
    places = rng.sample(range(len(PLACES)), rng.randint(_LEAST, _MOST))
    return tuple(_sample_thing(rng) if place in places else None for place in range(len(PLACES)))


def _sample_thing(rng: random.Random) -> Thing:
    return Thing(size=rng.choice(SIZES), colour=rng.choice(COLOURS), shape=rng.choice(SHAPES))


def _sample_change(scene: Scene, rng: random.Random) -> tuple[str, Scene]:
    kind = rng.choice(("make", "add", "remove"))
    if kind == "add":
        place = rng.choice([place for place, thing in enumerate(scene) if thing is None])
        thing = _sample_thing(rng)
        return f"add {thing} to {PLACES[place]}", changed(scene, place, thing)
    place, thing = rng.choice(list(_things(scene)))
    if kind == "remove":
        return f"remove {_name(scene, place, thing, rng)}", changed(scene, place, None)
    if rng.random() < 0.5:  # noqa: PLR2004 - half of them are changes of size
        other = replace(thing, size=next(size for size in SIZES if size != thing.size))
        said = other.size
    else:
        other = replace(thing, colour=rng.choice([colour for colour in COLOURS if colour != thing.colour]))
        said = other.colour
    return f"make {_name(scene, place, thing, rng)} {said}", changed(scene, place, other)


def _name(scene: Scene, place: int, thing: Thing, rng: random.Random) -> str:
    """Name one shape of the scene: with its place where another looks the same, else half of the time."""
    alike = sum(other == thing for other in scene)
    return f"{PLACES[place]} {thing}" if alike > 1 or rng.random() < 0.5 else str(thing)  # noqa: PLR2004 - half


def _things(scene: Scene) -> Iterator[tuple[int, Thing]]:
    return ((place, thing) for place, thing in enumerate(scene) if thing)
