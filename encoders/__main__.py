import json
from pathlib import Path

import click

from catalogue.splits import make_splits
from encoders import training
from encoders.checkpoint import CheckpointError, read_card, write_card
from encoders.environment import describe_environment

WEIGHTS = Path("encoders/weights/small")
WORK = Path("build/train")
RESULT = Path("benchmarks/results/encoders-small.json")


@click.group()
def main() -> None:
    """Train and evaluate the image, text and fusion encoders."""


@main.command()
@click.option("--out", type=click.Path(path_type=Path), default=WEIGHTS, show_default=True)
@click.option("--work", type=click.Path(path_type=Path), default=WORK, show_default=True)
@click.option("--seed", default=training.Settings().seed, show_default=True)
@click.option("--joint-steps", default=training.Settings().joint_steps, show_default=True)
@click.option("--text-steps", default=training.Settings().text_steps, show_default=True)
@click.option("--fusion-steps", default=training.Settings().fusion_steps, show_default=True)
def train(*, out: Path, work: Path, seed: int, joint_steps: int, text_steps: int, fusion_steps: int) -> None:
    """Train on the procedural catalogue; goes on where an earlier run stopped."""
    from encoders.train import train as run  # noqa: PLC0415 - the renderer loads slowly

    settings = training.Settings(
        seed=seed, joint_steps=joint_steps, text_steps=text_steps, fusion_steps=fusion_steps
    )
    run(out, work, settings, make_splits(seed=seed).train)


@main.command()
@click.option("--weights", type=click.Path(path_type=Path), default=WEIGHTS, show_default=True)
@click.option("--work", type=click.Path(path_type=Path), default=WORK, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=RESULT, show_default=True)
@click.option("--seed", default=training.Settings().seed, show_default=True, help="The one trained with.")
def evaluate(weights: Path, work: Path, out: Path, seed: int) -> None:
    """Measure the weights on products held out of training; writes the figures there and into the card."""
    from encoders.evaluate import evaluate as run  # noqa: PLC0415 - the renderer loads slowly

    try:
        results = run(weights, work, seed=seed)
    except CheckpointError as error:
        raise click.ClickException(str(error)) from None
    params = {"weights": str(weights), "seed": seed}
    report = {"environment": describe_environment(), "params": params, "results": results}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    write_card(weights, read_card(weights) | {"figures": results})
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
