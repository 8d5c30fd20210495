"""What a caller asks and what a search gives."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.model import Equals, Filter, Hit, Route, Sort, Weights

MAX_TEXT_LENGTH = 2_000
"""Characters of a text."""

MAX_LIMIT = 200
DEFAULT_LIMIT = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A search whose every field was checked at the door."""

    text: str = ""
    image: bytes = b""
    product_id: str = ""
    filters: Filter | None = None
    """What every hit satisfies."""
    wishes: Filter | None = None
    """What every hit satisfies if any product does; the rewriter's reading of colours, categories and the like."""
    disliked: tuple[Equals, ...] = ()
    """What no hit has, if any product lacks all of it; what the shopper found fault with. It outlasts the wishes."""
    weights: Weights | None = None
    """None: the defaults of the route."""
    limit: int = DEFAULT_LIMIT
    sort: Sort = Sort.SCORE
    locale: str = ""
    user_id: str = ""
    rewrite: bool = False
    """Whether the rewriter may read the words."""
    source: str = "caller"
    """Who decided the words: the caller, or the rewriter's engine."""

    @property
    def route(self) -> Route:
        """The encoder that answers what was given."""
        if self.image:
            return Route.COMPOSED if self.text else Route.IMAGE
        if self.product_id:
            return Route.REFINE if self.text else Route.SIMILAR
        return Route.TEXT


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Where the time went, in seconds; a stage that did not run is absent."""

    total_s: float
    stages_s: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """What answered: the encoders' manifest and the collection of the index."""

    model: str
    index: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """The hits, and how they came about."""

    hits: tuple[Hit, ...]
    searched: Query
    """The query after rewriting."""
    weights: Weights
    degraded: tuple[str, ...]
    timings: Timings
    versions: Versions
