"""Commands of the project as a person or CI starts them."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*command: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command with these variables beside the usual ones, and without CI unless it is among them."""
    usual = {name: value for name, value in os.environ.items() if name != "CI"}
    return subprocess.run(
        [str(each) for each in command],
        cwd=ROOT,
        env=usual | environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
