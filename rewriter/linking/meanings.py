"""What words mean by their vectors: the nearest values of a catalogue, embedded in threads behind the turns and remembered."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TypeVar

import numpy as np

from rewriter.linking.tower import Encoder, Vectors
from rewriter.linking.turn import Catalogue
from rewriter.linking.values import Anchor, ValueIndex, build_index
from vitrine.process.logs import log_event

_INDEXES = 4
"""Catalogues whose values' vectors are kept, those asked for last."""
_WAITING = 32
"""Embeddings that wait for the thread; one more is not made."""
_WORDS = 4_096
"""Words whose vectors are kept, those asked for last."""
_NEAREST = 16_384
"""Words of which the nearest value of a catalogue is kept."""
_COMMON = 1_000
"""Common words that values are held against."""
_COMPARED = 50_000
"""Comparisons of a word with a value that are made at once, in some milliseconds; more are made in a thread."""

Near = tuple[Anchor, float]
"""The nearest value to a word, and how near it is."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_logger = logging.getLogger(__name__)


class Meanings:
    """Holds the vectors of catalogues' values and of words."""

    def __init__(self, tower: Encoder) -> None:
        self._tower = tower
        self._indexes: OrderedDict[bytes, ValueIndex] = OrderedDict()
        self._building: dict[bytes, asyncio.Task[None]] = {}
        self._words: OrderedDict[str, Vectors] = OrderedDict()
        self._nearest: OrderedDict[tuple[bytes, bool, str], Near] = OrderedDict()
        self._common: Vectors | None = None
        self._waiting = 0
        self._turns = ThreadPoolExecutor(1, "links-turns")
        self._builds = ThreadPoolExecutor(1, "links-values")

    def has(self, catalogue: Catalogue) -> bool:
        """Return whether the values of a catalogue have their vectors; begin to embed them where they have not."""
        if catalogue.digest in self._indexes:
            self._indexes.move_to_end(catalogue.digest)
            return True
        if catalogue.digest not in self._building and len(self._building) < _INDEXES:
            self._build(catalogue)
        return False

    async def nearest(
        self, texts: Sequence[str], catalogue: Catalogue, timeout_s: float, *, free: bool = False
    ) -> list[Near] | None:
        """Return the nearest value to each text, or the nearest of what values are free of; None where there is no time."""
        index = self._indexes.get(catalogue.digest)
        index = index.free if index is not None and free else index
        if index is None:
            return None
        keys = {text: (catalogue.digest, free, text) for text in texts}
        # Held here, since what others ask for meanwhile may take its place in memory.
        known = {text: self._nearest[key] for text, key in keys.items() if key in self._nearest}
        missing = [text for text in keys if text not in known]
        found = await self._compared(missing, index, timeout_s) if missing else []
        if found is None:
            return None
        known |= zip(missing, found, strict=True)
        for text, key in keys.items():
            keep(self._nearest, key, known[text], _NEAREST)
        return [known[text] for text in texts]

    async def settle(self) -> None:
        """Wait until the values of every catalogue seen so far have their vectors."""
        await asyncio.gather(*self._building.values(), return_exceptions=True)

    def close(self) -> None:
        """Stop embedding; what is under way is left to end by itself."""
        for task in self._building.values():
            task.cancel()
        for pool in (self._turns, self._builds):
            pool.shutdown(wait=False, cancel_futures=True)

    async def _compared(self, texts: Sequence[str], index: ValueIndex, timeout_s: float) -> list[Near] | None:
        """Return the nearest value to each text, in a thread where there are many; None where that takes too long."""
        if not await self._embedded(texts, timeout_s):
            return None
        vectors = np.stack([self._words[text] for text in texts])
        if len(vectors) * len(index.anchors) <= _COMPARED:
            return index.nearest(vectors)
        made = asyncio.get_running_loop().run_in_executor(self._turns, index.nearest, vectors)
        done, _ = await asyncio.wait([made], timeout=timeout_s)
        return made.result() if done else None

    async def _embedded(self, phrases: Sequence[str], timeout_s: float) -> bool:
        """Have the vectors of phrases in memory; return False where they do not come in time."""
        missing = [phrase for phrase in phrases if phrase not in self._words]
        if missing and self._waiting < _WAITING:
            self._waiting += 1
            made = asyncio.get_running_loop().run_in_executor(self._turns, self._tower.embed, missing)
            made.add_done_callback(partial(self._remember, missing))
            await asyncio.wait([made], timeout=timeout_s)
        for phrase in phrases:
            if phrase in self._words:
                self._words.move_to_end(phrase)
        return all(phrase in self._words for phrase in phrases)

    def _remember(self, phrases: Sequence[str], made: "asyncio.Future[Vectors]") -> None:
        self._waiting -= 1
        if not made.cancelled() and made.exception() is None:
            for phrase, vector in zip(phrases, made.result(), strict=True):
                keep(self._words, phrase, vector, _WORDS)

    def _build(self, catalogue: Catalogue) -> None:
        """Begin to embed the values of a catalogue, but those whose vectors another one has."""
        known = {
            anchor.phrase: vector
            for index in self._indexes.values()
            for anchor, vector in zip(index.anchors, index.vectors, strict=True)
        }
        task = asyncio.create_task(self._built(catalogue, known))
        self._building[catalogue.digest] = task
        task.add_done_callback(partial(self._ended, catalogue.digest))

    def _ended(self, digest: bytes, task: "asyncio.Task[None]") -> None:
        """Note that a catalogue's values are embedded, or that they could not be: the next turn tries it again."""
        self._building.pop(digest, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log_event(_logger, logging.WARNING, "values_not_embedded", reason=type(error).__name__)

    async def _built(self, catalogue: Catalogue, known: Mapping[str, Vectors]) -> None:
        began = time.perf_counter()
        loop = asyncio.get_running_loop()
        if self._common is None:
            words = self._tower.common_words(_COMMON)
            self._common = await loop.run_in_executor(self._builds, self._tower.embed, words)
        build = partial(build_index, catalogue.anchors, self._tower, common=self._common, known=known)
        index = await loop.run_in_executor(self._builds, build)
        if catalogue.free:
            free = partial(build_index, catalogue.free, self._tower, common=self._common, known=known)
            index = replace(index, free=await loop.run_in_executor(self._builds, free))
        keep(self._indexes, catalogue.digest, index, _INDEXES)
        seconds = round(time.perf_counter() - began, 2)
        log_event(_logger, logging.INFO, "values_embedded", values=len(index.anchors), seconds=seconds)


def keep(kept: OrderedDict[K, V], key: K, value: V, size: int) -> None:
    """Keep a value; the one asked for longest ago makes room."""
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > size:
        kept.popitem(last=False)
