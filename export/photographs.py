"""What the image encoder finds on real photographs, and what it costs, in each precision: `python -m export precisions`.

int8 is made in two ways: of all convolutions, and of the pointwise ones alone, which hold most of the arithmetic and lose least.
"""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import geometric_mean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.environment import describe_environment
from encoders.photographs.embedder import digest_of_pictures, digest_of_weights, open_embedder
from encoders.photographs.gallery import Gallery
from encoders.photographs.products import TRAIN, VAL, DataError, Photograph, load_photographs
from encoders.photographs.searches import recalls_by_title
from export.choice import WORTHWHILE
from export.errors import ExportError
from export.graphs import CALIBRATION_ROWS
from export.parity import cosines_of, open_graph, run_in_batches
from export.quality import MAXIMUM_LOSS
from export.quantise import calibrate, halve, quantise
from export.timing import BATCHES, one_thread, time_run
from export.to_onnx import Networks, graph_path
from vitrine.preprocess import ImageRejected, decode_image
from vitrine.tensors import IMAGE_ENCODER

_FP32 = "fp32"
_MOST = 2_048
"""Photographs that are asked for; their pixels are held in memory."""
_NAME = IMAGE_ENCODER.name

Result = dict[str, Any]


def measure_on_photographs(networks: Networks, graphs: Path, data: Path) -> Result:
    """Measure the image encoder in each precision on the split val, calibrated on the split train.

    Args:
        networks: the family.
        graphs: its fp32 graphs.
        data: a catalogue of products with titles.

    Raises:
        ExportError: a graph is missing or broken, or the data cannot be used.
    """
    environment = describe_environment() | {
        "onnxruntime": version("onnxruntime"),
        "load_average_1_min": round(os.getloadavg()[0], 2),
    }
    try:
        shown = _split(data, TRAIN)
        asked = [each for each in _split(data, VAL) if each.title][:_MOST]
        if not asked:
            raise ExportError(f"{data}: no product of the split {VAL} has a title to be searched by")
        with one_thread():
            results = _compare(networks, graphs, shown, asked)
    except (DataError, ImageRejected) as error:
        raise ExportError(str(error)) from None
    return {
        "environment": environment,
        "params": {
            "benchmark": "precisions on photographs",
            "family": networks.family.name,
            "weights_digest": digest_of_weights(networks.family),
            "encoder": _NAME,
            "data": {data.stem: digest_of_pictures([each.picture for each in asked])},
            "split": VAL,
            "photographs": len(asked),
            "calibrated_on": min(len(shown), CALIBRATION_ROWS),
            "points_of_r@10_allowed": MAXIMUM_LOSS,
        },
        "results": results,
    }


def _compare(
    networks: Networks, graphs: Path, shown: Sequence[Photograph], asked: Sequence[Photograph]
) -> Result:
    (spec,) = (each for each in networks.specs() if each.name == _NAME)
    open_graph(graphs, spec)  # what is broken is said before minutes are spent
    size = networks.family.dimensions.image_size
    steps = np.random.default_rng(0).permutation(len(shown))[:CALIBRATION_ROWS]
    calibration = _pixels([shown[row] for row in steps.tolist()], size)
    ranges = calibrate(graph_path(graphs, _NAME), {"pixels": calibration})
    makers: Mapping[str, Callable[[Path, Path], object]] = {
        _FP32: shutil.copyfile,
        "int8": lambda graph, out: quantise(graph, out, ranges),
        "int8, pointwise": lambda graph, out: quantise(graph, out, ranges, pointwise=True),
        "fp16": halve,
    }
    _, embedder = open_embedder(networks.family.folder, graphs=graphs)
    pixels = _pixels(asked, size)
    figures: dict[str, Result] = {}
    given: NDArray[np.float32] | None = None
    for precision, make in makers.items():
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            make(graph_path(graphs, _NAME), graph_path(folder, _NAME))
            run = open_graph(folder, spec)
            images = run_in_batches(run, {"pixels": pixels})
            given = images if given is None else given
            figures[precision] = {
                "megabytes": round(graph_path(folder, _NAME).stat().st_size / 1e6, 2),
                "cosine_mean": round(float(cosines_of(given, images).mean()), 6),
                "recall": recalls_by_title(Gallery(photographs=asked, images=images), embedder.texts),
                "timing": time_run(run, {"pixels": pixels[: max(BATCHES)]}),
            }
    return {"precisions": figures, "served": _fastest(figures)}


def _fastest(figures: Mapping[str, Result]) -> str:
    """Note what each precision loses, and return the fastest of those that pass; fp32 unless another is WORTHWHILE."""
    known = figures[_FP32]
    passing = {}
    for precision, each in figures.items():
        each["lost"] = {cut: round(known["recall"][cut] - each["recall"][cut], 2) for cut in ("R@1", "R@10")}
        each["passes"] = each["lost"]["R@10"] <= MAXIMUM_LOSS
        each["faster"] = round(_rate(each) / _rate(known), 2)
        if each["passes"]:
            passing[precision] = each["faster"]
    best = max(passing, key=passing.__getitem__)
    return best if passing[best] >= WORTHWHILE else _FP32


def _rate(figures: Result) -> float:
    return geometric_mean(case["rows_per_cpu_s"] for case in figures["timing"])


def _split(data: Path, split: str) -> list[Photograph]:
    return load_photographs(data, splits=(split,), notes=Counter())


def _pixels(photographs: Sequence[Photograph], size: int) -> NDArray[np.uint8]:
    return np.stack([decode_image(each.picture, size=size) for each in photographs])
