"""One service under supervision: started, probed, restarted with backoff, stopped."""

import asyncio
import logging
import signal
import time
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from stack import logs
from stack.probes import STRIKES_OUT, Probe, ProbeError, within
from stack.processes import Identity, describe_exit, identify, in_session, marked, send
from stack.record import ServiceRecord, State
from stack.services import Service
from stack.settings import MARKER, PRIVATE_UMASK

KILL_TIMEOUT_S = 10.0
"""From SIGKILL to the end: only a process that hangs in the kernel takes longer."""

LOGGER = logging.getLogger("stack")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a runner acts; tests run faster."""

    start_interval_s: float = 0.2
    probe_interval_s: float = 2.0
    backoff_s: float = 0.5
    """Before the first restart; each further one waits twice as long."""
    max_backoff_s: float = 30.0
    stable_s: float = 60.0
    """After so long without trouble the next failure counts as the first again."""
    restart_grace_s: float = 3.0
    """From SIGTERM to SIGKILL for a service that no longer answers: shorter than when it is stopped in health."""


class StartFailed(Exception):  # noqa: N818 - read as "the start failed"
    """The service ended, or was not ready in time; says why."""


class StartAborted(StartFailed):
    """A signal ended it, of its own making mostly."""


@dataclass(frozen=True, slots=True)
class _Running:
    process: Process
    ended: asyncio.Task[int]

    def obituary(self, log: Path) -> str:
        """Return how the process ended and what it said last."""
        line = logs.last_line(log)
        return describe_exit(self.ended.result()) + (f"; last logged: {line}" if line else "")


def restart_delay_s(failures: int, pace: Pace) -> float:
    """Return the seconds to wait before a restart after so many failures in a row, 1 or more."""
    # The exponent has a bound too, for 2.0 ** 1024 is no float.
    return min(pace.max_backoff_s, pace.backoff_s * 2.0 ** min(failures - 1, 32))


class Runner:
    """Holds one service's process; `changed` is called after every change of the record."""

    def __init__(
        self, service: Service, *, log: Path, changed: Callable[[], None], pace: Pace | None = None
    ) -> None:
        self.record = ServiceRecord(name=service.name, address=service.address)
        self._service = service
        self._log = log
        self._changed = changed
        self._pace = pace or Pace()
        self._running: _Running | None = None
        self._failures = 0

    async def start(self) -> None:
        """Start the process and wait until it is ready; one that a signal ends meanwhile is started once more.

        The local Triton aborts now and then while its Python backend opens shared memory for several models at once.

        Raises:
            StartFailed: it ended, or was not ready in time; what was left of it has been ended.
        """
        try:
            await self._start_once()
        except StartAborted as failure:
            self.record = replace(self.record, last_failure=str(failure), restarts=self.record.restarts + 1)
            await self._start_once()

    async def _start_once(self) -> None:
        try:
            self._service.prepare()
            await self._until_ready(await self._spawn())
        except (StartFailed, OSError) as failure:
            await self._end(grace_s=self._pace.restart_grace_s)
            self._set(State.FAILED, str(failure))
            aborted = isinstance(failure, StartAborted)
            raise (StartAborted if aborted else StartFailed)(str(failure)) from failure
        self._set(State.READY)

    async def keep(self) -> None:
        """Watch a started service for ever and restart it when it fails."""
        while True:
            started_at = time.monotonic()
            reason = await self._watch()
            if time.monotonic() - started_at >= self._pace.stable_s:
                self._failures = 0
            await self._restart(reason)

    async def stop(self) -> None:
        """End the process: SIGTERM, SIGKILL after the grace, then whatever it left."""
        if self._running:
            self._set(State.STOPPING)
            await self._end(grace_s=self._service.grace_s)
        if self.record.state is not State.FAILED:
            self._set(State.STOPPED)

    def kill(self) -> None:
        """End the process without grace."""
        if self.record.process:
            send(self.record.process, signal.SIGKILL)

    @property
    def pid(self) -> int | None:
        """The process that runs now."""
        return self.record.process.pid if self.record.process else None

    async def _spawn(self) -> _Running:
        with logs.open_for_child(self._log) as log:
            process = await asyncio.create_subprocess_exec(
                *self._service.command,
                stdin=DEVNULL,
                stdout=log,
                stderr=STDOUT,
                env=self._service.environment,
                umask=PRIVATE_UMASK,
                start_new_session=True,  # a terminal's Ctrl-C is the supervisor's to handle
            )
        self._running = _Running(process, asyncio.create_task(process.wait()))
        self.record = replace(self.record, process=identify(process.pid))
        self._set(State.STARTING, self.record.reason)
        return self._running

    async def _until_ready(self, running: _Running) -> None:
        limit = self._service.start_timeout_s
        give_up = time.monotonic() + limit
        problem: ProbeError | None = None
        while time.monotonic() < give_up:
            problem = await self._problem(self._service.ready, running)
            if running.ended.done():
                aborted = running.ended.result() < 0
                raise (StartAborted if aborted else StartFailed)(running.obituary(self._log))
            if problem is None:
                return
            await asyncio.wait({running.ended}, timeout=self._pace.start_interval_s)
        raise StartFailed(f"not ready within {limit:g} s: {problem}")

    async def _watch(self) -> str:
        """Probe until the service must be restarted; give the reason."""
        assert self._running
        running, strikes = self._running, 0
        while strikes < STRIKES_OUT:
            await asyncio.wait({running.ended}, timeout=self._pace.probe_interval_s)
            problem = await self._problem(self._service.alive, running)
            if running.ended.done():
                return running.obituary(self._log)
            strikes = strikes + problem.strikes if problem else 0
            if problem:
                self._set(State.UNWELL, str(problem))
            elif self.record.state is not State.READY:
                self._set(State.READY)
        return self.record.reason

    async def _problem(self, probe: Probe, running: _Running) -> ProbeError | None:
        """Ask once, and give what is wrong with the answer; the end of the process cuts the question short."""
        question = asyncio.create_task(within(probe(running.process.pid)))
        try:
            await asyncio.wait({question, running.ended}, return_when=asyncio.FIRST_COMPLETED)
            if question.done():
                question.result()
        except ProbeError as error:
            return error
        finally:
            question.cancel()
        return None

    async def _restart(self, reason: str) -> None:
        """Start the service again, as often as it takes."""
        while True:
            self._failures += 1
            self.record = replace(self.record, last_failure=reason)
            self._set(State.BACKOFF, reason)
            await self._end(grace_s=self._pace.restart_grace_s)
            await asyncio.sleep(restart_delay_s(self._failures, self._pace))
            self.record = replace(self.record, restarts=self.record.restarts + 1)
            try:
                await self.start()
            except StartFailed as failure:
                reason = str(failure)
            else:
                return

    async def _end(self, *, grace_s: float) -> None:
        """End the process, if there is one, and every descendant that stayed in its session."""
        if self._running is None:
            return
        leader, ended = self._running.process.pid, self._running.ended
        if self.record.process:
            send(self.record.process, signal.SIGTERM)
        await asyncio.wait({ended}, timeout=grace_s)
        try:
            async with asyncio.timeout(KILL_TIMEOUT_S):
                while family := self._family(leader):
                    for member in family:
                        send(member, signal.SIGKILL)
                    await asyncio.sleep(0.01)
                await ended
        except TimeoutError:
            LOGGER.error("service=%s pid=%d event=does_not_end", self.record.name, leader)  # noqa: TRY400
        self._running = None
        self.record = replace(self.record, process=None)
        self._service.clean()

    def _family(self, leader: int) -> list[Identity]:
        return in_session(leader, marked(MARKER, self._service.environment[MARKER]))

    def _set(self, state: State, reason: str = "") -> None:
        before = self.record
        since = before.since if state is before.state else time.time()
        self.record = replace(before, state=state, reason=reason, since=since)
        if self.record != before:
            LOGGER.info("service=%s state=%s pid=%s reason=%r", before.name, state, self.pid, reason)
            self._changed()
