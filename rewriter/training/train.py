"""The run: batches of samples of like length, one pass after another, with a checkpoint to go on from."""

import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from rewriter.engines.model.tokens import Tokens
from rewriter.training.data import Example, read_shards
from rewriter.training.network import Decoder, Shape

CHECKPOINT = "checkpoint.pt"
PLOT = "loss.png"
_IGNORED = -100
_FORBIDDEN = -1e4
_SAVE_EVERY = 250
_SMOOTHING = 50
_HELD_BACK = 512
"""Samples that measure, and do not train."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the model is trained."""

    seed: int = 1
    minutes: float = 25.0
    """Of training, over all runs; the learning rate falls to its end over them."""
    batch_tokens: int = 3_072
    learning_rate: float = 2e-3
    """Of AdamW, for embeddings and norms."""
    matrix_rate: float = 2e-2
    """Of Muon, for the layers' matrices."""
    final_share: float = 1e-2
    """What is left of a rate at the end."""
    warm_up: int = 100
    weight_decay: float = 0.05
    dropout: float = 0.1
    clip: float = 1.0


def train(out: Path, work: Path, settings: Settings) -> None:
    """Train until the minutes are used up; the newest shards join at each pass."""
    torch.manual_seed(settings.seed)
    tokens = Tokens(out / "tokenizer.json")
    shape = Shape(vocabulary=tokens.size)
    decoder = Decoder(shape, dropout=settings.dropout)
    optimisers = _optimisers(decoder, settings)
    rates = [group["lr"] for optimiser in optimisers for group in optimiser.param_groups]
    state = _resume(work / CHECKPOINT, decoder, optimisers)
    budget_s = settings.minutes * 60
    with tqdm(total=round(budget_s), initial=round(state["seconds"]), unit="s", desc="train-rewriter") as bar:
        while state["seconds"] < budget_s:
            examples = read_shards(sorted(work.glob("samples-??.npz")))
            state["samples"] = len(examples)
            held, rest = examples[:_HELD_BACK], examples[_HELD_BACK:]
            shuffling = random.Random(settings.seed + state["passes"])
            for batch in _batches(rest, settings.batch_tokens, shuffling):
                began = time.perf_counter()
                share = _share(settings, state["seconds"] / budget_s, state["step"])
                groups = [group for optimiser in optimisers for group in optimiser.param_groups]
                for group, rate in zip(groups, rates, strict=True):
                    group["lr"] = rate * share
                loss = _step(decoder, optimisers, batch, settings.clip)
                state["step"] += 1
                state["seconds"] += time.perf_counter() - began
                state["losses"].append(loss)
                bar.update(round(state["seconds"]) - bar.n)
                if state["step"] % _SAVE_EVERY == 0 or state["seconds"] >= budget_s:
                    state["held"].append((state["step"], *_measure(decoder, held)))
                    bar.set_postfix(
                        loss=f"{loss:.3f}", exact=f"{state['held'][-1][2]:.3f}", passes=state["passes"]
                    )
                    _save(work, decoder, optimisers, state=state, settings=settings)
                if state["seconds"] >= budget_s:
                    return
            state["passes"] += 1


def pad(examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
    """Return tokens (n, t) and, for each place, the token to predict there, or _IGNORED where it was not chosen."""
    length = max(len(example.tokens) for example in examples)
    tokens = torch.zeros(len(examples), length, dtype=torch.int64)
    targets = torch.full((len(examples), length), _IGNORED)
    for row, example in enumerate(examples):
        ids = torch.from_numpy(example.tokens.astype(np.int64))
        free = torch.from_numpy(example.free)
        tokens[row, : len(ids)] = ids
        targets[row, : len(ids) - 1] = torch.where(free[1:], ids[1:], _IGNORED)
    return tokens, targets


def _optimisers(decoder: Decoder, settings: Settings) -> Sequence[torch.optim.Optimizer]:
    """Return Muon (Jordan et al. 2024) for the layers' matrices, and AdamW for the rest.

    On this data Muon halved the loss of a choice after 300 steps, at 7 % more time a step.
    """
    matrices = [parameter for parameter in decoder.layers.parameters() if parameter.ndim > 1]
    known = {id(parameter) for parameter in matrices}
    others = [parameter for parameter in decoder.parameters() if id(parameter) not in known]
    return (
        torch.optim.Muon(matrices, lr=settings.matrix_rate, weight_decay=settings.weight_decay),
        torch.optim.AdamW(
            others, lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=settings.weight_decay
        ),
    )


def _step(
    decoder: Decoder, optimisers: Sequence[torch.optim.Optimizer], batch: Sequence[Example], clip: float
) -> float:
    decoder.train()
    tokens, targets = pad(batch)
    hidden = _hidden(decoder, tokens)
    chosen = targets != _IGNORED
    loss = functional.cross_entropy(decoder.logits(hidden[chosen]), targets[chosen])
    decoder.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call] # torch does not say
    torch.nn.utils.clip_grad_norm_(decoder.parameters(), clip)
    for optimiser in optimisers:
        optimiser.step()
    return loss.item()


