"""`python -m benchmarks moderation`: what a list of blocked pictures finds of their copies, and what it takes for one and is none.

Photographs are drawn from tables or folders that the caller names; a part of them is blocked. Every blocked one is edited as
people edit what they upload again, and each edit is looked up; so are the photographs that are not blocked. The rules are chosen on
one half of both and reported on the other. Pictures that the data count as one `group` are no false alarms of each other.
"""

import io
import itertools
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from benchmarks.environment import describe_machine
from benchmarks.tables import Document, origin, table
from vitrine.moderation.fingerprints import BITS, blocked_hashes, seen_hashes
from vitrine.moderation.judging import BlockedPicture, Blocklist, Rules
from vitrine.preprocess import decode_image

SEED = 20
MUST_FIND = ("crop", "resize", "recompress", "flip")
"""Edits of which 98 % are to be found, with false alarms of .1 % at most."""
MOST_FALSE = 0.001

_MANIFEST = "measured"
_COPY_BITS = (16, 20, 24, 28, 32, 36)
_TILE_BITS = (16, 24, 32)
_CROP_BITS = tuple(range(20, 52, 2))
_SIMILARITIES = (0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)

Picture = Image.Image
Edit = Callable[[Picture, random.Random], Picture]


@dataclass(frozen=True, slots=True)
class Photograph:
    """One of the data."""

    data: bytes
    source: str
    group: str


@dataclass(frozen=True, slots=True)
class Looked:
    """How near the blocked list is to one picture: all that a rule asks."""

    copy: int
    """Bits to the nearest copy."""
    tile: int
    crops: tuple[int, ...]
    """Bits to the nearest crop of at least each of _SIMILARITIES."""


