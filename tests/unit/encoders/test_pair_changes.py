"""The family `pair`: what its captions say, which changes its photographs make, and how sentences come to mean these."""

import itertools
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from encoders.pair.captions import attribute, said_of
from encoders.pair.checkpoint import load_pair, save_pair
from encoders.pair.data import NONE, Captions, Changes
from encoders.pair.fusion import ChangesDrawn
from encoders.pair.networks import PairEncoders
from encoders.pair.training import Settings, embed_texts
from encoders.pair.wording import train_wording
from tests.unit.encoders.pair_photographs import COLOURS, photograph


def test_captions_say_what_the_catalogue_says() -> None:
    """Title first, the attributes beside the category, other languages where the table has the words, nothing twice."""
    said = said_of(photograph("red", "mug", 1))
    assert said[0] == "red mug no. 1"
    assert {"mug", "red mug", "mug in red", "matt mug"} <= set(said)
    assert len(said) == len(set(said))
    shirt = replace(
        photograph("red", "mug"), attributes={"category": "Shirts", "colour": "Red", "gender": "Men"}
    )
    assert {"men's red shirts", "camisa roja"} <= set(said_of(shirt))
    people = replace(photograph("red", "mug"), title="", attributes={"label": "outwear"})
    assert attribute(people, "category") == "jacket"
    assert said_of(replace(people, attributes={})) == []


def test_changes_join_pictures_that_differ_in_one_attribute(encoders: PairEncoders) -> None:
    """Every pair of one shape in two colours is a change of the colour, and the other way round."""
    photographs = [photograph(colour, shape) for colour in ("red", "blue") for shape in ("mug", "bowl")]
    changes = Changes.of(photographs, encoders.text.tower)
    names = {number: text for text, number in changes.texts.numbers.items()}
    asked = {(each.source, each.target, names[each.texts[0]].lower()) for each in changes.all}
    assert changes.kinds.tolist() == [0, 1, 2, 3]
    assert (0, 2, "replace red with blue") in asked
    assert (0, 1, "replace mug with bowl") in asked
    assert len(asked) == 8
    assert {(each.is_of_colour, names[each.new]) for each in changes.all} == {
        (True, "red"),
        (True, "blue"),
        (False, "mug"),
        (False, "bowl"),
    }
    assert [names[number] for number in changes.captions] == ["red mug", "red bowl", "blue mug", "blue bowl"]
    assert [names[number] for number in changes.titles] == [each.title for each in photographs]
    untitled = [replace(each, title="") for each in photographs]
    assert Changes.of(untitled, encoders.text.tower).titles.tolist() == [NONE] * 4


def test_changes_are_asked_for_with_capitals_and_in_other_languages(encoders: PairEncoders) -> None:
    """Values as a catalogue writes them, sentences as they begin, and the table's words for colours in six further languages."""
    photographs = [photograph(colour, "mug") for colour in ("red", "blue", "white")]
    photographs[2] = replace(
        photographs[2], attributes={"category": "mug", "colour": "teal", "glaze": "matt"}
    )
    changes = Changes.of(photographs, encoders.text.tower)
    names = {number: text for text, number in changes.texts.numbers.items()}
    capitals, translated = ({(names[new], names[text]) for new, text in each} for each in changes.other_ways)
    assert {("blue", "replace Red with Blue"), ("teal", "The same in teal")} <= capitals
    assert {
        ("red", "lo mismo en rojo"),
        ("red", "把蓝色换成红色"),
        ("red", "파란색 말고 빨간색"),
    } <= translated
    assert not any("teal" in pair for pair in translated)


