import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from catalogue.splits import make_splits
from encoders import training
from encoders.checkpoint import TOKENIZER_FILE, CheckpointError, read_card, write_card
from encoders.comparison.neighbourhoods import make_protocol
from encoders.comparison.training import Budget
from encoders.css import compare as css
from encoders.fashion200k import Fashion200kError
from encoders.pair.command import OUT as PAIR_OUT
from encoders.pair.command import pair_options, train_pair
from encoders.paper.command import OUT as PAPER_OUT
from encoders.paper.command import paper_cost, paper_options, train_paper
from encoders.results import digest_of_files, is_measured, write_result

WEIGHTS = Path("encoders/weights/small")
WORK = Path("build/train")
RESULTS = Path("benchmarks/results")
SHEET = Path("docs/pictures/failures.jpg")
PHOTOGRAPHS = Path("build/photographs")

_AGAIN = click.option(
    "--again", is_flag=True, help="Measure even where the result holds figures of these weights and data."
)
_GRAPHS = click.option(
    "--graphs",
    type=click.Path(path_type=Path),
    help="Run these graphs of the weights: a folder of `python -m export onnx`, or a published repository.",
)


@click.group()
def main() -> None:
    """Train and evaluate the image, text and fusion encoders."""


main.add_command(paper_cost)


@main.command()
@click.option("--family", type=click.Choice(["small", "pair", "paper"]), default="small", show_default=True)
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    help="pair: photographs as `vitrine index` reads them, may be repeated; paper: Fashion200K's folder, or any"
    " catalogue; small draws its own.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help=f"[{WEIGHTS}; pair: {PAIR_OUT}; paper: {PAPER_OUT}]"
)
@click.option("--work", type=click.Path(path_type=Path), default=WORK, show_default=True)
@click.option("--seed", default=training.Settings().seed, show_default=True)
@click.option("--joint-steps", default=training.Settings().joint_steps, show_default=True, help="small")
@click.option("--text-steps", default=training.Settings().text_steps, show_default=True, help="small")
@click.option("--fusion-steps", type=int, help="small, pair  [1,200; 1,500]")
@pair_options
@paper_options
def train(
    *,
    family: str,
    data: tuple[Path, ...],
    out: Path | None,
    work: Path,
    seed: int,
    joint_steps: int,
    text_steps: int,
    fusion_steps: int | None,
    heads_steps: int,
    tuning_steps: int,
    fusion_only: bool,
    **paper: Any,
) -> None:
    """Train a family; goes on where an earlier run stopped."""
    if family == "pair":
        train_pair(
            out,
            data,
            work=work,
            seed=seed,
            heads_steps=heads_steps,
            tuning_steps=tuning_steps,
            fusion_steps=fusion_steps,
            fusion_only=fusion_only,
        )
        return
    if family == "paper":
        train_paper(out, data[0] if data else None, work=work, seed=seed, **paper)
        return
    from encoders.train import train as run  # noqa: PLC0415 - the renderer loads slowly

    settings = training.Settings(
        seed=seed,
        joint_steps=joint_steps,
        text_steps=text_steps,
        fusion_steps=fusion_steps or training.Settings().fusion_steps,
    )
    run(out or WEIGHTS, work, settings, make_splits(seed=seed).train)


@main.command()
@click.option("--weights", type=click.Path(path_type=Path), default=WEIGHTS, show_default=True)
@click.option("--work", type=click.Path(path_type=Path), default=WORK, show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path), default=RESULTS / "encoders-small.json", show_default=True
)
@click.option("--seed", default=training.Settings().seed, show_default=True, help="The one trained with.")
def evaluate(weights: Path, work: Path, out: Path, seed: int) -> None:
    """Measure the weights on products held out of training; writes the figures there and into the card."""
    from encoders.evaluate import evaluate as run  # noqa: PLC0415 - the renderer loads slowly

    try:
        results = run(weights, work, seed=seed)
    except CheckpointError as error:
        raise click.ClickException(str(error)) from None
    write_result(out, {"weights": str(weights), "seed": seed}, results)
    write_card(weights, read_card(weights) | {"figures": results})
    print(json.dumps(results, indent=2))


