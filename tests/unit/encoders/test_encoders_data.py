"""Labels, vocabulary, pictures and batches: what the networks are trained on."""

import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
import torch
from PIL import Image

from catalogue.grammar import caption, edited, make_spec, sample_edit, sample_spec
from catalogue.splits import CLUSTER_SIZE, make_splits
from encoders.augment import STORED_SIZE, Pixels, augmented, resize
from encoders.batches import TrainingSet, batches, draw_clusters, edits_between, make_batch
from encoders.labels import describes, encode_attributes, encode_specs
from encoders.pictures import drawn_pictures, stored_pixels
from encoders.vocabulary import sample_texts, train_tokenizer
from vitrine.preprocess import Tokenizer, decode_image
from vitrine.tensors import IMAGE_SIZE, TEXT_LENGTH

BLUE = make_spec("bag", colour="blue", pattern="plain", material="canvas", type="tote", accent="red")
RED = make_spec("bag", colour="red", pattern="plain", material="canvas", type="tote", accent="blue")
HAT = make_spec("hat", colour="red", pattern="plain", material="wool", type="cap", accent="blue")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(train_tokenizer(sample_texts(500, seed=1)).to_str())


@pytest.fixture(scope="module")
def data(tokenizer: Tokenizer) -> TrainingSet:
    split = make_splits(seed=3, train_clusters=6, test_clusters=1, seen_clusters=1).train
    count = len(list(split.pictures()))
    pixels = np.random.default_rng(0).integers(0, 256, (count, STORED_SIZE, STORED_SIZE, 3), dtype=np.uint8)
    return TrainingSet.of_split(split, pixels, tokenizer)


def test_a_text_describes_what_has_all_that_it_names() -> None:
    """Every named attribute must agree; what is not named may be anything."""
    named = encode_attributes(
        [{"colour": "red"}, {"category": "bag", "pattern": "plain"}, {"type": "cap"}, {}]
    )
    expected = [[False, True, True], [True, True, False], [False, False, True], [True, True, True]]
    assert describes(named, encode_specs([BLUE, RED, HAT])).tolist() == expected


def test_equal_specs_alone_share_all_labels() -> None:
    """A spec's own labels describe it and no neighbour."""
    rng = random.Random(2)
    specs = [sample_spec(rng) for _ in range(40)]
    specs += [edited(spec, sample_edit(rng, spec)) for spec in specs]
    labels = encode_specs(specs)
    equal = [[one == other for other in specs] for one in specs]
    assert describes(labels, labels).tolist() == equal


def test_the_vocabulary_knows_every_word_and_ignores_case_hyphens_and_commas(tokenizer: Tokenizer) -> None:
    """Equal words are equal tokens however they are typed, and unknown ones still are tokens."""
    typed = tokenizer(
        ["Long-Sleeve, V-NECK dress!", "long sleeve v neck dress", "ﬂoral dress", "floral dress"]
    )
    assert (typed[0] == typed[1]).all()
    assert (typed[2] == typed[3]).all()
    unknown = tokenizer(["日本 gorgeous", ""])
    assert (unknown[0] != 0).sum() > 3
    assert (unknown[1] == 0).all()


def test_captions_fit_into_the_text_length(tokenizer: Tokenizer) -> None:
    """The longest captions keep their accent colour."""
    rng = random.Random(3)
    rows = tokenizer([caption(sample_spec(rng)) for _ in range(500)])
    assert rows.shape == (500, TEXT_LENGTH)
    assert (rows != 0).sum(axis=1).max() <= TEXT_LENGTH - 8


def test_training_sees_the_pixels_that_serving_sees() -> None:
    """Without augmentation a stored picture becomes exactly what decode_image gives for its JPEG."""
    ramp = np.linspace(0, 255, 256, dtype=np.uint8)
    drawn = np.stack(
        [np.tile(ramp, (256, 1)), np.tile(ramp[:, None], (1, 256)), np.full((256, 256), 90)], axis=-1
    )
    drawn[60:120, 30:200] = (200, 20, 40)
    jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(drawn, dtype=np.uint8), quality=90)
    stored = stored_pixels(jpeg)
    assert stored.shape == (STORED_SIZE, STORED_SIZE, 3)
    np.testing.assert_array_equal(np.asarray(resize(Image.fromarray(stored))), decode_image(jpeg))


