"""Quotas: how much one caller may ask for, and when it may come back."""

import contextlib

import pytest

from gateway.callers import LOCAL, Caller, Quotas, Scope
from gateway.edge.quotas import QuotaKeeper
from gateway.errors import QuotaExceeded
from gateway.metrics import Metrics

NONE = Quotas()


class Clock:
    """Time that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        """Return it."""
        return self.now


def caller(name: str = "shop", **quotas: float) -> Caller:
    return Caller(name=name, scopes=frozenset(Scope), quotas=Quotas(**quotas))


def ask(keeper: QuotaKeeper, who: Caller, *, ingest: bool = False) -> None:
    with keeper.held(who, ingest=ingest):
        pass


def refusal(keeper: QuotaKeeper, who: Caller, *, ingest: bool = False) -> QuotaExceeded:
    with pytest.raises(QuotaExceeded) as refused:
        ask(keeper, who, ingest=ingest)
    return refused.value


def test_a_second_holds_as_many_requests_as_the_quota_and_no_more() -> None:
    """The bucket of a second is there at once; then one comes back after its share of a second, which the refusal says."""
    clock, metrics = Clock(), Metrics()
    keeper, shop = QuotaKeeper(NONE, metrics, clock=clock), caller(requests_per_s=4)
    for _ in range(4):
        ask(keeper, shop)
    refused = refusal(keeper, shop)
    assert str(refused) == "shop: at most 4 requests a second"
    assert refused.retry_after_s == pytest.approx(0.25)
    clock.now += refused.retry_after_s
    ask(keeper, shop)
    clock.now += 3_600
    for _ in range(4):
        ask(keeper, shop)
    refusal(keeper, shop)
    labels = {"caller": "shop", "quota": "requests_per_s"}
    assert metrics.registry.get_sample_value("vitrine_gateway_quota_refusals_total", labels) == 2


def test_less_than_one_a_second_is_a_quota_too() -> None:
    """One request in ten seconds: the second one is told to wait for ten."""
    clock = Clock()
    keeper, shop = QuotaKeeper(NONE, Metrics(), clock=clock), caller(requests_per_s=0.1)
    ask(keeper, shop)
    assert refusal(keeper, shop).retry_after_s == pytest.approx(10.0)


def test_calls_at_once_are_counted_until_they_end_however_they_end() -> None:
    """One more than the quota is refused and told to wait about as long as a call takes; an ended one makes room."""
    clock = Clock()
    keeper, shop = QuotaKeeper(NONE, Metrics(), clock=clock), caller(concurrent=2)

    def failing_call() -> QuotaExceeded:
        with contextlib.suppress(ZeroDivisionError), keeper.held(shop, ingest=False):
            clock.now += 2
            refused = refusal(keeper, shop)
            raise ZeroDivisionError
        return refused

    with keeper.held(shop, ingest=False):
        refused = failing_call()
        ask(keeper, shop)
        assert str(refused) == "shop: at most 2 calls at once"
        assert 0.05 <= refused.retry_after_s < 5
        with keeper.held(shop, ingest=False):
            assert refusal(keeper, shop).retry_after_s > refused.retry_after_s


def test_streams_of_products_have_a_quota_of_their_own() -> None:
    """A caller's streams are refused beyond it, its other calls are not, and another caller's streams are not."""
    keeper = QuotaKeeper(Quotas(ingest_streams=2, concurrent=1), Metrics())
    shop, other = caller(), caller("other")
    with keeper.held(shop, ingest=True), keeper.held(shop, ingest=True):
        assert refusal(keeper, shop, ingest=True).retry_after_s == 5.0
        ask(keeper, shop)
        ask(keeper, other, ingest=True)
    ask(keeper, shop, ingest=True)


def test_a_callers_own_quota_goes_before_the_default_and_0_is_none() -> None:
    """The file may give a caller more than the settings give everybody, less, or no bound."""
    keeper = QuotaKeeper(Quotas(concurrent=1), Metrics())
    free, usual = caller("free", concurrent=0), caller("usual")
    with keeper.held(free, ingest=False), keeper.held(free, ingest=False), keeper.held(usual, ingest=False):
        refusal(keeper, usual)


def test_where_nobody_is_asked_nobody_has_a_quota() -> None:
    """Callers that cannot be told apart share none."""
    keeper = QuotaKeeper(Quotas(concurrent=1, ingest_streams=1, requests_per_s=0.001), Metrics())
    with keeper.held(LOCAL, ingest=True), keeper.held(LOCAL, ingest=True), keeper.held(LOCAL, ingest=False):
        ask(keeper, LOCAL)


def test_what_is_counted_of_those_who_are_gone_is_forgotten() -> None:
    """Memory holds the callers of the file, and those of before whose calls are not over."""
    keeper = QuotaKeeper(NONE, Metrics())
    with keeper.held(caller("busy"), ingest=True):
        ask(keeper, caller("gone"))
        ask(keeper, caller("stays"))
        keeper.forget_all_but({"stays"})
        assert keeper._usages.keys() == {"busy", "stays"}
    keeper.forget_all_but({"stays"})
    assert keeper._usages.keys() == {"stays"}
