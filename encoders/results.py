"""Result files: figures with what was measured and where; one that answers the question at hand is left alone."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from encoders.environment import describe_environment


def write_result(path: Path, params: Mapping[str, Any], results: Mapping[str, Any]) -> None:
    """Write figures with the environment that they were measured in."""
    report = {"environment": describe_environment(), "params": params, "results": results}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def is_measured(path: Path, params: Mapping[str, Any]) -> bool:
    """Return whether the file holds figures of exactly these parameters; a damaged file holds none."""
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    same: bool = isinstance(written, dict) and written.get("params") == json.loads(json.dumps(params))
    return same


def digest_of_files(paths: list[Path]) -> str:
    """Name the content of some files."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
