"""The values that a search is made of; they know neither proto nor vendor."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from vitrine.domain.product import Product
from vitrine.domain.schema import Schema

Embedding = NDArray[np.float32]
"""L2-normalised float32: (d,) for one row, (n, d) for several; d is what the encoders that are served give."""


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
    """A catalogue value if `field` is a filter field (may be empty); otherwise the shopper's own word."""
    polarity: Sentiment
    of_catalogue: bool = False
    """Whether `field` is a filter field, so that the value is none of the shopper's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What was heard in a recording."""

    text: str
    """Empty where nothing was understood."""
    language: str
    """Such as "en"; empty where no speech was heard."""
    seconds: float
    """How long the recording is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The ranking r = text * S_text + image * S_image."""

    text: float
    image: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sort:
    """An order of the hits by a field; products without a value come last, both ways."""

    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point of the monotonic clock; every hop takes what is left of it."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """Return the deadline that many seconds from now."""
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
class Embedded:
    """What an ensemble answers."""

    rows: Embedding
    """(n, d)."""
    cut: tuple[bool, ...] = ()
    """Whether each text was longer than what the encoder reads; empty where the inputs hold no texts."""
    manifest: str = ""
    """Digest of the manifest of the models that computed these very rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredProduct:
    """A product as the index holds it, with its vectors where they were asked for."""

    product: Product
    digest: str = ""
    """Of everything that was indexed, the pictures' bytes included: equal digests need no new writing."""
    vectors_digest: str = ""
    """Of what was encoded, and by which encoders: equal digests need no new embedding."""
    image_embeddings: Embedding | None = field(default=None, repr=False)
    """One row a picture, (n, d), in the order of the pictures; (0, d) for a product without one. A hit of a search
    has the row of the picture that matched alone."""
    text_embedding: Embedding | None = field(default=None, repr=False)
    """(d,); all zero for a product without words."""

    @property
    def id(self) -> str:
        """Return the product's id."""
        return self.product.id


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDigests:
    """What a collection holds of a product, by its digests."""

    digest: str
    vectors_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sponsorship:
    """Who pays for a hit's place."""

    campaign_id: str
    advertiser: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One answer: score = weights.text * text_score + weights.image * image_score + the signals by their shares."""

    product: StoredProduct
    score: float
    text_score: float
    image_score: float
    image_index: int = 0
    """Which picture matched, from 0."""
    signals: Mapping[str, float] = field(default_factory=dict)
    """Ranking signals by name, each from 0 to 1."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """By a signal's name: which part of it says most."""
    features: Mapping[str, float] = field(default_factory=dict)
    """What ranking is learnt from (`gateway.retrieval.features`), where answers are kept for it."""
    sponsored: Sponsorship | None = None
    """Set where somebody paid for the place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A product that a campaign would have shown on a page."""

    key: str
    """Of the campaign's books."""
    hit: Hit
    relevance: float
    """Its score over the best one's of the page; from the floor to 1."""
    chosen_by: str
    """How the campaign chose it: "product" or "filter"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The best products of a look-up, in a total order: a smaller pool is the beginning of a larger one."""

    hits: tuple[Hit, ...]
    complete: bool
    """Whether every product that satisfies the conditions is there, or, where the pool is sorted by a field, whether
    all of them took part in the order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexVersion:
    """The identity of a collection; encoders of another manifest must not ask it."""

    collection: str
    manifest: str
    """Digest of the manifest of the encoders that made its vectors."""
    embedding_dim: int
    schema: Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSummary:
    """What the index holds of one field that is filtered or counted."""

    name: str
    values: tuple[str, ...] = ()
    """Of keywords: as the catalogue writes them, most frequent first, at most 256; of a boolean "true" and "false"."""
    counts: tuple[int, ...] = ()
    """How many products have each value."""
    more_values: bool = False
    """Whether there are more values than are listed."""
    rest: tuple[str, ...] = ()
    """Those that are not listed, most frequent first, where all of the index is described."""
    minimum: float | None = None
    maximum: float | None = None
    """Of numbers; None where no product has one."""
    products: int = 0
    """How many products have the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSummary:
    """What readers use now."""

    version: IndexVersion
    products: int
    fields: tuple[FieldSummary, ...]
    """In the schema's order: every field that is filtered or counted."""
    words: Mapping[str, int] = field(default_factory=dict)
    """How many products have each token of the fields that are searched by their words (`vitrine.domain.lexical`); at
    most 100,000 tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one writer alone does to the index now; it holds the lease."""

    token: int
    """Grows from one holder of the lease to the next; names the change."""
    kind: str
    """Such as "rebuild"."""
    changes: str = ""
    """The collection that takes what is written and deleted meanwhile, for the new index; empty where there is none."""
    swapping: bool = False
    """Whether it is about to exchange the collection in use: until it has ended nothing else is acknowledged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where the index stands: the collection in use, and what is being done to it."""

    in_use: str | None
    change: Change | None = None


class IndexState(Enum):
    """What a collection that is kept is to the index."""

    IN_USE = "in use"
    BEFORE = "before"
    """Was in use before the one that is; can be put back."""
    UNFINISHED = "unfinished"
    """Of a rebuild that has not ended, or was cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptIndex:
    """A collection that is kept."""

    collection: str
    state: IndexState
    products: int
    manifest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """What a collection that was put in use took the place of."""

    collection: str
    products: int
    products_now: int
    """Of the collection in use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A piece of one of the shop's documents, under one heading."""

    document: str
    """The document's name, such as "returns.md"."""
    document_digest: str
    """Of the document as a whole: equal digests have equal passages."""
    title: str
    heading: str
    """The title, where the text stands before the first heading."""
    text: str
    position: int
    """Its place in the document, from 0."""
    embedding: Embedding | None = field(default=None, repr=False, compare=False)
    """(d,); None before it is embedded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentSet:
    """The shop's documents that are in use, as one thing: it is exchanged as a whole."""

    digest: str = ""
    """Of the documents and of the encoders that made the vectors; empty where there are no documents."""
    manifest: str = ""
    """Digest of the manifest of the encoders that made the vectors."""
    passages: tuple[Passage, ...] = ()
    """By document, in their order."""
