"""What a precision costs where it counts: recall on products that training has not seen.

The gallery is that of `python -m encoders evaluate`, distractors included, so figures compare with the card's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from catalogue.grammar import caption, modification_text
from catalogue.splits import Splits
from encoders.families import Family
from encoders.pictures import drawn_pictures
from encoders.retrieval import nearest, recalls
from export.errors import ExportError
from export.parity import Run, run_in_batches
from export.samples import family_tokenizer, fusion_feeds

MAXIMUM_LOSS = 0.5
"""Points of R@10, in percent, that a precision may lose in any task."""

Recalls = Mapping[str, Mapping[str, float]]
"""Task to R@1, R@10 and R@50, in percent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Pictures, and what is asked of them; n pictures, k captions of which the first are held out, m changes."""

    pixels: NDArray[np.uint8]
    """(n, size, size, 3)."""
    captions: NDArray[np.int64]
    """(n,), which caption each picture has; equal captions are equal numbers."""
    caption_ids: NDArray[np.int64]
    """(h, length), the tokens of captions 0 to h - 1."""
    change_ids: NDArray[np.int64]
    """(m, length)."""
    sources: NDArray[np.int64]
    """(m,), the picture that each change starts from."""
    targets: NDArray[np.int64]
    """(m,), the caption that each change leads to."""
    fusion_reads_text: bool = False
    """As vitrine.tensors.Dimensions says."""


def held_out(family: Family, work: Path, splits: Splits) -> HeldOut:
    """Return the test splits; `work` keeps the drawn pictures, which take minutes the first time."""
    pictures = [each for split in (splits.iid, splits.ood, splits.seen) for each in split.pictures()]
    numbers: dict[str, int] = {}
    captions = [numbers.setdefault(caption(spec), len(numbers)) for spec, _ in pictures]
    asked = [cluster for split in (splits.iid, splits.ood) for cluster in split.clusters]
    held = {caption(spec): None for cluster in asked for spec in cluster.specs}
    first = {number: row for row, number in reversed(list(enumerate(captions)))}
    edges = [(cluster.specs, edge) for cluster in asked for edge in cluster.edges]
    tokenizer = family_tokenizer(family)
    size = family.dimensions.image_size
    stored = drawn_pictures("test", pictures, cache=work)
    return HeldOut(
        fusion_reads_text=family.dimensions.fusion_reads_text,
        pixels=np.stack([np.asarray(_resized(each, size)) for each in stored]),
        captions=np.array(captions),
        caption_ids=tokenizer(list(held)),
        change_ids=tokenizer([modification_text(edge.edit) for _, edge in edges]),
        sources=np.array([first[numbers[caption(specs[edge.source])]] for specs, edge in edges]),
        targets=np.array([numbers[caption(specs[edge.target])] for specs, edge in edges]),
    )


def measure_recalls(runs: Mapping[str, Run], asked: HeldOut) -> Recalls:
    """Search by text, by picture, and by picture and change, with the encoders that the runs are."""
    images = run_in_batches(runs["image_encoder"], {"pixels": asked.pixels})
    texts = run_in_batches(runs["text_encoder"], {"token_ids": asked.caption_ids})
    text_run = runs["text_encoder"] if asked.fusion_reads_text else None
    changed = fusion_feeds(images[asked.sources], asked.change_ids, text_run)
    composed = run_in_batches(runs["fusion_encoder"], changed)
    gallery, captions = torch.from_numpy(images), torch.from_numpy(asked.captions)
    held = (captions < len(texts)).nonzero().squeeze(1)
    tasks: dict[str, tuple[Tensor, Tensor | None, Tensor]] = {
        "text": (torch.from_numpy(texts), None, torch.arange(len(texts))),
        "image": (gallery[held], held, captions[held]),
        "composed": (
            torch.from_numpy(composed),
            torch.from_numpy(asked.sources),
            torch.from_numpy(asked.targets),
        ),
    }
    return {
        task: recalls(nearest(queries, gallery, left_out=left_out), captions, wanted)
        for task, (queries, left_out, wanted) in tasks.items()
    }


def check_loss(reference: Recalls, measured: Recalls, *, precision: str) -> dict[str, dict[str, float]]:
    """Return the points that each task loses of R@1 and R@10.

    Raises:
        ExportError: more than MAXIMUM_LOSS of R@10.
    """
    lost = {
        task: {cut: round(figures[cut] - measured[task][cut], 2) for cut in ("R@1", "R@10")}
        for task, figures in reference.items()
    }
    for task, figures in lost.items():
        if not figures["R@10"] <= MAXIMUM_LOSS:
            raise ExportError(
                f"{precision} loses {figures['R@10']} points of R@10 by {task}; at most {MAXIMUM_LOSS} are allowed"
            )
    return lost


def _resized(stored: NDArray[np.uint8], size: int) -> Image.Image:
    """Scale a stored picture, which is square, as `vitrine.preprocess` does."""
    return Image.fromarray(stored).resize((size, size), Image.Resampling.BICUBIC, reducing_gap=2.0)
