"""What became of a catalogue's rows."""

from collections import Counter
from dataclasses import dataclass, field

from vitrine.v1 import catalogue_pb2

MAX_REFUSALS = 20
"""How many refusals a report quotes unless it is told; all of them are counted."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that is not in the index, or a picture that its product is without, and why."""

    where: str
    """The file and line of a row that could not be read, or the id of a product."""
    field: str
    reason: str

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.where, self.field, self.reason)))


@dataclass(slots=True)
class Report:
    """What became of the rows so far."""

    written: int = 0
    unchanged: int = 0
    unreadable: int = 0
    """Rows refused here."""
    refused: int = 0
    """Products refused by the service."""
    without_image: int = 0
    without_words: int = 0
    cut: int = 0
    """Products whose words are longer than what the encoder reads."""
    urls: int = 0
    """Pictures that are URLs and were not fetched."""
    lost_pictures: int = 0
    """Pictures that could not be read; their products are there."""
    index: str = ""
    """What readers use now; known at the end."""
    replaced: catalogue_pb2.ReplacedIndex | None = None
    """Which index a rebuild took the place of; known at the end."""
    inference: catalogue_pb2.InferenceReport | None = None
    """What the pictures told; known at the end, where it was asked for."""
    ended: bool = False
    """Whether the service has answered to the last product."""
    refusals: list[Refusal] = field(default_factory=list)
    losses: list[Refusal] = field(default_factory=list)
    """Pictures that could not be read, the first ones."""
    notes: Counter[str] = field(default_factory=Counter)
    """What was cut, left out or taken for granted, and how often."""
    most_quoted: int = MAX_REFUSALS
    """How many refusals, and how many losses, are kept."""

    @property
    def indexed(self) -> int:
        """Return how many products of this catalogue are durable."""
        return self.written + self.unchanged

    @property
    def rejected(self) -> int:
        """Return how many rows are not in the index."""
        return self.unreadable + self.refused

    def refuse(self, refusal: Refusal, rows: int = 1) -> None:
        """Count rows that are not sent."""
        self.unreadable += rows
        self._quote(refusal)

    def lose(self, loss: Refusal) -> None:
        """Count a picture that its product is without."""
        self.lost_pictures += 1
        if len(self.losses) < self.most_quoted:
            self.losses.append(loss)

    def note(self, text: str) -> None:
        """Count something that was left out or taken for granted."""
        self.notes[text] += 1

    def acknowledge(self, answer: catalogue_pb2.UpsertProductsResponse) -> None:
        """Take the service's counts, which are of the whole stream so far."""
        self.written, self.unchanged, self.refused = answer.written, answer.unchanged, answer.rejected
        self.without_image, self.without_words = answer.without_image, answer.without_words
        self.cut = answer.cut
        self.index = answer.index
        self.replaced = answer.replaced if answer.HasField("replaced") else None
        self.inference = answer.inference if answer.HasField("inference") else None
        for error in answer.errors:
            self._quote(Refusal(f"product {error.product_id}", error.field, error.reason))

    def _quote(self, refusal: Refusal) -> None:
        if len(self.refusals) < self.most_quoted:
            self.refusals.append(refusal)
