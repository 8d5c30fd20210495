"""Each protocol on a handful of photographs, against figures that were counted by hand."""

import numpy as np
import pytest

from encoders.photographs import searches
from encoders.photographs.classes import customers_photos, groceries
from encoders.photographs.composed import SENTENCE, SERVED, WORD, choose_weights, composed, make_queries
from encoders.photographs.gallery import TOWER_ALONE, Gallery, make_gallery, pick_failures
from encoders.photographs.products import DataError
from encoders.photographs.searches import languages, picture_to_similar, title_to_picture, words_to_products
from tests.unit.encoders.photographs.conftest import Known, Make, solid


def _first(figures: dict, name: str) -> float:
    return figures[name][0]


def test_a_title_finds_any_photograph_of_its_title_or_group(make: Make) -> None:
    """The title Mug finds a second photograph of its own title first, Cup one of its group, Jug another's."""
    gallery = make_gallery(
        [
            make("a", title="Mug", group="g1"),
            make("b", title="Mug", group="g2"),
            make("c", title="Cup", group="g3"),
            make("d", title="Cup 2", group="g3"),
            make("e", title="Jug"),
        ],
        embedder := Known(
            {b"a": [0, 0, 1], b"b": [1, 0, 0], b"c": [0, 0, 1], b"d": [0, 1, 0], b"e": [-1, -1, -1]},
            {"Mug": [1, 0.1, 0], "Cup": [0, 1, 0], "Cup 2": [0, 1, 0.1], "Jug": [0, 1, 0]},
        ),
    )
    outcome = title_to_picture(gallery, embedder)
    assert outcome.ways["encoders"]["queries"] == 4
    assert _first(outcome.ways["encoders"], "R@1") == 75.0
    assert _first(outcome.ways["chance"], "R@1") == round(100 * (2 + 2 + 2 + 1) / 4 / 5, 2)
    assert [failure.asked for failure in outcome.failures] == ["Jug"]
    assert outcome.failures[0].wanted == b"e"


def test_the_oracle_of_titles_knows_the_attributes(make: Make) -> None:
    """Two photographs agree with the first in every attribute: its own comes first by even chance."""
    photographs = [
        make("a", title="A", colour="red", category="Mugs"),
        make("b", title="B", colour="red", category="Mugs"),
        make("c", title="C", colour="blue", category="Mugs"),
    ]
    embedder = Known({name: [1.0] for name in (b"a", b"b", b"c")})
    outcome = title_to_picture(make_gallery(photographs, embedder), embedder)
    assert _first(outcome.ways["oracle: attributes known, ties by lot"], "R@1") == round(
        100 * (0.5 + 0.5 + 1) / 3, 2
    )


def _coloured(make: Make) -> list:
    return [
        *(make(f"r{n}", title="red mug", colour="Red", category="Mugs") for n in range(5)),
        *(make(f"b{n}", title="mug", colour="Blue", category="Mugs") for n in range(2)),
        make("p", title="plate", colour="Red", category="Plates"),
    ]


def test_attribute_words_are_graded(make: Make) -> None:
    """Only "red mugs" fits five; found are a blue mug, four red ones, the plate, a red and a blue mug."""
    angles = {"b0": 0, "r0": 1, "r1": 2, "r2": 3, "r3": 4, "p": 5, "r4": 6, "b1": 7}
    pictures = {
        name.encode(): [np.cos(np.radians(angle)), np.sin(np.radians(angle))]
        for name, angle in angles.items()
    }
    embedder = Known(pictures, {"red mugs": [1, 0]})
    outcome = words_to_products(make_gallery(_coloured(make), embedder), embedder)
    measured = outcome.ways["encoders, by picture"]
    gains = np.array([1, 2, 2, 2, 2, 0, 2, 1]) / np.log2(np.arange(8) + 2)
    ideal = np.array([2, 2, 2, 2, 2, 1, 1, 0]) / np.log2(np.arange(8) + 2)
    assert measured["queries"] == 1
    assert (_first(measured, "P@1"), _first(measured, "P@10")) == (0.0, 100.0)
    assert _first(measured, "nDCG@10") == round(100 * gains.sum() / ideal.sum(), 2)
    assert _first(measured, "other article@10") == 12.5
    assert _first(outcome.ways["words that titles share"], "P@1") == 100.0
    assert _first(outcome.ways["chance"], "P@1") == 62.5


