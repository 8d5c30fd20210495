"""The options of `python -m encoders train --family pair`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from encoders.errors import CheckpointError
from encoders.pair.training import Settings
from encoders.photographs.products import DataError

OUT = Path("encoders/weights/pair")

_Command = TypeVar("_Command", bound=Callable[..., Any])


def pair_options(command: _Command) -> _Command:
    """Add the family's options to a command, which hands them on to `train_pair`."""
    for option, default, said in (
        ("--tuning-steps", Settings().tuning_steps, "pair; with the backbone's last blocks"),
        ("--heads-steps", Settings().heads_steps, "pair"),
    ):
        command = click.option(option, default=default, show_default=True, help=said)(command)
    return click.option(
        "--fusion-only",
        is_flag=True,
        help="pair; train the combiner anew on the heads that are in --out, and leave these as they are",
    )(command)


def train_pair(
    out: Path | None,
    data: Sequence[Path],
    *,
    work: Path,
    seed: int,
    heads_steps: int,
    tuning_steps: int,
    fusion_steps: int | None,
    fusion_only: bool,
) -> None:
    """Train the family `pair`.

    Raises:
        ClickException: the data or a tower cannot be used; says which and why.
        UsageError: no data is named.
    """
    from encoders.pair.train import train, train_fusion_again  # noqa: PLC0415 - the plot loads slowly

    if not data:
        raise click.UsageError(
            "--family pair needs --data: photographs in a file or folder that `vitrine index` reads"
        )
    settings = Settings(
        seed=seed,
        heads_steps=heads_steps,
        tuning_steps=tuning_steps,
        fusion_steps=fusion_steps or Settings().fusion_steps,
    )
    try:
        run = train_fusion_again if fusion_only else train
        run(out or OUT, work, data, settings)
    except (CheckpointError, DataError) as error:
        raise click.ClickException(str(error)) from None
