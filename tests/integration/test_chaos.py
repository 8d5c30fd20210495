"""The short form of `make chaos`: some faults under live load, each answer held against an exact index.

What is required here is what no busy machine changes: nothing wrong, nothing lost, no leak, and full service again.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PORT_BASE = 26_700
PORTS_OF_A_RUN = 100
FAULTS = 7
SHORT_S = 840


@pytest.mark.stack
@pytest.mark.own_stack
@pytest.mark.timeout(900)
def test_faults_lose_nothing_and_answer_nothing_wrongly(
    run_number: int, catalogue_path: Path, model_repository: Path, tmp_path: Path
) -> None:
    """Processes are killed, the network goes bad, an index is swapped; what is promised holds."""
    port_base = PORT_BASE + run_number * PORTS_OF_A_RUN
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.chaos", "faults", "--short", "--rate", "5"),
            *("--port-base", str(port_base), "--state", str(tmp_path / "stack")),
            *("--repository", str(model_repository), "--catalogue", str(catalogue_path)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SHORT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == f"{FAULTS} faults, 0 breaches"
