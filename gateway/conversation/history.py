"""Chooses the earlier turns that are sent to the rewriter: the last N and the most similar older ones.

All within a budget of tokens, in the order in which they were said. Similarity is that of the turns' words, by the
text encoder that also answers searches.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gateway.conversation.sessions import LoggedTurn, WordsVector
from gateway.errors import SearchError
from gateway.model import Deadline, Embedding
from gateway.retrieval.pipeline import Retrieval
from vitrine.v1 import query_pb2, rewrite_pb2

PART = "history"
"""In `degraded`: similar turns of long ago were not looked for; the last ones were read."""

# Vocabularies differ, and a small one has hardly more than pairs of letters: what counts more rather than fewer tokens
# than most holds for all. Beyond ASCII, vocabularies fall back to bytes.
_TOKENS = re.compile(r"[A-Za-z]{1,2}|[!-@\[-`{-~]")


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryBounds:
    """How much of a conversation is sent to the rewriter."""

    last: int
    """Turns that are taken as they come."""
    similar: int
    """Turns before them, the most similar ones."""
    tokens: int
    """Of all of them together."""
    timeout_s: float
    """For the embeddings that the comparison needs."""


@dataclass(frozen=True, slots=True)
class ChosenTurns:
    """The turns to read a turn by, oldest first."""

    turns: tuple[rewrite_pb2.Turn, ...]
    degraded: bool = False
    """Whether the similar ones are missing, because no encoder answered in time."""


class History:
    """Chooses earlier turns, and embeds words for it."""

    def __init__(self, retrieval: Retrieval, bounds: HistoryBounds) -> None:
        self._retrieval = retrieval
        self._bounds = bounds

    async def vector(self, words: str, deadline: Deadline) -> WordsVector | None:
        """Embed a turn's words to remember them by; None without words or without an encoder."""
        if not words:
            return None
        try:
            model, (embedding,) = await self._retrieval.embed_texts([words], deadline)
        except SearchError:
            return None
        return WordsVector(model=model, data=embedding.astype("<f2").tobytes())

    async def soon(self, vector: asyncio.Task[WordsVector | None]) -> WordsVector | None:
        """Return what `vector` gives, if it comes soon; a turn without it is remembered all the same."""
        done, _ = await asyncio.wait([vector], timeout=self._bounds.timeout_s)
        return vector.result() if done else None

    async def choose(self, words: str, turns: Sequence[LoggedTurn], deadline: Deadline) -> ChosenTurns:
        """Choose among the turns before this one."""
        earlier = turns[: max(0, len(turns) - self._bounds.last)]
        degraded, similarity = False, np.zeros(len(earlier), np.float32)
        if earlier and words:
            try:
                async with asyncio.timeout(min(self._bounds.timeout_s, deadline.remaining_s())):
                    similarity = await self._similarity(words, earlier, deadline)
            except (TimeoutError, SearchError):
                degraded, earlier = True, ()
        chosen = within_budget(turns, similarity[: len(earlier)], self._bounds)
        return ChosenTurns(tuple(turns[position].turn for position in chosen), degraded)

    async def _similarity(self, words: str, turns: Sequence[LoggedTurn], deadline: Deadline) -> Embedding:
        """Return the cosine similarity of the turns' words with these, (n,); 0 for turns without words."""
        model, (own,) = await self._retrieval.embed_texts([words], deadline)
        known = [_remembered(turn.vector, model) for turn in turns]
        missing = [i for i, turn in enumerate(turns) if known[i] is None and turn.turn.text]
        if missing:
            _, embeddings = await self._retrieval.embed_texts([turns[i].turn.text for i in missing], deadline)
            for i, embedding in zip(missing, embeddings, strict=True):
                known[i] = embedding
        return np.array([0.0 if each is None else float(each @ own) for each in known], np.float32)


def within_budget(turns: Sequence[LoggedTurn], similarity: Embedding, bounds: HistoryBounds) -> list[int]:
    """Return the positions of the turns to read, in order; `similarity` is that of the oldest turns.

    The last turns come first to the budget, the latest foremost; then the similar ones, the most similar foremost, of
    which one that is too long gives way to the next.
    """
    left = bounds.tokens
    chosen: list[int] = []
    for position in range(len(turns) - 1, max(-1, len(turns) - 1 - bounds.last), -1):
        left -= token_count(turns[position].turn)
        if left < 0:
            return sorted(chosen)
        chosen.append(position)
    for position in np.argsort(-similarity, kind="stable")[: bounds.similar].tolist():
        if similarity[position] > 0 and (tokens := token_count(turns[position].turn)) <= left:
            left -= tokens
            chosen.append(position)
    return sorted(chosen)


def token_count(turn: rewrite_pb2.Turn) -> int:
    """Count the tokens of a turn as a language model would read it, rather too many than too few."""
    rewrite = turn.rewrite
    texts = (turn.text, rewrite.query, rewrite.modification, rewrite.reply, *map(_described, turn.shown))
    return tokens_of(" ".join(texts))


def tokens_of(text: str) -> int:
    """Count the tokens of a text; see `token_count`."""
    beyond_ascii = 0 if text.isascii() else sum(len(c.encode()) for c in text if not c.isascii())
    return len(_TOKENS.findall(text)) + beyond_ascii


def _described(product: query_pb2.Product) -> str:
    if not product.fields:  # as an older client keeps its history
        return f"{product.title} {product.category} {product.colour} {product.pattern} {product.brand} {product.price:.2f}"
    values = product.fields.values()
    words = [value.text for value in values] + [word for value in values for word in value.texts.values]
    return " ".join(words) + " 00000.00" * sum(value.HasField("number") for value in values)


def _remembered(vector: WordsVector | None, model: str) -> Embedding | None:
    if vector is None or vector.model != model:
        return None
    return np.frombuffer(vector.data, "<f2").astype(np.float32)
