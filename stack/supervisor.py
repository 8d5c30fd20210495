"""The supervisor: starts the services in order, keeps them running, stops them in reverse."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from stack import logs, record
from stack.record import Phase, StackRecord
from stack.runner import Pace, Runner, StartFailed
from stack.services import Service

LOGGER = logging.getLogger("stack")

LOG_INTERVAL_S = 10.0
"""How often the logs are held to their bound."""


class Supervisor:
    """Holds the runners of one stack and publishes what they do into its record file."""

    def __init__(
        self,
        services: Sequence[Service],
        *,
        path: Path,
        initial: StackRecord,
        log_folder: Path,
        pace: Pace | None = None,
    ) -> None:
        self._path = path
        self._record = initial
        self._log_folder = log_folder
        self._runners = [
            Runner(service, log=log_folder / f"{service.name}.log", changed=self._publish, pace=pace)
            for service in services
        ]
        self._signals = 0
        self._stopping = asyncio.Event()

    async def run(self) -> bool:
        """Run until SIGTERM, SIGINT or SIGHUP; False when a service could not be started.

        A second signal ends the services without grace. Nothing of the stack runs when this returns.
        """
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
        self._publish()
        work = asyncio.create_task(self._work())
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            return await self._outcome(work)
        finally:
            stop.cancel()
            await self._stop()

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._bound_logs())
            for runner in self._runners:
                await self._start(runner)
                group.create_task(runner.keep())
            self._enter(Phase.UP)

    async def _start(self, runner: Runner) -> None:
        try:
            await runner.start()
        except StartFailed as failure:
            self._record = replace(self._record, failure=f"{runner.record.name}: {failure}")
            raise

    async def _outcome(self, work: asyncio.Task[None]) -> bool:
        work.cancel()
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await work
        except* StartFailed:
            pass
        return not self._record.failure

    async def _stop(self) -> None:
        self._enter(Phase.STOPPING)
        for runner in reversed(self._runners):
            await runner.stop()
        if self._record.failure:
            self._enter(Phase.FAILED)  # the record stays, to say why
        else:
            self._path.unlink(missing_ok=True)

    async def _bound_logs(self) -> None:
        while True:
            await asyncio.sleep(LOG_INTERVAL_S)
            for log in self._log_folder.glob("*.log"):
                logs.bound(log)

    def _on_signal(self) -> None:
        self._signals += 1
        self._stopping.set()
        if self._signals > 1:
            for runner in self._runners:
                runner.kill()

    def _enter(self, phase: Phase) -> None:
        self._record = replace(self._record, phase=phase)
        self._publish()

    def _publish(self) -> None:
        services = tuple(runner.record for runner in self._runners)
        self._record = replace(self._record, services=services)
        try:
            record.write(self._path, self._record)
        except OSError as error:  # a full disk hides what runs; it is no reason to stop it
            LOGGER.warning("event=record_not_written error=%r", error)
