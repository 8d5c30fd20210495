"""Decodes recordings in processes of their own, one each, of which the next one waits already."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import numpy as np

from speech.engines.port import SAMPLE_RATE, Samples
from vitrine.audio_header import AudioRejected
from vitrine.domain.limits import MAX_AUDIO_S

TIMEOUT_S = 5.0
"""Of one recording; it takes a part of a second."""

_REFUSED = 3
_REASON_BYTES = 256
_MOST_BYTES = int(MAX_AUDIO_S * SAMPLE_RATE) * 2
_PASSED_ON = ("PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "LD_LIBRARY_PATH")
"""Variables that a decoder gets; what else this process has may be secret."""


class Decoder:
    """Decodes recordings, any number at once; the caller bounds that."""

    def __init__(self) -> None:
        self._spare: Process | None = None
        self._starting = False

    async def decode(self, audio: bytes) -> Samples:
        """Return the samples of a recording.

        Raises:
            AudioRejected: over a limit, damaged, or of a coding that is not taken.
        """
        spare, self._spare = self._spare, None
        process = spare if spare is not None and spare.returncode is None else await _started()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                sound, reason = await _exchange(process, audio)
                status = await process.wait()
        except TimeoutError:
            raise AudioRejected(f"takes longer than {TIMEOUT_S:g} s to decode") from None
        finally:
            await _ended(process)
        if status == _REFUSED:
            raise AudioRejected(reason)
        if status or not sound:
            raise AudioRejected("cannot be decoded")
        return np.frombuffer(sound[: len(sound) // 2 * 2], "<i2").astype(np.float32) / 32_768

    async def prepare(self) -> None:
        """Have a process wait for the next recording, where none does."""
        if self._spare is not None or self._starting:
            return
        self._starting = True
        try:
            self._spare = await _started()
        finally:
            self._starting = False

    async def close(self) -> None:
        """End the process that waits."""
        if self._spare is not None:
            await _ended(self._spare)


@asynccontextmanager
async def open_decoder() -> AsyncIterator[Decoder]:
    """Hold a decoder."""
    decoder = Decoder()
    await decoder.prepare()
    try:
        yield decoder
    finally:
        await decoder.close()


async def _started() -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "speech.decoding"),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
    )


async def _exchange(process: Process, audio: bytes) -> tuple[bytes, str]:
    """Hand the recording over; return the samples, as many as may be, and why there are none."""
    assert process.stdin and process.stdout and process.stderr, "all three are pipes"  # noqa: PT018 - one invariant
    with suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(audio)
        await process.stdin.drain()
    process.stdin.close()
    sound = bytearray()
    while len(sound) <= _MOST_BYTES and (piece := await process.stdout.read(65_536)):
        sound += piece
    if len(sound) > _MOST_BYTES:
        raise AudioRejected("cannot be decoded")
    reason = await process.stderr.read(_REASON_BYTES)
    return bytes(sound), reason.decode(errors="replace")


async def _ended(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()
