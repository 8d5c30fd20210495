"""What a caller asks and what a search returns."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from gateway.model import FieldSummary, Hit, Intent, Offer, Sort, Weights
from vitrine.domain import limits
from vitrine.domain.filters import Equals, Filter, Says, both, exclusion
from vitrine.domain.routes import Route, route_of
from vitrine.domain.schema import Schema


class Bucket(Enum):
    """Which order a search of an experiment gets; the numbers stand in page tokens."""

    NONE = 0
    """There is no experiment."""
    DEFAULT = 1
    """The order without what was learnt."""
    LEARNT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A search whose every field was checked at the door."""

    text: str = ""
    image: bytes = b""
    product_id: str = ""
    filters: Filter | None = None
    """What every hit satisfies."""
    soft_filters: Filter | None = None
    """What every hit satisfies if any product does; the rewriter's reading of colours, categories and the like."""
    excluded: tuple[Equals | Says, ...] = ()
    """What no hit has or says, if any product lacks all of it; what the shopper found fault with. It outlasts the soft filters."""
    weights: Weights | None = None
    """None: the defaults of the route."""
    limit: int = limits.DEFAULT_HITS
    offset: int = 0
    """Hits before the first one: those of the pages before."""
    sort: Sort | None = None
    """None: by score."""
    facets: tuple[str, ...] = ()
    """Fields to count the values of."""
    locale: str = ""
    user_id: str = ""
    personalise: bool = False
    """Whether the shopper agreed that what they did before orders the hits."""
    intent: Intent = Intent.OTHER
    """Why the shopper asks, which orders the hits; OTHER: the order is the vectors' alone."""
    disliked: tuple[str, ...] = ()
    """Ids of products that the conversation spoke ill of, the latest last."""
    rewrite: bool = False
    """Whether the rewriter may read the words."""
    literal: bool = False
    """Whether the caller has said that it is to be searched as it stands: nothing is read into it."""
    bucket: Bucket = Bucket.NONE
    no_sponsored: bool = False
    """Whether the answer is to hold no sponsored places."""
    sponsored: tuple[str, ...] = ()
    """Products that the first page showed in sponsored places: the pages after it leave them out."""
    page_token: str = ""
    source: str = "caller"
    """Who decided the words: the caller, or the rewriter's engine."""
    typed: str = ""
    """The caller's own words, by which products are matched exactly; those of `text` where it is empty."""

    @property
    def route(self) -> Route:
        """Return the route: what the query is made of decides it."""
        return route_of(words=bool(self.text), image=bool(self.image), product=bool(self.product_id))

    @property
    def conditions(self) -> Filter | None:
        """Return everything that the hits must satisfy."""
        return both(both(self.filters, self.soft_filters), exclusion(self.excluded))


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Where the time went, in seconds; a stage that did not run is absent."""

    total_s: float
    stages_s: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """What answered: the encoders' manifest, the collection of the index, and the schema of its products."""

    model: str
    index: str
    schema: Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """The hits, and how they came about."""

    hits: tuple[Hit, ...]
    searched: Query
    """The query after rewriting and relaxing."""
    weights: Weights
    degraded: tuple[str, ...]
    timings: Timings
    versions: Versions
    facets: tuple[FieldSummary, ...] = ()
    more: bool = False
    """Whether there are hits after these."""
    swap: int = 0
    """As `gateway.events.Answer`."""
    offers: tuple[Offer, ...] = ()
    """What campaigns would have shown; what of it is shown is decided when the answer is given."""
    organic: int | None = None
    """How many hits of the order that nobody paid for the page used up; None: as many as it has."""
