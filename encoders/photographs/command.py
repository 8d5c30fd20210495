"""One run of `python -m encoders photographs`: data and encoders opened, what names both, and the measuring."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from encoders.photographs.embedder import (
    FamilyEmbedder,
    RememberingEmbedder,
    digest_of_weights,
    open_embedder,
)
from encoders.photographs.fields import PROTOCOL as FIELDS_PROTOCOL
from encoders.photographs.fields import measure_fields
from encoders.photographs.measure import PROTOCOL, Data, measure, read_data
from encoders.photographs.products import DataError as DataError  # noqa: PLC0414 - the command line catches it

__all__ = ["FIELDS_PROTOCOL", "DataError", "Run", "open_run"]

_PREFIX = "vitrine-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Data and encoders, ready to be measured."""

    name: str
    """Of the family, for the result's file."""
    params: Mapping[str, Any]
    """What the figures are of: a result of other parameters is stale."""
    data: Data
    embedder: FamilyEmbedder
    weights_digest: str

    def measure(self, work: Path) -> dict[str, Any]:
        """Measure; embeddings of pictures and contact sheets are written into the work folder.

        Raises:
            DataError: a picture is damaged.
        """
        for note, count in self.data.notes.items():
            print(f"left out: {count:,} {note}")
        remembering = RememberingEmbedder(self.embedder, work / "embeddings", self.weights_digest)
        return measure(self.data, remembering, work / f"failures-{self.name}")

    def measure_fields(self, work: Path) -> dict[str, Any]:
        """Measure what the pictures of the one data set tell of its fields.

        Raises:
            DataError: a picture is damaged, or a split is empty.
        """
        remembering = RememberingEmbedder(self.embedder, work / "embeddings", self.weights_digest)
        return measure_fields(self.data.sets[0], remembering)


def open_run(data: Sequence[Path], weights: Path, graphs: Path | None) -> Run:
    """Read the data and open the encoders.

    Raises:
        CheckpointError: the weights or graphs cannot be used.
        DataError: the data cannot.
    """
    family, embedder = open_embedder(weights, graphs=graphs)
    digest = digest_of_weights(family, graphs=graphs)
    read = read_data(data)
    name = family.name.removeprefix(_PREFIX)
    return Run(
        name=name,
        params={
            "benchmark": "photographs",
            "protocol": PROTOCOL,
            "family": name,
            "weights_digest": digest,
            "run_by": "ONNX Runtime" if graphs else "torch",
            "data": read.digests(),
            "photographs": {each.name: len(each.photographs) for each in read.sets},
        },
        data=read,
        embedder=embedder,
        weights_digest=digest,
    )
