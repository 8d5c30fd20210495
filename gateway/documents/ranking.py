"""Which passages of a shop's documents answer a question, and how surely.

A passage is scored by the share of the question's terms that it has, each weighed by how rare it is among the passages (the
inverse document frequency of BM25), and by where it stands: in the heading, in the text, or in the document's title. The
cosine similarity of the encoder's embeddings is added with a share of its own, which was measured (docs/documents.md).
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from gateway.documents.topics import Terms, language_of, terms_of
from gateway.model import Embedding, Passage

IN_HEADING, IN_TEXT, IN_TITLE = 1.0, 0.75, 0.5
"""What a term counts for by the place where a passage has it."""

UNKNOWN = 0.6
"""Of the weight of the rarest term: what a word of the question counts for that no passage has."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A passage and how well it answers."""

    passage: Passage
    score: float
    """The share of the question that it covers, 0 to 1, and `share` of the cosine similarity besides."""
    covered: float
    """The share of the question's terms that it has, by their weights."""
    similarity: float
    """Cosine similarity of the embeddings; 0 where there are none."""


@dataclass(frozen=True, slots=True)
class _Entry:
    passage: Passage
    places: dict[str, float] = field(repr=False)
    """What each term counts for."""


class PassageRanking:
    """Ranks the passages of one set of documents."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._entries = [_entry(passage) for passage in passages]
        counts = Counter(term for entry in self._entries for term in entry.places)
        size = len(self._entries)
        self._rarity = {
            term: math.log(1 + (size - count + 0.5) / (count + 0.5)) for term, count in counts.items()
        }
        self._unknown = UNKNOWN * math.log(1 + (size + 0.5) / 0.5)

    def __len__(self) -> int:
        return len(self._entries)

    def rank(
        self, terms: Terms, *, similarities: Embedding | None = None, share: float = 0.0, limit: int
    ) -> list[Scored]:
        """Return the best passages; `similarities`, (n,), are those of the passages in their order.

        Passages that have none of the terms are left out.
        """
        weights = {term: self._rarity.get(term, self._unknown) for term in terms.all}
        total = sum(weights.values())
        found = []
        for i, entry in enumerate(self._entries):
            held = sum(weight * entry.places.get(term, 0.0) for term, weight in weights.items())
            if not held:
                continue
            similarity = 0.0 if similarities is None else float(similarities[i])
            covered = held / total
            found.append(Scored(entry.passage, covered + share * similarity, covered, similarity))
        # A total order: equal scores in the order of the documents.
        found.sort(key=lambda each: (-each.score, each.passage.document, each.passage.position))
        return found[:limit]


def similarities(query: Embedding, passages: Embedding) -> Embedding:
    """Return the cosine similarity, (n,), of a query's embedding, (d,), with those of passages, (n, d)."""
    found: Embedding = (passages @ query).astype(np.float32)
    return found


def embedded_text(passage: Passage) -> str:
    """Return what the encoder reads of a passage: the beginning tells what it is about, since an encoder cuts."""
    return f"{passage.heading}. {passage.text}"


def _entry(passage: Passage) -> _Entry:
    language = language_of(f"{passage.title}. {passage.heading}. {passage.text}")
    places: dict[str, float] = {}
    for text, counts in ((passage.title, IN_TITLE), (passage.text, IN_TEXT), (passage.heading, IN_HEADING)):
        places |= dict.fromkeys(terms_of(text, language=language).all, counts)
    return _Entry(passage, places)
