"""What shoppers do with products, as the gateway keeps it: never who they are, but for a keyed hash."""

import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

_compact = json.JSONEncoder(separators=(",", ":")).encode

DAY_MS = 86_400_000

DAILY_SAME = 10
"""Events of one kind with one product that are kept of a shopper a day; a click farm's others count for nothing."""

DAILY_ALL = 5_000
"""Events of all kinds that are kept of a shopper a day; who clicks everything is a program."""

FOLDS = 10
"""Parts into which an experiment's shoppers fall, by whose spread a report says how sure its shares are."""


class EventKind(Enum):
    """What was done; the numbers are those of the proto."""

    IMPRESSION = 1
    CLICK = 2
    CART = 3
    PURCHASE = 4
    FAVOURITE = 5
    HIDE = 6


WEIGHTS = {
    EventKind.IMPRESSION: 0.0,
    EventKind.CLICK: 1.0,
    EventKind.CART: 3.0,
    EventKind.PURCHASE: 5.0,
    EventKind.FAVOURITE: 3.0,
    EventKind.HIDE: -3.0,
}
"""How much of a liking an event tells, a click being 1."""


class Outcome(Enum):
    """What became of an event that was handed to the store."""

    RECORDED = "recorded"
    DUPLICATE = "duplicate"
    """An event of its id was recorded before."""
    CAPPED = "capped"
    """Its shopper has had as many as are kept of that day."""
    ERASED = "erased"
    """Its shopper was erased after it happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that a shopper did with one product."""

    id: str
    kind: EventKind
    product_id: str
    at_ms: int
    """Since 1970, UTC."""
    request_id: str = ""
    """Of the answer that showed the product."""
    position: int = 0
    """Where it stood there, from 1; 0: unknown."""
    shopper: str = ""
    """Pseudonym; empty where the shopper did not agree to be known again."""
    session: str = ""
    """Pseudonym of the visit; empty with that of the shopper."""

    @property
    def who(self) -> str:
        """Return whose events are counted together: the shopper's, or those of one answer."""
        return self.shopper or f"answer:{self.request_id}"

    @property
    def day(self) -> int:
        """Return the day, in days since 1970."""
        return self.at_ms // DAY_MS


MAX_SHOWN = 30
"""Hits of an answer that are kept for training, the first ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A product of an answer, and what its place there was decided by."""

    product_id: str
    position: int
    """Among the hits of all pages, from 1."""
    features: Mapping[str, float] = field(default_factory=dict)
    """Ranking features by name (`gateway.retrieval.features`); one that is not known is absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an answer showed, as ranking is learnt from it: no words, no picture and nobody's id."""

    request_id: str
    at_ms: int
    """Since 1970, UTC."""
    route: str
    score_weights: tuple[float, float] = (0.5, 0.5)
    """Of the text half and of the image half."""
    bucket: str = ""
    """Of the experiment, as NAME:ORDER; empty without one."""
    fold: int = 0
    """Of the shopper, one of FOLDS: all that is kept of who asked."""
    swap: int = 0
    """The position whose product was exchanged with the first one's, or was drawn and left; 0: none was drawn."""
    shown: tuple[Shown, ...] = ()

    def packed(self) -> str:
        """Return all but the id and the time as JSON."""
        return pack_answer(
            ((each.product_id, each.position, each.features) for each in self.shown),
            route=self.route,
            score_weights=self.score_weights,
            bucket=self.bucket,
            fold=self.fold,
            swap=self.swap,
        )

    @classmethod
    def unpacked(cls, request_id: str, at_ms: int, packed: str) -> "Answer":
        """Return the answer that was packed."""
        parts = json.loads(packed)
        shown = []
        for product_id, position, *values in parts["shown"]:
            known = zip(parts["features"], values, strict=True)
            features = {name: value for name, value in known if value is not None}
            shown.append(Shown(product_id=product_id, position=position, features=features))
        text, image = parts["weights"]
        return cls(
            request_id=request_id,
            at_ms=at_ms,
            route=parts["route"],
            score_weights=(text, image),
            bucket=parts["bucket"],
            # Of nobody's answers, as if each were a shopper's of their own.
            fold=parts.get("fold", zlib.crc32(request_id.encode()) % FOLDS),
            swap=parts["swap"],
            shown=tuple(shown),
        )


@dataclass(frozen=True, slots=True)
class PackedAnswer:
    """An answer on its way to the store, as JSON already: a kept answer that is given again is packed once."""

    request_id: str
    at_ms: int
    body: str

    def packed(self) -> str:
        """Return the body."""
        return self.body


def pack_answer(
    shown: Iterable[tuple[str, int, Mapping[str, float]]],
    *,
    route: str,
    score_weights: tuple[float, float],
    bucket: str,
    fold: int | None,
    swap: int,
) -> str:
    """Return what `Answer.unpacked` reads, each feature's name once.

    Args:
        shown: products, their positions and features.
        route: of the search.
        score_weights: of the text half and of the image half.
        bucket: of the experiment.
        fold: of the shopper; None where nobody is named: `unpacked` draws one by the request.
        swap: see Answer.
    """
    rows = list(shown)
    names = sorted(set[str]().union(*(features for _, _, features in rows)))
    parts = {"route": route, "weights": score_weights, "bucket": bucket, "swap": swap, "features": names}
    if fold is not None:
        parts["fold"] = fold
    return f'{_compact(parts)[:-1]},"shown":[{",".join(_packed_rows(rows, names))}]}}'


def _packed_rows(rows: Iterable[tuple[str, int, Mapping[str, float]]], names: list[str]) -> Iterator[str]:
    """Yield each row as JSON, its features with as many digits as training can tell apart."""
    whole = f"[%s,%d{',%.5g' * len(names)}]"
    for product_id, position, features in rows:
        values = [features.get(name, math.nan) for name in names]
        if math.isfinite(sum(values)):
            yield whole % (_compact(product_id), position, *values)
        else:  # one is not known
            known = [float(f"{value:.5g}") if math.isfinite(value) else None for value in values]
            yield _compact([product_id, position, *known])
