"""`python -m benchmarks report`: keeps docs/benchmarks.md, its pictures and the tables of other documents equal to the committed results.

The prose of a document is written by hand; what stands between `<!-- begin: NAME -->` and `<!-- end: NAME -->`
is made from the result files. Of several results of a kind the newest is shown in full.
"""

import hashlib
import json
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

from benchmarks import capacity_page, documents, paper, plans, reliability
from benchmarks.costs import levers_section, stages_section, sweep_section
from benchmarks.features import features_section
from benchmarks.fields import fields_section
from benchmarks.gpu import page as gpu
from benchmarks.moderation import moderation_section
from benchmarks.peers.page import peers_section
from benchmarks.personal import personal_section
from benchmarks.photographs import (
    photograph_precisions_section,
    photographs_section,
    tuning_section,
)
from benchmarks.plots import Plot, draw_designs, draw_latency, draw_throughput, draw_trace, drawn_from
from benchmarks.ranking import experiment_section, ranking_section
from benchmarks.scale import bulk_section, cores_section, index_section, uptime_section
from benchmarks.speech import speech_section
from benchmarks.tables import (
    Document,
    css_section,
    designs_section,
    encoders_section,
    load_section,
    precisions_section,
    several_pictures_section,
)

RESULTS = Path("benchmarks/results")
BASELINE = RESULTS / "cpu-baseline.json"
"""The short load measurement that CI compares with."""
DOCUMENT = Path("docs/benchmarks.md")
THROUGHPUT_PLOT = Path("docs/pictures/throughput.png")
LATENCY_PLOT = Path("docs/pictures/latency.png")
DESIGNS_PLOT = Path("docs/pictures/designs.png")
TRACE_PLOT = Path("docs/pictures/trace.png")
"""In docs/operations.md."""

_NONE_YET = ["No result yet."]


class ReportError(Exception):
    """The document or a result cannot be read; names the file and the reason."""


def write_report() -> list[Path]:
    """Bring the document and the pictures up to date; give what was written."""
    stale = stale_files()
    for plot, (result, draw) in _plots().items():
        if plot in stale:
            draw(read_result(result), plot, source=_digest(result))
    for path, rendered in _documents().items():
        if path in stale:
            path.write_text(rendered)
    return stale


def stale_files() -> list[Path]:
    """Return the files that are not what the results say."""
    stale = [plot for plot, (result, _) in _plots().items() if drawn_from(plot) != _digest(result)]
    return stale + [path for path, rendered in _documents().items() if _text(path) != rendered]


def fill(text: str, sections: Mapping[str, list[str]], *, document: Path = DOCUMENT) -> str:
    """Put each section's lines between its markers; raises ReportError where a marker is missing."""
    for name, lines in sections.items():
        begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
        before, found_begin, rest = text.partition(begin)
        _, found_end, after = rest.partition(end)
        if not found_begin or not found_end:
            raise ReportError(f"{document}: {begin} and {end} must stand in it")
        text = "\n".join([before + begin, "", *lines, "", end + after])
    return text


def _documents() -> dict[Path, str]:
    """Return each document as the results have it; the others where they are there."""
    rendered = {DOCUMENT: _rendered()}
    for other in (reliability, plans, paper, documents, capacity_page):
        path = other.DOCUMENT
        if path.exists():
            rendered[path] = fill(_text(path), other.sections(RESULTS), document=path)
    return rendered


