"""`make train`: from the procedural catalogue to weights with their card."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import torch

from catalogue.splits import Split
from encoders.batches import TrainingSet
from encoders.checkpoint import TOKENIZER_FILE, new_encoders, save_encoders
from encoders.environment import describe_environment
from encoders.networks import Sizes
from encoders.pictures import drawn_pictures
from encoders.progress import plot_history
from encoders.training import Settings, embed_pictures, train_fusion, train_jointly, train_text
from encoders.vocabulary import sample_texts, train_tokenizer
from vitrine.preprocess import Tokenizer

_VOCABULARY_SAMPLES = 10_000


def train(out: Path, work: Path, settings: Settings, split: Split) -> None:
    """Draw, train and write the weights; goes on where an earlier run with these settings stopped.

    Args:
        out: gets the weights, tokenizer.json, card.json and loss.png.
        work: keeps the drawn pictures and the state of the run.
        settings: another value is another run.
        split: what to learn from.
    """
    pictures = drawn_pictures("train", tuple(split.pictures()), cache=work)
    tokenizer = train_tokenizer(sample_texts(_VOCABULARY_SAMPLES, seed=settings.seed))
    data = TrainingSet.of_split(split, pictures, Tokenizer(tokenizer.to_str()))
    sizes = Sizes(vocabulary=tokenizer.get_vocab_size())
    run = work / _run_name(sizes, settings)
    run.mkdir(exist_ok=True)

    torch.manual_seed(settings.seed)
    encoders = new_encoders(sizes)
    history = train_jointly(encoders, data, settings, run)
    embedded = embed_pictures(encoders, data, settings)
    history |= train_text(encoders, data, embedded, settings, run)
    history |= train_fusion(encoders, data, embedded, settings, run)

    card = {
        "training": {"pictures": len(pictures), "captions": len(data.specs), **asdict(settings)},
        "losses": {name: round(points[-1][1], 4) for name, points in history.items()},
        "environment": describe_environment(),
    }
    save_encoders(out, encoders, card=card)
    tokenizer.save(str(out / TOKENIZER_FILE))
    plot_history(history, out / "loss.png")


def _run_name(sizes: Sizes, settings: Settings) -> str:
    described = json.dumps([asdict(sizes), asdict(settings)])
    return f"run-{hashlib.sha256(described.encode()).hexdigest()[:12]}"
