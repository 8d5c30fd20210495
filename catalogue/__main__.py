import time
from pathlib import Path

import click

from catalogue import document as page
from catalogue.build import BuildError, BuildSettings, build_catalogue
from catalogue.layouts import LAYOUTS
from catalogue.splits import make_splits, table


@click.group()
def main() -> None:
    """Work on catalogues of products."""


@main.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/catalogue"), show_default=True)
@click.option("--products", type=click.IntRange(1, 20_000), default=3200, show_default=True)
@click.option("--seed", type=int, default=7, show_default=True)
@click.option(
    "--layout",
    type=click.Choice(tuple(LAYOUTS)),
    default="products",
    show_default=True,
    help="products: products.parquet, pictures/ and queries/; fashion200k: that data set's files.",
)
@click.option("--processes", type=click.IntRange(1, 64), default=2, show_default=True)
def build(*, out: Path, products: int, seed: int, layout: str, processes: int) -> None:
    """Draw a procedural catalogue; does nothing when it is there already."""
    start = time.monotonic()
    settings = BuildSettings(products=products, seed=seed, layout=layout)
    try:
        built = build_catalogue(out, settings, processes=processes)
    except BuildError as error:
        raise click.ClickException(str(error)) from error
    done = f"built in {time.monotonic() - start:.0f} s" if built else "up to date"
    click.echo(f"catalogue: {out}: {done}")


@main.command()
def splits() -> None:
    """Print the training and test sets as tab-separated lines."""
    for line in table(make_splits()):
        click.echo(line)


@main.command()
@click.option("--check", is_flag=True, help="Write nothing; fail where the page is not what it would be.")
def document(*, check: bool) -> None:
    """Bring the tables of docs/catalogue.md up to date."""
    text = page.DOCUMENT.read_text(encoding="utf-8")
    filled = page.filled(text)
    if check and filled != text:
        raise click.ClickException(f"{page.DOCUMENT} is out of date: python -m catalogue document")
    if filled != text:
        page.DOCUMENT.write_text(filled, encoding="utf-8")


main(prog_name="python -m catalogue")
