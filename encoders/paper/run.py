"""`python -m encoders train --family paper`: from a BLIP-2 and a folder of products to what an export takes."""

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from encoders.environment import describe_environment
from encoders.families import (
    ADAPTER_CONFIG_FILE,
    CONFIG_FILE,
    PIXELS_FILE,
    PROCESSOR_FILE,
    RETRIEVAL_FILE,
    TOKENIZER_CONFIG_FILE,
    TOKENIZER_FILE,
    TRAINING_FILE,
    CheckpointError,
    Family,
    open_tokenizer,
    read_untrained,
)
from encoders.paper.base import BaseSizes, write_base
from encoders.paper.examples import Examples, read_examples
from encoders.paper.features import open_features
from encoders.paper.loading import PROMPTS, new_projections, read_blip
from encoders.paper.networks import join_networks
from encoders.paper.prompts import Prompts
from encoders.paper.training import Settings, Steps, Trainee, adapt, move, start_projections
from encoders.progress import History, plot_history
from encoders.stages import new_stage, run_stage

_PUBLISHED = (
    CONFIG_FILE,
    PIXELS_FILE,
    PROCESSOR_FILE,
    TOKENIZER_FILE,
    TOKENIZER_CONFIG_FILE,
    "generation_config.json",
    "model.safetensors.index.json",
)


def train(
    checkpoint: Path | None, data: Path, out: Path, *, settings: Settings, work: Path, cache_bytes: int
) -> None:
    """Train and write what the export takes; goes on where an earlier run with these settings stopped.

    Args:
        checkpoint: a BLIP-2 with a T5 as it was published; None makes a small one with random weights.
        data: a folder in Fashion200K's layout, or what the catalogue's readers open.
        out: gets the BLIP-2's files, adapter_model.safetensors with adapter_config.json, retrieval.safetensors,
            training.json and loss.png.
        settings: another value is another run.
        work: keeps the ViT's states and the state of the run.
        cache_bytes: bound of the ViT's states on disk.

    Raises:
        CheckpointError: the checkpoint cannot be used.
        TrainingDataError: the data cannot be learnt from.
    """
    _check_out(out, checkpoint)
    examples = read_examples(data)
    base = checkpoint or _small_base(examples, work, seed=settings.seed)
    family = read_untrained(base, text_length=settings.text_length, embedding_dim=settings.embedding_dim)
    prompts = Prompts()
    ids = prompts.ids(open_tokenizer(family))
    blip = read_blip(family)
    torch.manual_seed(settings.seed)
    networks = join_networks(blip, new_projections(blip, family), family, ids)
    trainee = adapt(networks, settings)
    move(trainee)
    features = open_features(
        examples.pictures,
        networks.image,
        image_size=family.dimensions.image_size,
        folder=work,
        most_bytes=cache_bytes,
    )
    examples = examples.without(features.rejected)
    start_projections(networks, features, seed=settings.seed)
    steps = Steps(trainee, examples, features, family, settings)
    run = work / _run_name(family, data, settings)
    run.mkdir(parents=True, exist_ok=True)
    stage = new_stage("paper", trainee.trained(), rate=settings.rate, steps=settings.steps, work=run)
    history = run_stage(stage, steps.losses_of)
    _link_published(base, out)
    _save(trainee, out, text_length=settings.text_length, prompts=prompts)
    _report(out, examples, settings, history, random_base=checkpoint is None)


def _check_out(out: Path, checkpoint: Path | None) -> None:
    """Refuse a folder of something else, whose files would be replaced."""
    if checkpoint is not None and out.resolve() == checkpoint.resolve():
        return
    if out.exists() and any(out.iterdir()) and not (out / TRAINING_FILE).exists():
        raise CheckpointError(
            f"{out}: is not empty and holds no {TRAINING_FILE} of ours; choose another folder"
        )


def _small_base(examples: Examples, work: Path, *, seed: int) -> Path:
    print(
        "no --checkpoint: a small BLIP-2 with RANDOM weights is made, whose T5 knows no language;"
        " it shows that training works, not what pretrained weights would reach",
        flush=True,
    )
    texts = tuple(dict.fromkeys(examples.captions))
    name = hashlib.sha256(json.dumps([texts, asdict(BaseSizes()), seed]).encode()).hexdigest()[:12]
    folder = work / f"base-{name}"
    if not (folder / TOKENIZER_CONFIG_FILE).exists():
        write_base(folder, _said(texts), BaseSizes(), seed=seed)
    return folder


def _said(captions: Iterable[str]) -> Iterable[str]:
    """Yield what the tokenizer of a base learns from: the captions, and the words around them."""
    for caption in captions:
        yield f"Product: {caption}"
        yield f"Picture: Change: replace {caption} with {caption}"


def _run_name(family: Family, data: Path, settings: Settings) -> str:
    weights = {path.name: path.stat().st_mtime_ns for path in family.weights.values()}
    described = json.dumps([family.sizes, weights, str(data.resolve()), asdict(settings)], sort_keys=True)
    return f"run-{hashlib.sha256(described.encode()).hexdigest()[:12]}"


def _link_published(base: Path, out: Path) -> None:
    """Put the BLIP-2's files into the folder: as links where it is on the same disk, for they take gigabytes."""
    out.mkdir(parents=True, exist_ok=True)
    if out.resolve() == base.resolve():
        return
    for old in out.glob("model*.safetensors"):
        old.unlink()
    named = [base / name for name in _PUBLISHED]
    for path in [*named, *base.glob("model*.safetensors")]:
        if not path.exists():
            continue
        link = out / path.name
        link.unlink(missing_ok=True)
        try:
            link.hardlink_to(path.resolve())
        except OSError:  # another disk
            shutil.copyfile(path, link)


def _save(trainee: Trainee, out: Path, *, text_length: int, prompts: Prompts) -> None:
    trainee.adapted.save_pretrained(out)
    path = out / ADAPTER_CONFIG_FILE
    # The BLIP-2 lies beside it, wherever the folder goes; peft notes where it was read from.
    config = json.loads(path.read_text(encoding="utf-8")) | {"base_model_name_or_path": None}
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (out / "README.md").unlink(missing_ok=True)  # peft's template of a card, with nothing filled in
    tensors = {name: each.detach().float().cpu().contiguous() for name, each in trainee.tuned().items()}
    metadata = {"family": "paper", "text_length": str(text_length), PROMPTS: prompts.to_json()}
    save_file(tensors, out / RETRIEVAL_FILE, metadata)


def _report(
    out: Path, examples: Examples, settings: Settings, history: History, *, random_base: bool
) -> None:
    report: dict[str, Any] = {
        "base": "random weights" if random_base else "as published",
        "examples": {
            "pictures": len(examples.pictures),
            "captions": len(set(examples.captions)),
            "looks": len(set(examples.looks)),
            "left_out": examples.left_out,
            "unreadable": len(examples.unreadable),
        },
        "settings": asdict(settings),
        "losses": {
            name: {"first": round(points[0][1], 4), "last": round(points[-1][1], 4)}
            for name, points in history.items()
        },
        "environment": describe_environment(),
    }
    (out / TRAINING_FILE).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    plot_history(history, out / "loss.png")
