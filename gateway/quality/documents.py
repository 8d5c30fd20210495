"""The questions of `questions.txt`, asked of the example folder, and what becomes of each."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from catalogue.grammar import BRANDS, CATEGORIES, COLOURS, PATTERNS
from gateway.conversation.catalogue_qa import names_a_value
from gateway.documents.library import DocumentRules, HandedOver, Library, Quoted
from gateway.documents.passages import cut
from gateway.documents.ranking import embedded_text
from gateway.metrics import Metrics
from gateway.model import Deadline, DocumentSet, Embedding, EncoderInputs, FieldSummary, Passage
from gateway.ports import Encoder
from vitrine.domain.schema_files import shipped_schema
from vitrine.tensors import MAX_BATCH_SIZE

QUESTIONS = Path(__file__).parent / "questions.txt"

NOBODY, PRODUCTS = "none", "product"
"""In the place of a source: no document answers; the turn asks about products."""

_MANIFEST = "measured"
_TIMEOUT_S = 30.0
_FIELDS = tuple(
    FieldSummary(name=name, values=tuple(values))
    for name, values in (
        ("category", CATEGORIES),
        ("colour", COLOURS),
        ("pattern", PATTERNS),
        ("brand", BRANDS),
    )
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and where its answer stands."""

    half: str
    language: str
    source: str
    """Document and heading as "returns.md # What a return costs", or NOBODY or PRODUCTS."""
    words: str


@dataclass(frozen=True, slots=True)
class HeldDocuments:
    """One set, which is never exchanged."""

    held: DocumentSet

    async def digest(self, *, timeout_s: float) -> str:
        """Return the digest of the set."""
        del timeout_s
        return self.held.digest

    async def read(self, *, timeout_s: float) -> DocumentSet:
        """Return the set."""
        del timeout_s
        return self.held


def read_questions(path: Path = QUESTIONS) -> list[Asked]:
    """Read the questions."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [
        Asked(*(part.strip() for part in line.split(" | ", 3)))
        for line in lines
        if line and not line.startswith("#")
    ]


def read_passages(folder: Path) -> list[Passage]:
    """Return the passages of a folder's documents."""
    return [
        passage for path in sorted(folder.glob("*.md")) for passage in cut(path.name, path.read_text("utf-8"))
    ]


async def embed(encoder: Encoder, texts: Sequence[str]) -> Embedding:
    """Return an embedding for each text, (n, d)."""
    rows = []
    for start in range(0, len(texts), MAX_BATCH_SIZE):
        inputs = EncoderInputs(texts=texts[start : start + MAX_BATCH_SIZE])
        rows.append((await encoder.embed(inputs, timeout_s=_TIMEOUT_S)).rows)
    return np.concatenate(rows)


class Measurement:
    """The example folder and the questions, embedded once."""

    def __init__(self, passages: Sequence[Passage], questions: Sequence[Asked]) -> None:
        self._passages = passages
        self._questions = questions
        self._embedded: dict[str, Embedding] = {}
        self._documents = DocumentSet(digest="held", passages=tuple(passages))

    async def embed(self, encoder: Encoder) -> None:
        """Embed passages and questions."""
        rows = await embed(encoder, [embedded_text(each) for each in self._passages])
        passages = tuple(
            Passage(**{name: getattr(each, name) for name in each.__slots__} | {"embedding": row})
            for each, row in zip(self._passages, rows, strict=True)
        )
        self._documents = DocumentSet(digest="held", manifest=_MANIFEST, passages=passages)
        words = [each.words for each in self._questions]
        self._embedded = dict(zip(words, await embed(encoder, words), strict=True))

    async def outcomes(self, *, least: float, share: float) -> list[tuple[Asked, str]]:
        """Return what becomes of each question: "right", "beside", "wrong", "handed over" or "left".

        "beside": the right passage is the second of two that are quoted. "left": the rewriter reads the turn.
        """

        async def vector(words: str, _: Deadline) -> tuple[str, Embedding]:
            return _MANIFEST, self._embedded[words]

        rules = DocumentRules(least=least, share=share)
        library = Library(HeldDocuments(self._documents), rules, vector, Metrics())
        await library.refresh()
        found = []
        for asked in self._questions:

            async def names_products(words: str = asked.words) -> bool:
                return names_a_value(words, shipped_schema(), _FIELDS)

            said = await library.consider(asked.words, "", names_products, Deadline.after(_TIMEOUT_S))
            found.append((asked, _outcome(asked, said)))
        return found

    def by_encoder_alone(self, half: str) -> dict[str, float]:
        """Return how often the encoder alone puts the right passage first, and among the first three."""
        matrix = np.stack([each.embedding for each in self._documents.passages if each.embedding is not None])
        answered = [each for each in self._questions if each.half == half and "#" in each.source]
        ranks = []
        for asked in answered:
            order = np.argsort(-(matrix @ self._embedded[asked.words]), kind="stable")
            sources = [_source(self._documents.passages[place]) for place in order]
            ranks.append(sources.index(asked.source))
        return {
            "questions": len(answered),
            "first": sum(rank == 0 for rank in ranks),
            "first_three": sum(rank < 3 for rank in ranks),  # noqa: PLR2004 - as it says
        }


def summary(outcomes: Sequence[tuple[Asked, str]]) -> Mapping[str, Mapping[str, int]]:
    """Count the outcomes of questions that the folder answers, in English and not, of those it does not, and of others."""
    counts: dict[str, Counter[str]] = {}
    for asked, outcome in outcomes:
        counts.setdefault(_kind(asked), Counter())[outcome] += 1
    return {kind: dict(sorted(count.items())) for kind, count in sorted(counts.items())}


def failures(outcomes: Sequence[tuple[Asked, str]]) -> Iterator[str]:
    """Yield each question that was not answered as it should be."""
    fine = {
        "answered": {"right", "beside"},
        "answered, other languages": {"right", "beside"},
        "unanswered": {"handed over", "left"},
        "products": {"left"},
    }
    for asked, outcome in outcomes:
        if outcome not in fine[_kind(asked)]:
            yield f"{outcome}: {asked.words} ({asked.source})"


def _kind(asked: Asked) -> str:
    if asked.source in {NOBODY, PRODUCTS}:
        return "unanswered" if asked.source == NOBODY else "products"
    return "answered" if asked.language == "en" else "answered, other languages"


def _outcome(asked: Asked, said: Quoted | HandedOver | None) -> str:
    match said:
        case None:
            return "left"
        case HandedOver():
            return "handed over"
        case Quoted(passages):
            places = [_source(each.passage) for each in passages]
            return (
                "wrong" if asked.source not in places else "beside" if places.index(asked.source) else "right"
            )


def _source(passage: Passage) -> str:
    return f"{passage.document} # {passage.heading}"
