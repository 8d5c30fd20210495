"""The command about other servers."""

import secrets
from functools import partial
from pathlib import Path

import click

from benchmarks.peers.measure import PeersPlan, measure_peers
from benchmarks.peers.servers import PEERS
from benchmarks.report import RESULTS
from benchmarks.writing import WEIGHTS, measure_on_own_stack

_PLAN = PeersPlan()


@click.command()
@click.option("--repeats", type=click.IntRange(min=1), default=_PLAN.repeats, show_default=True)
@click.option(
    "--clients", type=click.IntRange(min=1), multiple=True, default=_PLAN.clients, show_default=True
)
@click.option("--seconds", type=float, default=_PLAN.seconds, show_default=True, help="Of a run.")
@click.option(
    "--peer",
    "only",
    type=click.Choice([peer.name for peer in PEERS]),
    multiple=True,
    help="Only these beside ours.",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=WEIGHTS / "pair",
    show_default=True,
    help="What all of them serve.",
)
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS / "peers.json", show_default=True)
def peers(
    *, repeats: int, clients: tuple[int, ...], seconds: float, only: tuple[str, ...], weights: Path, out: Path
) -> None:
    """Measure other servers of the same encoders beside ours; `make bench-peers` installs them."""
    plan = PeersPlan(repeats=repeats, clients=tuple(sorted(set(clients))), seconds=seconds, only=only)
    measuring = partial(measure_peers, plan=plan, salt=secrets.token_hex(4), say=click.echo)
    measure_on_own_stack(weights, measuring, out)
