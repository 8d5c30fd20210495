"""Pictures made from result files; equal results give equal pictures."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, Protocol

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from benchmarks.processes import GENERATOR

SOURCE = "Source"
"""The PNG's text field that holds the digest of the result file it was drawn from."""

_STYLES: dict[str, Literal["-", "--"]] = {"p50": "-", "p99": "--"}
_COLOURS = ("#b3261e", "#e39a94", "#2f6f4f", "#3a5fa8", "#b07a1e")


class Plot(Protocol):
    """Draws a result into a PNG that carries the digest of its source."""

    def __call__(self, document: Mapping[str, Any], path: Path, *, source: str) -> None:
        """Write the picture to the path."""


def drawn_from(picture: Path) -> str:
    """Return the digest that the picture carries; empty where there is no such picture."""
    try:
        with Image.open(picture) as image:
            return str(image.info.get(SOURCE, ""))
    except OSError:
        return ""


def draw_load(document: Mapping[str, Any], path: Path, *, source: str) -> None:
    """Draw throughput by clients, latency by offered rate, and CPU by process into a PNG."""
    closed = [case for case in document["results"] if case["loop"] == "closed"]
    opened = [case for case in document["results"] if case["loop"] == "open"]
    with _look():
        figure = Figure(figsize=(15, 4.6), layout="constrained")
        left, middle, right = figure.subplots(1, 3)
        _draw_throughput(left, closed)
        _draw_latency(middle, opened)
        _draw_cpu(right, closed)
        _save(figure, path, source)


def draw_designs(document: Mapping[str, Any], path: Path, *, source: str) -> None:
    """Draw the recalls of every fusion design, with the spread of its runs, into a PNG."""
    designs = document["results"]["designs"]
    with _look():
        figure = Figure(figsize=(11, 4.6), layout="constrained")
        for axes, cut in zip(figure.subplots(1, 2, sharey=True), ("R@1", "R@10"), strict=True):
            means, lows, highs = zip(*(each["test"]["mean"][cut] for each in designs.values()), strict=True)
            below = [mean - low for mean, low in zip(means, lows, strict=True)]
            above = [high - mean for mean, high in zip(means, highs, strict=True)]
            names = [name.replace("_", " ") for name in designs]
            bars = axes.barh(names, means, xerr=(below, above), color=_COLOURS[2], capsize=3)
            axes.bar_label(bars, fmt="%.1f", padding=6)
            axes.set(title=f"{cut}, percent", xlim=(0, 110))
        axes.invert_yaxis()
        _save(figure, path, source)


def _look() -> AbstractContextManager[None]:
    return mpl.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})


def _save(figure: Figure, path: Path, source: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None, SOURCE: source})


def _draw_throughput(axes: Axes, cases: Sequence[Mapping[str, Any]]) -> None:
    for name, colour, chosen in _by_workload(cases):
        clients = [case["clients"] for case in chosen]
        rates = [case["pooled"]["answered_per_s"] for case in chosen]
        low, high = zip(*(case["pooled"]["spread"]["answered_per_s"] for case in chosen), strict=True)
        axes.plot(clients, rates, marker="o", color=colour, label=name)
        axes.fill_between(clients, low, high, color=colour, alpha=0.15)
    axes.set(title="Closed loop", xlabel="clients", ylabel="answers a second", ylim=(0, None))
    axes.set_xscale("log", base=2)
    ticks = sorted({case["clients"] for case in cases})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.legend(frameon=False)


def _draw_latency(axes: Axes, cases: Sequence[Mapping[str, Any]]) -> None:
    for _, colour, chosen in _by_workload(cases):
        answered = [case for case in chosen if case["pooled"]["answered"]]
        rates = [case["rate"] for case in answered]
        for percentile, style in _STYLES.items():
            latencies = [case["pooled"]["latency_ms"][percentile] for case in answered]
            axes.plot(rates, latencies, style, marker=".", color=colour)
    axes.set(
        title="Open loop",
        xlabel="requests a second offered",
        ylabel="latency, ms",
        yscale="log",
        xlim=(0, None),
    )
    # The colours are those of the panel at the left.
    styles = [Line2D([], [], color="black", linestyle=style, label=name) for name, style in _STYLES.items()]
    axes.legend(handles=styles, frameon=False)


def _draw_cpu(axes: Axes, cases: Sequence[Mapping[str, Any]]) -> None:
    most = max((case["clients"] for case in cases), default=0)
    chosen = [case for case in cases if case["clients"] == most]
    names = [name for name in chosen[0]["pooled"]["cpu_ms_per_answer"] if name != GENERATOR] if chosen else []
    floor = [0.0] * len(chosen)
    for position, name in enumerate(names):
        used = [case["pooled"]["cpu_ms_per_answer"].get(name) or 0.0 for case in chosen]
        labels = [case["workload"] for case in chosen]
        axes.barh(labels, used, left=floor, color=_COLOURS[position % len(_COLOURS)], label=name)
        floor = [below + own for below, own in zip(floor, used, strict=True)]
    axes.invert_yaxis()
    axes.set(title=f"CPU at {most} clients", xlabel="ms an answer")
    axes.legend(frameon=False)


def _by_workload(cases: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, list[Mapping[str, Any]]]]:
    names = list(dict.fromkeys(case["workload"] for case in cases))
    return [
        (name, _COLOURS[position % len(_COLOURS)], [case for case in cases if case["workload"] == name])
        for position, name in enumerate(names)
    ]
