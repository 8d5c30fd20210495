"""Ray: a local one for this run, or a cluster by its address, and the numbers of the parts as they are finished."""

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import ray
import ray.data
from ray.data import ActorPoolStrategy
from ray.exceptions import RayError

from bulk.chunks import NUMBER
from bulk.embedding import ChunkEncoder, EncoderPlace
from bulk.errors import BulkError
from bulk.source import CatalogueSource
from bulk.work import Work
from gateway.model import IndexVersion

_CONNECT_S = 5.0
_READER_CPUS = 0.1
"""Of the reading, beside the workers: it waits for them most of the time."""
_STORE_BYTES = 256_000_000
"""Of a local Ray's shared memory: a few chunks a worker."""


def check_address(address: str) -> None:
    """Raise BulkError where the address is none or nobody answers there: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise BulkError(f"--address must be HOST:PORT, got {address!r}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise BulkError(f"no Ray at {address}: {error}") from error


@contextmanager
def ray_at(address: str, *, workers: int) -> Iterator[None]:
    """Start a Ray of that many workers on this machine, or connect to the cluster at the address.

    Raises:
        BulkError: none can be reached there.
    """
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # this run tells of its progress itself
    try:
        if address:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        else:
            ray.init(
                num_cpus=workers + 1,
                _node_ip_address="127.0.0.1",  # nobody else's business
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                object_store_memory=_STORE_BYTES,
            )
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise BulkError(f"no Ray at {address or 'this machine'}: {reason}") from error
    try:
        yield
    finally:
        ray.shutdown()


async def finished_parts(
    source: CatalogueSource, work: Work, version: IndexVersion, place: EncoderPlace, *, workers: int
) -> AsyncGenerator[int, None]:
    """Embed the chunks of the source on the workers; yield the numbers of their parts in order, each once it is there.

    A worker that dies is replaced, and what it was at is done again.

    Raises:
        BulkError: the source cannot be read any further, or the encoder failed for good.
    """
    numbers = _numbers(source, work, version, place, workers)
    loop = asyncio.get_running_loop()
    waiting = ThreadPoolExecutor(1, "ray-data")
    try:
        while (number := await loop.run_in_executor(waiting, next, numbers, None)) is not None:
            yield number
    except RayError as error:
        raise _told(error) from error
    finally:
        waiting.shutdown(wait=False, cancel_futures=True)


def _numbers(
    source: CatalogueSource, work: Work, version: IndexVersion, place: EncoderPlace, workers: int
) -> Iterator[int]:
    context = ray.data.DataContext.get_current()
    context.target_max_block_size = 1  # a block a chunk: nothing waits until more of them are together
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    parts = ray.data.read_datasource(source, num_cpus=_READER_CPUS, override_num_blocks=1).map_batches(
        ChunkEncoder,
        batch_size=1,
        num_cpus=1,
        compute=ActorPoolStrategy(min_size=1, max_size=workers),
        fn_constructor_args=(work, version, place),
    )
    for batch in parts.iter_batches(batch_size=1, batch_format="numpy", prefetch_batches=0):
        yield int(batch[NUMBER][0])


def _told(error: Exception) -> BulkError:
    """Return what a worker failed with, in one line."""
    cause: BaseException = error
    while (further := getattr(cause, "cause", None) or cause.__cause__) is not None and further is not cause:
        cause = further
    lines = [line for line in str(cause).splitlines() if line.strip()]
    return BulkError(f"{type(cause).__name__}: {lines[-1].strip() if lines else 'no reason was given'}")
