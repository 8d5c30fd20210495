"""Which precision each encoder is served in: measured by `verify`, kept beside the weights, read by `publish`.

precisions.json lies in the folder of the weights and belongs to them alone. It holds the ranges that calibration
saw, too: publishing then needs no calibration, and int8 graphs are the same wherever they are made.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from encoders.families import CheckpointError, Family, read_json
from export.errors import ExportError
from export.manifest import EXPORT_VERSION, weights_digests
from export.model_config import Precision
from vitrine.tensors import ENCODERS

CHOICE_FILE = "precisions.json"

WORTHWHILE = 1.05
"""Times as fast as fp32 that a precision must be to take its place: less is within the noise of the measurement."""

Ranges = Mapping[str, tuple[float, float]]
"""The least and the greatest value that calibration saw in each tensor of a graph."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """How the encoders of one family are served."""

    precisions: Mapping[str, Precision]
    """Of each encoder, by its name."""
    ranges: Mapping[str, Ranges] = field(default_factory=dict)
    """Of those in int8."""
    quality: Mapping[str, Any] = field(default_factory=dict)
    """What was measured: how much faster than fp32, the points of recall lost, and where."""

    def calibration(self) -> str:
        """Return the SHA-256 of the ranges, in hexadecimal; empty where there are none."""
        if not self.ranges:
            return ""
        return hashlib.sha256(json.dumps(self.ranges, sort_keys=True).encode()).hexdigest()

    def label(self) -> str:
        """Name the precision, or that of each encoder where they differ."""
        used = set(self.precisions.values())
        if len(used) == 1:
            return used.pop()
        return ", ".join(f"{name} {precision}" for name, precision in self.precisions.items())


def uniform(precision: Precision, **given: Any) -> Choice:
    """Return the choice of one precision for all encoders."""
    return Choice(precisions=dict.fromkeys((spec.name for spec in ENCODERS), precision), **given)


def fastest(rates: Mapping[str, Mapping[Precision, float]]) -> dict[str, Precision]:
    """Choose for each encoder the precision of the highest rate; fp32 unless another is WORTHWHILE.

    Args:
        rates: rows a second, by encoder and precision, fp32 among them.
    """
    best = {name: max(known, key=lambda each: known[each]) for name, known in rates.items()}
    return {
        name: precision if rates[name][precision] >= WORTHWHILE * rates[name]["fp32"] else "fp32"
        for name, precision in best.items()
    }


def write_choice(family: Family, choice: Choice) -> None:
    """Keep the choice beside the weights that it was measured on."""
    content = {"export_version": EXPORT_VERSION, "weights": weights_digests(family), **asdict(choice)}
    text = json.dumps(content, indent=1) + "\n"
    (family.folder / CHOICE_FILE).write_text(text, encoding="utf-8")


def read_choice(family: Family) -> Choice | None:
    """Read the choice that lies beside the weights; None where there is none, or it is of other weights.

    Raises:
        ExportError: the file is damaged.
    """
    path = family.folder / CHOICE_FILE
    if not path.exists():
        return None
    try:
        content = read_json(path)
        measured = (content["export_version"], content["weights"])
        ranges = {
            name: {tensor: (float(low), float(high)) for tensor, (low, high) in tensors.items()}
            for name, tensors in content["ranges"].items()
        }
        choice = Choice(precisions=content["precisions"], ranges=ranges, quality=content["quality"])
    except CheckpointError as error:
        raise ExportError(str(error)) from None
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ExportError(f"{path}: not as `python -m export verify --adopt` writes it") from None
    return choice if measured == (EXPORT_VERSION, weights_digests(family)) else None
