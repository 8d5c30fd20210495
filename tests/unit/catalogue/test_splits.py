"""Training and test sets of the procedural catalogue."""

import gzip
import hashlib
from itertools import combinations
from pathlib import Path

import pytest

from catalogue.grammar import caption, edit_between
from catalogue.splits import CLUSTER_SIZE, Split, is_held, make_splits, table

SPLITS_FILE = Path(__file__).parents[3] / "catalogue/splits.tsv.gz"

SPLITS = make_splits(seed=3, train_clusters=200, test_clusters=40, seen_clusters=10)


def test_sets_share_no_caption() -> None:
    """Training, i.i.d. and unseen-combination sets have no spec in common; `seen` repeats training's."""
    sets = [set(split.specs()) for split in (SPLITS.train, SPLITS.iid, SPLITS.ood)]
    assert [len(specs) for specs in sets] == [800, 160, 160]
    assert all(not (a & b) for a, b in combinations(sets, 2))
    assert set(SPLITS.seen.specs()) <= sets[0]


@pytest.mark.slow
def test_the_sets_are_the_committed_ones() -> None:
    """The weights, their figures and every comparison rest on these sets: another one is another benchmark."""
    splits = make_splits()
    sets = (splits.train, splits.iid, splits.ood, splits.seen)
    assert {split.name: (len(list(split.specs())), _digest(split)) for split in sets} == {
        "train": (10400, "3a5fc6fb6e413198"),
        "iid": (1040, "39935ea56ad9528e"),
        "ood": (1040, "19bcfeab985f4da2"),
        "seen": (600, "6206ba6fc2386775"),
    }
    unseen = [set(split.specs()) for split in sets[:3]]
    assert all(not (a & b) for a, b in combinations(unseen, 2))


@pytest.mark.slow
def test_the_committed_file_holds_the_sets() -> None:
    """Whoever reads the file trains and measures on what this code draws."""
    committed = gzip.decompress(SPLITS_FILE.read_bytes()).decode().splitlines()
    assert committed == list(table(make_splits()))


def _digest(split: Split) -> str:
    lines = [f"{caption(spec)}|{seed}" for spec, seed in split.pictures()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def test_held_combinations_are_in_no_training_cluster() -> None:
    """Only the `ood` set holds held combinations, and it holds nothing else."""
    assert not any(is_held(spec) for split in (SPLITS.train, SPLITS.iid) for spec in split.specs())
    assert all(is_held(spec) for spec in SPLITS.ood.specs())


def test_edges_lead_from_source_to_target() -> None:
    """Every member is one word from the first, in both directions, and an edge says which word."""
    for cluster in SPLITS.train.clusters:
        assert len(cluster.specs) == CLUSTER_SIZE
        for edge in cluster.edges:
            assert edit_between(cluster.specs[edge.source], cluster.specs[edge.target]) == edge.edit
        pairs = {(edge.source, edge.target) for edge in cluster.edges}
        assert {(0, i) for i in range(1, CLUSTER_SIZE)} | {(i, 0) for i in range(1, CLUSTER_SIZE)} <= pairs


def test_pictures_of_a_seen_caption_are_new() -> None:
    """Sets that share captions share no picture."""
    pictures = set(SPLITS.train.pictures())
    assert len(pictures) == 1600
    assert not pictures & set(SPLITS.seen.pictures())


def test_equal_arguments_give_equal_sets() -> None:
    """The sets depend on nothing but the arguments."""
    again = make_splits.__wrapped__(seed=3, train_clusters=200, test_clusters=40, seen_clusters=10)
    other = make_splits(seed=4, train_clusters=200, test_clusters=40, seen_clusters=10)
    assert again == SPLITS
    assert isinstance(other.train, Split)
    assert other.train != SPLITS.train
