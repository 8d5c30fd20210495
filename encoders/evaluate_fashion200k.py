"""`python -m encoders fashion200k`: the benchmark of composed retrieval on any folder in Fashion200K's layout.

The gallery is every test picture; a query does not find its own. Beside the composed queries of the strict tier
stand what the picture and the text alone give, text -> image (every test caption), and image -> another image of
its caption (every test picture that has one).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from encoders.augment import Pixels
from encoders.checkpoint import load_encoders
from encoders.evaluate import Model, Scores
from encoders.families import TRAINING_FILE, open_tokenizer, read_family, read_json
from encoders.fashion200k import (
    ComposedQuery,
    Fashion200kError,
    LabelledImage,
    check_counts,
    read_images,
    read_queries,
)
from encoders.results import digest_of_files
from encoders.retrieval import nearest, recalls
from vitrine.preprocess import ImageRejected, Tokenizer, decode_image

PUBLISHED, PROCEDURAL = "published", "procedural"
_STAMP = "build.json"
"""What `python -m catalogue build` leaves, and the published data has not."""
_ROWS = 256
_SAID = ("base", "examples", "settings")
"""Of training.json; its losses and environment are no parameters of what is measured here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """The files of one root, read and counted."""

    data: str
    """PUBLISHED or PROCEDURAL."""
    training_images: int
    images: tuple[LabelledImage, ...]
    """Of the test split."""
    queries: tuple[ComposedQuery, ...]

    def counts(self) -> Mapping[str, int]:
        """Return how much there is."""
        return {
            "training_images": self.training_images,
            "test_images": len(self.images),
            "test_captions": len({image.caption for image in self.images}),
            "queries": len(self.queries),
        }


def read_benchmark(root: Path) -> Benchmark:
    """Read labels and queries.

    Raises:
        Fashion200kError: the files are not the benchmark's; or they are neither built by `python -m catalogue`
            nor as many as the published data has.
    """
    images = read_images(root, "test")
    benchmark = Benchmark(
        data=PROCEDURAL if (root / _STAMP).is_file() else PUBLISHED,
        training_images=len(read_images(root, "train")),
        images=images,
        queries=read_queries(root, images),
    )
    if benchmark.data == PUBLISHED:
        check_counts(benchmark.training_images, len(images), len(benchmark.queries))
    return benchmark


def digest_of_data(root: Path) -> str:
    """Name labels, queries and, of a catalogue built here, the code that drew it."""
    files = [*(root / "labels").glob("*test*"), root / "test_queries.txt", *root.glob(_STAMP)]
    return digest_of_files(sorted(files))


def read_training(weights: Path) -> dict[str, Any]:
    """Return what training on data that a person named says of itself, and nothing for weights without it."""
    path = weights / TRAINING_FILE
    return {"training": {name: read_json(path)[name] for name in _SAID}} if path.exists() else {}


def evaluate_fashion200k(weights: Path, root: Path, benchmark: Benchmark) -> dict[str, Scores]:
    """Measure the weights; `root` holds the pictures.

    Raises:
        CheckpointError: the weights cannot be used.
        Fashion200kError: a picture is missing or unreadable.
    """
    model, size = _open_model(weights)
    images = _embed_images(model.encoders.image, root, benchmark.images, size=size)
    distinct = dict.fromkeys(image.caption for image in benchmark.images)
    numbers = {caption: number for number, caption in enumerate(distinct)}
    captions = torch.tensor([numbers[image.caption] for image in benchmark.images])
    texts = model.embed_texts(list(numbers))
    return {
        "composed": _composed(model, benchmark, images, captions),
        "beside_it": {
            "text_to_image": _figures(nearest(texts, images), captions, torch.arange(len(texts))),
            "image_to_another_of_its_caption": _image_to_image(images, captions),
        },
    }


def _open_model(weights: Path) -> tuple[Model, int]:
    """Read a family of ours or the paper's, and the side of the square that it takes pictures in."""
    family = read_family(weights)
    tokenizer = Tokenizer(open_tokenizer(family).to_str())
    if family.name != "paper":
        return Model(load_encoders(weights), tokenizer), family.dimensions.image_size
    from encoders.paper.loading import read_networks  # noqa: PLC0415 - transformers takes seconds

    return Model(read_networks(family).evaluated(), tokenizer), family.dimensions.image_size


def _composed(model: Model, benchmark: Benchmark, images: Tensor, captions: Tensor) -> Scores:
    """Measure the strict tier, what picture and text alone and their sum find, and what the wanted caption would."""
    rows = {image.path: row for row, image in enumerate(benchmark.images)}
    sources = torch.tensor([rows[query.source] for query in benchmark.queries])
    wanted = captions[torch.tensor([rows[query.target] for query in benchmark.queries])]
    texts = [query.text for query in benchmark.queries]
    composed = {
        "strict": model.compose(images[sources], texts),
        "image_only": images[sources],
        "text_only": (words := model.embed_texts(texts)),
        "sum": functional.normalize(images[sources] + words, dim=-1),
        "oracle_caption_of_the_target": model.embed_texts(
            [benchmark.images[rows[query.target]].caption for query in benchmark.queries]
        ),
    }
    return {
        name: _figures(nearest(queries, images, left_out=sources), captions, wanted)
        for name, queries in composed.items()
    }


def _image_to_image(images: Tensor, captions: Tensor) -> dict[str, float]:
    rows = (captions.bincount()[captions] > 1).nonzero().squeeze(1)
    return _figures(nearest(images[rows], images, left_out=rows), captions, captions[rows])


def _figures(found: Tensor, captions: Tensor, wanted: Tensor) -> dict[str, float]:
    return {**recalls(found, captions, wanted), "queries": len(wanted)}


@torch.inference_mode()
def _embed_images(encoder: nn.Module, root: Path, images: Sequence[LabelledImage], *, size: int) -> Tensor:
    """Embed the pictures as serving does, float32 (n, EMBEDDING_DIM)."""
    embedded = []
    for start in tqdm(range(0, len(images), _ROWS), "embedding", mininterval=10):
        pixels = [_read_pixels(root / image.path, size) for image in images[start : start + _ROWS]]
        embedded.append(encoder(torch.from_numpy(np.stack(pixels))))
    return torch.cat(embedded)


def _read_pixels(path: Path, size: int) -> Pixels:
    try:
        return decode_image(path.read_bytes(), size=size)
    except OSError as error:
        raise Fashion200kError(f"{path}: {error.strerror}") from None
    except ImageRejected as error:
        raise Fashion200kError(f"{path}: {error.reason}") from None
