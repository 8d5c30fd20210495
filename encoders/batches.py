"""Training batches: clusters of look-alike products, texts that say them, and changes from one to another."""

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from catalogue.grammar import SLOTS, Edit, Spec
from catalogue.randomness import generator
from catalogue.splits import CLUSTER_SIZE, Split
from encoders.augment import Pixels, augmented
from encoders.labels import Labels, describes, encode_attributes, encode_specs
from encoders.phrases import add_unknown_word, describe, describe_fully, say_edits
from vitrine.preprocess import Tokenizer

_UNKNOWN_WORD_SHARE = 0.1
_TWO_EDITS_SHARE = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSet:
    """Clusters one after another; the pictures of a spec are consecutive rows of `pictures`."""

    specs: tuple[Spec, ...]
    labels: Labels
    pictures: Pixels
    """(specs * pictures_per_spec, STORED_SIZE, STORED_SIZE, 3)."""
    pictures_per_spec: int
    tokenizer: Tokenizer

    @classmethod
    def of_split(cls, split: Split, pictures: Pixels, tokenizer: Tokenizer) -> "TrainingSet":
        """Join a split with its drawn pictures."""
        specs = tuple(split.specs())
        return cls(
            specs=specs,
            labels=encode_specs(specs),
            pictures=pictures,
            pictures_per_spec=len(split.picture_seeds),
            tokenizer=tokenizer,
        )

    def cluster_rows(self, clusters: Sequence[int]) -> list[int]:
        """Return the specs of the clusters."""
        return [CLUSTER_SIZE * cluster + member for cluster in clusters for member in range(CLUSTER_SIZE)]

    @property
    def clusters(self) -> int:
        """How many clusters there are."""
        return len(self.specs) // CLUSTER_SIZE


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Modification texts that lead from one row of the batch to another; m of them."""

    token_ids: Tensor
    sources: Tensor
    """int64 (m,), rows of the batch."""
    positives: Tensor
    """bool (m, n): the products that look as the change's outcome does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextBatch:
    """A full text and a short query for each of n products."""

    token_ids: Tensor
    """int64 (2n, length): n full texts, then n short queries."""
    same: Tensor
    """bool (n, n): the products share their caption."""
    described: Tensor
    """bool (n, n): the query of the row describes the product of the column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """n products, each with one picture, its texts and a change of it."""

    pixels: Tensor
    labels: Tensor
    texts: TextBatch
    changes: Changes


def batches(data: TrainingSet, *, clusters: int, seed: int, steps: range) -> Iterator[Batch]:
    """Yield the batches of these steps, made one ahead in a thread; a step's batch depends on seed and step alone."""
    with ThreadPoolExecutor(1) as worker:
        pending = worker.submit(make_batch, data, clusters, seed, steps.start)
        for step in steps:
            batch = pending.result()
            if step + 1 < steps.stop:
                pending = worker.submit(make_batch, data, clusters, seed, step + 1)
            yield batch


def make_batch(data: TrainingSet, clusters: int, seed: int, step: int) -> Batch:
    """Draw the clusters, pictures and texts of one step."""
    rng = generator("batch", seed, step)
    rows = data.cluster_rows(draw_clusters(data.clusters, clusters, seed=seed, step=step))
    labels = data.labels[rows]
    specs = [data.specs[row] for row in rows]
    return Batch(
        pixels=torch.from_numpy(np.stack([augmented(_picture(data, row, rng), rng) for row in rows])),
        labels=torch.from_numpy(labels),
        texts=draw_texts(specs, data.tokenizer, rng),
        changes=draw_changes(specs, data.tokenizer, rng),
    )


def draw_clusters(count: int, wanted: int, *, seed: int, step: int) -> list[int]:
    """Return the clusters of a step: each epoch runs through all of them in an order of its own."""
    steps_per_epoch = max(1, count // wanted)
    epoch, position = divmod(step, steps_per_epoch)
    order = list(range(count))
    generator("epoch", seed, epoch).shuffle(order)
    return order[position * wanted : (position + 1) * wanted]


def draw_texts(specs: Sequence[Spec], tokenizer: Tokenizer, rng: random.Random) -> TextBatch:
    """Describe each product in full and in short."""
    labels = encode_specs(specs)
    queries = [describe(spec, rng) for spec in specs]
    texts = [describe_fully(spec, rng) for spec in specs] + [query.text for query in queries]
    named = encode_attributes(query.named for query in queries)
    return TextBatch(
        token_ids=tokenise(tokenizer, texts, rng),
        same=torch.from_numpy(describes(labels, labels)),
        described=torch.from_numpy(describes(named, labels)),
    )


def draw_changes(
    specs: Sequence[Spec], tokenizer: Tokenizer, rng: random.Random, *, among: Labels | None = None
) -> Changes:
    """Draw one change a product, to another of its cluster, by one slot or by two.

    `among` are the products that may be the outcome: those of `specs` by default.
    """
    labels = encode_specs(specs)
    sources: list[int] = []
    targets: list[int] = []
    texts: list[str] = []
    for source in range(len(specs)):
        target, edits = _draw_change(specs, source, rng)
        sources.append(source)
        targets.append(target)
        texts.append(say_edits(edits, rng))
    return Changes(
        token_ids=tokenise(tokenizer, texts, rng),
        sources=torch.tensor(sources),
        positives=torch.from_numpy(describes(labels[targets], labels if among is None else among)),
    )


def tokenise(tokenizer: Tokenizer, texts: Sequence[str], rng: random.Random) -> Tensor:
    """Return int64 token ids, cut to the longest text; a few texts get a word that means nothing."""
    noisy = [add_unknown_word(text, rng) if rng.random() < _UNKNOWN_WORD_SHARE else text for text in texts]
    token_ids = tokenizer(noisy)
    longest = int((token_ids != 0).sum(axis=1).max())
    return torch.from_numpy(token_ids[:, : max(1, longest)])


def edits_between(source: Spec, target: Spec) -> tuple[Edit, ...]:
    """Return every change of a slot between two specs of one category."""
    pairs = zip(SLOTS[source.category], source.values, target.values, strict=True)
    return tuple(Edit(slot, old, new) for slot, old, new in pairs if old != new)


def _draw_change(specs: Sequence[Spec], source: int, rng: random.Random) -> tuple[int, tuple[Edit, ...]]:
    first = source - source % CLUSTER_SIZE
    options = {
        target: edits_between(specs[source], specs[target])
        for target in range(first, first + CLUSTER_SIZE)
        if target != source
    }
    wanted = 2 if rng.random() < _TWO_EDITS_SHARE else 1
    preferred = [target for target, edits in options.items() if len(edits) == wanted]
    target = rng.choice(preferred or list(options))
    return target, options[target]


def _picture(data: TrainingSet, row: int, rng: random.Random) -> Pixels:
    picture: Pixels = data.pictures[row * data.pictures_per_spec + rng.randrange(data.pictures_per_spec)]
    return picture