def test_a_picture_finds_the_article_and_colour_of_other_groups(make: Make) -> None:
    """Near-duplicates are left out, and a photograph whose like is nowhere else is not asked."""
    photographs = [
        make("a", group="g", colour="Red", category="Mugs", picture=solid("red")),
        make("b", group="g", colour="Red", category="Mugs", picture=solid((250, 0, 0))),
        make("c", colour="Red", category="Mugs", picture=solid((240, 0, 0))),
        make("d", colour="Blue", category="Mugs", picture=solid("blue")),
    ]
    vectors = ([1, 0], [1, 0.01], [0, 1], [1, 0.02])
    embedder = Known(dict(zip((each.picture for each in photographs), vectors, strict=True)))
    outcome = picture_to_similar(make_gallery(photographs, embedder))
    assert outcome.ways["encoders"]["queries"] == 3
    # a and b find d first, c finds d too.
    assert _first(outcome.ways["encoders"], "P@1") == 0.0
    assert _first(outcome.ways["8 x 8 pixels"], "P@1") == 100.0
    assert _first(outcome.ways["encoders"], "article@10") > 0


def test_a_query_of_each_language_has_its_figures(make: Make) -> None:
    photographs = [
        make(f"h{n}", title="bag", colour="Black", category="Handbags", gender="Women") for n in range(5)
    ]
    embedder = Known(
        {each.picture: [1.0, 0.0] for each in photographs[:4]} | {photographs[4].picture: [0.0, 1.0]},
        {"black handbag": [1, 0], "bolso negro": [0, 1], "黑色手提包": [1, 0]},
    )
    found = languages(make_gallery(photographs, embedder), embedder)
    assert list(found) == ["words", "sentence", "audience", "other words"]
    assert list(found["other words"].ways) == ["en", "es", "zh", "ko"]
    assert set(found["words"].ways) == {"en", "es", "zh", "ko", "de", "fr", "ja"}
    assert found["words"].ways["es"]["share of English P@10"] == [100.0, None]
    assert "black handbag for women" in found["audience"].asked


def _shirts(make: Make) -> tuple[Gallery, Known]:
    """Three colours of a shirt, and one hat; the last number says which it is."""
    photographs = [
        make(name, category=category, colour=colour, gender="Men")
        for name, category, colour in (
            ("k", "Shirts", "Black"),
            ("r", "Shirts", "Red"),
            ("b", "Shirts", "Blue"),
            ("h", "Hat", "Red"),
        )
    ]
    vectors = {b"k": [1, 0, 0, 1], b"r": [0, 1, 0, 1], b"b": [0, 0, 1, 1], b"h": [0, 1, 0, -1]}
    words = {
        "black": [1, 0, 0, 0],
        "red": [0, 1, 0, 0],
        "blue": [0, 0, 1, 0],
        "red shirts for men": [0, 1, 0, 1],
    }
    embedder = Known(vectors, words)
    return make_gallery(photographs, embedder), embedder


def test_composed_queries_are_every_other_colour_of_the_article(make: Make) -> None:
    """The hat comes in one colour, so nothing is asked of it."""
    gallery, _ = _shirts(make)
    queries = make_queries(gallery)
    assert queries.sources.tolist() == [0, 0, 1, 1, 2, 2]
    assert queries.texts(SENTENCE)[:2] == ["replace black with blue", "replace black with red"]
    assert queries.texts(WORD)[:2] == ["blue", "red"]
    assert queries.captions[1] == "red shirts for men"
    assert queries.labels[queries.wanted].tolist() != queries.labels[queries.sources].tolist()


