"""The second protocol: scenes of shapes, texts that change them, and sets without a scene in common."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from encoders.comparison.designs import DESIGNS
from encoders.comparison.features import Features
from encoders.css.compare import Queries, Settings, compare, describe_sets, make_sets
from encoders.css.drawing import draw_scene
from encoders.css.scenes import PLACES, Family, Scene, Thing, describe, is_test
from encoders.css.towers import make_tokenizer

RED = Thing(size="small", colour="red", shape="circle")
BLUE = Thing(size="large", colour="blue", shape="square")


def scene(**things: Thing) -> Scene:
    """Give the scene with these things at places such as `top_left`."""
    named = {place.replace("_", " "): thing for place, thing in things.items()}
    return tuple(named.get(place) for place in PLACES)


@pytest.fixture(scope="module")
def sets() -> tuple[tuple[Family, ...], tuple[Family, ...]]:
    return make_sets(Settings())


def test_the_sets_are_the_committed_ones() -> None:
    """Figures of one commit compare with those of another."""
    sets = describe_sets(Settings())
    assert {name: each["digest"] for name, each in sets.items()} == {
        "train": "be1886ed1bbdeff2",
        "test": "eedf6f765c6005e0",
    }
    assert sets["test"]["queries"] == 3000


def test_no_scene_is_in_both_sets(sets: tuple[tuple[Family, ...], tuple[Family, ...]]) -> None:
    """Neither a source nor an outcome of the test is a picture that training sees."""
    train, test = ({scene for family in part for scene in family.scenes()} for part in sets)
    assert not train & test
    assert not any(map(is_test, train))
    assert all(map(is_test, test))


def test_a_text_says_what_differs(sets: tuple[tuple[Family, ...], tuple[Family, ...]]) -> None:
    """One place changes, and the text names what comes, what goes, or what it becomes, without a second reading."""
    for family in sets[1]:
        for text, outcome in zip(family.texts, family.outcomes, strict=True):
            ((place, old, new),) = (
                (place, old, new)
                for place, old, new in zip(PLACES, family.source, outcome, strict=True)
                if old != new
            )
            kind = text.split()[0]
            if kind == "add":
                assert old is None
                assert text == f"add {new} to {place}"
                continue
            assert old is not None
            named = {f"{place} {old}"} | ({str(old)} if family.source.count(old) == 1 else set())
            value = "" if new is None else f" {new.size}" if new.size != old.size else f" {new.colour}"
            assert text in {f"{kind} {name}{value}" for name in named}
            assert kind == ("make" if new else "remove")


def test_a_shape_is_drawn_at_its_place() -> None:
    """A large blue square fills the middle of its cell, the other cells are empty, and a seed has one picture."""
    pixels = draw_scene(scene(bottom_right=BLUE), 1)
    cells = pixels[5:60].reshape(-1, 64, 3)
    assert pixels[53, 53].argmax() == 2
    assert pixels[53, 53, 2] > 2 * pixels[53, 53, 0]
    assert cells[:35].min() > 150
    np.testing.assert_array_equal(pixels, draw_scene(scene(bottom_right=BLUE), 1))
    assert not np.array_equal(pixels, draw_scene(scene(bottom_right=BLUE), 2))


def test_the_very_scene_is_the_hit_and_the_query_is_left_out() -> None:
    """Who knows the outcome finds it first; the picture itself is never an answer."""
    source, outcome = scene(top_left=RED), scene(top_left=RED, middle_left=BLUE)
    family = Family(source, ("add large blue square to middle left",), (outcome,))
    tokenizer = make_tokenizer([family])
    eye = torch.eye(60)
    queries = Queries(
        features=Features(eye, torch.zeros(60, 1, 1)),
        captions=torch.from_numpy(tokenizer([describe(each) for each in family.scenes()])),
        sources=torch.tensor([0, 0]),
        wanted=torch.tensor([1, 2]),
        token_ids=torch.from_numpy(tokenizer([*family.texts, "remove small red circle"])),
        kinds=("add", "remove"),
    )
    knows = queries.figures(lambda reference, _: eye[[1, 1]] + 2 * reference.pooled)
    assert knows["add"]["R@1"] == 100.0
    assert knows["remove"]["R@1"] == 0.0
    assert knows["mean"]["R@1"] == 50.0


@pytest.mark.slow
def test_a_run_measures_every_design_and_resumes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every design has its recalls with their spread, and a second run trains nothing."""
    settings = Settings(train_families=80, test_families=20, tower_steps=1, steps=2, queries=8, seeds=(1,))
    results, again = (compare(settings, tmp_path) for _ in range(2))
    assert {design.name for design in DESIGNS} <= set(results["designs"])
    assert set(results["designs"]["ours"]["test"]) == {"make", "add", "remove", "mean"}
    assert json.dumps(results) == json.dumps(again)
    assert "css-towers: resumes at step 1" in capsys.readouterr().out
