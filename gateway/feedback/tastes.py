"""What shoppers like, learnt from their events and kept in memory for a while."""

import asyncio
import time
from collections.abc import Callable, Sequence

from gateway.caches import LruCache
from gateway.errors import DeadlineExceeded
from gateway.events import WEIGHTS, Event, EventKind
from gateway.feedback.pseudonyms import Keyring, Keys
from gateway.metrics import Metrics
from gateway.ports import EventStore, VectorIndex
from gateway.retrieval.query import Query, Versions
from gateway.retrieval.taste import Liked, Taste, learn_taste

MAX_EVENTS = 500
"""Events of a shopper that are looked at, the latest ones."""
MAX_LIKED = 50
"""Products that a taste is made of, those that were liked most."""
MAX_HIDDEN = 10
"""Hidden products that others are compared with, those that were hidden last."""
KEPT_S = 60.0
"""For how long events that another gateway took may go unnoticed; those of this one count at once."""
MAX_LEARNING = 64
"""Shoppers who are being learnt at once; others are not known for now."""
LEARNING_S = 2.0
"""How long that may take, whoever waits for it or not."""

HALF_LIFE_S = 30 * 86_400
"""After which a liking counts for half."""
FRESH_HALF_LIFE_S = 30 * 60
"""Of what a shopper does now: the first minutes count for more, and no longer than the visit."""
FRESH = 3.0
"""How much more what was just done counts."""


class ShopperTastes:
    """Implements gateway.retrieval.taste.Tastes."""

    def __init__(
        self,
        store: EventStore,
        keys: Keys,
        index: VectorIndex,
        metrics: Metrics,
        *,
        entries: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._keys = keys
        self._index = index
        self._metrics = metrics
        self._clock = clock
        self._known = LruCache[str, tuple[str, Taste | None]](entries, ttl_s=KEPT_S)
        self._learning: dict[str, asyncio.Task[Taste | None]] = {}

    def asks(self, query: Query) -> bool:
        """As the protocol says."""
        return query.personalise and bool(query.user_id) and self._keys.known is not None

    async def of(self, user_id: str, versions: Versions, *, timeout_s: float) -> Taste | None:
        """As the protocol says."""
        keyring = self._keys.known
        if keyring is None:
            return None
        shopper = keyring.pseudonym("shopper", user_id)
        cached = self._known.get(shopper)
        hit = cached is not None and cached[0] == versions.index
        self._metrics.cache("taste", hit=hit)
        if cached is not None and hit:
            return cached[1]
        learning = self._learning.get(shopper) or self._begin(shopper, user_id, keyring, versions)
        done, _ = await asyncio.wait({learning}, timeout=timeout_s)
        if not done:
            raise DeadlineExceeded("the shopper's events did not come in time")
        return learning.result()

    def forget(self, events: Sequence[Event]) -> None:
        """Learn shoppers anew of whom there are new events."""
        for event in events:
            self.forget_shoppers((event.shopper,))

    def forget_shoppers(self, shoppers: Sequence[str]) -> None:
        """Keep nothing of shoppers by their pseudonyms, also of those who are being learnt now."""
        for shopper in shoppers:
            self._known.forget(shopper)
            self._learning.pop(shopper, None)

    def _begin(
        self, shopper: str, user_id: str, keyring: Keyring, versions: Versions
    ) -> "asyncio.Task[Taste | None]":
        if len(self._learning) >= MAX_LEARNING:
            raise DeadlineExceeded("too many shoppers are being learnt")
        learning = asyncio.create_task(self._learn(keyring.pseudonyms("shopper", user_id), versions))
        self._learning[shopper] = learning

        def land(task: "asyncio.Task[Taste | None]") -> None:
            current = self._learning.get(shopper) is task
            if current:
                del self._learning[shopper]
            # What was forgotten meanwhile may be older than what made it be forgotten.
            if not task.cancelled() and task.exception() is None and current:
                self._known.put(shopper, (versions.index, task.result()))

        learning.add_done_callback(land)
        return learning

    async def _learn(self, shoppers: Sequence[str], versions: Versions) -> Taste | None:
        with self._metrics.dependency("events"):
            events = await self._store.of_shoppers(shoppers, limit=MAX_EVENTS, timeout_s=LEARNING_S)
        liked, hidden = likings(events, now_s=self._clock())
        if not liked and not hidden:
            return None
        away = [each.product_id for each in events if each.product_id in hidden]
        wanted = [*liked, *[*dict.fromkeys(away)][:MAX_HIDDEN]]
        with self._metrics.dependency("index"):
            products = await self._index.get(wanted, manifest=versions.model, timeout_s=LEARNING_S)
        known = [Liked(product, liked[product.id]) for product in products if product.id in liked]
        seen_hidden = [product for product in products if product.id in hidden]
        return learn_taste(known, hidden, versions.schema, seen_hidden=seen_hidden)


def likings(events: Sequence[Event], *, now_s: float) -> tuple[dict[str, float], frozenset[str]]:
    """Return how much each product is liked, the most liked ones, and which are hidden; the events come latest first."""
    weights: dict[str, float] = {}
    decided: dict[str, EventKind] = {}
    for event in events:
        decided.setdefault(event.product_id, event.kind)
        age_s = max(0.0, now_s - event.at_ms / 1e3)
        decay = 0.5 ** (age_s / HALF_LIFE_S) + FRESH * 0.5 ** (age_s / FRESH_HALF_LIFE_S)
        weights[event.product_id] = weights.get(event.product_id, 0.0) + WEIGHTS[event.kind] * decay
    hidden = frozenset(
        event.product_id
        for event in events
        if event.kind is EventKind.HIDE
        and decided[event.product_id] in {EventKind.HIDE, EventKind.IMPRESSION}
    )
    liked = sorted(
        (name for name, weight in weights.items() if weight > 0 and name not in hidden),
        key=lambda name: (-weights[name], name),
    )
    return {name: weights[name] for name in liked[:MAX_LIKED]}, hidden
