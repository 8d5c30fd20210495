"""The losses are what they are said to be, and training learns, resumes and leaves its records."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from catalogue.splits import make_splits
from encoders.augment import STORED_SIZE
from encoders.batches import TrainingSet
from encoders.checkpoint import Encoders, new_encoders
from encoders.labels import encode_specs
from encoders.losses import AttributeHeads, contrastive_loss
from encoders.networks import Sizes
from encoders.progress import History, plot_history
from encoders.training import Settings, embed_pictures, train_fusion, train_jointly, train_text
from encoders.vocabulary import sample_texts, train_tokenizer
from vitrine.preprocess import Tokenizer
from vitrine.tensors import EMBEDDING_DIM


def test_contrastive_loss_of_one_positive_is_cross_entropy() -> None:
    """With one positive a row the loss is InfoNCE."""
    queries = torch.eye(3)[:2]
    positives = torch.tensor([[True, False, False], [False, True, False]])
    loss = contrastive_loss(queries, torch.eye(3), positives, torch.tensor(0.0))
    assert loss.item() == pytest.approx(math.log(math.e + 2) - 1)


def test_contrastive_loss_averages_over_positives() -> None:
    """Two positives that score alike share the probability."""
    queries = torch.tensor([[1.0, 0.0]])
    targets = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    loss = contrastive_loss(queries, targets, torch.tensor([[True, True]]), torch.tensor(2.0))
    assert loss.item() == pytest.approx(math.log(2))


def test_absent_slots_do_not_count_for_the_attribute_loss() -> None:
    """Products of one category give the slots of the others no gradient."""
    specs = list(make_splits(seed=3, train_clusters=2, test_clusters=1, seen_clusters=1).train.specs())
    shoes = [spec for spec in specs if spec.category == specs[0].category]
    heads = AttributeHeads()
    heads(torch.randn(len(shoes), EMBEDDING_DIM), torch.from_numpy(encode_specs(shoes))).backward()
    moved = [bool(head.weight.grad.abs().sum() > 0) for head in heads.heads]  # type: ignore[union-attr]
    absent = (encode_specs(shoes) < 0).all(axis=0)
    assert moved == [not missing for missing in absent]


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    """Products whose pictures are plain squares of a colour that only they have."""
    split = make_splits(seed=3, train_clusters=4, test_clusters=1, seen_clusters=1).train
    count = len(list(split.pictures()))
    colours = np.random.default_rng(0).integers(0, 256, (count // 2, 1, 1, 1, 3), dtype=np.uint8)
    pixels = np.broadcast_to(colours, (count // 2, 2, STORED_SIZE, STORED_SIZE, 3))
    tokenizer = Tokenizer(train_tokenizer(sample_texts(300, seed=1)).to_str())
    return TrainingSet.of_split(split, pixels.reshape(count, STORED_SIZE, STORED_SIZE, 3), tokenizer)


def small_encoders() -> Encoders:
    torch.manual_seed(0)
    return new_encoders(Sizes(vocabulary=1200, image_widths=(16, 32), image_blocks=(1, 1), text_width=32))


SETTINGS = Settings(
    joint_steps=40, joint_clusters=4, text_steps=20, fusion_steps=20, fixed_clusters=4, views=2
)


@pytest.mark.slow
def test_training_learns_and_a_second_run_resumes(
    data: TrainingSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every loss falls; a run that finds its own state takes it up instead of starting anew."""
    encoders = small_encoders()
    history = train_jointly(encoders, data, SETTINGS, tmp_path)
    assert set(history) == {"joint: caption", "joint: query", "joint: change", "joint: attribute"}
    assert all(points[-1][1] < points[0][1] for points in history.values())
    assert history["joint: query"][-1][0] == 40

    again = small_encoders()
    assert train_jointly(again, data, SETTINGS, tmp_path)["joint: caption"] == history["joint: caption"]
    assert "joint: resumes at step 40" in capsys.readouterr().out
    for one, other in zip(encoders.image.parameters(), again.image.parameters(), strict=True):
        assert torch.equal(one, other)

    plot_history(history, tmp_path / "loss.png")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("train", "moved"), [(train_text, "text_encoder"), (train_fusion, "fusion_encoder")])
def test_a_later_stage_moves_its_own_encoder_alone(
    data: TrainingSet, tmp_path: Path, train: Callable[..., History], moved: str
) -> None:
    """The image encoder stays as the first stage left it, so embedded pictures stay true."""
    encoders = small_encoders()
    before = {name: [p.clone() for p in part.parameters()] for name, part in encoders.parts().items()}
    pictures = embed_pictures(encoders, data, SETTINGS)
    history = train(encoders, data, pictures, SETTINGS, tmp_path)
    assert all(points[-1][0] == 20 for points in history.values())
    for name, part in encoders.parts().items():
        same = all(torch.equal(old, new) for old, new in zip(before[name], part.parameters(), strict=True))
        assert same == (name != moved)


def test_embedded_pictures_are_views_of_their_spec(data: TrainingSet) -> None:
    """Row i holds the views of the pictures of spec i: nearer to each other than to another spec's."""
    encoders = small_encoders()
    views = embed_pictures(encoders, data, SETTINGS)
    assert views.shape == (len(data.specs), 2 * data.pictures_per_spec, EMBEDDING_DIM)
    centres = torch.nn.functional.normalize(views.mean(dim=1), dim=-1)
    own = (views * centres[:, None]).sum(-1)
    others = views.flatten(0, 1) @ centres.T
    assert own.mean() > others.mean() + 0.5 * others.std()