def test_changes_are_drawn_in_the_shares_that_are_asked_for(encoders: PairEncoders) -> None:
    """Three in four are of the colour, and all name both values where that is asked; with no colour to change, none is."""
    photographs = [photograph(colour, shape) for colour in ("red", "blue") for shape in ("mug", "bowl")]
    settings = Settings(fusion_colours=0.75, naming_both=1.0)
    changes = Changes.of(photographs, encoders.text.tower)
    names = {number: text for text, number in changes.texts.numbers.items()}
    chosen, texts = ChangesDrawn(changes, settings).of(np.random.default_rng(0), 40)
    assert [each.is_of_colour for each in chosen] == [True] * 30 + [False] * 10
    old_and_new = [{"red", "blue"} if each.is_of_colour else {"mug", "bowl"} for each in chosen]
    assert all(
        values <= set(re.findall(r"\w+", names[text].lower()))
        for values, text in zip(old_and_new, texts, strict=True)
    )
    written = {
        "red": ["is more red", "make it redder"],
        "blue": ["bluer, please"],
        "pink": ["is pink"],
        "green": [],
    }
    changes = Changes.of(photographs, encoders.text.tower, written)
    names = {number: text for text, number in changes.texts.numbers.items()}
    assert "is pink" not in changes.texts.numbers
    chosen, texts = ChangesDrawn(changes, replace(settings, fusion_written=1.0)).of(
        np.random.default_rng(0), 40
    )
    for each, text in zip(chosen[:30], texts[:30], strict=True):
        assert names[text] in written[names[each.new]]
    assert {"mug", "bowl"} <= set(re.findall(r"\w+", names[texts[-1]].lower()))
    one_colour = Changes.of(photographs[:2], encoders.text.tower)
    chosen, texts = ChangesDrawn(one_colour, settings).of(np.random.default_rng(0), 5)
    assert not any(each.is_of_colour for each in chosen)
    assert len(texts) == 5


@pytest.mark.slow
def test_sentences_come_to_mean_the_new_value(encoders: PairEncoders, tmp_path: Path) -> None:
    """After the stage either order of the same words is nearest to its own new value; captions stay where they were."""
    photographs = [photograph(colour, "mug") for colour in COLOURS]
    changes = Changes.of(photographs, encoders.text.tower)
    captions = Captions.of(photographs, encoders.text.tower)
    before = embed_texts(encoders.text, captions.texts.features)
    colours = embed_texts(encoders.text, changes.texts.features[changes.texts.rows(list(COLOURS))])
    settings = Settings(wording_steps=600, wording_rows=96, wording_rate=1e-2)
    made, history = train_wording(encoders, [captions.texts.features], changes, settings, tmp_path)
    losses = [loss for _, loss in history["wording: sentence to new value"]]
    assert losses[-1] < 0.5 * losses[0]
    for wanted, other in itertools.permutations(range(len(COLOURS)), 2):
        old, new = list(COLOURS)[other], list(COLOURS)[wanted]
        (row,) = changes.texts.rows([f"replace {old} with {new}"])
        meant = embed_texts(made.text, changes.texts.features[row : row + 1])
        assert (meant @ colours.T).argmax() == wanted, f"{old} to {new}"
    assert (embed_texts(made.text, captions.texts.features) * before).sum(1).min() > 0.98
    assert torch.equal(embed_texts(encoders.text, captions.texts.features), before)
    none = replace(changes, all=())
    assert train_wording(encoders, [captions.texts.features], none, settings, tmp_path) == (encoders, {})
    save_pair(tmp_path, made, card={})
    again = load_pair(tmp_path).text
    kept = embed_texts(again, changes.texts.features) * embed_texts(made.text, changes.texts.features)
    assert kept.sum(1).min() > 0.999


def test_positives_are_all_texts_that_fit(encoders: PairEncoders) -> None:
    """A caption fits every picture of which it is said, not only the one it was drawn for."""
    captions = Captions.of([photograph("red", "mug", n) for n in range(2)], encoders.text.tower)
    rng = np.random.default_rng(0)
    rows = np.array([0, 1])
    titles = captions.draw(rows, rng, titles=1.0)
    assert captions.positives(rows, titles).tolist() == [[True, False], [False, True]]
    mug = np.array(captions.texts.rows(["red mug"]))
    assert captions.positives(rows, mug).tolist() == [[True], [True]]
