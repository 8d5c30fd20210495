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
from PIL import Image

from benchmarks.environment import describe_machine
from benchmarks.picture_edits import edited, edits
from benchmarks.tables import Document, origin, table
from vitrine.moderation.fingerprints import BITS, blocked_hashes, seen_hashes, signs
from vitrine.moderation.judging import BlockedPicture, Blocklist, Rules
from vitrine.preprocess import decode_image

SEED = 20
MUST_FIND = ("crop", "resize", "recompress", "flip")
"""Edits of which 98 % are to be found, with false alarms of .1 % at most."""
ENOUGH = 0.985
"""What is found of each of them on the half on which the rules are chosen: a little more, as the other half is other pictures."""
MOST_FALSE = 0.001

MANY = 10_000
"""Blocked pictures of the list whose cost is told: those that are blocked, again and again."""
_COSTLY = 60
"""Other pictures that are looked up in it."""

_MANIFEST = "measured"
_COPY_BITS = (16, 20, 24, 28, 32, 36)
_TILE_BITS = (16, 24, 32)
_CROP_BITS = tuple(range(12, 38, 2))
_SIMILARITIES = (0.8, 0.825, 0.85, 0.875, 0.9, 0.925)


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
    for name, edit in edits([each.data for each in left]).items():
        looked[name] = [looking.look(edited(each.data, edit, dice)) for each in chosen]
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
            "many": looking.among_many([each.data for each in left[:_COSTLY]]),
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
                f"{_many(results)}"
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


def _many(results: Mapping[str, Any]) -> str:
    if (many := results.get("many")) is None:
        return ""
    return f" With {many['blocked']:,} blocked pictures, {many['mib']:g} MiB in memory, to compare takes {many['compare_ms']:g}."


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

    def among_many(self, data: Sequence[bytes]) -> dict[str, float]:
        """Return what comparing a picture with MANY blocked ones takes, in milliseconds of CPU, and what these take in memory, in MiB."""
        many = Blocklist([self._blocked[i % len(self._blocked)] for i in range(MANY)])
        ready = [(seen_hashes(*self._decoded(each)), self._embed(self._decoded(each)[0])) for each in data]
        started = time.process_time()
        for seen, embedding in ready:
            self._looked(many, seen, embedding)
        spent = time.process_time() - started
        each = self._blocked[0]
        bytes_of_one = each.windows.nbytes + each.copies.nbytes + 2 * each.embedding.nbytes
        bytes_of_one += signs(each.copies).nbytes  # multiplied with what is looked up
        return {
            "blocked": MANY,
            "compare_ms": round(1e3 * spent / len(data), 2),
            "mib": round(MANY * bytes_of_one / 2**20, 1),
        }

    def _looked(self, blocked: Blocklist, seen: Any, embedding: NDArray[np.float32]) -> Looked:
        copy, tile = blocked.nearest(seen.whole), blocked.nearest(seen.tiles)
        crops = blocked.crops(seen, embedding, _MANIFEST, similarity=min(_SIMILARITIES), bits=min(_CROP_BITS))
        return Looked(
            copy=BITS if copy is None else copy.distance,
            tile=BITS if tile is None else tile.distance,
            crops=tuple(
                min((each.distance for each in crops if each.likeness >= least), default=BITS)
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


def _choose(looked: Mapping[str, Sequence[Looked]], innocent: Sequence[Looked]) -> Rules:
    """Return the rules with the fewest false alarms of those that find ENOUGH; where none do, those that find most.

    All keep to the false alarms that may be. Of equals, those count that find most; of these, the strictest.
    """
    best: tuple[tuple[bool, float, float], Rules] | None = None
    for copy, tile, crop, similarity in itertools.product(_COPY_BITS, _TILE_BITS, _CROP_BITS, _SIMILARITIES):
        rules = Rules(copy_bits=copy, tile_bits=tile, crop_bits=crop, crop_similarity=similarity)
        if (false := _share(innocent, rules)) > MOST_FALSE:
            continue
        found = min(_share(looked[name], rules) for name in MUST_FIND)
        enough = found >= ENOUGH
        found += sum(_share(each, rules) for each in looked.values()) / 100
        rank = (enough, -false if enough else 0.0, found)
        if best is None or rank > best[0]:
            best = rank, rules
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
