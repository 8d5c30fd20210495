from pathlib import Path

import pytest

from benchmarks.report import stale_files


def test_the_document_says_what_the_committed_results_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """No figure of docs/benchmarks.md, and no picture of it, differs from the results in benchmarks/results."""
    monkeypatch.chdir(Path(__file__).parents[2])
    assert stale_files() == []