def _rendered() -> str:
    loads = _loads()
    named = [(path.name, document) for path, document in loads.items()]
    load = load_section(named, _link(THROUGHPUT_PLOT), _link(LATENCY_PLOT)) or _NONE_YET
    designs = [designs_section(path.name, read_result(path), _link(DESIGNS_PLOT)) for path in _designs()]
    encoders, css, fashion200k, precisions, photograph_precisions, tuning, several_pictures = (
        [section(path.name, read_result(path)) for path in sorted(RESULTS.glob(pattern))]
        for pattern, section in (
            ("*encoders-*.json", encoders_section),
            ("css.json", css_section),
            ("fashion200k-*.json", encoders_section),
            ("precisions-*.json", precisions_section),
            ("photograph-precisions-*.json", photograph_precisions_section),
            ("tuning-*.json", tuning_section),
            ("several-pictures.json", several_pictures_section),
        )
    )
    sections = {
        "encoders": encoders,
        "photographs": [photographs_section(_found("photographs-*.json"))],
        "fields": [fields_section(_found("fields-*.json"))],
        "bulk": [bulk_section(_found("bulk*.json"))],
        "cores": [cores_section(_found("cores.json"))],
        "uptime": [uptime_section(_found("uptime.json"))],
        "index-scale": [index_section(_found("index-*.json"))],
        "ranking": [ranking_section(_found("ranking*.json"))],
        "experiments": [experiment_section(_found("experiment.json"))],
        "moderation": [moderation_section(_found("moderation.json"))],
        "speech": [speech_section(_found("speech.json"))],
        "levers": [levers_section(_found("gateway-levers*.json"))],
        "features": [
            features_section(path, document) for path, document in _found("gateway-features.json").items()
        ],
        "personal": [personal_section(path, document) for path, document in _found("personal.json").items()],
        "stages": [stages_section(_found("stages-*.json"))],
        "sweep": [sweep_section(_found("sweep-*.json"))],
        "peers": [peers_section(path, document) for path, document in _found("peers*.json").items()],
        "gpu": [gpu.gpu_section(_found(gpu.PATTERN), DOCUMENT.parent)],
        "designs": designs,
        "css": css,
        "fashion200k": fashion200k,
        "precisions": precisions,
        "photograph-precisions": photograph_precisions,
        "tuning": tuning,
        "several-pictures": several_pictures,
    }
    joined = {name: list(chain.from_iterable(parts)) or _NONE_YET for name, parts in sections.items()}
    return fill(_text(DOCUMENT), {"load": load, **joined})


def _found(pattern: str) -> dict[str, Document]:
    return {path.name: read_result(path) for path in sorted(RESULTS.glob(pattern))}


def _plots() -> dict[Path, tuple[Path, Plot]]:
    """Return what each picture is drawn from, and how."""
    plots: dict[Path, tuple[Path, Plot]] = {}
    loads = _loads()
    for loop, picture, draw in (
        ("closed", THROUGHPUT_PLOT, draw_throughput),
        ("open", LATENCY_PLOT, draw_latency),
    ):
        measured = [p for p, document in loads.items() if any(c["loop"] == loop for c in document["results"])]
        for path in measured[:1]:
            plots[picture] = path, draw
    for path in _designs():
        plots[DESIGNS_PLOT] = path, draw_designs
    for path in sorted(RESULTS.glob(gpu.PATTERN)):
        plots[gpu.picture_of(path.name)] = path, gpu.draw_gpu
    for path in RESULTS.glob("trace.json"):
        plots[TRACE_PLOT] = path, draw_trace
    return plots


def _link(picture: Path) -> str:
    return picture.relative_to(DOCUMENT.parent).as_posix()


def _designs() -> list[Path]:
    """Return the result of `python -m encoders compare`, where there is one."""
    return [path for path in [RESULTS / "designs.json"] if path.exists()]


def _loads() -> dict[Path, Document]:
    """Return the results of `python -m benchmarks load`, the newest first, without what CI compares with."""
    documents = {path: read_result(path) for path in RESULTS.glob("*.json") if path.name != BASELINE.name}
    loads = [path for path, document in documents.items() if document["params"].get("benchmark") == "load"]
    loads.sort(key=lambda path: (documents[path]["environment"]["begun"], path.name), reverse=True)
    return {path: documents[path] for path in loads}


def read_result(path: Path) -> Document:
    """Read a result file; raises ReportError where it is none."""
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ReportError(f"{path}: {error}") from error
    if not isinstance(document, dict) or document.keys() != {"environment", "params", "results"}:
        raise ReportError(f"{path}: a result holds environment, params and results")
    return document


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise ReportError(f"{path}: {error.strerror}") from error


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
