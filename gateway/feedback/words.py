"""What is searched for, counted in memory until enough different shoppers have: only then the words may be told.

Words are in no event and in no log. Of each query there is a count, and as many keyed hashes of shoppers as are needed to see that
k different ones searched for it; the key is drawn anew every day and never leaves the process. k-anonymity as in Sweeney,
"k-anonymity: a model for protecting privacy" (2002), of the words: who reads the report learns of none that fewer than k use.
"""

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from gateway.retrieval.query import SearchResult
from vitrine.domain import limits

MAX_QUERIES = 5_000
"""Different queries that are counted; the one that was not searched for the longest makes room."""
MAX_WORDS_LENGTH = 100
"""Characters; longer queries are nobody's but their shopper's."""
_DAY_S = 86_400
_DIGEST = 8


@dataclass(slots=True)
class _Day:
    searches: int = 0
    without_hits: int = 0
    seconds: float = 0.0
    shoppers: set[bytes] = field(default_factory=set)
    """At most k."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchedWords:
    """A query that enough shoppers searched for."""

    words: str
    today: int
    yesterday: int
    without_hits: int
    mean_s: float

    @property
    def searches(self) -> int:
        """Return how often it was searched for since yesterday."""
        return self.today + self.yesterday


class WordCounts:
    """Counts queries of today and yesterday; with `least` 0 none."""

    def __init__(self, *, least: int, clock: Callable[[], float] = time.time) -> None:
        self.least = least
        self._clock = clock
        self._today = self._day()
        self._key = secrets.token_bytes(32)
        self._counts: OrderedDict[str, tuple[_Day, _Day]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counts)

    def note(self, result: SearchResult) -> None:
        """Count a search: the first page of words that a shopper with an id typed, and nothing else."""
        searched = result.searched
        if not self.least or not searched.user_id:
            return
        words = normalised(searched.typed or searched.text)
        if not words or searched.offset or searched.image or searched.product_id:
            return
        self._turn()
        today = self._counts.setdefault(words, (_Day(), _Day()))[0]
        self._counts.move_to_end(words)
        today.searches += 1
        today.without_hits += not result.hits
        today.seconds += result.timings.total_s
        if len(today.shoppers) < self.least:
            today.shoppers.add(
                hashlib.blake2b(searched.user_id.encode(), key=self._key, digest_size=_DIGEST).digest()
            )
        while len(self._counts) > MAX_QUERIES:
            self._counts.popitem(last=False)

    def told(self) -> list[SearchedWords]:
        """Return what may be told: each day by itself must have had enough shoppers, since the key is another each day."""
        self._turn()
        return [
            SearchedWords(
                words=words,
                today=today.searches if self._enough(today) else 0,
                yesterday=before.searches if self._enough(before) else 0,
                without_hits=sum(day.without_hits for day in days),
                mean_s=sum(day.seconds for day in days) / sum(day.searches for day in days),
            )
            for words, (today, before) in self._counts.items()
            if (days := [day for day in (today, before) if self._enough(day)])
        ]

    def _enough(self, day: _Day) -> bool:
        return len(day.shoppers) >= self.least

    def _turn(self) -> None:
        """Let today become yesterday, once it is over."""
        if (day := self._day()) == self._today:
            return
        next_day = day == self._today + 1
        kept = {
            words: (_Day(), today)
            for words, (today, _) in self._counts.items()
            if next_day and today.searches
        }
        self._counts = OrderedDict(kept)
        self._key = secrets.token_bytes(32)
        self._today = day

    def _day(self) -> int:
        return int(self._clock() // _DAY_S)


def normalised(text: str) -> str:
    """Return words in lower case with single blanks; empty for a text that is too long to be many shoppers' own."""
    words = " ".join(text.casefold().split())
    return words if len(words) <= MAX_WORDS_LENGTH else ""


def lists(told: list[SearchedWords]) -> Iterator[tuple[str, list[SearchedWords]]]:
    """Yield the report's lists by name."""
    yield "popular", _first(told, lambda each: each.searches)
    rising = [each for each in told if each.today > each.yesterday]
    yield "rising", _first(rising, lambda each: each.today - each.yesterday)
    missing = [each for each in told if 2 * each.without_hits > each.searches]
    yield "without_hits", _first(missing, lambda each: each.without_hits)
    yield "slow", _first(told, lambda each: each.mean_s)


def _first(told: list[SearchedWords], key: Callable[[SearchedWords], float]) -> list[SearchedWords]:
    return sorted(told, key=lambda each: (-key(each), each.words))[: limits.MAX_REPORTED_WORDS]
