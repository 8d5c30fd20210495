"""What every command needs: the address, the time it may take, files in and out, errors in one plain line."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
import grpc

from vitrine.client import DEFAULT_ADDRESS, DEFAULT_TIMEOUT_S, VitrineClient, VitrineError
from vitrine.commands.tables import printable
from vitrine.preprocess import MAX_IMAGE_BYTES
from vitrine.sheet import Answer, draw_sheet

_OWN_DEADLINE = "Deadline Exceeded"
"""What gRPC says when the caller's own time is up; a service that is late says something else."""

_PASSING = (
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNAVAILABLE,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the service is, and how many seconds one call may take."""

    address: str
    timeout_s: float

    def open(self) -> VitrineClient:
        """Make a client; inside a running event loop."""
        return VitrineClient(self.address, timeout_s=self.timeout_s)

    def run(self, action: Callable[[VitrineClient], Awaitable[T]]) -> T:
        """Do something with a client; a call that fails becomes a Failure."""

        async def session() -> T:
            async with self.open() as client:
                return await action(client)

        try:
            return asyncio.run(session())
        except VitrineError as error:
            raise self.failure(error) from error

    def failure(self, error: VitrineError) -> "Failure":
        """Return the failure that names what went wrong, and the way out."""
        if error.unreachable:
            way_out = "start it with `make up`, or give another with --address"
            return Unreachable(f"no service at {self.address}: {way_out}")
        return (WorthAnotherTry if error.code in _PASSING else Failure)(self._sentence(error))

    def _sentence(self, error: VitrineError) -> str:
        if error.code is grpc.StatusCode.DEADLINE_EXCEEDED and str(error) == _OWN_DEADLINE:
            return f"no answer within {self.timeout_s:g} s: allow more with --timeout, or see `make status`"
        if error.code is grpc.StatusCode.RESOURCE_EXHAUSTED and error.retry_after_s is not None:
            return f"the service is busy: try again in {error.retry_after_s:g} s"
        if error.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
            return f"{error}: see `make status`"
        if error.code in {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}:
            return f"{error}: see `make logs`"
        if error.violations:
            return "; ".join(f"{violation.field}: {violation.reason}" for violation in error.violations)
        return str(error)


class Failure(click.ClickException):
    """Ends the program with one line: the call was refused or failed."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class Unreachable(Failure):
    """Nothing answers at the address."""

    exit_code = 3


class WorthAnotherTry(Failure):
    """The service is busy, late, or without one of its parts."""

    exit_code = 4


def connected(command: Callable[..., None]) -> Callable[..., None]:
    """Add --address and --timeout to a command; it receives them as `connection`."""

    @click.option(
        "--address", default=DEFAULT_ADDRESS, envvar="VITRINE_ADDRESS", show_default=True, show_envvar=True
    )
    @click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        default=DEFAULT_TIMEOUT_S,
        show_default=True,
        help="Seconds that one call may take.",
    )
    @functools.wraps(command)
    def wrapper(*, address: str, timeout: float, **arguments: Any) -> None:
        command(connection=Connection(address, timeout), **arguments)

    return wrapper


def read_image(path: Path) -> bytes:
    """Read a picture to send; one that no service takes is refused before it is read."""
    try:
        size = path.stat().st_size
        if size > MAX_IMAGE_BYTES:
            raise click.UsageError(
                f"{path}: a picture may have {MAX_IMAGE_BYTES:,} bytes, this one has {size:,}"
            )
        return path.read_bytes()
    except OSError as error:
        raise click.UsageError(f"{path}: {error.strerror}") from error


def save_sheet(path: Path, answers: Sequence[Answer], pictures: Path | None, *, currency: str = "") -> None:
    """Draw a contact sheet into a PNG file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_sheet(answers, pictures=pictures, currency=currency).save(path, format="PNG")
    except OSError as error:
        raise Failure(f"{path}: {error.strerror or error}") from error


async def currency_of(client: VitrineClient) -> str:
    """Return the currency of the prices; empty where the catalogue names none or the service cannot say now."""
    try:
        return (await client.describe()).schema.currency
    except VitrineError:
        return ""  # a sheet without a currency is better than none


def valid_text(text: str) -> str:
    """Refuse bytes of the command line that are no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise click.UsageError(f"the words are no UTF-8 at character {error.start + 1}") from error
    return text
