"""Recall on the questions of a neighbourhood."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoders.batches import edits_between
from encoders.comparison.features import Features
from encoders.comparison.neighbourhoods import KINDS, Neighbourhoods
from encoders.retrieval import CUTS, nearest
from encoders.stages import device
from vitrine.preprocess import Tokenizer

Figures = dict[str, dict[str, float]]
"""Kind of question, with its set, to recalls in percent; "mean" is of the kinds."""

Compose = Callable[[Features, Tensor], Tensor]
"""Gives embeddings of n references and int64 token ids, as a Composer does."""

_ROWS = 512
_NONE = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """Neighbourhoods with the features of their pictures: m questions, n pictures in the gallery."""

    neighbourhoods: Neighbourhoods
    gallery: Tensor
    """float32 (n, EMBEDDING_DIM)."""
    references: Features
    """One row for each of `neighbourhoods.references()`."""
    rows: Tensor
    """int64 (m,): the question's row of the references."""
    token_ids: Tensor
    """int64 (m, TEXT_LENGTH)."""
    wanted: Tensor
    """int64 (m, most right answers): rows of the gallery, _NONE where a question has fewer."""

    @classmethod
    def prepare(cls, neighbourhoods: Neighbourhoods, features: Features, tokenizer: Tokenizer) -> "Exam":
        """Join the questions with the features of `neighbourhoods.pictures()`."""
        size = len(neighbourhoods.gallery)
        places = {spec: row for row, spec in enumerate(neighbourhoods.gallery)}
        references = {spec: row for row, spec in enumerate(neighbourhoods.references())}
        questions = neighbourhoods.questions
        wanted = [[places[spec] for spec in question.wanted] for question in questions]
        most = max(map(len, wanted))
        return cls(
            neighbourhoods=neighbourhoods,
            gallery=features.pooled[:size],
            references=Features(features.pooled[size:], features.maps[size:]),
            rows=torch.tensor([references[question.reference] for question in questions]),
            token_ids=torch.from_numpy(tokenizer([question.text for question in questions])),
            wanted=torch.tensor([rows + [_NONE] * (most - len(rows)) for rows in wanted]),
        )

    @torch.inference_mode()
    def find(self, compose: Compose, token_ids: Tensor | None = None) -> Tensor:
        """Return the rows of the gallery that each question finds, int64 (m, max(CUTS)), best first.

        Args:
            compose: makes the embeddings to search with.
            token_ids: texts other than the questions' own.
        """
        texts = self.token_ids if token_ids is None else token_ids
        chunks = zip(torch.split(self.rows, _ROWS), torch.split(texts, _ROWS), strict=True)
        composed = [compose(self.references.take(rows), text.to(device())).cpu() for rows, text in chunks]
        return nearest(torch.cat(composed), self.gallery)

    def hits(self, found: Tensor) -> Tensor:
        """Return which of the rows found are right answers: bool, as large as `found`."""
        return (found[:, :, None] == self.wanted[:, None, :]).any(dim=2)

    def figures(self, found: Tensor) -> Figures:
        """Return the recalls of every kind of question, apart for seen and unseen combinations."""
        hits = self.hits(found).numpy()
        questions = self.neighbourhoods.questions
        groups = np.array(
            [f"{question.kind}_{'ood' if question.unseen else 'iid'}" for question in questions]
        )
        names = [f"{kind}_{part}" for part in ("iid", "ood") for kind in KINDS]
        figures: Figures = {name: _recalls(hits[groups == name]) for name in names if (groups == name).any()}
        figures["mean"] = {cut: round(fmean(row[cut] for row in figures.values()), 2) for cut in _names()}
        return figures

    def confusions(self, found: Tensor) -> dict[str, float]:
        """Return in what a wrong first answer differs from the wanted product: percent of them, by slot."""
        wrong = (~self.hits(found)[:, 0]).nonzero().squeeze(1).tolist()
        gallery, questions = self.neighbourhoods.gallery, self.neighbourhoods.questions
        counts: Counter[str] = Counter()
        for row in wrong:
            wanted, given = questions[row].wanted[0], gallery[int(found[row, 0])]
            same = wanted.category == given.category
            counts.update([edit.slot for edit in edits_between(wanted, given)] if same else ["category"])
        return {slot: round(100 * count / len(wrong), 2) for slot, count in counts.most_common()}


def spread(runs: Sequence[Figures]) -> Mapping[str, Mapping[str, list[float]]]:
    """Return mean, lowest and highest of several runs for each figure."""
    return {
        name: {
            cut: [round(fmean(values), 2), min(values), max(values)]
            for cut in row
            for values in [[run[name][cut] for run in runs]]
        }
        for name, row in runs[0].items()
    }


def _recalls(hits: NDArray[np.bool_]) -> dict[str, float]:
    return {name: round(100 * hits[:, :cut].any(axis=1).mean().item(), 2) for name, cut in _names().items()}


def _names() -> dict[str, int]:
    return {f"R@{cut}": cut for cut in CUTS}
