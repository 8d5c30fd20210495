"""How questions about a shop's service are answered, as a table of docs/documents.md."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DOCUMENT = Path("docs/documents.md")
_RESULT = "documents.json"
_OUTCOMES = ("right", "beside", "wrong", "handed over", "left")


def sections(results: Path) -> dict[str, list[str]]:
    """Return the sections of the document."""
    path = results / _RESULT
    if not path.exists():
        return {"documents": ["No result yet."]}
    return {"documents": _table(json.loads(path.read_text(encoding="utf-8")))}


def _table(report: Mapping[str, Any]) -> list[str]:
    environment, params = report["environment"], report["params"]
    rows = [
        f"| {half} | {kind} | {' | '.join(str(counts.get(outcome, 0)) for outcome in _OUTCOMES)} |"
        for half, result in report["results"].items()
        for kind, counts in result["served"].items()
    ]
    alone = [
        f"{result['encoder_alone']['first']} of {result['encoder_alone']['questions']} ({half})"
        for half, result in report["results"].items()
    ]
    source = f"[{_RESULT}](../benchmarks/results/{_RESULT}); commit {environment['commit']}"
    return [
        f"{source}; {params['documents']} documents, {params['passages']} passages; least {params['least']}.",
        "",
        f"| half | questions | {' | '.join(_OUTCOMES)} |",
        f"|---|---|{'---|' * len(_OUTCOMES)}",
        *rows,
        "",
        f"The encoder `{params['encoders']}` alone puts the right passage first for {' and '.join(alone)}.",
    ]