def measure_moderation(
    data: Sequence[Path],
    repository: Path,
    *,
    blocked: int,
    others: int,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Return params and results; raises ValueError where the data has too few photographs."""
    dice = random.Random(SEED)  # noqa: S311 - no secret
    photographs = [each for path in data for each in _read(path)]
    if len(photographs) < blocked + others:
        raise ValueError(f"{blocked + others:,} photographs are needed, there are {len(photographs):,}")
    chosen = _spread(photographs, blocked, dice)
    groups = {each.group for each in chosen}
    left = [each for each in photographs if each.group not in groups]
    dice.shuffle(left)
    left = left[:others]
    looking = _Looking(repository, chosen)
    say(f"{len(chosen)} blocked")
    looked: dict[str, list[Looked]] = {}
    for name, edit in _edits(left).items():
        looked[name] = [looking.look(_edited(each, edit, dice)) for each in chosen]
        say(f"{name} done")
    innocent = [looking.look(each.data) for each in left]
    rules = _choose({name: each[::2] for name, each in looked.items()}, innocent[::2])
    return {
        "environment": describe_machine(),
        "params": {
            "photographs": {
                path.stem: sum(each.source == path.stem for each in photographs) for path in data
            },
            "blocked": len(chosen),
            "others": len(left),
            "chosen_on": {"blocked": len(chosen[::2]), "others": len(innocent[::2])},
            "repository": repository.name,
            "embedding_dim": looking.dim,
            "image_size": looking.size,
            "seed": SEED,
        },
        "results": {
            "rules": {name: getattr(rules, name) for name in Rules.__slots__},
            "found": {name: _share(each[1::2], rules) for name, each in looked.items()},
            "false_alarms": _false_alarms(innocent[1::2], left[1::2], rules),
            "cpu_ms": looking.costs(),
        },
    }


def moderation_section(documents: Mapping[str, Document]) -> list[str]:
    """Return the rules that were chosen, what they find of each edit, and their false alarms."""
    lines: list[str] = []
    for name, document in documents.items():
        params, results = document["params"], document["results"]
        rules = ", ".join(f"{rule} {value:g}" for rule, value in results["rules"].items())
        drawn = ", ".join(f"{source} {count:,}" for source, count in params["photographs"].items())
        costs = ", ".join(f"{part} {spent:g}" for part, spent in results["cpu_ms"].items())
        chosen_on = params["chosen_on"]
        lines += [
            *origin(name, document),
            (
                f"Encoders {params['repository']}; photographs: {drawn}. {params['blocked']} are blocked and {params['others']:,} others looked up; the rules were"
                f" chosen on {chosen_on['blocked']} and {chosen_on['others']:,} of them and are reported on the rest: {rules}. CPU ms a picture: {costs}."
            ),
            "",
            *table(
                ["edit of a blocked picture", "found, %"],
                [[edit, f"{100 * share:.1f}"] for edit, share in results["found"].items()],
            ),
            "",
            *table(
                ["other pictures", "looked up", "taken for a blocked one", "%"],
                [
                    [source, f"{each['looked_up']:,}", f"{each['false']:,}", f"{100 * each['share']:.2f}"]
                    for source, each in results["false_alarms"].items()
                ],
            ),
            "",
        ]
    return lines[:-1]


class _Looking:
    """The encoder and the list; counts what both cost."""

    def __init__(self, repository: Path, chosen: Sequence[Photograph]) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(repository / "image_encoder/1/model.onnx", options)
        (given,) = self._session.get_inputs()
        self._input = given.name
        self.size = int(given.shape[1])
        self.dim = 0
        self._spent = {"hash": 0.0, "compare": 0.0, "embed": 0.0}
        self._times = 0
        self._blocked = [self._blocked_picture(str(i), each.data) for i, each in enumerate(chosen)]
        self._list = Blocklist(self._blocked)

    def look(self, data: bytes) -> Looked:
        pixels, size = self._decoded(data)
        started = time.process_time()
        embedding = self._embed(pixels)
        embedded = time.process_time()
        seen = seen_hashes(pixels, size)
        hashed = time.process_time()
        looked = self._looked(self._list, seen, embedding)
        self._spent["embed"] += embedded - started
        self._spent["hash"] += hashed - embedded
        self._spent["compare"] += time.process_time() - hashed
        self._times += 1
        return looked

    def costs(self) -> dict[str, float]:
        """Return the mean of each part, in milliseconds."""
        return {name: round(1e3 * spent / self._times, 2) for name, spent in self._spent.items()}

    def _looked(self, blocked: Blocklist, seen: Any, embedding: NDArray[np.float32]) -> Looked:
        copy, tile = blocked.nearest(seen.whole), blocked.nearest(seen.tiles)
        crops = blocked.crops(seen, embedding, _MANIFEST, min(_SIMILARITIES))
        return Looked(
            copy=BITS if copy is None else copy.distance,
            tile=BITS if tile is None else tile.distance,
            crops=tuple(
                min((each.distance for each in crops if (each.similarity or 0.0) >= least), default=BITS)
                for least in _SIMILARITIES
            ),
        )

    def _blocked_picture(self, identity: str, data: bytes) -> BlockedPicture:
        pixels, size = self._decoded(data)
        kept = blocked_hashes(pixels, size)
        assert kept is not None, "a photograph has contrast"
        embedding = self._embed(pixels)
        self.dim = len(embedding)
        return BlockedPicture(
            id=identity,
            label="",
            added_ms=0,
            manifest=_MANIFEST,
            embedding=embedding,
            copies=kept.copies,
            windows=kept.windows,
        )

    def _decoded(self, data: bytes) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        with Image.open(io.BytesIO(data)) as image:
            size = image.size
        return decode_image(data, size=self.size), size

    def _embed(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        (rows,) = self._session.run(None, {self._input: pixels[np.newaxis]})
        row: NDArray[np.float32] = rows[0]
        return row


def _read(path: Path) -> Iterator[Photograph]:
    """Yield the photographs of a Parquet file with a column `image`, or of a folder."""
    if path.is_dir():
        for file in sorted(path.rglob("*.jp*g")):
            yield Photograph(file.read_bytes(), path.stem, str(file))
        return
    import pyarrow.parquet as pq  # noqa: PLC0415 - for those who bring a table

    table = pq.read_table(path)
    groups = table["group"].to_pylist() if "group" in table.column_names else itertools.count()
    for image, group in zip(table["image"].to_pylist(), groups, strict=False):
        yield Photograph(image["bytes"], path.stem, f"{path.stem}/{group}")


def _spread(photographs: Sequence[Photograph], count: int, dice: random.Random) -> list[Photograph]:
    """Return photographs, as many of each source and none of the same group twice, those with contrast."""
    shuffled = list(photographs)
    dice.shuffle(shuffled)
    sources = sorted({each.source for each in photographs})
    chosen: dict[str, Photograph] = {}
    for source in sources:
        own = {each.group: each for each in shuffled if each.source == source}
        chosen |= dict(itertools.islice(own.items(), count // len(sources)))
    mixed = list(chosen.values())
    dice.shuffle(mixed)
    return mixed


def _edited(photograph: Photograph, edit: Edit, dice: random.Random) -> bytes:
    with Image.open(io.BytesIO(photograph.data)) as image:
        edited = edit(image.convert("RGB"), dice)
    return _jpeg(edited, 90)


def _jpeg(image: Picture, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def _edits(others: Sequence[Photograph]) -> Mapping[str, Edit]:
    """Return what is done to a blocked picture, by name; docs/moderation.md says it in words."""
    white, black, red = "white", "black", "#c33"
    return {
        "crop": lambda image, dice: _crop(image, dice, even=True),
        "uneven crop": lambda image, dice: _crop(image, dice, even=False),
        "resize": lambda image, dice: _scale(image, dice.uniform(0.4, 2)),
        "recompress": lambda image, dice: Image.open(io.BytesIO(_jpeg(image, dice.randint(30, 90)))),
        "flip": lambda image, _: ImageOps.mirror(image),
        "brightness": lambda image, dice: ImageEnhance.Brightness(image).enhance(dice.uniform(0.7, 1.3)),
        "border": lambda image, dice: ImageOps.expand(
            image, round(max(image.size) * dice.uniform(0.03, 0.12)), dice.choice((white, black, red))
        ),
        "rotation": lambda image, dice: image.rotate(
            dice.uniform(-3, 3), resample=Image.Resampling.BICUBIC, expand=True, fillcolor=white
        ),
        "collage of 2": lambda image, dice: _collage(image, others, 2, dice),
        "collage of 4": lambda image, dice: _collage(image, others, 4, dice),
    }


def _crop(image: Picture, dice: random.Random, *, even: bool) -> Picture:
    """Take 5 to 20 % off both sides, by the same share where it is even, at a random place."""
    wide, high = image.size
    across = dice.uniform(0.05, 0.2)
    along = across if even else dice.uniform(0.05, 0.2)
    left, top = dice.uniform(0, wide * across), dice.uniform(0, high * along)
    return image.crop(
        (round(left), round(top), round(left + wide * (1 - across)), round(top + high * (1 - along)))
    )


def _scale(image: Picture, by: float) -> Picture:
    return image.resize((round(image.width * by), round(image.height * by)))


def _collage(image: Picture, others: Sequence[Photograph], cells: int, dice: random.Random) -> Picture:
    """Put a picture beside others of its size, in a row of two or two rows of two, at a random place."""
    wide, high = image.size
    parts = [image]
    for other in dice.sample(others, cells - 1):
        with Image.open(io.BytesIO(other.data)) as opened:
            parts.append(opened.convert("RGB").resize(image.size))
    dice.shuffle(parts)
    whole = Image.new("RGB", (2 * wide, high * cells // 2))
    for place, part in enumerate(parts):
        whole.paste(part, (place % 2 * wide, place // 2 * high))
    return whole


def _choose(looked: Mapping[str, Sequence[Looked]], innocent: Sequence[Looked]) -> Rules:
    """Return the rules that find most of what must be found, within the false alarms that may be; the strictest of equals."""
    best: tuple[float, Rules] | None = None
    for copy, tile, crop, similarity in itertools.product(_COPY_BITS, _TILE_BITS, _CROP_BITS, _SIMILARITIES):
        rules = Rules(copy_bits=copy, tile_bits=tile, crop_bits=crop, crop_similarity=similarity)
        if _share(innocent, rules) > MOST_FALSE:
            continue
        found = min(_share(looked[name], rules) for name in MUST_FIND)
        found += sum(_share(each, rules) for each in looked.values()) / 100
        if best is None or found > best[0]:
            best = found, rules
    if best is None:
        raise ValueError("no rules keep to the false alarms that may be")
    return best[1]


def _found(looked: Sequence[Looked], rules: Rules) -> NDArray[np.bool_]:
    """Return which of the pictures the rules take for blocked ones, (n,)."""
    near = np.array([(each.copy, each.tile, *each.crops) for each in looked])
    crop = 2 + _SIMILARITIES.index(rules.crop_similarity)
    found: NDArray[np.bool_] = (
        (near[:, 0] <= rules.copy_bits) | (near[:, 1] <= rules.tile_bits) | (near[:, crop] <= rules.crop_bits)
    )
    return found


def _share(looked: Sequence[Looked], rules: Rules) -> float:
    return round(float(_found(looked, rules).mean()), 5)


def _false_alarms(
    looked: Sequence[Looked], photographs: Sequence[Photograph], rules: Rules
) -> dict[str, dict[str, float]]:
    """Return how many photographs were looked up and how many were taken for blocked ones, of each source and of all."""
    alarms: dict[str, dict[str, float]] = {}
    for source in (*sorted({each.source for each in photographs}), "all"):
        own = [
            each
            for each, photograph in zip(looked, photographs, strict=True)
            if source in ("all", photograph.source)
        ]
        found = _found(own, rules)
        alarms[source] = {
            "looked_up": len(own),
            "false": int(found.sum()),
            "share": round(float(found.mean()), 5),
        }
    return alarms
