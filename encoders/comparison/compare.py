"""`make quality`: every fusion design on the same frozen towers and the same budget, measured where none was tuned."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from catalogue.grammar import caption
from catalogue.randomness import generator
from catalogue.splits import Split
from encoders.augment import Pixels, augmented
from encoders.batches import TrainingSet
from encoders.checkpoint import TOKENIZER_FILE, Encoders, load_encoders
from encoders.comparison.designs import DESIGNS, Design
from encoders.comparison.features import Features, frozen_features, plain_view
from encoders.comparison.measure import Compose, Exam, Figures, spread
from encoders.comparison.neighbourhoods import Neighbourhoods, Protocol
from encoders.comparison.reading import read_attributes
from encoders.comparison.sheet import draw_failures
from encoders.comparison.training import Budget, Material, train_design
from encoders.pictures import digest_of, drawn_pictures
from encoders.stages import device
from vitrine.preprocess import Tokenizer

_WEIGHTS = tuple(step / 20 for step in range(21))
"""Shares of the text in the weighted sum that validation chooses from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is compared, and how long each design trains."""

    seeds: tuple[int, ...] = (1, 2, 3)
    views: int = 2
    """Augmented views of each training picture."""
    budget: Budget = field(default_factory=Budget)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The towers, what to learn from, and where to choose and to measure."""

    encoders: Encoders
    material: Material
    validation: Exam
    test: Exam


def compare(
    weights: Path, work: Path, settings: Settings, *, split: Split, protocol: Protocol, sheet: Path
) -> dict[str, Any]:
    """Train and measure every design, and draw the failures of the served weights.

    Args:
        weights: the towers, and the fusion encoder that is served.
        work: keeps pictures, features and trained designs.
        settings: another budget trains anew.
        split: what to learn from.
        protocol: where to choose and to measure.
        sheet: gets the failures, a JPEG.

    Raises:
        CheckpointError: the weights cannot be used.
    """
    encoders = load_encoders(weights)
    for module in encoders.parts().values():
        module.to(device())
    tokenizer = Tokenizer.from_file(weights / TOKENIZER_FILE)
    validation, _ = _prepare_exam(encoders, tokenizer, protocol.validation, work)
    test, pictures = _prepare_exam(encoders, tokenizer, protocol.test, work)
    material = _prepare_material(encoders, tokenizer, split, settings.views, work)
    bench = Bench(encoders=encoders, material=material, validation=validation, test=test)
    designs = _measure_untrained(bench)
    for design in DESIGNS:
        designs[design.name] = _measure_design(design, bench, settings, work)
        print(f"{design.name}: {designs[design.name]['test']['mean']}", flush=True)
    found = test.find(_served(encoders))
    draw_failures(test, found, pictures, sheet)
    return {
        "designs": designs,
        "confusions": {
            "served": test.confusions(found),
            "oracle_caption": test.confusions(_ask_oracle(test, bench)),
        },
        "read": read_attributes(material, test),
    }


def _prepare_exam(
    encoders: Encoders, tokenizer: Tokenizer, neighbourhoods: Neighbourhoods, work: Path
) -> tuple[Exam, Pixels]:
    pictures = drawn_pictures(neighbourhoods.name, neighbourhoods.pictures(), cache=work)
    name = f"{neighbourhoods.name}-{digest_of(neighbourhoods.pictures())}"
    features = frozen_features(encoders.image, pictures, plain_view, name=name, cache=work)
    return Exam.prepare(neighbourhoods, features, tokenizer), pictures


def _prepare_material(
    encoders: Encoders, tokenizer: Tokenizer, split: Split, views: int, work: Path
) -> Material:
    drawn = tuple(split.pictures())
    pictures = drawn_pictures(split.name, drawn, cache=work)
    made = []
    for view in range(views):
        name = f"{split.name}-{digest_of(drawn)}-view-{view}"
        draw = partial(augmented, rng=generator("comparison", name))
        made.append(frozen_features(encoders.image, pictures, draw, name=name, cache=work))
    features = Features(
        torch.cat([features.pooled for features in made]), torch.cat([features.maps for features in made])
    )
    return Material.prepare(TrainingSet.of_split(split, pictures, tokenizer), features, encoders)


def _measure_untrained(bench: Bench) -> dict[str, Any]:
    """Measure what needs no training here: the served weights among it, which have seen far more steps."""
    weight = max(_WEIGHTS, key=lambda weight: _mean(bench.validation, _weighted_sum(bench.encoders, weight)))
    composed: dict[str, Compose] = {
        "image_only": lambda reference, _: reference.pooled,
        "text_only": lambda _, token_ids: bench.encoders.text(token_ids),
        "sum": _weighted_sum(bench.encoders, weight),
        "served": _served(bench.encoders),
    }
    measured = {name: _measure(bench, [compose]) for name, compose in composed.items()}
    measured["sum"]["text_weight"] = weight
    return measured | {
        "oracle_caption": _summarise([_oracle(bench.validation, bench)], [_oracle(bench.test, bench)])
    }


def _measure_design(design: Design, bench: Bench, settings: Settings, work: Path) -> dict[str, Any]:
    """Train a design once a seed and give its figures with their spread."""
    run = work / f"comparison-{_digest(bench, settings)}"
    run.mkdir(exist_ok=True)
    composers = [
        train_design(design, bench.encoders, bench.material, settings.budget, seed=seed, work=run)
        for seed in settings.seeds
    ]
    parameters = sum(parameter.numel() for parameter in composers[0].parameters())
    return _measure(bench, composers) | {"parameters": parameters}


def _measure(bench: Bench, composers: Sequence[Compose]) -> dict[str, Any]:
    validation, test = (
        [exam.figures(exam.find(compose)) for compose in composers] for exam in (bench.validation, bench.test)
    )
    return _summarise(validation, test)


def _summarise(validation: Sequence[Figures], test: Sequence[Figures]) -> dict[str, Any]:
    return {"runs": len(test), "validation": spread(validation), "test": spread(test)}


def _mean(exam: Exam, compose: Compose) -> float:
    return fmean(exam.figures(exam.find(compose))["mean"].values())


def _weighted_sum(encoders: Encoders, weight: float) -> Compose:
    def compose(reference: Features, token_ids: Tensor) -> Tensor:
        mixed = (1 - weight) * reference.pooled + weight * encoders.text(token_ids)
        return functional.normalize(mixed, dim=-1)

    return compose


def _served(encoders: Encoders) -> Compose:
    return lambda reference, token_ids: encoders.fusion(reference.pooled, token_ids)


def _oracle(exam: Exam, bench: Bench) -> Figures:
    return exam.figures(_ask_oracle(exam, bench))


def _ask_oracle(exam: Exam, bench: Bench) -> Tensor:
    """Ask with the caption of what is wanted: what these towers allow at most, since no composer knows more."""
    questions = exam.neighbourhoods.questions
    token_ids = torch.from_numpy(
        bench.material.data.tokenizer([caption(question.wanted[0]) for question in questions])
    )
    return exam.find(lambda _, given: bench.encoders.text(given), token_ids)


def _digest(bench: Bench, settings: Settings) -> str:
    """Name what a trained composer depends on beside its code."""
    trained = [*map(caption, bench.material.data.specs), asdict(settings.budget), settings.views]
    digest = hashlib.sha256(json.dumps(trained).encode())
    for network in (bench.encoders.image, bench.encoders.text):
        for tensor in network.state_dict().values():
            digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()[:12]
