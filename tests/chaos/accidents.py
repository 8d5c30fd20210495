"""What goes wrong without a network or a signal: full disks, broken files, an ingest that dies, a swap, a clock."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

from tests.chaos.faults import Fault, await_
from tests.chaos.load import Load
from tests.chaos.machine import Clock, Disk
from tests.chaos.oracle import Held
from tests.chaos.service import ROOT, Service
from vitrine.client import VitrineClient, VitrineError
from vitrine.domain.messages import product_message
from vitrine.domain.schema_files import shipped_schema
from vitrine.v1 import catalogue_pb2

JUMP_S = 3_600.0
_NOTICED_S = 3.0
"""The supervisor looks for dead backends every two seconds."""
INGESTED = 96
"""Products of the ingest that is killed."""
INGEST_S = 120.0


def accidents(load: Load, *, disk: Disk | None, clock: Clock | None, seconds: float) -> Iterator[Fault]:
    """Yield what can happen here; a full disk and a clock that jumps need a machine that allows them."""
    if disk is not None:
        yield Fault(
            target="disk",
            name="full",
            begin=lambda _: disk.fill(),
            end=lambda _: disk.free(),
            seconds=seconds,
        )
    if clock is not None:
        yield _jump(clock, "clock", "+1 h", JUMP_S, seconds)
        yield _jump(clock, "clock set back", "-1 h", -JUMP_S, seconds)
    yield _corrupt_model()
    yield _swap(load)
    yield _killed_ingest(load)


def _jump(clock: Clock, target: str, name: str, shift: float, seconds: float) -> Fault:
    def end(service: Service) -> None:
        clock.set(0.0)
        # Triton's Python backend dies of a clock that goes back, and the supervisor starts Triton anew.
        time.sleep(_NOTICED_S)
        await_(lambda: service.is_ready("triton") and not service.has_dead_stub())

    return Fault(target=target, name=name, begin=lambda _: clock.set(shift), end=end, seconds=seconds)


def _corrupt_model() -> Fault:
    def path(service: Service) -> Path:
        return next(service.settings.repository.glob("text_encoder/*/*.onnx"))

    def begin(service: Service) -> None:
        file = path(service)
        shutil.copy2(file, service.settings.state / "whole.onnx")
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        os.kill(service.pid("triton"), signal.SIGKILL)

    def end(service: Service) -> None:
        file = path(service)
        shutil.move(service.settings.state / "whole.onnx", file)
        await_(lambda: service.is_ready("triton"))

    return Fault(target="model file", name="cut in half", begin=begin, end=end, seconds=10.0)


def _swap(load: Load) -> Fault:
    """A rebuild of what the index began with, under readers and writers."""

    def begin(service: Service) -> None:
        begun = time.monotonic()
        accepted = asyncio.run(_rebuild(service.settings.gateway, load))
        ended = time.monotonic()
        for held in list(load.index.held.values()):
            if not 0 < held.sent < accepted:
                continue
            # What was written before the rebuild is not part of it; of what was on its way then, nobody can tell.
            held.delete_sent = min(held.delete_sent, begun)
            if held.acknowledged < begun:
                held.delete_acknowledged = min(held.delete_acknowledged, ended)

    return Fault(target="index", name="swapped", begin=begin, end=lambda _: None, seconds=1.0)


async def _rebuild(address: str, load: Load) -> float:
    """Rebuild the index of what it began with; return when the service had taken the rebuild on for certain."""

    async def inputs() -> AsyncIterator[catalogue_pb2.ProductInput]:
        for content in load.material.contents:
            yield catalogue_pb2.ProductInput(
                product=product_message(content.product, shipped_schema()), image=content.picture
            )

    async with VitrineClient(address) as client:
        while True:
            try:
                accepted = 0.0
                async for _ in client.upsert(inputs(), rebuild=True, timeout_s=INGEST_S):
                    accepted = accepted or time.monotonic()
            except VitrineError as error:
                if error.retry_after_s is None:
                    raise
                await asyncio.sleep(error.retry_after_s)
            else:
                return accepted


def _killed_ingest(load: Load) -> Fault:
    """An ingest of its own process that is killed; the same command ends it."""

    def note(service: Service) -> list[str]:
        ids = []
        for number in range(INGESTED):
            content = load.material.contents[number % len(load.material.contents)]
            id_ = f"ingest-{number:05}"
            product = replace(content.product, id=id_)
            load.index.held[id_] = Held(product=product, vectors=content.vectors, sent=time.monotonic())
            ids.append(id_)
        (service.settings.state / "ingest").mkdir(exist_ok=True)
        return ids

    def command(service: Service) -> list[str]:
        folder = service.settings.state / "ingest"
        return [sys.executable, "-m", "tests.chaos.ingest", service.settings.gateway, str(folder)]

    def begin(service: Service) -> None:
        ids = note(service)
        folder = service.settings.state / "ingest"
        for id_ in ids:
            held = load.index.held[id_]
            message = catalogue_pb2.ProductInput(product=product_message(held.product, shipped_schema()))
            message.image = next(
                each.picture for each in load.material.contents if each.vectors is held.vectors
            )
            (folder / f"{id_}.product").write_bytes(message.SerializeToString())
        process = subprocess.Popen(command(service), cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        process.wait()

    def end(service: Service) -> None:
        subprocess.run(command(service), cwd=ROOT, check=True, timeout=INGEST_S, stdout=subprocess.DEVNULL)
        for number in range(INGESTED):
            load.index.held[f"ingest-{number:05}"].acknowledged = time.monotonic()

    return Fault(target="ingest", name="kill -9 half-way", begin=begin, end=end, seconds=1.0)