def test_a_part_keeps_its_proportions_on_white() -> None:
    """A box that is half as wide as high leaves white at both sides."""
    black = Image.new("RGB", (STORED_SIZE, STORED_SIZE))
    pixels = np.asarray(resize(black, (0, 0, STORED_SIZE / 2, STORED_SIZE)))
    quarter = IMAGE_SIZE // 4
    assert (pixels[:, :quarter] == 255).all()
    assert (pixels[:, quarter : 3 * quarter] == 0).all()
    assert (pixels[:, 3 * quarter :] == 255).all()


def test_augmentation_is_mild() -> None:
    """Views differ from each other, keep their size, and stay near the picture's colour."""
    stored: Pixels = np.full((STORED_SIZE, STORED_SIZE, 3), (45, 105, 205), dtype=np.uint8)
    views = [augmented(stored, random.Random(seed)) for seed in range(20)]
    centres = np.array([view[IMAGE_SIZE // 2, IMAGE_SIZE // 2] for view in views], dtype=int)
    assert all(view.shape == (IMAGE_SIZE, IMAGE_SIZE, 3) for view in views)
    assert len(np.unique(centres, axis=0)) > 10
    assert np.abs(centres - [45, 105, 205]).max() < 35


def test_pictures_are_drawn_once(tmp_path: Path) -> None:
    """A second call maps the file of the first, and another list of pictures is another file."""
    first = drawn_pictures("few", [(BLUE, 1), (RED, 1)], cache=tmp_path)
    (path,) = tmp_path.iterdir()
    written = path.stat().st_mtime_ns
    again = drawn_pictures("few", [(BLUE, 1), (RED, 1)], cache=tmp_path)
    assert path.stat().st_mtime_ns == written
    np.testing.assert_array_equal(first, again)
    centre = STORED_SIZE // 2
    blue, red = (row[centre - 8 : centre + 24, centre - 8 : centre + 8].mean(axis=(0, 1)) for row in first)
    assert blue[2] > blue[0]
    assert red[0] > red[2]
    drawn_pictures("few", [(BLUE, 2)], cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_an_epoch_runs_through_every_cluster_once() -> None:
    """The steps of an epoch share no cluster, and the next epoch has another order."""
    epochs = [[draw_clusters(10, 5, seed=1, step=step) for step in (start, start + 1)] for start in (0, 2)]
    assert all(sorted(first + second) == list(range(10)) for first, second in epochs)
    assert epochs[0] != epochs[1]
    assert draw_clusters(3, 5, seed=1, step=4) != []


def test_the_batch_of_a_step_is_always_the_same(data: TrainingSet) -> None:
    """A resumed run sees the batches that an uninterrupted one sees."""
    straight = list(batches(data, clusters=2, seed=1, steps=range(3)))[2]
    resumed = next(batches(data, clusters=2, seed=1, steps=range(2, 3)))
    assert torch.equal(straight.pixels, resumed.pixels)
    assert torch.equal(straight.texts.token_ids, resumed.texts.token_ids)
    assert torch.equal(straight.changes.positives, resumed.changes.positives)


def test_every_query_and_change_has_an_answer_in_its_batch(data: TrainingSet) -> None:
    """Queries describe their own product, and changes lead to another product of the cluster."""
    batch = make_batch(data, 3, seed=1, step=0)
    rows = 3 * CLUSTER_SIZE
    assert batch.pixels.shape == (rows, IMAGE_SIZE, IMAGE_SIZE, 3)
    assert batch.texts.token_ids.shape[0] == 2 * rows
    assert torch.equal(batch.texts.same, torch.eye(rows, dtype=torch.bool))
    assert batch.texts.described.diagonal().all()
    answers = batch.changes.positives.int().argmax(dim=1)
    assert (batch.changes.positives.sum(dim=1) == 1).all()
    assert torch.equal(answers // CLUSTER_SIZE, batch.changes.sources // CLUSTER_SIZE)
    assert not (answers == batch.changes.sources).any()


def test_edits_between_leads_from_one_to_the_other() -> None:
    """Applying the changes one by one gives the target."""
    rng = random.Random(5)
    for spec in (sample_spec(rng) for _ in range(50)):
        target = edited(spec, sample_edit(rng, spec))
        (edit,) = edits_between(spec, target)
        assert edited(spec, edit) == target
    assert {edit.slot for edit in edits_between(BLUE, RED)} == {"colour", "accent"}
    assert all(one == other for one, other in pairwise([edits_between(RED, RED), ()]))
