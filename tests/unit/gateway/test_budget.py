"""The adaptive budget, by a clock that the test sets."""

import pytest

from gateway.understanding.budget import FEWEST, WINDOW, WINDOW_S, AdaptiveBudget


class Clock:
    """Time as the test sets it."""

    now = 0.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now


def budget_after(*seconds: float, late: int = 0, floor_s: float = 0.0) -> AdaptiveBudget:
    """Give a budget of at most 150 ms that saw these calls, and then some late ones."""
    budget = AdaptiveBudget(ceiling_s=0.15, floor_s=floor_s, clock=Clock())
    for duration in seconds:
        budget.observe(duration)
    for _ in range(late):
        budget.observe(0.01, late=True)
    return budget


def test_it_is_twice_the_95th_percentile() -> None:
    """Of a hundred calls of 1 to 100 thousandths of 0.5 s, the 95th counts."""
    seconds = [number / 2_000 for number in range(1, 101)]
    assert budget_after(*reversed(seconds)).seconds() == pytest.approx(2 * 0.0475)


def test_it_keeps_its_bounds() -> None:
    """It is never above the setting and never below the floor; where these contradict each other, the setting wins."""
    assert budget_after(*[5.0] * FEWEST).seconds() == 0.15
    assert budget_after(*[0.001] * FEWEST, floor_s=0.05).seconds() == 0.05
    assert budget_after(*[0.001] * FEWEST, floor_s=9.0).seconds() == 0.15


def test_few_calls_prove_nothing() -> None:
    """Until there are enough calls, the whole setting is given."""
    assert budget_after(*[0.001] * (FEWEST - 1)).seconds() == 0.15
    assert budget_after(*[0.001] * FEWEST).seconds() == 0.002


def test_a_budget_that_was_too_small_does_not_keep_itself_small() -> None:
    """As soon as one call in twenty is late, whatever the budget then was, the whole setting is given again."""
    assert budget_after(*[0.001] * WINDOW, late=5).seconds() == 0.002
    assert budget_after(*[0.001] * WINDOW, late=6).seconds() == 0.15


def test_old_calls_are_forgotten() -> None:
    """Calls count for a minute, and the last hundred of them."""
    clock = Clock()
    budget = AdaptiveBudget(ceiling_s=0.15, clock=clock)
    for _ in range(FEWEST):
        budget.observe(0.001)
    clock.now = WINDOW_S
    assert budget.seconds() == 0.002
    clock.now += 0.001
    assert budget.seconds() == 0.15
    for _ in range(WINDOW):
        budget.observe(0.05)
    for _ in range(WINDOW):
        budget.observe(0.002)
    assert budget.seconds() == 0.004
