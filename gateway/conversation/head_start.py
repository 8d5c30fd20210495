"""How long a reading is waited for before the turn as it stands is searched beside it."""

_WEIGHT = 0.1
"""Of one more turn in the share of those whose own words answered."""
_WORTH = 0.5
"""Share from which on a search beside the reading is worth what it costs."""


class HeadStart:
    """Learns from the turns before whether a search beside the reading is of use.

    It answers where the reading changes nothing or comes too late, and saves those turns the time of a search. For all others
    it is a second look-up, and a second embedding, for nothing.
    """

    def __init__(self, least_s: float) -> None:
        self._least_s = least_s
        self._useful = 1.0

    @property
    def seconds(self) -> float | None:
        """Return the wait; None: until the reading ends, which has a bound of its own."""
        return self._least_s if self._useful >= _WORTH else None

    def learn(self, *, useful: bool) -> None:
        """Note whether a turn's own words were what was searched."""
        self._useful += _WEIGHT * (useful - self._useful)
