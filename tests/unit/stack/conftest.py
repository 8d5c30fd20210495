"""Tiny services: short Python programs that sleep, crash or ignore SIGTERM."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stack.probes import ProbeError
from stack.runner import Pace
from stack.services import Service
from stack.settings import MARKER

PROGRAMS = {
    "sleeper": "touch(); time.sleep(60)",
    "crasher": "print('cannot go on'); sys.exit(3)",
    "once": "os.path.exists(flag) and sys.exit(3); touch(); time.sleep(60)",
    "aborts once": "again = os.path.exists(flag + '-once'); open(flag + '-once', 'w').close(); again or os.abort(); touch(); time.sleep(60)",
    "aborts": "os.abort()",
    "stubborn": "signal.signal(signal.SIGTERM, signal.SIG_IGN); touch(); time.sleep(60)",
    "parent": "os.fork() and touch(); time.sleep(60)",
}

MakeService = Callable[..., Service]


@pytest.fixture
def pace() -> Pace:
    """Give a pace that suits programs of a few milliseconds."""
    return Pace(
        start_interval_s=0.02,
        probe_interval_s=0.05,
        backoff_s=0.05,
        max_backoff_s=0.2,
        restart_grace_s=0.2,
    )


@pytest.fixture
def make_service(tmp_path: Path) -> MakeService:
    """Give a maker of services that run one of the programs and are ready once it has begun."""

    def make(program: str, *, name: str = "tiny", **changes: object) -> Service:
        flag = tmp_path / f"{name}.begun"

        async def begun(_: int) -> None:
            if not flag.exists():
                raise ProbeError("not begun")

        async def well(_: int) -> None:
            return None

        head = f"import os, signal, sys, time\nflag = {str(flag)!r}\ndef touch(): open(flag, 'w').close()\n"
        service = Service(
            name=name,
            command=(sys.executable, "-S", "-c", head + PROGRAMS[program]),
            environment={**os.environ, MARKER: str(tmp_path)},
            address="nowhere",
            ready=begun,
            alive=well,
            start_timeout_s=60.0,
            grace_s=5.0,
        )
        return replace(service, **changes)  # type: ignore[arg-type]

    return make
