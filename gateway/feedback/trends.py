"""What is popular now, and what goes together: learnt from everybody's events, and kept in memory for a while.

A shopper counts once. Of one shopper and product no more counts than a purchase; all shoppers who did not agree to be
known again count together at most as much as those who did; what fewer than `shoppers` known ones did is not told.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from gateway.errors import DeadlineExceeded
from gateway.events import DAY_MS, WEIGHTS, Event, EventKind
from gateway.metrics import Metrics
from gateway.ports import EventStore

MAX_EVENTS = 20_000
"""Events that are looked at, the latest ones."""
MAX_AGE_DAYS = 28
KEPT_S = 60.0
"""For how long what was learnt is told; then it is learnt anew, and meanwhile told all the same."""
RETRY_S = 5.0
"""After a store that did not answer, for how long it is not asked again by who would wait for it."""
LEARNING_S = 10.0
"""How long that may take, whoever waits for it or not."""

MAX_POPULAR = 500
"""Products that are told to be popular."""
MAX_COMPANIONS = 50
"""Products that are told to go well with one."""
MAX_BASKET = 20
"""Products of one basket that count, those that most was done with."""
MAX_OF_SHOPPER = 50
"""Products of one shopper that count, those that most was done with."""

HALF_LIFE_S = 7 * 86_400
"""After which what was done counts for half in what is popular."""
MOST = WEIGHTS[EventKind.PURCHASE]
"""What one shopper may count for one product."""

_RANKS = (EventKind.CLICK, EventKind.FAVOURITE, EventKind.CART, EventKind.PURCHASE)
"""By how much each binds two products, the least first."""
_NAMES = {
    EventKind.CLICK: "visit",
    EventKind.FAVOURITE: "visit",
    EventKind.CART: "cart",
    EventKind.PURCHASE: "purchase",
}
"""What is told of why two products go together, or why one is popular."""


@dataclass(frozen=True, slots=True)
class Told:
    """A number from 0 to 1, and what says most for it: "purchase", "cart" or "visit"."""

    value: float
    reason: str


@dataclass(frozen=True, kw_only=True)
class Trends:
    """What was learnt of everybody."""

    popular: Mapping[str, Told] = field(default_factory=dict)
    """By product, the most popular first, which has 1."""
    together: Mapping[str, Mapping[str, Told]] = field(default_factory=dict)
    """By product: what goes with it, the best first; n(a, b) / sqrt(n(a) * n(b)) of the shoppers who had them in baskets."""

    @cached_property
    def popularity(self) -> Mapping[str, float]:
        """Return the numbers of what is popular alone."""
        return {product: told.value for product, told in self.popular.items()}


NOTHING = Trends()


class TrendKeeper:
    """Learns trends when they are asked for, and keeps them."""

    def __init__(
        self,
        store: EventStore,
        metrics: Metrics,
        *,
        shoppers: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._shoppers = shoppers
        self._clock = clock
        self._trends: Trends | None = None
        self._learnt_at = float("-inf")
        self._learning: asyncio.Task[Trends] | None = None

    @property
    def known(self) -> Trends:
        """Return what is known without waiting for anybody; what is old is learnt anew beside."""
        if self._is_old():
            self._begin()
        return self._trends or NOTHING

    def popularity(self) -> Mapping[str, float]:
        """As gateway.retrieval.steering.Popularity says."""
        return self.known.popularity

    async def now(self, *, timeout_s: float) -> Trends:
        """Return what is known; the first one who asks waits until something is.

        Raises:
            DeadlineExceeded, DependencyError: the store of events did not answer.
        """
        if self._trends is not None:
            return self.known
        if self._learning is None and time.monotonic() - self._learnt_at < RETRY_S:
            raise DeadlineExceeded("the store of events did not answer a moment ago")
        learning = self._begin()
        done, _ = await asyncio.wait({learning}, timeout=timeout_s)
        if not done:
            raise DeadlineExceeded("the store of events did not answer in time")
        return learning.result()

    async def close(self) -> None:
        """Stop learning."""
        if self._learning is not None:
            self._learning.cancel()
            await asyncio.wait({self._learning})

    def _is_old(self) -> bool:
        return time.monotonic() - self._learnt_at > KEPT_S

    def _begin(self) -> "asyncio.Task[Trends]":
        if self._learning is None:
            self._learnt_at = time.monotonic()  # also where it fails: no store is asked at every search
            self._learning = asyncio.create_task(self._learn())
            self._learning.add_done_callback(self._land)
        return self._learning

    def _land(self, task: "asyncio.Task[Trends]") -> None:
        self._learning = None
        if not task.cancelled() and task.exception() is None:
            self._trends = task.result()

    async def _learn(self) -> Trends:
        now_s = self._clock()
        since_ms = int(now_s * 1e3) - MAX_AGE_DAYS * DAY_MS
        with self._metrics.dependency("events"):
            events = await self._store.acts(since_ms=since_ms, limit=MAX_EVENTS, timeout_s=LEARNING_S)
        return await asyncio.to_thread(learn_trends, events, now_s=now_s, shoppers=self._shoppers)


def learn_trends(events: Sequence[Event], *, now_s: float, shoppers: int) -> Trends:
    """Return what events tell of everybody, with at least so many known shoppers behind each thing that is told."""
    return Trends(
        popular=_popular(events, now_s=now_s, shoppers=shoppers),
        together=_together(events, shoppers=shoppers),
    )


def _popular(events: Sequence[Event], *, now_s: float, shoppers: int) -> dict[str, Told]:
    by_shopper: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    kinds: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for event in events:
        age_s = max(0.0, now_s - event.at_ms / 1e3)
        weight = WEIGHTS[event.kind] * 0.5 ** (age_s / HALF_LIFE_S)
        by_shopper[event.who][event.product_id] += weight
        if event.kind in _NAMES:
            kinds[event.product_id][_NAMES[event.kind]] += weight
    known: dict[str, float] = defaultdict(float)
    unknown: dict[str, float] = defaultdict(float)
    people: Counter[str] = Counter()
    unnamed = {event.who for event in events if not event.shopper}
    for who, weights in by_shopper.items():
        named = who not in unnamed
        for product in sorted(weights, key=lambda each: (-weights[each], each))[:MAX_OF_SHOPPER]:
            if weights[product] <= 0:
                break
            (known if named else unknown)[product] += min(MOST, weights[product])
            people[product] += named
    scores = {
        product: weight + min(weight, unknown.get(product, 0.0))
        for product, weight in known.items()
        if people[product] >= shoppers
    }
    best = sorted(scores, key=lambda product: (-scores[product], product))[:MAX_POPULAR]
    return {product: Told(scores[product] / scores[best[0]], _most(kinds[product])) for product in best}


def _together(events: Iterable[Event], *, shoppers: int) -> dict[str, dict[str, Told]]:
    """Count who had two products in one basket: of a visit, or of a day where the visit is not known."""
    baskets: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for event in events:
        if event.shopper and event.kind in _NAMES:
            basket = baskets[event.shopper, event.session or str(event.day)]
            rank = _RANKS.index(event.kind)
            basket[event.product_id] = max(rank, basket.get(event.product_id, 0))
    owners: dict[str, set[str]] = defaultdict(set)
    pairs: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for (shopper, _), basket in baskets.items():
        counted = sorted(basket, key=lambda product: (-basket[product], product))[:MAX_BASKET]
        for place, left in enumerate(counted):
            owners[left].add(shopper)
            for right in counted[place + 1 :]:
                rank = min(basket[left], basket[right])
                of_pair = pairs[min(left, right), max(left, right)]
                of_pair[shopper] = max(rank, of_pair.get(shopper, 0))
    found: dict[str, dict[str, Told]] = defaultdict(dict)
    for (left, right), ranks in pairs.items():
        if len(ranks) < shoppers:
            continue
        value = len(ranks) / (len(owners[left]) * len(owners[right])) ** 0.5
        told = Told(value, _most(Counter(_NAMES[_RANKS[rank]] for rank in ranks.values())))
        found[left][right] = found[right][left] = told
    return {product: _best(companions) for product, companions in found.items()}


def _best(companions: Mapping[str, Told]) -> dict[str, Told]:
    best = sorted(companions, key=lambda product: (-companions[product].value, product))
    return {product: companions[product] for product in best[:MAX_COMPANIONS]}


def _most(counts: Mapping[str, float]) -> str:
    return max(counts, key=lambda name: (counts[name], name), default="")
