"""`vitrine report`: what it asks for, and what it shows."""

from typing import Any

from click.testing import CliRunner

from vitrine.cli import main
from vitrine.domain import limits


def test_counts_rates_and_words_are_shown(script: Any) -> None:
    """Each table has its figures, words are shown as they are, and the noise is told."""
    runner = CliRunner(env={"VITRINE_ADDRESS": script.address, "COLUMNS": "120"})
    result = runner.invoke(main, ["report", "--days", "3"])
    assert result.exit_code == 0, result.output
    assert script.requests[-1].days == 3
    shown = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "2026-11-29 0 0 1,200 0 0 0" in shown
    share = "25.0 % (20.0 to 30.5)"
    assert f"no experiment 4,000 {share} {share} {share}" in shown
    assert "difference +2.0 % (+0.5 to +3.5) +0.1 % (-1.0 to +1.2) -1.0 % (-2.0 to -0.1)" in shown
    assert "the learnt order is better not shown to differ worse" in shown
    assert "[red] dress 30 25 0 12.3" in shown
    assert "searched more than yesterday" not in shown
    assert any("spent 0.5 of each day's 5" in line for line in shown)
    assert '"epsilon": 0.5' in runner.invoke(main, ["report", "--json"]).stdout
    assert script.requests[-1].days == limits.DEFAULT_REPORT_DAYS
    assert runner.invoke(main, ["report", "--days", "32"]).exit_code == 2
