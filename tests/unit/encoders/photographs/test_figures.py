"""Figures against values that were computed by hand."""

import numpy as np
import pytest

from encoders.photographs.figures import (
    NO_LABEL,
    chance_recalls,
    labels_of,
    looked_up,
    nearest,
    normalised,
    percent,
    precisions,
    recalls,
    tied_recalls,
)


def test_the_standard_error_of_independent_queries_is_the_usual_one() -> None:
    """Four queries, half of them right: sqrt(.25 / 3)."""
    assert percent(np.array([1.0, 0.0, 1.0, 0.0]), np.arange(4)) == [50.0, 28.87]


def test_queries_of_one_product_are_one_trial() -> None:
    """Two products, all right and all wrong: sqrt(2 (1 + 1)) / 4 = .5; where each is half right, nothing varies."""
    assert percent(np.array([True, True, False, False]), np.array([0, 0, 1, 1])) == [50.0, 50.0]
    assert percent(np.array([True, False, True, False]), np.array([0, 0, 1, 1])) == [50.0, 0.0]
    assert percent(np.array([True, False]), np.array([3, 3])) == [50.0, None]


def test_recall_counts_a_hit_anywhere_in_the_cut() -> None:
    hits = np.array([[False, True], [True, False], [False, False], [False, True]])
    found = recalls(hits, np.arange(4))
    assert {cut: figure[0] for cut, figure in found.items()} == {"R@1": 25.0, "R@10": 75.0, "R@50": 75.0}


def test_chance_is_that_of_drawing_without_putting_back() -> None:
    """Two of 100 fit: 1 - 98/100; 1 - (90 x 89)/(100 x 99); 1 - (50 x 49)/(100 x 99)."""
    found = chance_recalls(np.array([2, 2]), 100, np.arange(2))
    assert {cut: figure[0] for cut, figure in found.items()} == {"R@1": 2.0, "R@10": 19.09, "R@50": 75.25}
    assert chance_recalls(np.array([1, 1]), 4, np.arange(2))["R@10"][0] == 100.0


def test_ties_are_broken_by_chance() -> None:
    """Of three that agree equally one is right; then of two below a better one that is wrong."""
    found = tied_recalls(
        np.array([[1, 1, 1, 0], [2, 1, 1, 0]]),
        np.array([[True, False, False, False], [False, True, False, False]]),
        np.arange(2),
    )
    assert found["R@1"][0] == pytest.approx(100 * (1 / 3 + 0) / 2, abs=0.01)
    assert found["R@10"][0] == 100.0


def test_graded_gain() -> None:
    """Found: both, wrong, article, both; there are two of both and one of the article alone.

    Gained 2 + 1/log2(4) + 2/log2(5) = 3.3614 of 2 + 2/log2(3) + 1/log2(4) = 3.7619.
    """
    found = precisions(np.array([[2, 0, 1, 2]]), np.array([[2, 1]]), np.array([0]))
    assert found == {"P@1": [100.0, None], "P@10": [100.0, None], "nDCG@10": [89.35, None]}


def test_precision_at_ten_can_be_reached_where_fewer_fit() -> None:
    """Three fit, two of them are among the first ten."""
    grades = np.array([[0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1]])
    assert precisions(grades, np.array([[3]]), np.array([0]))["P@10"] == [66.67, None]


def test_nearest_leaves_out_what_is_banned_and_what_is_not_allowed() -> None:
    gallery = normalised(np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [1.0, 0.0]]))
    queries = gallery[:1]
    assert nearest(queries, gallery).tolist() == [[0, 3, 1, 2]]  # ties keep the order
    groups = np.array([0, 1, 2, 0])
    assert nearest(queries, gallery, banned=(groups[:1], groups)).tolist() == [[1, 2, NO_LABEL, NO_LABEL]]
    kinds = np.array([0, 1, 0, 1])
    assert nearest(queries, gallery, allowed=(kinds[:1], kinds), count=3).tolist() == [[0, 2, NO_LABEL]]


def test_labels_are_equal_for_equal_values_and_none_for_nothing() -> None:
    labels = labels_of(["a", None, "b", "a"])
    assert labels.tolist() == [0, NO_LABEL, 1, 0]
    assert looked_up(labels, np.array([[3, NO_LABEL], [2, 0]])).tolist() == [[0, NO_LABEL], [1, 0]]
