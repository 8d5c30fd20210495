from pathlib import Path

import click

from reference.pages import out_of_date, written


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; fail where a page is not what it would be.")
def main(*, check: bool) -> None:
    """Bring docs/reference and the chart's dashboards up to date."""
    stale = out_of_date(Path())
    if check and stale:
        raise click.ClickException(f"out of date: {', '.join(stale)}: python -m reference")
    made = written()
    for name in stale:
        path = Path(name)
        if name in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made[name], encoding="utf-8")
        else:
            path.unlink()
        click.echo(f"written: {path}" if name in made else f"removed: {path}")


main(prog_name="python -m reference")