@main.command()
@click.option("--weights", type=click.Path(path_type=Path), default=WEIGHTS, show_default=True)
@click.option("--work", type=click.Path(path_type=Path), default=WORK, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS / "designs.json", show_default=True)
@click.option("--sheet", type=click.Path(path_type=Path), default=SHEET, show_default=True)
@click.option("--steps", default=Budget().steps, show_default=True, help="Of every design.")
@click.option(
    "--seeds", type=click.IntRange(1, 20), default=3, show_default=True, help="Runs of every design."
)
@_AGAIN
def compare(
    *, weights: Path, work: Path, out: Path, sheet: Path, steps: int, seeds: int, again: bool
) -> None:
    """Train every fusion design on the weights' frozen towers and measure it; goes on where a run stopped."""
    from encoders.comparison import compare as comparison  # noqa: PLC0415 - the renderer loads slowly

    settings = comparison.Settings(seeds=tuple(range(1, seeds + 1)), budget=Budget(steps=steps))
    split, protocol = make_splits().train, make_protocol()
    try:
        params = {
            "benchmark": "designs",
            "weights": str(weights),
            "weights_digest": _digest_of(weights),
            **asdict(settings),
            "sets": protocol.describe(),
        }
        if _is_measured(out, params, again=again):
            return
        results = comparison.compare(weights, work, settings, split=split, protocol=protocol, sheet=sheet)
    except CheckpointError as error:
        raise click.ClickException(str(error)) from None
    write_result(out, params, results)
    for name, figures in results["designs"].items():
        means = "  ".join(
            f"{cut} {mean:5.1f} ({low:.1f}-{high:.1f})"
            for cut, (mean, low, high) in figures["test"]["mean"].items()
        )
        print(f"{name:15} {means}")
    print(f"failures: {sheet}")


@main.command("css")
@click.option("--work", type=click.Path(path_type=Path), default=WORK, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS / "css.json", show_default=True)
@click.option("--steps", default=css.Settings().steps, show_default=True, help="Of every design.")
@click.option(
    "--seeds", type=click.IntRange(1, 20), default=1, show_default=True, help="Runs of every design."
)
@_AGAIN
def measure_css(*, work: Path, out: Path, steps: int, seeds: int, again: bool) -> None:
    """Train towers and every fusion design on scenes of coloured shapes; goes on where a run stopped."""
    settings = css.Settings(steps=steps, seeds=tuple(range(1, seeds + 1)))
    params = {"benchmark": "css", **asdict(settings), "sets": css.describe_sets(settings)}
    if not _is_measured(out, params, again=again):
        write_result(out, params, css.compare(settings, work))


@main.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--weights", type=click.Path(path_type=Path), default=WEIGHTS, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="By default, in the benchmarks' results.")
@_AGAIN
def fashion200k(*, data: Path, weights: Path, out: Path | None, again: bool) -> None:
    """Measure the weights by Fashion200K's protocol, on that data or on a catalogue in its layout."""
    from encoders.evaluate_fashion200k import (  # noqa: PLC0415 - slow, as above
        digest_of_data,
        evaluate_fashion200k,
        read_benchmark,
        read_training,
    )

    try:
        benchmark = read_benchmark(data)
        params = {
            "benchmark": "fashion200k",
            "tier": "strict",
            "data": benchmark.data,
            "data_digest": digest_of_data(data),
            "weights": str(weights),
            "weights_digest": _digest_of(weights),
            "counts": benchmark.counts(),
            **read_training(weights),
        }
        path = out or RESULTS / f"fashion200k-{benchmark.data}.json"
        if _is_measured(path, params, again=again):
            return
        results = evaluate_fashion200k(weights, data, benchmark)
    except (CheckpointError, Fashion200kError) as error:
        raise click.ClickException(str(error)) from None
    write_result(path, params, results)
    print(json.dumps(results, indent=2))


