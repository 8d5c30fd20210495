"""When words that a model of Whisper's kind wrote were said, and when it made them up.

It writes something for whatever it hears, also for noise, and says of each segment how sure it is.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from vitrine.domain.limits import MAX_TRANSCRIPT_LENGTH

LEAST_LOG_PROBABILITY = -1.0
"""Of a token, on average. Whisper's own bound; what it misheard in recordings of ours was below it, what it heard above."""
MOST_NO_SPEECH = 0.6
"""Probability that nobody speaks; Whisper's own bound."""
MOST_COMPRESSION = 2.4
"""How often the text repeats itself: its bytes by those of its zlib. Whisper's own bound."""

_STOPS = " .。…"
"""Whisper ends a sentence as one is written; nobody says the stop, and it is no part of a query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch of what a model wrote."""

    text: str
    log_probability: float = 0.0
    no_speech: float = 0.0
    compression: float = 1.0

    @property
    def sure(self) -> bool:
        """Whether somebody said so."""
        return (
            math.isfinite(self.log_probability)
            and self.log_probability >= LEAST_LOG_PROBABILITY
            and self.no_speech <= MOST_NO_SPEECH
            and self.compression <= MOST_COMPRESSION
        )


def said(segments: Iterable[Segment]) -> str:
    """Return the words of the segments that are sure, with single spaces and no full stop, up to the limit; empty for none.

    A text without a letter or a digit is none.
    """
    text = " ".join(" ".join(each.text for each in segments if each.sure).split())
    text = text[:MAX_TRANSCRIPT_LENGTH].rstrip(_STOPS)
    return text if any(map(str.isalnum, text)) else ""
