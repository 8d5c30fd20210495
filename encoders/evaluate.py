"""`python -m encoders evaluate`: how well the weights find what training never saw.

The gallery holds every picture of the three test splits: new captions of seen combinations (`iid`), new captions
of unseen combinations (`ood`), and training captions in new pictures (`seen`), which are distractors as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from catalogue.grammar import SLOTS, Spec, caption, modification_text, partial_caption
from catalogue.randomness import generator
from catalogue.splits import CLUSTER_SIZE, Split, make_splits
from encoders.augment import Pixels, resize
from encoders.batches import edits_between
from encoders.checkpoint import TOKENIZER_FILE, load_encoders
from encoders.labels import describes, encode_attributes, encode_specs
from encoders.phrases import Description, describe
from encoders.pictures import drawn_pictures
from encoders.retrieval import nearest, recalls
from vitrine.preprocess import Tokenizer

Scores = dict[str, dict[str, float]]
"""Name of a set of queries to its figures, in percent, and its number of queries."""

HELD_OUT = ("iid", "ood")
_ROWS = 256
_PRECISION_CUT = 10
_SHORT_QUERIES = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """Pictures with what they show; every tensor has one row a picture."""

    specs: tuple[Spec, ...]
    splits: tuple[str, ...]
    captions: Tensor
    """int64, equal for equal captions."""
    images: Tensor
    """float32 (n, EMBEDDING_DIM)."""
    titles: Tensor
    """float32 (n, EMBEDDING_DIM), the embedding of the caption as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposedQueries:
    """Rows of the gallery, what is to change, and the row whose caption is wanted."""

    sources: Tensor
    targets: Tensor
    texts: tuple[str, ...]
    splits: tuple[str, ...]


class Parts(Protocol):
    """The three networks of a family."""

    @property
    def image(self) -> nn.Module:
        """Embeds uint8 pixels (n, size, size, 3)."""

    @property
    def text(self) -> nn.Module:
        """Embeds int64 token ids (n, length)."""

    @property
    def fusion(self) -> nn.Module:
        """Embeds float32 references (n, d) with int64 token ids (n, length)."""


