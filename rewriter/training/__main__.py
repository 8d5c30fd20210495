import random
from pathlib import Path

import click

from rewriter.training import data
from rewriter.training.samples import Sampler

WEIGHTS = Path("rewriter/weights/small")
WORK = Path("build/train-rewriter")
_SHARD = 8_000
_TOKENIZER_SAMPLES = 12_000


@click.group()
def main() -> None:
    """Make the embedded language model of the rewriter."""


@main.command()
@click.option("--out", type=click.Path(path_type=Path), default=WEIGHTS, show_default=True)
@click.option("--work", type=click.Path(path_type=Path), default=WORK, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--shards", default=30, show_default=True, help=f"Of {_SHARD} samples each.")
def sample(out: Path, work: Path, seed: int, shards: int) -> None:
    """Learn the tokenizer and draw the samples; what is there already stays."""
    from rewriter.engines.model.tokens import Tokens  # noqa: PLC0415 - so that --help is quick

    tokenizer = out / "tokenizer.json"
    if not tokenizer.exists():
        sampler = Sampler(random.Random(seed), resolved=False)
        samples = [sampler.draw() for _ in range(_TOKENIZER_SAMPLES)]
        data.train_tokenizer(data.texts_of(samples, sampler), tokenizer)
    work.mkdir(parents=True, exist_ok=True)
    tokens = Tokens(tokenizer)
    for number in range(shards):
        path = work / f"samples-{number:02}.npz"
        if not path.exists():
            data.write_shard(path, seed * 1_000 + number, _SHARD, tokens)


@main.command()
@click.option("--out", type=click.Path(path_type=Path), default=WEIGHTS, show_default=True)
@click.option("--work", type=click.Path(path_type=Path), default=WORK, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--minutes", default=35.0, show_default=True, help="Of training, over all runs.")
def train(out: Path, work: Path, seed: int, minutes: float) -> None:
    """Train on the samples; goes on where an earlier run stopped."""
    from rewriter.training.train import Settings  # noqa: PLC0415 - torch loads slowly
    from rewriter.training.train import train as run  # noqa: PLC0415

    run(out, work, Settings(seed=seed, minutes=minutes))


@main.command()
@click.option("--out", type=click.Path(path_type=Path), default=WEIGHTS, show_default=True)
@click.option("--work", type=click.Path(path_type=Path), default=WORK, show_default=True)
def export(out: Path, work: Path) -> None:
    """Write the latest checkpoint as ONNX beside the tokenizer, held against torch."""
    from rewriter.training.export import export as run  # noqa: PLC0415 - torch loads slowly

    run(out, work)


if __name__ == "__main__":
    main()
