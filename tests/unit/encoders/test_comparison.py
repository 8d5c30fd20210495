"""Designs are compared on questions that none was trained on, with the same pictures and steps."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from catalogue.grammar import Spec, caption, make_spec
from catalogue.splits import is_held, make_splits
from encoders.batches import TrainingSet, edits_between
from encoders.checkpoint import Encoders, new_encoders
from encoders.comparison.compare import Settings, compare
from encoders.comparison.composers import Composer
from encoders.comparison.designs import DESIGNS, Design
from encoders.comparison.features import Features, frozen_features
from encoders.comparison.measure import Exam, spread
from encoders.comparison.neighbourhoods import KINDS, Protocol, make_protocol, neighbours
from encoders.comparison.reading import read_attributes
from encoders.comparison.training import Budget, Material, train_design
from encoders.labels import encode_specs
from encoders.networks import Sizes
from encoders.vocabulary import sample_texts, train_tokenizer
from vitrine.preprocess import Tokenizer

CHANNELS = 8


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    return make_protocol()


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(train_tokenizer(sample_texts(300, seed=1)).to_str())


@pytest.fixture
def encoders(tokenizer: Tokenizer) -> Encoders:
    torch.manual_seed(1)
    vocabulary = int(tokenizer(["zz"]).max()) + 1200
    return new_encoders(
        Sizes(
            vocabulary=vocabulary, image_widths=(CHANNELS, CHANNELS), image_blocks=(1, 1), text_width=16,
            text_layers=1, text_heads=2, fusion_width=32,
        )
    )  # fmt: skip


def test_the_questions_are_the_committed_ones(protocol: Protocol) -> None:
    """Figures of one commit compare with those of another: the sets that they rest on have not changed."""
    assert (protocol.validation.digest(), len(protocol.validation.questions)) == ("ede8eb6d74559525", 873)
    assert (protocol.test.digest(), len(protocol.test.gallery)) == ("645195dfae83fd3e", 21531)


def test_what_is_asked_for_is_in_no_other_set(protocol: Protocol) -> None:
    """No wanted product was trained on, none is asked for in both sets, and only `unseen` ones are held out."""
    splits = make_splits()
    known = {spec for split in (splits.train, splits.iid, splits.ood) for spec in split.specs()}
    asked = [
        {question.wanted[0] for question in part.questions if question.kind != "relative"}
        for part in (protocol.validation, protocol.test)
    ]
    assert not known & (asked[0] | asked[1])
    assert not asked[0] & asked[1]
    for question in protocol.test.questions:
        if question.kind != "relative":
            assert is_held(question.wanted[0]) == question.unseen
    assert not any(question.unseen for question in protocol.validation.questions)


def test_the_gallery_holds_every_distractor(protocol: Protocol) -> None:
    """Whatever is one word from a wanted product is in the gallery, once."""
    gallery = set(protocol.test.gallery)
    assert len(gallery) == len(protocol.test.gallery)
    for question in protocol.test.questions[::50]:
        assert gallery.issuperset(question.wanted)
        if question.kind != "relative":
            assert gallery.issuperset(neighbours(question.wanted[0]))


def test_neighbours_are_one_change_away() -> None:
    """A dress has 14 other colours that are not its accent's, as many accents, and its other values."""
    dress = make_spec(
        "dress",
        colour="red",
        pattern="plain",
        sleeve="sleeveless",
        neck="v-neck",
        length="midi",
        accent="blue",
    )
    found = neighbours(dress)
    assert len(set(found)) == 14 + 4 + 2 + 3 + 2 + 14
    assert all(len(edits_between(dress, other)) == 1 for other in found)


def test_a_question_says_what_differs(protocol: Protocol) -> None:
    """One change, two changes, and of a relative change everything on the side that the text names."""
    for question in protocol.test.questions:
        changes = [edits_between(question.reference, wanted) for wanted in question.wanted]
        assert {len(edits) for edits in changes} == {2 if question.kind == "two_changes" else 1}
        if question.kind == "one_change":
            assert question.text == f"replace {changes[0][0].old} with {changes[0][0].new}"
    midi = [
        question
        for question in protocol.test.questions
        if question.kind == "relative" and "mini" in caption(question.reference) and "longer" in question.text
    ]
    wanted = {
        tuple(spec["length"] for spec in question.wanted) for question in midi if len(question.wanted) > 1
    }
    assert ("midi", "maxi") in wanted


def test_recall_counts_any_right_answer(tokenizer: Tokenizer) -> None:
    """Embeddings that know the caption find all; the reference's own find nothing first, but it soon after."""
    part = make_protocol(validation_centres=4, test_centres=2).validation
    place = {spec: row for row, spec in enumerate(dict.fromkeys([*part.gallery, *part.references()]))}
    eye = torch.eye(len(place))
    rows = [place[spec] for spec, _ in part.pictures()]
    exam = Exam.prepare(part, Features(eye[rows], torch.zeros(len(rows), 1, 1)), tokenizer)
    answers = iter(eye[[place[question.wanted[-1]] for question in part.questions]])
    right = exam.find(lambda reference, _: torch.stack([next(answers) for _ in reference.pooled]))
    assert exam.figures(right)["mean"] == {"R@1": 100.0, "R@10": 100.0, "R@50": 100.0}
    wrong = exam.figures(exam.find(lambda reference, _: reference.pooled))
    assert wrong["one_change_iid"]["R@1"] == 0.0
    assert exam.confusions(right) == {}
    one_slot = exam.confusions(exam.find(lambda reference, _: reference.pooled))
    assert sum(one_slot.values()) > 100
    assert {name.rsplit("_", 1)[0] for name in wrong if name != "mean"} == set(KINDS)