def test_composed_search_beside_its_baselines(make: Make) -> None:
    """The fusion finds all; the picture alone finds the first of two; the word alone cannot tell shirt from hat."""
    gallery, embedder = _shirts(make)
    outcome = composed(gallery, embedder, {SENTENCE: 0.5, WORD: 0.5, f"{WORD}, {SERVED}": 0.5})
    ways = outcome.ways
    assert {figures["queries"] for figures in ways.values()} == {6}
    assert _first(ways["fusion"], "R@1") == 100.0
    # By the picture alone the other shirts tie, in the gallery's order: k finds r, r finds k, b finds k.
    assert _first(ways["picture alone"], "R@1") == 50.0
    assert _first(ways["sum with the new word"], "R@1") == 100.0
    assert _first(ways["chance"], "R@1") == round(100 / 3, 2)
    assert _first(ways["fusion"], "other article@5") == round(100 / 3, 2)
    assert _first(ways["fusion, among photographs of the same article"], "other article@5") == 0.0
    assert outcome.failures == ()


def test_composed_search_by_picture_and_title_asks_both_halves(make: Make) -> None:
    """All pictures are alike; the titles tell red from blue, and the two halves together are right for every query."""
    photographs = [
        make(name, title=f"{name} shirt", category="Shirts", colour=name) for name in ("Red", "Blue", "Black")
    ]
    pictures = {b"Red": [0, 0, 0, 1], b"Blue": [0, 0.1, 0, 1], b"Black": [0, 0.1, 0, 1]}
    words = {"Red shirt": [1, 0, 0, 0], "Blue shirt": [0, 1, 0, 0], "Black shirt": [0, 0, 1, 0]}
    words |= {"red": [1, 0, 0, 0], "blue": [0, 1, 0, 0], "black": [0, 0, 1, 0]}
    embedder = Known(pictures, words)
    gallery = make_gallery(photographs, embedder)
    ways = composed(gallery, embedder, choose_weights(gallery, embedder)).ways
    assert _first(ways["fusion"], "R@1") < 100.0
    for way in ("fusion", "sum with the new word, its weight chosen on val"):
        assert _first(ways[f"{way}, {SERVED}"], "R@1") == 100.0
    assert _first(ways[f"fusion, {SERVED}, among photographs of the same article"], "R@1") == 100.0


def test_a_weight_is_chosen_by_what_it_finds(make: Make) -> None:
    """With the word, .5 of the picture find all; with the fake's sentences, which are zero, no weight helps."""
    gallery, embedder = _shirts(make)
    chosen = choose_weights(gallery, embedder)
    pictures = composed(gallery, embedder, chosen).ways
    assert _first(pictures["sum with the new word, its weight chosen on val"], "R@1") == 100.0
    assert chosen[SENTENCE] == 0.05  # the first of equals
    assert _first(pictures["sum with the sentence, its weight chosen on val"], "R@1") == 50.0


def test_one_colour_is_nothing_to_replace(make: Make) -> None:
    embedder = Known({b"a": [1.0], b"b": [1.0]})
    gallery = make_gallery(
        [make("a", category="Hat", colour="Red"), make("b", category="Mug", colour="Blue")], embedder
    )
    with pytest.raises(DataError, match="no article comes in two colours"):
        make_queries(gallery)


def _customers(make: Make) -> tuple[dict[str, Gallery], Known]:
    shown = {
        "train": [
            ("red", "hat"),
            ("darkred", "hat"),
            ("blue", "skirt"),
            ("navy", "skirt"),
            ("teal", "skirt"),
        ],
        "val": [("salmon", "hat"), ("skyblue", "skirt")],
        "test": [("crimson", "hat"), ("royalblue", "skirt"), ("orchid", "hat")],
    }
    vectors = {"orchid": [0.2, 1.0]}
    pictures = {}
    galleries = {}
    for rows in shown.values():
        for colour, label in rows:
            pictures[solid(colour)] = vectors.get(colour, [1.0, 0.0] if label == "hat" else [0.0, 1.0])
    embedder = Known(pictures, {"hat": [0, 1], "skirt": [0, -1]})
    for split, rows in shown.items():
        galleries[split] = make_gallery(
            [make(colour, label=label, picture=solid(colour)) for colour, label in rows], embedder
        )
    return galleries, embedder


