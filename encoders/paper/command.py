"""The options of `python -m encoders train --family paper`."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click

from encoders.families import CheckpointError
from encoders.results import is_measured, write_result

OUT = Path("build/paper")

_Command = TypeVar("_Command", bound=Callable[..., Any])

_GIGABYTE = 1_000_000_000
_LINEAR = ("q", "k", "v", "o", "wi_0", "wi_1", "wi", "wo")

# Settings of a pretrained BLIP-2, and of the small one with random weights, whose T5 has all of its layers to learn.
_PRETRAINED: Mapping[str, Any] = {
    "steps": 20_000,
    "turns": 64,
    "rate": 1e-4,
    "text_length": 48,
    "embedding_dim": 768,
    "lora_rank": 16,
    "lora_layers": ("q", "v"),
}
_RANDOM: Mapping[str, Any] = {
    "steps": 800,
    "turns": 24,
    "rate": 2e-3,
    "text_length": 32,
    "embedding_dim": 256,
    "lora_rank": 16,
    "lora_layers": ("q", "k", "v", "o", "wi_0", "wi_1", "wo"),
    "lora_dropout": 0.0,
}

_OPTIONS = (
    click.option(
        "--checkpoint",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        help="paper: a BLIP-2 with a T5 as it is published; without it a small one with random weights.",
    ),
    click.option(
        "--cache-gb", type=click.FloatRange(0), default=150.0, show_default=True, help="paper: of ViT states."
    ),
    click.option("--steps", type=click.IntRange(1), help="paper  [20,000; 800 without --checkpoint]"),
    click.option("--turns", type=click.IntRange(2), help="paper: queries of a step  [64; 24]"),
    click.option(
        "--rate", type=click.FloatRange(0, min_open=True), help="paper: highest learning rate  [1e-4; 2e-3]"
    ),
    click.option("--text-length", type=click.IntRange(4, 512), help="paper: tokens of a text  [48; 32]"),
    click.option(
        "--embedding-dim", type=click.IntRange(8, 32_768), help="paper: numbers of an embedding  [768; 256]"
    ),
    click.option("--lora-rank", type=click.IntRange(1, 1024), help="paper  [16; 16]"),
    click.option(
        "--lora-layer",
        "lora_layers",
        multiple=True,
        type=click.Choice(_LINEAR),
        help="paper; repeat  [q v; all]",
    ),
)


def paper_options(command: _Command) -> _Command:
    """Add the family's options to a command, which hands them on to `train_paper`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def train_paper(
    out: Path | None,
    data: Path | None,
    *,
    work: Path,
    seed: int,
    checkpoint: Path | None,
    cache_gb: float,
    **given: Any,
) -> None:
    """Train the family `paper`.

    Raises:
        ClickException: the checkpoint or the data cannot be used; says which and why.
        UsageError: no data is named.
    """
    if data is None:
        raise click.UsageError("--family paper needs --data: Fashion200K's folder, or any catalogue")
    try:
        import peft  # noqa: F401, PLC0415 - asked for before anything is read
    except ImportError:
        raise click.ClickException("peft is not installed; requirements/train.txt pins it") from None
    # Imported here because peft and transformers take seconds.
    from encoders.paper.examples import TrainingDataError  # noqa: PLC0415
    from encoders.paper.run import train  # noqa: PLC0415
    from encoders.paper.training import Settings  # noqa: PLC0415

    usual = _PRETRAINED if checkpoint else _RANDOM
    chosen = {**usual, **{name: value for name, value in given.items() if value}}
    try:
        train(
            checkpoint,
            data,
            out or OUT,
            settings=Settings(seed=seed, **chosen),
            work=work,
            cache_bytes=int(cache_gb * _GIGABYTE),
        )
    except (CheckpointError, TrainingDataError) as error:
        raise click.ClickException(str(error)) from None


@click.command("paper-cost")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("benchmarks/results/paper-cost.json"),
    show_default=True,
)
def paper_cost(out: Path) -> None:
    """Count what `train --family paper` costs with BLIP-2 FlanT5-XL and Fashion200K; needs neither."""
    from encoders.paper.cost import Assumptions, count_cost  # noqa: PLC0415 - slow, as above
    from encoders.paper.training import Settings  # noqa: PLC0415

    settings, assumed = Settings(seed=7, **_PRETRAINED), Assumptions()
    params = {
        "benchmark": "paper-cost",
        "size": "BLIP-2 FlanT5-XL",
        "settings": asdict(settings),
        "assumed": asdict(assumed),
    }
    if is_measured(out, params):
        click.echo(f"{out}: counted already")
        return
    results = count_cost(settings, assumed)
    write_result(out, params, results)
    click.echo(json.dumps(results, indent=2))
