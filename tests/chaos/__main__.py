"""Faults under live load: `python -m tests.chaos faults|...`; see docs/reliability.md."""

from tests.chaos.cli import main

main(prog_name="python -m tests.chaos")
