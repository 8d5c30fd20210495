"""One run of `python -m encoders photographs`: data and encoders opened, what names both, and the measuring."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from encoders.errors import CheckpointError
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
from encoders.photographs.runs import merge_runs

__all__ = ["FIELDS_PROTOCOL", "DataError", "Run", "open_run"]

_PREFIX = "vitrine-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoders:
    """The encoders of one training."""

    embedder: FamilyEmbedder
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Data and encoders, ready to be measured."""

    name: str
    """Of the family, for the result's file."""
    params: Mapping[str, Any]
    """What the figures are of: a result of other parameters is stale."""
    data: Data
    encoders: tuple[Encoders, ...]

    def measure(self, work: Path) -> dict[str, Any]:
        """Measure; embeddings of pictures, and contact sheets of the first encoders, are written into the work folder.

        Raises:
            DataError: a picture is damaged.
        """
        for note, count in self.data.notes.items():
            print(f"left out: {count:,} {note}")
        return merge_runs(
            [
                measure(
                    self.data,
                    RememberingEmbedder(each.embedder, work / "embeddings", each.digest),
                    None if place else work / f"failures-{self.name}",
                )
                for place, each in enumerate(self.encoders)
            ]
        )

    def measure_fields(self, work: Path, *, known: int) -> dict[str, Any]:
        """Measure what the pictures of the one data set tell of its fields, learnt from so many of its products at most.

        Raises:
            DataError: a picture is damaged, or a split is empty.
        """
        first = self.encoders[0]
        remembering = RememberingEmbedder(first.embedder, work / "embeddings", first.digest)
        return measure_fields(self.data.sets[0], remembering, most=known)


def open_run(data: Sequence[Path], weights: Sequence[Path], graphs: Path | None) -> Run:
    """Read the data and open the encoders: of one training, or of several of one family by their seeds.

    Raises:
        CheckpointError: the weights or graphs cannot be used, or are of several families.
        DataError: the data cannot.
    """
    opened = [open_embedder(each, graphs=graphs) for each in weights]
    names = {family.name.removeprefix(_PREFIX) for family, _ in opened}
    if len(names) > 1:
        raise CheckpointError(f"weights of {', '.join(sorted(names))}: those of one result are of one family")
    if graphs is not None and len(weights) > 1:
        raise CheckpointError(
            f"{graphs}: graphs are of one training, and {len(weights)} folders of weights are named"
        )
    encoders = tuple(
        Encoders(embedder=embedder, digest=digest_of_weights(family, graphs=graphs))
        for family, embedder in opened
    )
    read = read_data(data)
    (name,) = names
    return Run(
        name=name,
        params={
            "benchmark": "photographs",
            "protocol": PROTOCOL,
            "family": name,
            "weights_digests": [each.digest for each in encoders],
            "run_by": "ONNX Runtime" if graphs else "torch",
            "data": read.digests(),
            "photographs": {each.name: len(each.photographs) for each in read.sets},
        },
        data=read,
        encoders=encoders,
    )