@main.command("several-pictures")
@click.option("--weights", type=click.Path(path_type=Path), default=WEIGHTS, show_default=True)
@click.option("--work", type=click.Path(path_type=Path), default=WORK, show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path), default=RESULTS / "several-pictures.json", show_default=True
)
@click.option("--seed", default=training.Settings().seed, show_default=True, help="The one trained with.")
def several_pictures(*, weights: Path, work: Path, out: Path, seed: int) -> None:
    """Compare a row a picture with the mean of a product's pictures, on products held out of training."""
    from encoders.several_pictures import measure  # noqa: PLC0415 - slow, as above

    try:
        results = measure(weights, work, seed=seed)
    except CheckpointError as error:
        raise click.ClickException(str(error)) from None
    write_result(out, {"weights": str(weights), "weights_digest": _digest_of(weights), "seed": seed}, results)
    print(json.dumps(results, indent=2))


@main.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    required=True,
    help="A catalogue that `vitrine index` reads, or a folder of several; as often as there are.",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    multiple=True,
    default=(WEIGHTS,),
    show_default=True,
    help="Several of one family, by their seeds, give mean, lowest and highest.",
)
@_GRAPHS
@click.option("--out", type=click.Path(path_type=Path), help="By default, in the benchmarks' results.")
@click.option("--work", type=click.Path(path_type=Path), default=PHOTOGRAPHS, show_default=True)
@_AGAIN
def photographs(
    *,
    data: tuple[Path, ...],
    weights: tuple[Path, ...],
    graphs: Path | None,
    out: Path | None,
    work: Path,
    again: bool,
) -> None:
    """Measure the weights on real photographs; failures are drawn as contact sheets into the work folder."""
    from encoders.photographs import command  # noqa: PLC0415 - slow, as above

    try:
        opened = command.open_run(data, weights, graphs)
        path = out or RESULTS / f"photographs-{opened.name}.json"
        if _is_measured(path, opened.params, again=again):
            return
        results = opened.measure(work)
    except (CheckpointError, command.DataError) as error:
        raise click.ClickException(str(error)) from None
    write_result(path, opened.params, results)
    print(f"{path}; failures: {work}")


@main.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    help="A catalogue that `vitrine index` reads, of products with titles.",
)
@click.option("--weights", type=click.Path(path_type=Path), default=WEIGHTS, show_default=True)
@click.option(
    "--known",
    type=click.IntRange(min=1),
    default=8_192,
    show_default=True,
    help="Products that are learnt from at most.",
)
@_GRAPHS
@click.option("--out", type=click.Path(path_type=Path), help="By default, in the benchmarks' results.")
@click.option("--work", type=click.Path(path_type=Path), default=PHOTOGRAPHS, show_default=True)
@_AGAIN
def fields(
    *,
    data: Path,
    weights: Path,
    known: int,
    graphs: Path | None,
    out: Path | None,
    work: Path,
    again: bool,
) -> None:
    """Measure which fields of a catalogue its pictures tell, and what keeping a picture's category is worth."""
    from encoders.photographs import command  # noqa: PLC0415 - slow, as above

    try:
        opened = command.open_run([data], [weights], graphs)
        (catalogue,) = opened.data.sets
        params = {**opened.params, "benchmark": "fields", "protocol": command.FIELDS_PROTOCOL, "known": known}
        path = out or RESULTS / f"fields-{opened.name}-{catalogue.name}.json"
        if _is_measured(path, params, again=again):
            return
        results = opened.measure_fields(work, known=known)
    except (CheckpointError, command.DataError) as error:
        raise click.ClickException(str(error)) from None
    write_result(path, params, results)
    print(json.dumps(results, indent=2))


def _digest_of(weights: Path) -> str:
    return digest_of_files(sorted([*weights.glob("*.safetensors"), weights / TOKENIZER_FILE]))


def _is_measured(out: Path, params: Mapping[str, Any], *, again: bool) -> bool:
    if again or not is_measured(out, params):
        return False
    print(f"{out}: measured already; --again measures anew")
    return True


if __name__ == "__main__":
    main()