def _hidden(decoder: Decoder, tokens: Tensor) -> Tensor:
    """Read whole texts, each token seeing those before it."""
    rows, length = tokens.shape
    shape = decoder.shape
    positions = torch.arange(length).expand(rows, length)
    mask = torch.full((length, length), _FORBIDDEN).triu(1)[None, None]
    past = torch.zeros(shape.layers, rows, shape.heads, 0, shape.head_width)
    hidden: Tensor = decoder(tokens, positions, mask, past, past)[0]
    return hidden


@torch.inference_mode()
def _measure(decoder: Decoder, examples: Sequence[Example]) -> tuple[float, float]:
    """Return the loss of a choice, and the share of samples in which every choice is right."""
    decoder.eval()
    tokens, targets = pad(examples)
    chosen = targets != _IGNORED
    logits = decoder.logits(_hidden(decoder, tokens)[chosen])
    right = torch.ones_like(chosen)
    right[chosen] = logits.argmax(-1) == targets[chosen]
    return functional.cross_entropy(logits, targets[chosen]).item(), right.all(1).float().mean().item()


def _batches(examples: Sequence[Example], size: int, rng: random.Random) -> Iterator[list[Example]]:
    """Yield batches of like length, of at most `size` tokens with padding, in random order."""
    order = sorted(examples, key=lambda example: (len(example.tokens), rng.random()))
    batches: list[list[Example]] = [[]]
    for example in order:
        if (len(batches[-1]) + 1) * len(example.tokens) > size:
            batches.append([])
        batches[-1].append(example)
    rng.shuffle(batches)
    yield from batches


def _share(settings: Settings, progress: float, step: int) -> float:
    """Return the share of the rates: warm up by steps, then fall along half a cosine over the time."""
    cosine = float(1 + np.cos(np.pi * min(1.0, progress))) / 2
    falling = settings.final_share + (1 - settings.final_share) * cosine
    return falling * min(1.0, (step + 1) / settings.warm_up)


def _resume(path: Path, decoder: Decoder, optimisers: Sequence[torch.optim.Optimizer]) -> dict[str, Any]:
    """Load the checkpoint, where there is one, and give the run's state."""
    if not path.exists():
        return {"step": 0, "passes": 0, "seconds": 0.0, "samples": 0, "losses": [], "held": []}
    saved = torch.load(path, weights_only=True)
    decoder.load_state_dict(saved["decoder"])
    for optimiser, known in zip(optimisers, saved["optimisers"], strict=True):
        optimiser.load_state_dict(known)
    state: dict[str, Any] = saved["state"]
    return state


def _save(
    work: Path,
    decoder: Decoder,
    optimisers: Sequence[torch.optim.Optimizer],
    *,
    state: dict[str, Any],
    settings: Settings,
) -> None:
    """Write the checkpoint whole or not at all, and draw the losses."""
    temporary = work / (CHECKPOINT + ".part")
    content = {
        "decoder": decoder.state_dict(),
        "optimisers": [optimiser.state_dict() for optimiser in optimisers],
        "state": state,
        "settings": asdict(settings),
        "shape": asdict(decoder.shape),
    }
    torch.save(content, temporary)
    temporary.rename(work / CHECKPOINT)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    losses = np.array(state["losses"])
    smooth = np.convolve(losses, np.ones(_SMOOTHING) / _SMOOTHING, mode="valid")
    axes.plot(np.arange(len(smooth)) + _SMOOTHING, smooth, label=f"training, mean of {_SMOOTHING} steps")
    axes.plot([step for step, *_ in state["held"]], [loss for _, loss, _ in state["held"]], label="held back")
    axes.set(xlabel="step", ylabel="loss of a choice (nats)", yscale="log")
    axes.legend()
    figure.savefig(work / PLOT, dpi=100)
    (work / "progress.json").write_text(json.dumps({"step": state["step"], "held": state["held"][-1]}))
