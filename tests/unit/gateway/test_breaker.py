"""The circuit breaker."""

import pytest

from gateway.understanding.breaker import BreakerOpen, BreakerState, CircuitBreaker


class DependencyFailedError(Exception):
    """What the dependency raises."""


class Clock:
    """Time as the test sets it."""

    now = 0.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now


def fail(breaker: CircuitBreaker) -> None:
    with pytest.raises(DependencyFailedError), breaker.attempt(DependencyFailedError):
        raise DependencyFailedError


def test_opens_after_failures_in_a_row_and_closes_after_a_good_trial() -> None:
    """Closed, open, half-open, closed: each at its moment."""
    clock = Clock()
    breaker = CircuitBreaker(failures=2, cooldown_s=1, clock=clock)
    fail(breaker)
    assert breaker.state is BreakerState.CLOSED
    fail(breaker)
    assert breaker.state is BreakerState.OPEN
    with pytest.raises(BreakerOpen), breaker.attempt(DependencyFailedError):
        raise AssertionError("must not be called")
    clock.now = 1.0
    assert breaker.state is BreakerState.HALF_OPEN
    with breaker.attempt(DependencyFailedError):
        assert breaker.state is BreakerState.OPEN, "one trial at a time"
    assert breaker.state is BreakerState.CLOSED


def test_a_failed_trial_opens_it_again() -> None:
    """After a failed trial the cool-down starts anew."""
    clock = Clock()
    breaker = CircuitBreaker(failures=1, cooldown_s=1, clock=clock)
    fail(breaker)
    clock.now = 1.0
    fail(breaker)
    clock.now = 1.9
    assert breaker.state is BreakerState.OPEN
    clock.now = 2.0
    assert breaker.state is BreakerState.HALF_OPEN


def test_success_between_failures_keeps_it_closed() -> None:
    """Only failures in a row count."""
    breaker = CircuitBreaker(failures=2, cooldown_s=1)
    fail(breaker)
    with breaker.attempt(DependencyFailedError):
        pass
    fail(breaker)
    assert breaker.state is BreakerState.CLOSED


def test_other_exceptions_do_not_count() -> None:
    """What is not the dependency's fault leaves the count alone, also in a trial."""
    breaker = CircuitBreaker(failures=1, cooldown_s=0)
    with pytest.raises(ValueError, match="x"), breaker.attempt(DependencyFailedError):
        raise ValueError("x")
    assert breaker.state is BreakerState.CLOSED
    fail(breaker)
    with pytest.raises(ValueError, match="x"), breaker.attempt(DependencyFailedError):
        raise ValueError("x")
    assert breaker.state is BreakerState.HALF_OPEN


def test_a_success_that_began_before_it_opened_leaves_it_open() -> None:
    """What a call found out before the failures came is old news; and it ends nobody's trial."""
    clock = Clock()
    breaker = CircuitBreaker(failures=1, cooldown_s=1, clock=clock)
    early, trial = breaker.attempt(DependencyFailedError), breaker.attempt(DependencyFailedError)
    early.__enter__()
    fail(breaker)
    clock.now = 1.0
    trial.__enter__()
    early.__exit__(None, None, None)
    assert breaker.state is BreakerState.OPEN, "the trial is still under way"
    trial.__exit__(None, None, None)
    assert breaker.state is BreakerState.CLOSED


def test_a_failure_that_began_before_it_opened_does_not_prolong_it() -> None:
    """Calls that were under way when it opened fail later; the cool-down is not begun anew for them."""
    clock = Clock()
    breaker = CircuitBreaker(failures=1, cooldown_s=1, clock=clock)
    early = breaker.attempt(DependencyFailedError)
    early.__enter__()
    fail(breaker)
    clock.now = 0.9
    assert not early.__exit__(DependencyFailedError, DependencyFailedError(), None)
    clock.now = 1.0
    assert breaker.state is BreakerState.HALF_OPEN
