"""Probes and what they tell."""

import math
from collections.abc import Mapping

from gateway.encoders import Encoders
from gateway.errors import EncoderError, Overloaded
from gateway.readiness import (
    CATALOGUE_SERVICE,
    OVERALL,
    SEARCH_SERVICE,
    STARTED,
    ProbeSettings,
    Readiness,
)
from gateway.retrieval.compatibility import Compatibility
from gateway.testing import FakeEncoder, FakeIndex, product

NOBODY = {OVERALL: False, CATALOGUE_SERVICE: False, SEARCH_SERVICE: False, STARTED: False}
EVERYBODY = {OVERALL: True, CATALOGUE_SERVICE: True, SEARCH_SERVICE: True, STARTED: True}
NO_SEARCH = {OVERALL: True, CATALOGUE_SERVICE: True, SEARCH_SERVICE: False, STARTED: False}
LOST = NOBODY | {STARTED: True}
HURRIED_S = 0.3
"""The time of a probe that will not be answered; on a busy machine one that will be has it too."""


class Probed:
    """A readiness over fakes, with what it told last."""

    def __init__(
        self, encoder: FakeEncoder, index: FakeIndex, *beside: FakeEncoder, timeout_s: float = 60.0
    ) -> None:
        encoders = Encoders([encoder, *beside])
        self.told: Mapping[str, bool] = {}
        self.answered: dict[str, float] = {}
        settings = ProbeSettings(timeout_s=timeout_s, failures=2)
        self._readiness = Readiness(
            encoders,
            index,
            Compatibility(encoders, index),
            settings=settings,
            tell=self._listen,
            answered=lambda name: self.answered.get(name, -math.inf),
        )

    async def probe(self) -> Mapping[str, bool]:
        """Probe once; give what was told."""
        await self._readiness.probe()
        return self.told

    @property
    def index_outdated(self) -> bool:
        """Whether newer encoders serve than made the index."""
        return self._readiness.index_outdated

    async def _listen(self, statuses: Mapping[str, bool]) -> None:
        self.told = statuses


async def test_one_good_probe_opens_and_failures_in_a_row_close() -> None:
    """The first real answer makes it ready; one failed probe does not end that, two do."""
    encoder = FakeEncoder(error=EncoderError())
    probed = Probed(encoder, FakeIndex.holding([product("p1", "red dress")]))
    assert await probed.probe() == NOBODY
    encoder.error = None
    assert await probed.probe() == EVERYBODY
    encoder.error = EncoderError()
    assert await probed.probe() == EVERYBODY
    assert await probed.probe() == LOST
    encoder.error = None
    assert await probed.probe() == EVERYBODY


async def test_load_is_not_absence() -> None:
    """An encoder whose queue is full answers, and keeps the gateway ready."""
    encoder = FakeEncoder()
    probed = Probed(encoder, FakeIndex.holding([product("p1", "red dress")]))
    await probed.probe()
    encoder.error = Overloaded("full", retry_after_s=1)
    for _ in range(3):
        assert await probed.probe() == EVERYBODY


async def test_a_hanging_index_is_absence() -> None:
    """A look-up that never ends counts as failed after the probe's time."""
    index = FakeIndex.holding([product("p1", "red dress")])
    probed = Probed(FakeEncoder(), index, timeout_s=HURRIED_S)
    assert await probed.probe() == EVERYBODY
    index.delay_s = 60
    await probed.probe()
    assert await probed.probe() == LOST


async def test_without_an_index_the_catalogue_can_be_written() -> None:
    """With no collection yet, everything serves but the search."""
    index = FakeIndex()
    probed = Probed(FakeEncoder(), index)
    assert await probed.probe() == NO_SEARCH
    await index.current("manifest-of-the-fakes")
    assert await probed.probe() == EVERYBODY


async def test_an_index_of_other_encoders_is_not_searched() -> None:
    """A mismatch keeps the search service out of rotation until the index follows."""
    encoder = FakeEncoder()
    probed = Probed(encoder, FakeIndex.holding([product("p1", "red dress")]))
    assert await probed.probe() == EVERYBODY
    encoder.digest = "new"
    assert await probed.probe() == NO_SEARCH | {STARTED: True}


async def test_the_encoders_of_the_index_serve_at_either_address() -> None:
    """Searches are served while one address has the encoders of the index, whatever the other has, or whether it answers."""
    old, new = FakeEncoder(), FakeEncoder(digest="new")
    index = FakeIndex.holding([product("p1", "red dress")])
    probed = Probed(old, index, new)
    assert await probed.probe() == EVERYBODY
    new.error = EncoderError()
    assert await probed.probe() == EVERYBODY
    new.error, old.digest = None, "newer"
    assert await probed.probe() == NO_SEARCH | {STARTED: True}
    new.digest = "manifest-of-the-fakes"
    assert await probed.probe() == EVERYBODY


async def test_encoders_of_the_index_that_are_gone_end_searches_alone() -> None:
    """Others that answer can build an index, but not ask this one."""
    old, new = FakeEncoder(), FakeEncoder(digest="new")
    probed = Probed(old, FakeIndex.holding([product("p1", "red dress")]), new)
    assert await probed.probe() == EVERYBODY
    old.error = EncoderError()
    assert await probed.probe() == EVERYBODY
    assert await probed.probe() == NO_SEARCH | {STARTED: True}


async def test_a_probe_that_is_late_while_others_are_answered_counts_for_nothing() -> None:
    """Under load a probe waits behind the calls that are answered: the gateway keeps serving."""
    encoder = FakeEncoder()
    probed = Probed(encoder, FakeIndex.holding([product("p1", "red dress")]), timeout_s=HURRIED_S)
    await probed.probe()
    encoder.delay_s = 60
    probed.answered["encoder"] = math.inf
    for _ in range(3):
        assert await probed.probe() == EVERYBODY
    probed.answered.clear()
    await probed.probe()
    assert await probed.probe() == LOST


async def test_what_all_gateways_share_takes_none_of_them_out() -> None:
    """A gateway that could answer once goes on being sent calls while encoder and index are away."""
    encoder, index = FakeEncoder(), FakeIndex()
    probed = Probed(encoder, index)
    assert not (await probed.probe())[STARTED]
    await index.current("manifest-of-the-fakes")
    assert (await probed.probe())[STARTED]
    encoder.error = EncoderError()
    for _ in range(3):
        assert (await probed.probe())[STARTED]


async def test_an_index_older_than_the_encoders_is_told() -> None:
    """It is outdated while the newest encoders that answer are others than its own, whether or not it can be searched."""
    old, new = FakeEncoder(), FakeEncoder(digest="new")
    index = FakeIndex()
    beside, alone = Probed(old, index, new), Probed(old, index)
    await beside.probe()
    assert not beside.index_outdated  # there is none
    await index.current("manifest-of-the-fakes")
    assert await beside.probe() == EVERYBODY
    assert beside.index_outdated
    assert await alone.probe() == EVERYBODY
    assert not alone.index_outdated
    new.digest = "manifest-of-the-fakes"
    await beside.probe()
    assert not beside.index_outdated
    old.digest = "newer"
    assert await alone.probe() == NO_SEARCH | {STARTED: True}
    assert alone.index_outdated
