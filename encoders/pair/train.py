"""`make train`: from photographs with words to the heads and the combiner, with their card."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import torch

from encoders.environment import describe_environment
from encoders.families import CARD_FILE, CheckpointError, read_card, weights_path
from encoders.pair.backbone import Backbone
from encoders.pair.checkpoint import load_pair, save_pair
from encoders.pair.data import Captions, Changes
from encoders.pair.features import Features, Maps, features_of, picture_features, picture_maps
from encoders.pair.fusion import FUSION, train_fusion
from encoders.pair.kept import keep
from encoders.pair.networks import Combiner, PairEncoders, Sizes, new_pair
from encoders.pair.training import Settings, parameters, train_heads, tune_backbone
from encoders.pair.validation import find_by_change, find_by_title
from encoders.pair.wording import framed, train_wording
from encoders.photographs.embedder import digest_of_pictures
from encoders.photographs.products import (
    TRAIN,
    VAL,
    DataError,
    Photograph,
    load_photographs,
    read_photographs,
)
from encoders.photographs.relative import is_relative_captions, named_colour, read_relative_captions
from encoders.progress import History, plot_history
from encoders.results import digest_of_files, write_result

VALIDATION_FILE = "validation.json"
_FUSED = tuple(each.name for each in fields(Settings) if each.name.startswith(("fusion_", "naming_")))
"""Settings of the combiner, which --fusion-only changes."""
_FEWEST = 64
"""Photographs of the training split: fewer teach nothing."""


def train(out: Path, work: Path, data: Sequence[Path], settings: Settings) -> None:
    """Train and write the weights; goes on where an earlier run with these settings and data stopped.

    Args:
        out: gets the weights, card.json, loss.png, and in validation.json what each stage finds on the split val.
        work: keeps the features and the state of the run.
        data: files or folders that the catalogue's readers open, and JSON Lines of relative captions; their training split alone
            is learnt from.
        settings: another value is another run.

    Raises:
        DataError: the data cannot be used: nothing is said of its pictures, or all of them are said to be the same.
        CheckpointError: a tower's package is missing, or not the one that is meant.
    """
    torch.manual_seed(settings.seed)
    encoders = new_pair(Sizes())
    photographs, validation, written = _read(data, Counter())
    captions = Captions.of(photographs, encoders.text.tower) if photographs else None
    _check(data, photographs, captions)
    assert captions is not None, "there are photographs"
    print(f"{len(photographs):,} photographs, {len(captions.texts.numbers):,} captions", flush=True)
    tower = encoders.image.tower
    tuned = settings.tuning_steps > 0
    seen, asked = (_Seen(tower, each, work, tuned=tuned) for each in (photographs, validation))
    run = work / _run_name(photographs, written, settings)
    run.mkdir(parents=True, exist_ok=True)
    history = train_heads(encoders, seen.features(), captions, settings, run)
    found = {"heads": find_by_title(encoders, asked.features(), validation)}
    if tuned:
        history |= tune_backbone(encoders, seen.maps(), captions, settings, run)
        found["tuned"] = find_by_title(encoders, asked.features(), validation)
    encoders = keep(encoders, seen.features(), captions.texts.features)
    found["kept"] = find_by_title(encoders, asked.features(), validation)
    described = [{"name": path.stem} for path in data]
    training = {
        "photographs": len(photographs),
        "sentences": sum(map(len, written.values())),
        **asdict(settings),
    }
    write_result(
        out / VALIDATION_FILE, {"benchmark": "tuning", "data": described, "training": training}, found
    )
    print(f"titles of the split {VAL}, in percent: {found}", flush=True)
    changes = _changes(encoders, photographs, written)
    held = (captions.texts.features, framed(photographs, encoders.text.tower))
    encoders, worded = train_wording(encoders, held, changes, settings, run)
    history |= worded
    found["worded"] = find_by_title(encoders, asked.features(), validation)
    history |= train_fusion(encoders, seen.features(), changes, settings, run)
    found["changes"] = find_by_change(encoders, asked.features(), validation)
    card: dict[str, Any] = {
        "data": described,
        "training": {"changes": len(changes.all), **training},
        "parameters": dict(parameters(encoders, tuned=tuned)),
        "validation": found,
        "losses": _last(history),
        "environment": describe_environment(),
    }
    save_pair(out, encoders, card=card)
    plot_history(history, out / "loss.png")


def train_fusion_again(out: Path, work: Path, data: Sequence[Path], settings: Settings) -> None:
    """Train the combiner anew on the heads of the weights in `out`, and write it there with what the card says of it.

    Args:
        out: has weights of the family; their heads and tower stay as they are, and `loss.png` shows their training.
        work: keeps the features and the state of the run.
        data: as for `train`.
        settings: those of the combiner count.

    Raises:
        DataError: the data cannot be used, or no picture in it is a change of another.
        CheckpointError: the weights, their card or a tower's package cannot be used.
    """
    card = _trained_card(out)
    encoders = load_pair(out)
    torch.manual_seed(settings.seed)
    encoders = replace(encoders, fusion=Combiner(encoders.sizes.fusion_width))
    photographs, validation, written = _read(data, Counter())
    pictures = [each.picture for each in (*photographs, *validation)]
    features = picture_features(encoders.image.tower, pictures, work=work, views=1)
    seen, asked = features[: len(photographs)], features[len(photographs) :]
    heads = digest_of_files([weights_path(out, name) for name in ("image_encoder", "text_encoder")])
    run = work / f"{_run_name(photographs, written, settings)}-{heads}"
    run.mkdir(parents=True, exist_ok=True)
    changes = _changes(encoders, photographs, written)
    history = train_fusion(encoders, seen, changes, settings, run)
    if not changes.all:
        raise DataError(
            f"{', '.join(map(str, data))}: no two photographs differ in one attribute alone: there is no change to learn"
        )
    fused = {name: value for name, value in asdict(settings).items() if name in _FUSED}
    found = find_by_change(encoders, asked, validation)
    kept = {name: value for name, value in card["losses"].items() if not name.startswith(FUSION)}
    card |= {
        "training": {**card["training"], "changes": len(changes.all), "fusion_seed": settings.seed, **fused},
        "validation": {**card.get("validation", {}), "changes": found},
        "losses": kept | _last(history),
        "environment": describe_environment(),
    }
    save_pair(out, encoders, card=card)
    print(f"changes of the split {VAL}, in percent: {found}", flush=True)


def _trained_card(out: Path) -> dict[str, Any]:
    """Return the card of weights that training wrote: what is trained anew is said beside what it says of the rest."""
    card = read_card(out)
    for part in ("training", "losses"):
        if not isinstance(card.get(part), dict):
            raise CheckpointError(
                f"{out / CARD_FILE}: {part} must be a table; train these weights without --fusion-only first"
            )
    return card


def _read(
    data: Sequence[Path], notes: Counter[str]
) -> tuple[list[Photograph], list[Photograph], Mapping[str, Sequence[str]]]:
    """Return the photographs of the training split, those of the validation split, and sentences that people wrote."""
    sentences = [path for path in data if is_relative_captions(path)]
    tables = [path for path in data if path not in sentences]
    photographs = [each for path in tables for each in load_photographs(path, splits=(TRAIN,), notes=notes)]
    validation = [each for path in tables for each in read_photographs(path) if each.split == VAL]
    return photographs, validation, _written(sentences)


def _changes(
    encoders: PairEncoders, photographs: Sequence[Photograph], written: Mapping[str, Sequence[str]]
) -> Changes:
    changes = Changes.of(photographs, encoders.text.tower, written)
    sentences = sum(map(len, changes.written.values()))
    print(f"{len(changes.all):,} changes, {sentences:,} sentences that people wrote", flush=True)
    return changes


def _written(files: Sequence[Path]) -> Mapping[str, Sequence[str]]:
    """Return the sentences of the training split that ask for one colour, by the colour."""
    found: dict[str, dict[str, None]] = {}
    for each in (each for file in files for each in read_relative_captions(file)):
        if each.split == TRAIN and (colour := named_colour(each.text)) is not None:
            found.setdefault(colour, {})[each.text] = None
    return {colour: tuple(texts) for colour, texts in found.items()}


def _last(history: History) -> dict[str, float]:
    return {name: round(points[-1][1], 4) for name, points in history.items()}


class _Seen:
    """What the backbone, as it is at the time, makes of pictures; by their maps where its last blocks are tuned."""

    def __init__(
        self, tower: Backbone, photographs: Sequence[Photograph], work: Path, *, tuned: bool
    ) -> None:
        self._tower, self._work, self._tuned = tower, work, tuned
        self._pictures = [each.picture for each in photographs]

    def maps(self) -> Maps:
        """Return what the tuned blocks read."""
        return picture_maps(self._tower, self._pictures, work=self._work)

    def features(self) -> Features:
        """Return what the heads read."""
        if not self._tuned:
            return picture_features(self._tower, self._pictures, work=self._work)
        name = digest_of_pictures(self._pictures)
        return features_of(self._tower, self.maps(), work=self._work, pictures=name)


def _check(data: Sequence[Path], photographs: Sequence[Photograph], captions: Captions | None) -> None:
    where = ", ".join(map(str, data))
    if len(photographs) < _FEWEST:
        raise DataError(
            f"{where}: {len(photographs)} photographs to learn from; at least {_FEWEST} are needed"
        )
    assert captions is not None, "there are photographs"
    if not captions.texts.numbers:
        raise DataError(f"{where}: nothing is said of the photographs: no title, no category")
    if len({row.tobytes() for row in captions.fitting}) == 1:
        raise DataError(
            f"{where}: the same is said of all {len(photographs):,} photographs: there is nothing to learn"
        )


def _run_name(
    photographs: Sequence[Photograph], written: Mapping[str, Sequence[str]], settings: Settings
) -> str:
    digest = hashlib.sha256(json.dumps([asdict(settings), written]).encode())
    for each in photographs:
        digest.update(f"{each.product_id}|{each.title}|{sorted(each.attributes.items())}\n".encode())
    return f"pair-{digest.hexdigest()[:12]}"