@dataclass(frozen=True, slots=True)
class Model:
    """The loaded encoders with their tokenizer."""

    encoders: Parts
    tokenizer: Tokenizer

    @torch.inference_mode()
    def embed_images(self, stored: Pixels) -> Tensor:
        """Embed stored pictures without any augmentation."""
        batches = (stored[start : start + _ROWS] for start in range(0, len(stored), _ROWS))
        return torch.cat([self.encoders.image(torch.from_numpy(_resized(batch))) for batch in batches])

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Embed texts."""
        return torch.cat([self.encoders.text(ids) for ids in torch.split(self._tokenise(texts), _ROWS)])

    @torch.inference_mode()
    def compose(self, references: Tensor, texts: Sequence[str]) -> Tensor:
        """Move the references as the texts say."""
        pairs = zip(torch.split(references, _ROWS), torch.split(self._tokenise(texts), _ROWS), strict=True)
        return torch.cat([self.encoders.fusion(reference, ids) for reference, ids in pairs])

    def _tokenise(self, texts: Sequence[str]) -> Tensor:
        return torch.from_numpy(self.tokenizer(texts))


def evaluate(weights: Path, work: Path, *, seed: int) -> dict[str, Scores]:
    """Measure the weights; `work` keeps the drawn pictures of the gallery.

    Raises:
        CheckpointError: the weights cannot be used.
    """
    model = Model(load_encoders(weights), Tokenizer.from_file(weights / TOKENIZER_FILE))
    gallery = _build_gallery(model, work, seed)
    edits = {count: _composed_queries(gallery, edits=count, seed=seed) for count in (1, 2)}
    said = _composed_queries(gallery, edits=1, seed=seed, paraphrased=True)
    return {
        "text": _text_recalls(model, gallery),
        "image": _image_recalls(gallery),
        "composed": _composed_recalls(model, gallery, edits[1]),
        "composed_half_paraphrased": _composed_recalls(model, gallery, said),
        "composed_two_changes": _composed_recalls(model, gallery, edits[2]),
        "composed_baselines": _baselines(model, gallery, edits[1]),
        "short_text_precision": _short_text_precision(model, gallery, seed),
    }


def _resized(stored: Pixels) -> Pixels:
    return np.stack([np.asarray(resize(Image.fromarray(picture))) for picture in stored])


def _build_gallery(model: Model, work: Path, seed: int) -> Gallery:
    made = make_splits(seed=seed)
    splits: tuple[Split, ...] = (made.iid, made.ood, made.seen)
    pictures = [picture for split in splits for picture in split.pictures()]
    specs = tuple(spec for spec, _ in pictures)
    numbers = {text: number for number, text in enumerate(dict.fromkeys(map(caption, specs)))}
    return Gallery(
        specs=specs,
        splits=tuple(split.name for split in splits for _ in split.pictures()),
        captions=torch.tensor([numbers[caption(spec)] for spec in specs]),
        images=model.embed_images(drawn_pictures("test", pictures, cache=work)),
        titles=model.embed_texts([caption(spec) for spec in specs]),
    )


def _by_split(found: Tensor, gallery: Gallery, targets: Tensor, splits: Sequence[str]) -> Scores:
    """Return recalls for each split and for all that is held out of training."""
    names = np.array(splits)
    groups = {name: names == name for name in dict.fromkeys(splits)}
    groups["held_out"] = np.isin(names, HELD_OUT)
    wanted = gallery.captions[targets]
    return {
        name: {
            **recalls(found[torch.from_numpy(rows)], gallery.captions, wanted[torch.from_numpy(rows)]),
            "queries": int(rows.sum()),
        }
        for name, rows in groups.items()
    }


def _text_recalls(model: Model, gallery: Gallery) -> Scores:
    rows = torch.tensor(np.unique(gallery.captions.numpy(), return_index=True)[1])
    queries = model.embed_texts([caption(gallery.specs[row]) for row in rows])
    found = nearest(queries, gallery.images)
    return _by_split(found, gallery, rows, [gallery.splits[row] for row in rows])


def _image_recalls(gallery: Gallery) -> Scores:
    rows = torch.arange(len(gallery.specs))
    found = nearest(gallery.images, gallery.images, left_out=rows)
    return _by_split(found, gallery, rows, gallery.splits)


def _composed_queries(
    gallery: Gallery, *, edits: int, seed: int, paraphrased: bool = False
) -> ComposedQueries:
    """Return every pair of a cluster that is so many changes apart, from one picture of the source."""
    rng = generator("evaluation", seed)
    first_rows: dict[int, int] = {}
    for row, number in enumerate(gallery.captions.tolist()):
        first_rows.setdefault(number, row)
    rows = list(first_rows.values())
    chosen: list[tuple[int, int, str]] = []
    for index, source in enumerate(rows):
        first = index - index % CLUSTER_SIZE
        for target in rows[first : first + CLUSTER_SIZE]:
            changes = edits_between(gallery.specs[source], gallery.specs[target])
            if len(changes) == edits:
                texts = [modification_text(edit, rng if paraphrased else None) for edit in changes]
                chosen.append((source, target, " and ".join(texts)))
    return ComposedQueries(
        sources=torch.tensor([source for source, _, _ in chosen]),
        targets=torch.tensor([target for _, target, _ in chosen]),
        texts=tuple(text for _, _, text in chosen),
        splits=tuple(gallery.splits[source] for source, _, _ in chosen),
    )


def _composed_recalls(model: Model, gallery: Gallery, queries: ComposedQueries) -> Scores:
    composed = model.compose(gallery.images[queries.sources], queries.texts)
    found = nearest(composed, gallery.images, left_out=queries.sources)
    return _by_split(found, gallery, queries.targets, queries.splits)


def _baselines(model: Model, gallery: Gallery, queries: ComposedQueries) -> Scores:
    """Measure on held-out queries what no fusion encoder gives: the picture, the text, and their sum."""
    references = gallery.images[queries.sources]
    texts = model.embed_texts(queries.texts)
    oracle = gallery.titles[queries.targets]
    variants = {
        "image_only": references,
        "text_only": texts,
        "sum": functional.normalize(references + texts, dim=-1),
        "oracle_caption_of_the_target": oracle,
    }
    found = {
        name: nearest(query, gallery.images, left_out=queries.sources) for name, query in variants.items()
    }
    return {
        name: _by_split(rows, gallery, queries.targets, queries.splits)["held_out"]
        for name, rows in found.items()
    }


def _short_text_precision(model: Model, gallery: Gallery, seed: int) -> Scores:
    """Measure the share of the first ten that have all named attributes, by picture and by product vector.

    A query counts where the gallery holds ten such pictures at least.
    """
    labels = encode_specs(gallery.specs)
    products = torch.cat([gallery.images, gallery.titles], dim=1)
    scores: Scores = {}
    for name, queries in _short_queries(gallery, seed).items():
        fitting = torch.from_numpy(describes(encode_attributes(query.named for query in queries), labels))
        kept = fitting.sum(dim=1) >= _PRECISION_CUT
        fitting = fitting[kept]
        embedded = model.embed_texts([query.text for query in queries])[kept]
        scores[name] = {
            "image": _precision(embedded, gallery.images, fitting),
            "product": _precision(torch.cat([embedded, embedded], dim=1), products, fitting),
            "chance": round(100 * fitting.float().mean().item(), 2),
            "queries": int(kept.sum()),
        }
    return scores


def _precision(queries: Tensor, gallery: Tensor, fitting: Tensor) -> float:
    found = nearest(queries, gallery, count=_PRECISION_CUT)
    return round(100 * fitting.gather(1, found).float().mean().item(), 2)


def _short_queries(gallery: Gallery, seed: int) -> Mapping[str, list[Description]]:
    """Draw queries of the category with one to three attributes, and queries in phrases that training uses too."""
    rng = generator("short", seed)
    specs = [rng.choice(gallery.specs) for _ in range(_SHORT_QUERIES)]
    queries: dict[str, list[Description]] = {}
    for count in (1, 2, 3):
        chosen = [(spec, rng.sample(tuple(SLOTS[spec.category]), count)) for spec in specs]
        queries[f"{count}_attributes"] = [
            Description(
                partial_caption(spec, slots),
                {"category": spec.category} | {slot: spec[slot] for slot in slots},
            )
            for spec, slots in chosen
        ]
    return queries | {"generated_phrases": [describe(spec, rng) for spec in specs]}
