"""The port to what hears."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Samples a second of what engines hear."""

Samples = NDArray[np.float32]
"""(n,) of SAMPLE_RATE, one channel, from -1 to 1."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What was understood."""

    text: str = ""
    """Empty where nothing was."""
    language: str = ""
    """Empty where no speech was heard."""


NOTHING = Heard()


class Engine(Protocol):
    """Makes words of speech."""

    @property
    def version(self) -> str:
        """Return what hears, and which of its versions."""
        ...

    async def transcribe(self, samples: Samples, *, language: str) -> Heard:
        """Return what was said in a language, or in the one that is heard where it is empty or unknown.

        Who waits no longer cancels.

        Raises:
            EngineError: it cannot hear now; says why.
        """
        ...


class EngineError(Exception):
    """An engine could not hear; the message is for the log and never holds what was said."""
