"""The command line of the export room."""

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from export.errors import ExportError
from export.manifest import weights_digests
from export.model_config import Target
from export.repository import Graphs, Publication, publish
from vitrine.tensors import ENCODERS

# torch and ONNX Runtime take a second to import: only the commands that need them do so, and a publication
# that is up to date stays instant.

_Command = TypeVar("_Command", bound=Callable[..., Any])
_FOLDER = click.Path(path_type=Path, file_okay=False)


def _folder(flag: str, default: str, help_: str) -> Callable[[_Command], _Command]:
    return click.option(flag, type=_FOLDER, default=Path(default), show_default=True, help=help_)


WEIGHTS = _folder("--weights", "encoders/weights/small", "A family of encoders.")
GRAPHS = _folder("--graphs", "build/onnx", "ONNX graphs.")
PLANS = _folder("--plans", "build/plans", "TensorRT plans.")


class _Group(click.Group):
    """Says an ExportError in one plain line."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ExportError as error:
            raise click.ClickException(str(error)) from None


@click.group(cls=_Group)
def main() -> None:
    """Turn trained encoders into graphs and a model repository that Triton serves."""


@main.command("onnx")
@WEIGHTS
@GRAPHS
def export_onnx(weights: Path, graphs: Path) -> None:
    """Write one ONNX graph an encoder, checked against torch, and report.json."""
    made = _make_onnx(weights, graphs)
    click.echo(f"wrote {len(made.parity)} graphs to {graphs}")


@main.command
@WEIGHTS
@GRAPHS
def verify(weights: Path, graphs: Path) -> None:
    """Check ONNX graphs against torch and print the figures."""
    from export.parity import check_parity, open_graph  # noqa: PLC0415 - see above
    from export.to_onnx import load_family  # noqa: PLC0415

    report = check_parity(load_family(weights), partial(open_graph, graphs))
    click.echo(json.dumps({name: asdict(parity) for name, parity in report.items()}, indent=2))


@main.command
@WEIGHTS
@GRAPHS
@PLANS
def tensorrt(weights: Path, graphs: Path, plans: Path) -> None:
    """Build TensorRT plans of the graphs, on the GPU that will serve them."""
    from export.to_tensorrt import build_plans  # noqa: PLC0415

    build_plans(weights, graphs, plans)
    click.echo(f"wrote {len(ENCODERS)} plans to {plans}")


@main.command("publish")
@click.option("--target", type=click.Choice(get_args(Target)), default="local", show_default=True)
@WEIGHTS
@PLANS
@click.option("--out", type=_FOLDER, required=True, help="The repository.")
def publish_repository(target: Target, weights: Path, plans: Path, out: Path) -> None:
    """Assemble a model repository; does nothing when it is there and nothing has changed."""
    publication = Publication(
        target=target, weights=weights, out=out, plans=plans if target == "tensorrt" else None
    )
    made = publish(publication, lambda folder: _make_onnx(weights, folder))
    click.echo(f"published {target} to {out}" if made else f"{out} is up to date")


def _make_onnx(weights: Path, folder: Path) -> Graphs:
    from export.parity import check_parity, open_graph  # noqa: PLC0415
    from export.to_onnx import export_family, load_family  # noqa: PLC0415

    encoders = load_family(weights)
    export_family(encoders, folder)
    report = check_parity(encoders, partial(open_graph, folder))
    parity = {name: asdict(figures) for name, figures in report.items()}
    text = json.dumps({"precision": "fp32", "weights": weights_digests(weights), "parity": parity}, indent=2)
    (folder / "report.json").write_text(text + "\n", encoding="utf-8")
    return Graphs(folder=folder, precision="fp32", parity=parity)
