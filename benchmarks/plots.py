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

from benchmarks.processes import BARE_SERVER, GENERATOR

SOURCE = "Source"
"""The PNG's text field that holds the digest of the result file it was drawn from."""

_STYLES: dict[str, Literal["-", "--"]] = {"p50": "-", "p99": "--"}
COLOURS = ("#b3261e", "#e39a94", "#2f6f4f", "#3a5fa8", "#b07a1e", "#7d4fa0", "#4fa3a0", "#6b6b6b")

_TRACE_NAMES_PT = 165
"""The width of the names of spans, which stand left of the picture."""


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


def draw_throughput(document: Mapping[str, Any], path: Path, *, source: str) -> None:
    """Draw throughput by clients, and CPU by process, into a PNG."""
    closed = [
        case for case in document["results"] if case["loop"] == "closed" and case["workload"] != BARE_SERVER
    ]
    with look():
        figure = Figure(figsize=(11, 4.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        _draw_throughput(left, closed)
        _draw_cpu(right, closed)
        save(figure, path, source)


def draw_latency(document: Mapping[str, Any], path: Path, *, source: str) -> None:
    """Draw latency by offered rate into a PNG."""
    with look():
        figure = Figure(figsize=(7, 4.6), layout="constrained")
        _draw_latency(figure.subplots(), [case for case in document["results"] if case["loop"] == "open"])
        save(figure, path, source)


def draw_designs(document: Mapping[str, Any], path: Path, *, source: str) -> None:
    """Draw the recalls of every fusion design, with the spread of its runs, into a PNG."""
    designs = document["results"]["designs"]
    with look():
        figure = Figure(figsize=(11, 4.6), layout="constrained")
        for axes, cut in zip(figure.subplots(1, 2, sharey=True), ("R@1", "R@10"), strict=True):
            means, lows, highs = zip(*(each["test"]["mean"][cut] for each in designs.values()), strict=True)
            below = [mean - low for mean, low in zip(means, lows, strict=True)]
            above = [high - mean for mean, high in zip(means, highs, strict=True)]
            names = [name.replace("_", " ") for name in designs]
            bars = axes.barh(names, means, xerr=(below, above), color=COLOURS[2], capsize=3)
            axes.bar_label(bars, fmt="%.1f", padding=6)
            axes.set(title=f"{cut}, percent", xlim=(0, 110))
        axes.invert_yaxis()
        save(figure, path, source)


def draw_trace(document: Mapping[str, Any], path: Path, *, source: str) -> None:
    """Draw the spans of one call into a PNG: one below the other, each from its start to its end."""
    spans = document["results"]["spans"]
    services = list(dict.fromkeys(span["service"] for span in spans))
    colours = dict(zip(services, COLOURS[1:], strict=False))
    with look():
        figure = Figure(figsize=(11, 1.2 + 0.26 * len(spans)), layout="constrained")
        axes = figure.subplots()
        for row, span in enumerate(spans):
            start, length = span["start_ms"], span["length_ms"]
            axes.barh(row, length, left=start, color=colours[span["service"]], height=0.72)
            axes.annotate(
                f"{length:.1f}", (start + length, row), (4, 0), textcoords="offset points", va="center"
            )
        names = ["   " * span["depth"] + span["name"].removeprefix("vitrine.v1.") for span in spans]
        axes.set_yticks(range(len(spans)), names, ha="left")
        axes.tick_params(axis="y", length=0, pad=_TRACE_NAMES_PT)
        axes.set(xlabel="ms since the call came in; each bar with its length in ms", xlim=(0, None))
        axes.margins(x=0.06, y=0.01)
        axes.invert_yaxis()
        axes.grid(axis="x", alpha=0.25)
        marks = [Line2D([], [], color=colours[name], linewidth=6, label=name) for name in services]
        axes.legend(handles=marks, frameon=False, loc="lower left")
        save(figure, path, source)


def look() -> AbstractContextManager[None]:
    """Return what gives every picture the same look inside its block."""
    return mpl.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})


def save(figure: Figure, path: Path, source: str) -> None:
    """Write a picture that carries the digest of its source."""
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
    names = []
    for name, colour, chosen in _by_workload(cases):
        names.append(Line2D([], [], color=colour, label=name))
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
    styles = [Line2D([], [], color="black", linestyle=style, label=name) for name, style in _STYLES.items()]
    axes.legend(handles=names + styles, frameon=False, fontsize="small")


def _draw_cpu(axes: Axes, cases: Sequence[Mapping[str, Any]]) -> None:
    most = max((case["clients"] for case in cases), default=0)
    chosen = [case for case in cases if case["clients"] == most]
    names = [name for name in chosen[0]["pooled"]["cpu_ms_per_answer"] if name != GENERATOR] if chosen else []
    floor = [0.0] * len(chosen)
    for position, name in enumerate(names):
        used = [case["pooled"]["cpu_ms_per_answer"].get(name) or 0.0 for case in chosen]
        labels = [case["workload"] for case in chosen]
        axes.barh(labels, used, left=floor, color=COLOURS[position % len(COLOURS)], label=name)
        floor = [below + own for below, own in zip(floor, used, strict=True)]
    axes.invert_yaxis()
    axes.set(title=f"CPU at {most} clients", xlabel="ms an answer")
    axes.legend(frameon=False)


def _by_workload(cases: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, list[Mapping[str, Any]]]]:
    names = list(dict.fromkeys(case["workload"] for case in cases))
    return [
        (name, COLOURS[position % len(COLOURS)], [case for case in cases if case["workload"] == name])
        for position, name in enumerate(names)
    ]
