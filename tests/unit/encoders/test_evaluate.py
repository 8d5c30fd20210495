"""The evaluation asks what it says it asks."""

import pytest
import torch
from torch.nn import functional

from catalogue.grammar import caption, edit_between, modification_text
from catalogue.splits import make_splits
from encoders.evaluate import Gallery, _by_split, _composed_queries, _image_recalls, _short_queries
from encoders.labels import describes, encode_attributes, encode_specs
from encoders.retrieval import nearest


@pytest.fixture(scope="module")
def gallery() -> Gallery:
    """Two splits whose embeddings know the caption and nothing else."""
    made = make_splits(seed=3, train_clusters=4, test_clusters=3, seen_clusters=1)
    pictures = [(split.name, spec) for split in (made.iid, made.seen) for spec, _ in split.pictures()]
    texts = [caption(spec) for _, spec in pictures]
    numbers = torch.tensor([sorted(set(texts)).index(text) for text in texts])
    return Gallery(
        specs=tuple(spec for _, spec in pictures),
        splits=tuple(name for name, _ in pictures),
        captions=numbers,
        images=functional.one_hot(numbers).float(),
        titles=functional.one_hot(numbers).float(),
    )


def test_composed_queries_are_one_change_apart(gallery: Gallery) -> None:
    """Source and target differ by the one slot that the text names, within a split."""
    queries = _composed_queries(gallery, edits=1, seed=1)
    assert len(queries.texts) >= 6 * 4
    for source, target, text, split in zip(
        queries.sources.tolist(), queries.targets.tolist(), queries.texts, queries.splits, strict=True
    ):
        edit = edit_between(gallery.specs[source], gallery.specs[target])
        assert edit is not None
        assert text == modification_text(edit)
        assert gallery.splits[source] == gallery.splits[target] == split


def test_composed_queries_of_two_changes_say_both(gallery: Gallery) -> None:
    """Source and target differ by two slots, and the text has two parts."""
    queries = _composed_queries(gallery, edits=2, seed=1)
    assert queries.texts
    for source, target, text in zip(queries.sources, queries.targets, queries.texts, strict=True):
        assert edit_between(gallery.specs[source], gallery.specs[target]) is None
        assert text.count("replace") == 2


def test_the_query_picture_is_no_answer_to_itself(gallery: Gallery) -> None:
    """Embeddings that know the caption find the other pictures of it: recall is whole without the query."""
    scores = _image_recalls(gallery)
    assert scores["held_out"] == {"R@1": 100.0, "R@10": 100.0, "R@50": 100.0, "queries": 36}
    assert scores["seen"]["queries"] == 12


def test_held_out_counts_no_training_caption(gallery: Gallery) -> None:
    """Only the splits that training never saw count as held out."""
    rows = torch.arange(len(gallery.specs))
    found = nearest(gallery.images, gallery.images)
    wrong = gallery.splits.index("seen")
    found[wrong:] = 0
    scores = _by_split(found, gallery, rows, gallery.splits)
    assert scores["held_out"]["R@50"] == 100.0
    assert scores["seen"]["R@50"] == 0.0


def test_short_queries_describe_the_product_that_they_were_drawn_from(gallery: Gallery) -> None:
    """Every short query has an answer, and the more it names the fewer it has."""
    labels = encode_specs(gallery.specs)
    answers = {
        name: describes(encode_attributes(query.named for query in queries), labels)
        for name, queries in _short_queries(gallery, 1).items()
    }
    assert all(fits.any(axis=1).all() for fits in answers.values())
    assert answers["1_attributes"].mean() > answers["2_attributes"].mean() > answers["3_attributes"].mean()
