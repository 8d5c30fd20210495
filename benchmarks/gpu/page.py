"""What a GPU made of the encoders, as Markdown and as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.plots import COLOURS, look, save
from benchmarks.tables import Document, origin, table

PATTERN = "gpu-*.json"
_PICTURES = Path("docs/pictures")
_HEADER = [
    "family", "encoder", "precision", "provider", "alone, p50 ms (p99)", "rows/s", "with copies", "the roofline allows",
    "share", "bound by", "MiB",
]  # fmt: skip


def gpu_section(documents: Mapping[str, Document], folder: Path) -> list[str]:
    """Return for each GPU what every graph reached, and what the roofline allows it.

    Args:
        documents: the results by the name of their file.
        folder: of the document, which links to the pictures.
    """
    lines: list[str] = []
    for name, document in documents.items():
        device = document["environment"]["gpu"]
        lines += [f"### {device.get('name', 'A CPU: a trial of the program, and no figure of a GPU')}", ""]
        lines += [*origin(name, document), "", *_settings(document), ""]
        lines += [*table(_HEADER, [_row(row) for row in document["results"]]), ""]
        picture = picture_of(name).relative_to(folder).as_posix()
        lines += [f"![Rows a second by batch, and what the roofline allows]({picture})", ""]
    return lines[:-1]


def picture_of(name: str) -> Path:
    """Return where the picture of a result lies."""
    return (_PICTURES / name).with_suffix(".png")


def draw_gpu(document: Mapping[str, Any], path: Path, *, source: str) -> None:
    """Draw rows a second by batch of each encoder into a PNG, beside what the roofline allows."""
    encoders = list(dict.fromkeys(row["encoder"] for row in document["results"]))
    with look():
        figure = Figure(figsize=(4.4 * len(encoders), 4.6), layout="constrained")
        axes = figure.subplots(1, len(encoders), squeeze=False)[0]
        for each, encoder in zip(axes, encoders, strict=True):
            rows = [row for row in document["results"] if row["encoder"] == encoder]
            _draw_encoder(each, encoder, rows)
        save(figure, path, source)


def _settings(document: Document) -> list[str]:
    params, device = document["params"], document["environment"]["gpu"]
    peaks = params["peaks"]
    known = ", ".join(f"{name} {tflops:g} TFLOPS" for name, tflops in peaks["tflops"].items())
    of_device = f"Driver {device['driver_version']}, {device['memory.total']}. " if device else ""
    against = f"Peaks: {known}; {peaks['gb_s']:g} GB/s ({peaks['source']})." if peaks["gb_s"] else "No peaks."
    return [f"{of_device}{params['repeats']} repeats of {params['seconds']:g} s a batch. {against}"]


def _row(row: Mapping[str, Any]) -> list[str]:
    alone = row["batches"][0]["host"] if row["batches"][0]["batch"] == 1 else None
    best = max(row["batches"], key=lambda batch: float(batch["device"]["rows_per_s"][0]))
    roofline = best["roofline"]
    return [
        row["family"],
        row["encoder"].removesuffix("_encoder"),
        row["precision"],
        row["provider"],
        f"{alone['p50_ms'][0]:.3g} ({alone['p99_ms'][0]:.3g})" if alone else "-",
        f"{_spread(best['device']['rows_per_s'])} at {best['batch']}",
        f"{best['host']['rows_per_s'][0]:.0f}",
        *(_roofline(roofline) if roofline else ("-", "-", "-")),
        str(row["memory_mib"]),
    ]


def _roofline(roofline: Mapping[str, Any]) -> tuple[str, str, str]:
    return f"{roofline['rows_per_s']:.0f}", f"{100 * roofline['share'][0]:.3g} %", roofline["by"]


def _spread(figure: Sequence[float]) -> str:
    middle, low, high = figure
    return f"{middle:.0f} ({low:.0f}-{high:.0f})"


def _draw_encoder(axes: Axes, encoder: str, rows: Sequence[Mapping[str, Any]]) -> None:
    for position, row in enumerate(rows):
        colour = COLOURS[position % len(COLOURS)]
        batches = [batch["batch"] for batch in row["batches"]]
        label = f"{row['family']}, {row['precision']}, {row['provider']}"
        reached = [batch["device"]["rows_per_s"][0] for batch in row["batches"]]
        axes.plot(batches, reached, marker="o", color=colour, label=label)
        allowed = [batch["roofline"] and batch["roofline"]["rows_per_s"] for batch in row["batches"]]
        if all(allowed):
            axes.plot(batches, allowed, "--", color=colour, alpha=0.5)
    axes.set(
        title=encoder.replace("_", " "), xlabel="batch", ylabel="rows a second", xscale="log", yscale="log"
    )
    axes.legend(frameon=False, fontsize="small", title="dashed: the roofline")
