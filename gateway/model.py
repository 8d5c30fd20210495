"""The values that a search is made of; they know neither proto nor vendor."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

Embedding = NDArray[np.float32]
"""L2-normalised float32: (d,) for one row, (n, d) for several; d is what the encoders that are served give."""


class Route(Enum):
    """What a query was understood to be."""

    TEXT = "text"
    IMAGE = "image"
    COMPOSED = "composed"
    REFINE = "refine"
    SIMILAR = "similar"
    COMPARE = "compare"
    CHAT = "chat"


class Sort(Enum):
    """The order of the hits."""

    SCORE = "score"
    PRICE_ASCENDING = "price_ascending"
    PRICE_DESCENDING = "price_descending"


class Intent(Enum):
    """Why a shopper asks."""

    OTHER = "other"
    BUY = "buy"
    COMPARE = "compare"
    CONSULT = "consult"


class Sentiment(Enum):
    """How a shopper speaks of something."""

    NEUTRAL = "neutral"
    POSITIVE = "positive"
    NEGATIVE = "negative"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """What a shopper says of an attribute of what was shown."""

    field: str
    value: str
    """Of a filter field one of its values, or empty; else the shopper's own word."""
    polarity: Sentiment


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The ranking r = text * S_text + image * S_image."""

    text: float
    image: float


@dataclass(frozen=True, slots=True)
class Equals:
    """The field holds the value."""

    field: str
    value: str | float


@dataclass(frozen=True, slots=True)
class OneOf:
    """The field holds one of the values."""

    field: str
    values: tuple[str | float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The number lies in the interval; None leaves a side open."""

    field: str
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: bool = False
    exclusive_maximum: bool = False


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part holds."""

    parts: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One part holds at least."""

    parts: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: "Filter"


Filter = Equals | OneOf | Range | AllOf | AnyOf | Not


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point of the monotonic clock; every hop takes what is left of it."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """Give the deadline that many seconds from now."""
        return cls(time.monotonic() + seconds)

    def remaining_s(self) -> float:
        """Seconds left; never negative."""
        return max(0.0, self.at - time.monotonic())


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderInputs:
    """Rows for one ensemble; what is given chooses it, and every part has the same number of rows.

    texts: embed_text; images: embed_image; images and texts: embed_composed; references and texts: embed_refined.
    """

    texts: Sequence[str] | None = None
    images: Sequence[bytes] | None = None
    references: Embedding | None = None
    """Stored image embeddings, (n, d)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredProduct:
    """A product as the index holds it, with the two halves of its vector where they were asked for."""

    id: str
    title: str
    category: str
    colour: str
    pattern: str
    brand: str
    price: float
    image_uri: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""
    """Of everything that was indexed, the picture's bytes included: equal digests need no new embedding."""
    image_embedding: Embedding | None = field(default=None, repr=False)
    text_embedding: Embedding | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One answer: score = weights.text * text_score + weights.image * image_score."""

    product: StoredProduct
    score: float
    text_score: float
    image_score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexVersion:
    """The identity of a collection; encoders of another manifest must not ask it."""

    collection: str
    manifest: str
    """Digest of the manifest of the encoders that made its vectors."""
    embedding_dim: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSummary:
    """What the index holds of one filter field."""

    name: str
    values: tuple[str, ...] = ()
    """For text: most frequent first, at most 256."""
    minimum: float = 0.0
    maximum: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSummary:
    """What readers use now."""

    version: IndexVersion
    products: int
    fields: tuple[FieldSummary, ...]
