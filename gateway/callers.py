"""Who calls: a name, what it may do, and how much of it at once."""

from dataclasses import dataclass
from enum import Enum


class Scope(Enum):
    """What a caller may do; each method of the API needs one of them."""

    SEARCH = "search"
    """Search, converse, read products and the description of the catalogue."""
    CATALOGUE = "catalogue"
    """Write and delete products."""
    FEEDBACK = "feedback"
    """Record what shoppers did."""
    DATA = "data"
    """Export and erase what is kept of a shopper."""
    REPORT = "report"
    """Read what shoppers did, in counts."""
    CAMPAIGNS = "campaigns"
    """Keep campaigns for sponsored places, and read what they spent."""
    ADMIN = "admin"
    """Rebuild, confirm and put back an index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """How much one caller may ask for; None: what the settings say for everybody."""

    requests_per_s: float | None = None
    concurrent: int | None = None
    """Calls at once."""
    session_bytes: int | None = None
    """Of all its conversations together."""
    ingest_streams: int | None = None
    """Streams of products at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who is behind a call, as its token, its certificate or the mesh says."""

    name: str
    scopes: frozenset[Scope]
    quotas: Quotas = Quotas()


UNKNOWN = Caller(name="", scopes=frozenset())
"""Whoever has not been asked yet, or is nobody that is known."""

LOCAL = Caller(name="local", scopes=frozenset(Scope))
"""Everybody, where nobody is asked who they are."""
