"""Training and test sets of the procedural catalogue.

A cluster is a spec with neighbours that differ from it by one word of the caption: hard negatives for training,
and source and target of composed queries. Combinations of category, colour and pattern (or material, where a
category has no pattern) that `is_held` names are in no training cluster, so `ood` asks for what was never seen.

splits.tsv.gz beside this file holds them as `python -m catalogue splits` prints them, for whoever wants to train or
measure on the same sets without this code.
"""

import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from catalogue.grammar import Edit, Spec, caption, edit_between, edited, sample_edit, sample_spec
from catalogue.randomness import generator

HELD_PERCENT = 15
CLUSTER_SIZE = 4
_ATTEMPTS = 80
"""Draws of a neighbour before a cluster is given up."""


@dataclass(frozen=True, slots=True)
class Edge:
    """The change that leads from one member of a cluster to another; both are positions in its specs."""

    source: int
    target: int
    edit: Edit


@dataclass(frozen=True, slots=True)
class Cluster:
    """CLUSTER_SIZE specs around the first one, and every ordered pair of them that is one word apart."""

    specs: tuple[Spec, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """Clusters with the seeds of their pictures: every spec has one picture a seed."""

    name: str
    clusters: tuple[Cluster, ...]
    picture_seeds: range

    def specs(self) -> Iterator[Spec]:
        """Return every spec, cluster by cluster."""
        return (spec for cluster in self.clusters for spec in cluster.specs)

    def pictures(self) -> Iterator[tuple[Spec, int]]:
        """Return what `render` takes for every picture: each spec with each of its seeds."""
        return ((spec, seed) for spec in self.specs() for seed in self.picture_seeds)


@dataclass(frozen=True, slots=True)
class Splits:
    """Four sets; no caption is in two of them, but for `seen`, which shows training captions in new pictures."""

    train: Split
    iid: Split
    """New captions made of combinations that training has seen."""
    ood: Split
    """New captions made of combinations that training has not seen."""
    seen: Split


# It takes seconds, changes nothing, and is asked for again by whoever draws, trains and measures.
@lru_cache(maxsize=2)
def make_splits(
    *, seed: int = 7, train_clusters: int = 2600, test_clusters: int = 260, seen_clusters: int = 150
) -> Splits:
    """Draw the four sets; equal arguments give equal sets."""
    rng = generator("splits", seed)
    used: set[Spec] = set()
    train = sample_clusters(rng, train_clusters, lambda spec: not is_held(spec), used)
    iid = sample_clusters(rng, test_clusters, lambda spec: not is_held(spec), used)
    ood = sample_clusters(rng, test_clusters, is_held, used)
    seen = tuple(rng.sample(train, seen_clusters))
    return Splits(
        train=Split("train", train, range(2)),
        iid=Split("iid", iid, range(100, 103)),
        ood=Split("ood", ood, range(100, 103)),
        seen=Split("seen", seen, range(200, 203)),
    )


def table(splits: Splits) -> Iterator[str]:
    """Yield the sets as lines of split, cluster, seeds of the pictures and caption, with tabs between, after a header."""
    yield "split\tcluster\tseeds\tcaption"
    for split in (splits.train, splits.iid, splits.ood, splits.seen):
        seeds = ",".join(map(str, split.picture_seeds))
        for number, cluster in enumerate(split.clusters):
            for spec in cluster.specs:
                yield f"{split.name}\t{number}\t{seeds}\t{caption(spec)}"


def is_held(spec: Spec) -> bool:
    """Return whether the spec's combination of category, colour and pattern is kept out of training."""
    second = spec.get("pattern") or spec["material"]
    combination = f"{spec.category}|{spec['colour']}|{second}"
    return zlib.crc32(combination.encode()) % 100 < HELD_PERCENT


def sample_clusters(
    rng: random.Random, count: int, allowed: Callable[[Spec], bool], used: set[Spec]
) -> tuple[Cluster, ...]:
    """Draw clusters of allowed specs that are not used yet; what they hold is added to `used`."""
    clusters: list[Cluster] = []
    while len(clusters) < count:
        specs = _sample_neighbourhood(rng, lambda spec: allowed(spec) and spec not in used)
        if len(specs) == CLUSTER_SIZE:
            used.update(specs)
            clusters.append(Cluster(specs, _edges(specs)))
    return tuple(clusters)


def _sample_neighbourhood(rng: random.Random, allowed: Callable[[Spec], bool]) -> tuple[Spec, ...]:
    centre = sample_spec(rng)
    if not allowed(centre):
        return ()
    specs = {centre: None}
    for _ in range(_ATTEMPTS):
        if len(specs) == CLUSTER_SIZE:
            break
        neighbour = edited(centre, sample_edit(rng, centre))
        if allowed(neighbour):
            specs[neighbour] = None
    return tuple(specs)


def _edges(specs: tuple[Spec, ...]) -> tuple[Edge, ...]:
    return tuple(
        Edge(i, j, edit)
        for i, source in enumerate(specs)
        for j, target in enumerate(specs)
        if (edit := edit_between(source, target))
    )
