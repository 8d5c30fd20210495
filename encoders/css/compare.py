"""`python -m encoders css`: the fusion designs on scenes of shapes, from the same towers and with the same budget.

A query is a test scene's picture and a text that changes it; the gallery is every test picture but the query's own;
a hit is the very scene that the text asks for.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from catalogue.randomness import generator
from encoders.augment import Pixels
from encoders.checkpoint import Encoders
from encoders.comparison.composers import Composer
from encoders.comparison.designs import DESIGNS, Design
from encoders.comparison.features import Features, frozen_features
from encoders.comparison.measure import Compose, spread
from encoders.comparison.training import train_composers
from encoders.css.drawing import draw_scene
from encoders.css.scenes import Family, Scene, describe, digest_of, sample_families
from encoders.css.towers import make_tokenizer, train_towers
from encoders.losses import contrastive_loss
from encoders.retrieval import nearest, recalls
from encoders.stages import Losses, autocast, device
from vitrine.preprocess import Tokenizer

_ROWS = 512
_KINDS = ("make", "add", "remove")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How much there is to see, and for how long each design may look."""

    train_families: int = 4000
    test_families: int = 1000
    changes: int = 3
    """Texts a family."""
    tower_steps: int = 600
    steps: int = 400
    queries: int = 256
    """Of a step."""
    rate: float = 1e-3
    seeds: tuple[int, ...] = (1,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queries:
    """m queries among the pictures of n scenes."""

    features: Features
    """Of the n pictures."""
    captions: Tensor
    """int64 (n, TEXT_LENGTH): what is said of each scene."""
    sources: Tensor
    """int64 (m,): rows of the pictures."""
    wanted: Tensor
    """int64 (m,), likewise."""
    token_ids: Tensor
    """int64 (m, TEXT_LENGTH)."""
    kinds: tuple[str, ...]
    """Of _KINDS."""

    @classmethod
    def prepare(
        cls, name: str, families: Sequence[Family], encoders: Encoders, tokenizer: Tokenizer, work: Path
    ) -> "Queries":
        """Draw and embed every scene once, and join the changes to them."""
        rows = {scene: row for row, scene in enumerate(_scenes(families))}
        asked = [
            (rows[family.source], rows[outcome], text)
            for family in families
            for text, outcome in zip(family.texts, family.outcomes, strict=True)
        ]
        sources, wanted, texts = zip(*asked, strict=True)
        return cls(
            features=frozen_features(
                encoders.image,
                _draw(rows),
                lambda picture: picture,
                name=f"css-{name}-{digest_of(families)}",
                cache=work,
            ),
            captions=torch.from_numpy(tokenizer([describe(scene) for scene in rows])),
            sources=torch.tensor(sources),
            wanted=torch.tensor(wanted),
            token_ids=torch.from_numpy(tokenizer(texts)),
            kinds=tuple(text.split()[0] for text in texts),
        )

    @torch.inference_mode()
    def figures(self, compose: Compose) -> dict[str, dict[str, float]]:
        """Return the recalls of every kind of change, and of all queries."""
        chunks = zip(torch.split(self.sources, _ROWS), torch.split(self.token_ids, _ROWS), strict=True)
        composed = [
            compose(self.features.take(rows), token_ids.to(device())).cpu() for rows, token_ids in chunks
        ]
        found = nearest(torch.cat(composed), self.features.pooled, left_out=self.sources)
        scenes = torch.arange(len(self.features.pooled))
        kinds = np.array(self.kinds)
        groups = {kind: torch.from_numpy(kinds == kind) for kind in _KINDS}
        groups["mean"] = torch.ones(len(kinds), dtype=torch.bool)
        return {name: dict(recalls(found[rows], scenes, self.wanted[rows])) for name, rows in groups.items()}


def make_sets(settings: Settings) -> tuple[tuple[Family, ...], tuple[Family, ...]]:
    """Return the families of training and of the test; they share no scene."""
    train = sample_families("train", settings.train_families, changes=settings.changes, test=False)
    return train, sample_families("test", settings.test_families, changes=settings.changes, test=True)


def compare(settings: Settings, work: Path) -> dict[str, Any]:
    """Train the towers once and every design once a seed; goes on where an earlier run stopped.

    Args:
        settings: other ones are other runs.
        work: keeps features, towers and designs, in a folder of its own for these settings.
    """
    train, test = make_sets(settings)
    work = work / f"css-{_digest(settings, train)}"
    work.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(train)
    pictures = _draw(scene for family in train for scene in family.scenes())
    encoders = train_towers(train, pictures, tokenizer, steps=settings.tower_steps, work=work)
    learned = Queries.prepare("train", train, encoders, tokenizer, work)
    asked = Queries.prepare("test", test, encoders, tokenizer, work)
    designs: dict[str, Any] = {
        "image_only": _summarise(asked, [lambda reference, _: reference.pooled]),
        "text_only": _summarise(asked, [lambda _, token_ids: encoders.text(token_ids)]),
    }
    for design in DESIGNS:
        composers = [
            _train(design, encoders, learned, settings, seed=seed, work=work) for seed in settings.seeds
        ]
        designs[design.name] = _summarise(asked, composers)
        print(f"{design.name}: {designs[design.name]['test']['mean']}", flush=True)
    ideal = encoders.text(asked.captions[asked.wanted].to(device()))
    found = nearest(ideal.detach().cpu(), asked.features.pooled, left_out=asked.sources)
    oracle = recalls(found, torch.arange(len(asked.features.pooled)), asked.wanted)
    return {"designs": designs, "oracle_description": dict(oracle)}


def describe_sets(settings: Settings) -> dict[str, Any]:
    """Return the size and the digest of each set."""
    return {
        name: {
            "digest": digest_of(families),
            "scenes": len(_scenes(families)),
            "queries": sum(len(family.texts) for family in families),
        }
        for name, families in zip(("train", "test"), make_sets(settings), strict=True)
    }


def _digest(settings: Settings, train: Sequence[Family]) -> str:
    """Name what a run depends on beside its code; more seeds are no other run."""
    described = json.dumps(asdict(replace(settings, seeds=()))) + digest_of(train)
    return hashlib.sha256(described.encode()).hexdigest()[:12]


def _scenes(families: Iterable[Family]) -> tuple[Scene, ...]:
    """Return the scenes without doubles."""
    return tuple(dict.fromkeys(scene for family in families for scene in family.scenes()))


def _draw(scenes: Iterable[Scene]) -> Pixels:
    return np.stack([draw_scene(scene, seed=1) for scene in scenes])


def _summarise(asked: Queries, composers: Sequence[Compose]) -> dict[str, Any]:
    return {"runs": len(composers), "test": spread([asked.figures(compose) for compose in composers])}


def _train(
    design: Design, encoders: Encoders, learned: Queries, settings: Settings, *, seed: int, work: Path
) -> Composer:
    def losses_of(composer: Composer, scale: Tensor, number: int, step: int) -> Losses:
        rng = generator("css", seed, number, step)
        rows = torch.tensor(rng.sample(range(len(learned.sources)), settings.queries))
        return _losses(composer, scale, learned, rows)

    return train_composers(
        design, encoders, losses_of, steps=settings.steps, rate=settings.rate, seed=seed, work=work
    )


def _losses(composer: Composer, scale: Tensor, learned: Queries, rows: Tensor) -> Losses:
    """Contrast these queries with the picture of every training scene."""
    wanted = learned.wanted[rows]
    positives = wanted[:, None] == torch.arange(len(learned.features.pooled))
    with autocast():
        composed, others = composer.with_losses(
            learned.features.take(learned.sources[rows]),
            learned.token_ids[rows].to(device()),
            learned.captions[wanted].to(device()),
        )
    gallery = learned.features.pooled.to(device())
    return {"image": contrastive_loss(composed, gallery, positives.to(device()), scale), **others}
