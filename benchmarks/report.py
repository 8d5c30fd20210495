"""`python -m benchmarks report`: keeps docs/benchmarks.md and its pictures equal to the committed results.

The prose of the document is written by hand; what stands between `<!-- begin: NAME -->` and `<!-- end: NAME -->`
is made from the result files. Of several results of a kind the newest is shown in full.
"""

import hashlib
import json
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

from benchmarks.plots import draw_load, drawn_from
from benchmarks.tables import Document, encoders_section, load_section

RESULTS = Path("benchmarks/results")
DOCUMENT = Path("docs/benchmarks.md")
LOAD_PLOT = Path("docs/pictures/load.png")

_NONE_YET = ["No result yet."]


class ReportError(Exception):
    """The document or a result cannot be read; names the file and the reason."""


def write_report() -> list[Path]:
    """Bring the document and the pictures up to date; give what was written."""
    stale = stale_files()
    newest = next(iter(_loads().items()), None)
    if LOAD_PLOT in stale and newest:
        draw_load(newest[1], LOAD_PLOT, source=_digest(newest[0]))
    if DOCUMENT in stale:
        DOCUMENT.write_text(_rendered())
    return stale


def stale_files() -> list[Path]:
    """Give the files that are not what the results say."""
    newest = next(iter(_loads()), None)
    stale = [] if newest is None or drawn_from(LOAD_PLOT) == _digest(newest) else [LOAD_PLOT]
    return stale if _text() == _rendered() else [*stale, DOCUMENT]


def fill(text: str, sections: Mapping[str, list[str]]) -> str:
    """Put each section's lines between its markers; raises ReportError where a marker is missing."""
    for name, lines in sections.items():
        begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
        before, found_begin, rest = text.partition(begin)
        _, found_end, after = rest.partition(end)
        if not found_begin or not found_end:
            raise ReportError(f"{DOCUMENT}: {begin} and {end} must stand in it")
        text = "\n".join([before + begin, "", *lines, "", end + after])
    return text


def _rendered() -> str:
    loads = _loads()
    load = _NONE_YET
    if loads:
        (name, newest), *earlier = ((path.name, document) for path, document in loads.items())
        load = load_section(name, newest, dict(earlier), LOAD_PLOT.relative_to(DOCUMENT.parent).as_posix())
    encoders = [encoders_section(path.name, _read(path)) for path in sorted(RESULTS.glob("*encoders-*.json"))]
    return fill(_text(), {"load": load, "encoders": list(chain.from_iterable(encoders)) or _NONE_YET})


def _loads() -> dict[Path, Document]:
    """Give the results of `python -m benchmarks load`, the newest first."""
    documents = {path: _read(path) for path in RESULTS.glob("*.json")}
    loads = [path for path, document in documents.items() if document["params"].get("benchmark") == "load"]
    loads.sort(key=lambda path: (documents[path]["environment"]["begun"], path.name), reverse=True)
    return {path: documents[path] for path in loads}


def _read(path: Path) -> Document:
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ReportError(f"{path}: {error}") from error
    if not isinstance(document, dict) or document.keys() != {"environment", "params", "results"}:
        raise ReportError(f"{path}: a result holds environment, params and results")
    return document


def _text() -> str:
    try:
        return DOCUMENT.read_text()
    except OSError as error:
        raise ReportError(f"{DOCUMENT}: {error.strerror}") from error


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
