"""The command line of the export room."""

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from export.errors import ELSEWHERE, ExportError
from export.folders import fresh_folder
from export.model_config import Precision, Target, WantedPrecision
from export.repository import Graphs, Publication, publish
from export.tensorrt_rtx import COMPUTE_CAPABILITIES, PACKAGES, check_installed
from vitrine.tensors import ENCODERS

if TYPE_CHECKING:
    from export.to_onnx import Networks

# torch and ONNX Runtime take a second to import: only the commands that need them do so, and a publication
# that is up to date stays instant.

_Command = TypeVar("_Command", bound=Callable[..., Any])
_FOLDER = click.Path(path_type=Path, file_okay=False)


def _folder(*flags: str, default: str, help_: str) -> Callable[[_Command], _Command]:
    return click.option(*flags, type=_FOLDER, default=Path(default), show_default=True, help=help_)


WEIGHTS = _folder(
    "--weights",
    "--checkpoint",
    default="encoders/weights/pair",
    help_="A family of encoders: ours, or a checkpoint of CLIP or SigLIP as transformers saves it.",
)
GRAPHS = _folder("--graphs", default="build/onnx", help_="ONNX graphs.")
PLANS = _folder("--plans", default="build/plans", help_="TensorRT plans.")
WORK = _folder("--work", default="build/train", help_="Keeps the pictures that recall is measured on.")


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
    from export.graphs import REPORT_FILE, is_graphs, make_graphs, write_report  # noqa: PLC0415 - see above
    from export.to_onnx import load_family  # noqa: PLC0415

    networks = load_family(weights)
    with fresh_folder(graphs, marker=REPORT_FILE, ours=is_graphs) as fresh:
        write_report(networks, make_graphs(networks, fresh))
    click.echo(f"wrote {len(ENCODERS)} graphs to {graphs}")


@main.command
@WEIGHTS
@GRAPHS
@WORK
@click.option("--precision", type=click.Choice(["int8", "fp16"]), default="int8", show_default=True)
@click.option("--out", type=_FOLDER, help="The new graphs.  [default: GRAPHS-PRECISION]")
def quantize(*, weights: Path, graphs: Path, work: Path, precision: Precision, out: Path | None) -> None:
    """Write the graphs in another precision, calibrated on training pictures and judged on unseen ones."""
    from catalogue.splits import make_splits  # noqa: PLC0415 - see above
    from export.graphs import REPORT_FILE, is_graphs, reduce_graphs, write_report  # noqa: PLC0415
    from export.to_onnx import load_family  # noqa: PLC0415

    out = out or graphs.with_name(f"{graphs.name}-{precision}")
    networks = load_family(weights)
    with fresh_folder(out, marker=REPORT_FILE, ours=is_graphs) as fresh:
        made = reduce_graphs(networks, graphs, fresh, precision=precision, work=work, splits=make_splits())
        write_report(networks, made)
    click.echo(
        f"wrote {len(ENCODERS)} graphs to {out}; points lost: {json.dumps(made.choice.quality['lost'])}"
    )


@main.command
@WEIGHTS
@WORK
@click.option("--graphs", type=_FOLDER, multiple=True, default=[Path("build/onnx")], show_default=True)
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Measure recall, size and speed as well, which takes minutes, and write all of it here.",
)
@click.option(
    "--adopt", is_flag=True, help="With --report: make the fastest that passes the default of `local`."
)
def verify(*, weights: Path, work: Path, graphs: tuple[Path, ...], report: Path | None, adopt: bool) -> None:
    """Check ONNX graphs against torch and print the figures; several --graphs are compared."""
    from export.report import parity_of  # noqa: PLC0415 - see above
    from export.to_onnx import load_family  # noqa: PLC0415

    if adopt and report is None:
        raise click.UsageError("--adopt needs --report: a choice without figures is none")
    networks = load_family(weights)
    if report is None:
        for folder in graphs:
            figures = {name: asdict(parity) for name, parity in parity_of(networks, folder).items()}
            click.echo(json.dumps(figures, indent=2))
    else:
        _measure(networks, list(graphs), work, report, adopt=adopt)


@main.command
@WEIGHTS
@GRAPHS
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    help="A catalogue that `vitrine index` reads, of products with titles.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The figures.")
def precisions(*, weights: Path, graphs: Path, data: Path, out: Path) -> None:
    """Measure the image encoder in each precision on real photographs; what loses too much is measured and not made."""
    from export.photographs import measure_on_photographs  # noqa: PLC0415 - see above
    from export.to_onnx import load_family  # noqa: PLC0415

    result = measure_on_photographs(load_family(weights), graphs, data)
    _write(out, result)
    click.echo(f"the fastest that passes: {result['results']['served']}")


@main.command
@WEIGHTS
@GRAPHS
@PLANS
def tensorrt(*, weights: Path, graphs: Path, plans: Path) -> None:
    """Build TensorRT plans of the graphs, on the GPU that will serve them."""
    try:
        from export.to_tensorrt import build_plans  # noqa: PLC0415 - see above
    except ImportError:
        raise ExportError(ELSEWHERE) from None
    build_plans(weights, graphs, plans)
    click.echo(f"wrote {len(ENCODERS)} plans to {plans}")