def test_customers_photographs_are_named(make: Make) -> None:
    """By words all are hats but that both words miss the first; by prototypes the orchid one is taken for a skirt."""
    galleries, embedder = _customers(make)
    outcome = customers_photos(**galleries, embedder=embedder)
    right = {name: _first(figures, "right") for name, figures in outcome.ways.items()}
    assert right["the most frequent class"] == 33.33
    assert right["by words"] == 66.67
    assert right["nearest prototype, labels seen"] == 66.67
    assert _first(outcome.ways["nearest prototype, labels seen"], "worst class") == 50.0
    assert {failure.asked for failure in outcome.failures} == {"skirt is taken for: hat"}


def test_photographs_of_one_class_are_refused(make: Make) -> None:
    embedder = Known({b"a": [1.0]})
    gallery = make_gallery([make("a", label="hat")], embedder)
    with pytest.raises(DataError, match="1 class in their column `label`; naming it needs two or more"):
        customers_photos(gallery, gallery, gallery, embedder)


def test_groceries_are_found_by_picture_by_words_and_by_both(make: Make) -> None:
    """The pear's photograph looks like the apple, and its title is right."""
    products = [
        make("a", title="Apple", fine="Apple", coarse="Fruit", picture=solid("red")),
        make("p", title="Pear", fine="Pear", coarse="Fruit", picture=solid("green")),
        make("m", title="Milk", fine="Milk", coarse="Dairy", picture=solid("white")),
    ]
    photos = [
        make("1", fine="Apple", coarse="Fruit", picture=solid("tomato")),
        make("2", fine="Pear", coarse="Fruit", picture=solid("lime")),
    ]
    embedder = Known(
        {
            solid("red"): [1, 0, 0],
            solid("green"): [0, 1, 0],
            solid("white"): [0, 0, 1],
            solid("tomato"): [1, 0.2, 0],
            solid("lime"): [1, 0.9, 0],
        },
        {"Apple": [1, -1, 0], "Pear": [0, 1, 0], "Milk": [0, 0, 1]},
    )
    sold, shown = make_gallery(products, embedder), make_gallery(photos, embedder)
    outcome = groceries(sold, shown, shown, embedder)
    top = {name: _first(figures, "fine top 1") for name, figures in outcome.ways.items()}
    assert top["by the products' pictures"] == 50.0
    assert top["by title"] == 100.0
    assert top["by picture and title"] == 100.0
    assert top["oracle: nearest prototype, labels seen"] == 100.0
    assert top["chance"] == 33.33
    assert _first(outcome.ways["by the products' pictures"], "coarse top 1") == 100.0
    assert TOWER_ALONE not in top
    embedder.seen = embedder.pictures | {solid("lime"): [0, 1, 0]}
    sold, shown = (make_gallery(each, embedder, features=True) for each in (products, photos))
    alone = groceries(sold, shown, shown, embedder).ways[TOWER_ALONE]
    assert _first(alone, "fine top 1") == 100.0


def test_of_too_many_queries_some_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same ones every time, in their order."""
    monkeypatch.setattr(searches, "MOST_QUERIES", 3)
    rows = np.arange(100, 110)
    drawn = searches.drawn(rows)
    assert len(drawn) == 3
    assert drawn.tolist() == sorted(drawn.tolist()) == searches.drawn(rows).tolist()
    assert searches.drawn(rows[:3]).tolist() == [100, 101, 102]


def test_failures_are_drawn_by_the_same_lot(make: Make) -> None:
    embedder = Known({str(n).encode(): [1.0] for n in range(40)})
    gallery = make_gallery([make(str(n), title=f"t{n}") for n in range(40)], embedder)
    found = np.tile(np.arange(5), (40, 1))
    hits = np.zeros((40, 5), dtype=bool)
    first, second = (pick_failures([f"q{n}" for n in range(40)], found, hits, gallery) for _ in range(2))
    assert first == second
    assert len(first) == 12
    assert first[0].found[0] == (b"0", "t0", False)
