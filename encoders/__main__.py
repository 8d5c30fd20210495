from pathlib import Path

import click

from encoders import training


@click.group()
def main() -> None:
    """Train and evaluate the image, text and fusion encoders."""


@main.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("encoders/weights/small"), show_default=True
)
@click.option("--work", type=click.Path(path_type=Path), default=Path("build/train"), show_default=True)
@click.option("--seed", default=training.Settings().seed, show_default=True)
@click.option("--joint-steps", default=training.Settings().joint_steps, show_default=True)
@click.option("--fusion-steps", default=training.Settings().fusion_steps, show_default=True)
def train(out: Path, work: Path, seed: int, joint_steps: int, fusion_steps: int) -> None:
    """Train on the procedural catalogue; goes on where an earlier run stopped."""
    from encoders.train import train as run  # noqa: PLC0415 - the renderer loads slowly

    run(out, work, training.Settings(seed=seed, joint_steps=joint_steps, fusion_steps=fusion_steps))


if __name__ == "__main__":
    main()