@pytest.mark.slow
def test_what_an_embedding_holds_is_read(encoders: Encoders, tokenizer: Tokenizer) -> None:
    """Where embeddings say the category and the colour alone, those are read and the rest is guessed."""
    part = make_protocol(validation_centres=4, test_centres=2).validation
    data = TrainingSet.of_split(
        make_splits(train_clusters=60, test_clusters=1, seen_clusters=1).train,
        np.zeros((480, 1, 1, 3), np.uint8),
        tokenizer,
    )
    material = Material.prepare(data, _say_colours(spec for spec in data.specs for _ in range(2)), encoders)
    exam = Exam.prepare(part, _say_colours(spec for spec, _ in part.pictures()), tokenizer)
    read = read_attributes(material, exam)
    assert read["category"] == 100.0
    assert read["colour"] > 95
    assert read["accent"] < 30
    assert read["every slot"] <= read["accent"]


def _say_colours(specs: Iterable[Spec]) -> Features:
    labels = encode_specs(list(specs))[:, :2]
    pooled = torch.from_numpy(np.concatenate([np.eye(128)[column] for column in labels.T], axis=1)).float()
    return Features(functional.normalize(pooled, dim=-1), torch.zeros(len(labels), 1, 1))


def test_spread_is_over_the_runs() -> None:
    """Mean, lowest and highest of each figure."""
    runs = [{"mean": {"R@1": value}} for value in (50.0, 53.0, 56.0)]
    assert spread(runs) == {"mean": {"R@1": [53.0, 50.0, 56.0]}}


def test_features_are_what_the_tower_gives(encoders: Encoders, tmp_path: Path) -> None:
    """The embedding is the image encoder's, the map is what it pools, and a second call reads the same."""
    pixels = np.random.default_rng(1).integers(0, 255, (3, 64, 64, 3), np.uint8)
    encoders.image.eval()
    first, second = (
        frozen_features(encoders.image, pixels, lambda picture: picture, name="x", cache=tmp_path)
        for _ in range(2)
    )
    with torch.inference_mode():
        wanted = encoders.image(torch.from_numpy(pixels))
    assert functional.cosine_similarity(first.pooled, wanted).min() > 0.999
    assert first.maps.shape == (3, 8 * 8, CHANNELS)
    assert torch.equal(first.maps, second.maps)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.name)
def test_every_design_trains_and_resumes(
    design: Design, encoders: Encoders, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    """A finished run is read again rather than trained, and gives unit vectors whatever the padding."""
    material = _material(encoders, tokenizer)
    budget = Budget(steps=2, clusters=2)
    trained, again = (
        train_design(design, encoders, material, budget, seed=1, work=tmp_path) for _ in range(2)
    )
    reference = Features(material.features.pooled[:3], material.features.maps[:3])
    token_ids = torch.from_numpy(tokenizer(["make it red", "replace blue with navy", ""]))
    with torch.inference_mode():
        composed = trained(reference, token_ids)
        assert composed.norm(dim=-1).tolist() == pytest.approx([1, 1, 1], abs=1e-5)
        assert torch.equal(again(reference, token_ids), composed)
        torch.testing.assert_close(trained(reference, token_ids[:, :16]), composed, atol=1e-5, rtol=0)
    assert all(composer_is_tuned(trained, other) for other in design.composers(encoders))


def composer_is_tuned(trained: Composer, fresh: Composer) -> bool:
    """Whether training has moved any weight away from where this one starts."""
    start = fresh.state_dict()
    return any(
        not torch.equal(value, start.get(key, value + 1)) for key, value in trained.state_dict().items()
    )


def _material(encoders: Encoders, tokenizer: Tokenizer) -> Material:
    split = make_splits(train_clusters=4, test_clusters=1, seen_clusters=1).train
    pictures = np.zeros((32, 1, 1, 3), np.uint8)
    data = TrainingSet.of_split(split, pictures, tokenizer)
    generator = torch.Generator().manual_seed(1)
    pooled = functional.normalize(torch.randn(64, 256, generator=generator), dim=-1)
    return Material.prepare(
        data, Features(pooled, torch.randn(64, 64, CHANNELS, generator=generator).half()), encoders
    )


@pytest.mark.slow
def test_a_comparison_leaves_figures_and_a_sheet(tmp_path: Path) -> None:
    """Every design has its recalls with their spread, and the failures are drawn."""
    results = compare(
        Path("encoders/weights/small"),
        tmp_path,
        Settings(seeds=(1, 2), views=1, budget=Budget(steps=2, clusters=2)),
        split=make_splits(train_clusters=3, test_clusters=1, seen_clusters=1).train,
        protocol=make_protocol(validation_centres=2, test_centres=2),
        sheet=tmp_path / "sheet.jpg",
    )
    designs = results["designs"]
    assert list(designs)[:3] == ["image_only", "text_only", "sum"]
    assert {design.name for design in DESIGNS} <= set(designs)
    assert designs["ours"]["runs"] == 2
    mean, low, high = designs["ours"]["test"]["mean"]["R@10"]
    assert 0 <= low <= mean <= high <= 100
    assert designs["served"]["test"]["mean"]["R@10"][0] > designs["image_only"]["test"]["mean"]["R@10"][0]
    chosen, image = (
        sum(mean for mean, _, _ in designs[name]["validation"]["mean"].values())
        for name in ("sum", "image_only")
    )
    assert chosen >= image
    assert set(results["confusions"]) == {"served", "oracle_caption"}
    assert all(0 <= share <= 100 for share in results["read"].values())
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.width > 1000
