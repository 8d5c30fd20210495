"""What the commands that measure share: a stack of their own, and the result's file."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import uvloop

from benchmarks.report import DOCUMENT
from benchmarks.serving import Served, ServingError, serving
from vitrine.client import VitrineError

WEIGHTS = Path("encoders/weights")
SMALL = WEIGHTS / "small"


def measure_on_own_stack(
    weights: Path,
    measuring: Callable[[Served], Coroutine[Any, Any, dict[str, Any]]],
    out: Path,
    *,
    gateways: int = 1,
) -> None:
    """Serve the weights on a stack of its own, measure there, and write the result."""
    begun = datetime.now(UTC)
    try:
        with (
            serving(weights, gateways=gateways) as served,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            result = runner.run(measuring(served))
    except (ServingError, VitrineError, FileNotFoundError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    write_result(out, result, begun)


def write_result(path: Path, result: dict[str, Any], begun: datetime) -> None:
    """Write a result file with the moment at which its measurement began."""
    result["environment"]["begun"] = begun.isoformat(timespec="seconds")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    click.echo(f"written to {path}; `python -m benchmarks report` puts it into {DOCUMENT}")