@main.command
@click.option(
    "--weights",
    "--checkpoint",
    type=_FOLDER,
    multiple=True,
    help="Only these families.  [default: the committed ones, and a tiny one of each other kind]",
)
@_folder("--packages", default=str(PACKAGES), help_="TensorRT-RTX.")
@click.option(
    "--capability",
    "capabilities",
    type=click.Choice(COMPUTE_CAPABILITIES),
    multiple=True,
    default=COMPUTE_CAPABILITIES,
    show_default=True,
    help="Of the GPUs to build for.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write all of it here.")
def tensorrt_check(
    *, weights: tuple[Path, ...], packages: Path, capabilities: tuple[str, ...], out: Path | None
) -> None:
    """Build every graph with NVIDIA's own parser and builder (TensorRT-RTX), which needs no GPU."""
    version = check_installed(packages)
    from export import tensorrt_check as check  # noqa: PLC0415 - see above

    tried = []
    with tempfile.TemporaryDirectory() as scratch:
        given = [check.Subject(family=each.name, weights="given", folder=each) for each in weights]
        for subject in given or check.every_family(Path(scratch)):
            for each in check.try_family(subject, packages=packages, capabilities=capabilities):
                click.echo(each.line())
                tried.append(each)
    if out is not None:
        check.write_report(out, check.describe(tried, version=version, capabilities=capabilities))
        click.echo(f"written to {out}")
    click.echo(f"TensorRT-RTX {version}: {check.summary(tried)}")
    if any(each.failed() for each in tried):
        raise SystemExit(1)


@main.command
@click.option(
    "--weights",
    "--checkpoint",
    type=_FOLDER,
    multiple=True,
    help="Only these families.  [default: pair, and CLIP in the sizes of ViT-B/16 with random weights]",
)
@_folder("--out", default="build/gpu/graphs", help_="A folder in it for each family.")
def benchmark_graphs(*, weights: tuple[Path, ...], out: Path) -> None:
    """Write graphs in fp32 and fp16 with inputs, for `make bench-gpu`; what is written already stays."""
    from export import benchmark_graphs as graphs  # noqa: PLC0415 - see above

    for each in weights or (Path("encoders/weights/pair"),):
        graphs.write_benchmark_graphs(each, out / each.name)
    if not weights:
        graphs.write_vit_b_16_graphs(out / graphs.VIT_B_16)
    click.echo(f"graphs are in {out}")


@main.command
@click.option("--target", type=click.Choice(["local", "onnxruntime"]), default="local", show_default=True)
@_folder("--out", default="build/model_repository", help_="The repository, which was published before.")
def nudity(*, target: Target, out: Path) -> None:
    """Add the classifier of moderation to a published repository; its package is no part of `make setup`."""
    from export.nudity import add_classifier  # noqa: PLC0415 - see above

    click.echo(
        f"added {add_classifier(out, target)}; a new publication leaves it out until it is added again"
    )


@main.command("publish")
@click.option("--target", type=click.Choice(get_args(Target)), default="local", show_default=True)
@click.option(
    "--precision",
    type=click.Choice(get_args(WantedPrecision)),
    default="auto",
    show_default=True,
    help="Of the graphs; auto is what `verify --adopt` found best for these weights on CPUs, for `local` alone.",
)
@WEIGHTS
@PLANS
@WORK
@click.option("--out", type=_FOLDER, required=True, help="The repository.")
def publish_repository(
    *, target: Target, precision: WantedPrecision, weights: Path, plans: Path, work: Path, out: Path
) -> None:
    """Assemble a model repository; does nothing when it is there and nothing has changed."""
    publication = Publication(
        target=target,
        weights=weights,
        out=out,
        precision=precision,
        plans=plans if target == "tensorrt" else None,
    )
    made = publish(publication, lambda folder: _make_graphs(publication, folder, work))
    click.echo(f"published {target} to {out}" if made else f"{out} is up to date")


def _make_graphs(publication: Publication, folder: Path, work: Path) -> Graphs:
    from export.graphs import make_published_graphs  # noqa: PLC0415 - see above
    from export.to_onnx import load_family  # noqa: PLC0415

    networks = load_family(publication.weights)
    return make_published_graphs(networks, folder, precision=publication.precision_of_graphs, work=work)


def _measure(networks: "Networks", graphs: list[Path], work: Path, report: Path, *, adopt: bool) -> None:
    from catalogue.splits import make_splits  # noqa: PLC0415 - see above
    from export.choice import write_choice  # noqa: PLC0415
    from export.report import chosen, report_precisions  # noqa: PLC0415

    result = report_precisions(networks, graphs, work=work, splits=make_splits())
    _write(report, result)
    if adopt:
        choice = chosen(graphs, result)
        write_choice(networks.family, choice)
        click.echo(
            f"`local` is served in {choice.label()}; times as fast: {json.dumps(choice.quality['faster'])}"
        )


def _write(path: Path, result: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    click.echo(f"written to {path}")
