"""The protocol gives the values that google/tirg's own code gives.

Its `datasets.Fashion200k` and `test_retrieval.test` (commit c58daa0, without `.cuda()` and with its label files sorted) were run
on the data that `_write` makes, with the embeddings below; what they returned stands in TIRG. None of that code is here.
"""

import hashlib
import random
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.fashion200k import children_by_parent, read_images, read_queries
from encoders.retrieval import nearest, recalls

TIRG = {
    "captions": "718ee673f5e59dbd",
    "queries": "60507c748a189a5f",
    "parents": "d5b14940b44e85be",
    "first texts": ["replace off-white with blue", "replace redux with black", "replace long with vandmarka"],
    "R@1": 9.5,
    "R@10": 50.5,
    "R@50": 96.0,
}
"""Digests of captions, queries and parents, then recall_top1, 10 and 50_correct_composition in percent."""

_COLOURS = ("red", "blue", "redux", "black", "off-white")
_CUTS = ("long", "3.1 short", "v&a mini", "what? midi", "*new*  maxi")
_KINDS = ("dress", "crêpe dress", "skirt", "wrap  skirt")
_NO_LINE_ENDS = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
"""Characters at which str.splitlines ends a line, and reading a file line by line does not."""


def _write(root: Path) -> None:
    """Write two label files of a test split, one of a training split, and queries, with the quirks of captions."""
    rng = random.Random(7)
    (root / "labels").mkdir()
    captions = [" ".join(rng.choice(part) for part in (_COLOURS, _CUTS, _KINDS)) for _ in range(120)]
    for place, mark in enumerate(_NO_LINE_ENDS):
        captions[7 * place + 3] = captions[7 * place + 3].replace(" ", f" {mark}", 1)
    captions[5] = f"  {captions[5]} "
    lines = [f"w/{number}.jpeg\t0.{number % 10}\t{caption}\n" for number, caption in enumerate(captions)]
    for name, part in (("a_test", lines[:50]), ("b_test", lines[50:90]), ("a_train", lines[90:])):
        (root / "labels" / f"{name}_detect_all.txt").write_text("".join(part), encoding="utf-8")
    queries = [rng.sample(range(90), 2) for _ in range(200)]
    text = "".join(f"w/{source}.jpeg w/{target}.jpeg\n" for source, target in queries)
    (root / "test_queries.txt").write_text(text, encoding="utf-8")


def _vector(name: str) -> NDArray[np.float64]:
    """Return a vector that the name decides, eight numbers from -1 to 1."""
    digest = hashlib.sha256(name.encode()).digest()
    return np.array([byte / 127.5 - 1 for byte in digest[:8]])


def _embed(names: list[str]) -> torch.Tensor:
    return torch.nn.functional.normalize(
        torch.tensor(np.stack([_vector(name) for name in names])), dim=1
    ).float()


def _digest(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def test_queries_parents_and_recalls_are_those_of_the_original(tmp_path: Path) -> None:
    """200 queries on 90 captions; a query is embedded as its picture and a share of its text, by their names."""
    _write(tmp_path)
    images = read_images(tmp_path, "test")
    queries = read_queries(tmp_path, images)
    captions = {image.path: image.caption for image in images}
    parents = children_by_parent([image.caption for image in images])
    rows = {image.path: row for row, image in enumerate(images)}
    numbers = {caption: number for number, caption in enumerate(dict.fromkeys(captions.values()))}
    gallery = _embed([image.path for image in images])
    asked = torch.stack(
        [
            torch.tensor(_vector(query.source) + 0.5 * _vector(query.text) + 0.5 * _vector(query.target))
            for query in queries
        ]
    )
    found = nearest(
        torch.nn.functional.normalize(asked, dim=1).float(),
        gallery,
        left_out=torch.tensor([rows[query.source] for query in queries]),
    )
    measured = recalls(
        found,
        torch.tensor([numbers[image.caption] for image in images]),
        torch.tensor([numbers[captions[query.target]] for query in queries]),
    )
    assert {
        "captions": _digest(sorted(captions.values())),
        "queries": _digest([f"{query.source}|{query.text}|{captions[query.target]}" for query in queries]),
        "parents": _digest([f"{parent}|{sorted(parents[parent])}" for parent in sorted(parents)]),
        "first texts": [query.text for query in queries[:3]],
        **measured,
    } == TIRG
