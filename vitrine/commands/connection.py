"""What every command needs: the address, the time it may take, files in and out, errors in one plain line."""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click
import grpc

from vitrine.addresses import is_local
from vitrine.channels import AccessOptions, InvalidAccess
from vitrine.client import DEFAULT_ADDRESS, DEFAULT_TIMEOUT_S, VitrineClient, VitrineError
from vitrine.domain.limits import MAX_AUDIO_BYTES
from vitrine.preprocess import MAX_IMAGE_BYTES
from vitrine.sheet import Answer, draw_sheet
from vitrine.terminal import printable
from vitrine.v1 import catalogue_pb2

_OWN_DEADLINE = "Deadline Exceeded"
"""What gRPC says when the caller's own time is up; a service that is late says something else."""

_HANDSHAKE = "handshake"
"""What gRPC's words of a connection have where TLS is what failed."""

_WAYS_OUT = {
    grpc.StatusCode.UNAVAILABLE: "`make status`",
    grpc.StatusCode.DEADLINE_EXCEEDED: "`make status`",
    grpc.StatusCode.INTERNAL: "`make logs`",
    grpc.StatusCode.UNKNOWN: "`make logs`",
    grpc.StatusCode.UNAUTHENTICATED: "--token-file and --cert",
}
"""Where to look when a call to this machine ended so; elsewhere the first four are somebody else's commands."""

_EVERYWHERE = {grpc.StatusCode.UNAUTHENTICATED}
"""Statuses whose way out is the same wherever the service is."""

_PASSING = (
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNAVAILABLE,
)

_CATALOGUE = catalogue_pb2.DESCRIPTOR.services_by_name["CatalogueService"].full_name
_BETWEEN_TRIES_S = 1.0
_TRY_S = 3.0
"""One try of those that wait for a service."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the service is, and how many seconds one call may take."""

    address: str
    timeout_s: float
    catalogue_address: str = ""
    access: AccessOptions = field(default_factory=AccessOptions, repr=False)

    def open(self) -> VitrineClient:
        """Make a client; inside a running event loop. Raises Failure for a token or a certificate that cannot be used."""
        try:
            return VitrineClient(
                self.address,
                timeout_s=self.timeout_s,
                catalogue_address=self.catalogue_address,
                **self.access,
            )
        except InvalidAccess as error:
            raise Failure(str(error)) from error

    def run(self, action: Callable[[VitrineClient], Awaitable[T]]) -> T:
        """Do something with a client; a call that fails becomes a Failure."""

        async def session() -> T:
            async with self.open() as client:
                return await action(client)

        try:
            return asyncio.run(session())
        except VitrineError as error:
            raise self.failure(error) from error

    def wait(self, seconds: float) -> None:
        """Wait until the service can take products; with 0 seconds not at all.

        Raises:
            Failure: of the last try, where none succeeded within the seconds; of any that no waiting mends, at once.
        """
        end = time.monotonic() + seconds
        while seconds and (failure := asyncio.run(self._not_ready())) is not None:
            if not isinstance(failure, Unreachable | WorthAnotherTry) or time.monotonic() >= end:
                raise failure
            time.sleep(_BETWEEN_TRIES_S)

    async def _not_ready(self) -> "Failure | None":
        # A client for each try: a channel would look for a service that was away for minutes less and less often.
        try:
            async with self.open() as client:
                health = await client.health(_CATALOGUE, timeout_s=_TRY_S)
        except VitrineError as error:
            return self.failure(error)
        return None if health == "SERVING" else WorthAnotherTry(f"the service says {health}")

    def failure(self, error: VitrineError) -> "Failure":
        """Return the failure that names what went wrong, and the way out."""
        if error.unreachable and _HANDSHAKE in str(error).lower():
            return Failure(
                f"{self.address} and this side do not agree on TLS or on a certificate: see --tls, --ca and --cert"
            )
        if error.unreachable:
            start = "start it with `make up`" if is_local(self.address) else "wait until it is up"
            way_out = f"{start}, or give another with --address"
            return Unreachable(f"no service at {self.address}: {way_out}")
        return (WorthAnotherTry if error.code in _PASSING else Failure)(self._sentence(error))

    def _sentence(self, error: VitrineError) -> str:
        if error.code is grpc.StatusCode.DEADLINE_EXCEEDED and str(error) == _OWN_DEADLINE:
            status = ", or see `make status`" if is_local(self.address) else ""
            return f"no answer within {self.timeout_s:g} s: allow more with --timeout{status}"
        if error.code is grpc.StatusCode.RESOURCE_EXHAUSTED and error.retry_after_s is not None:
            return f"the service is busy: try again in {error.retry_after_s:g} s"
        if error.code in (_WAYS_OUT if is_local(self.address) else _EVERYWHERE):
            return f"{error}: see {_WAYS_OUT[error.code]}"
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
    """Add --address, --timeout and the options of access to a command; it receives them as `connection`."""

    @click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        default=DEFAULT_TIMEOUT_S,
        show_default=True,
        help="Seconds that one call may take.",
    )
    @functools.wraps(command)
    def wrapper(*, timeout: float, place: Place, **arguments: Any) -> None:
        command(connection=place.connection(timeout), **arguments)

    return reached(wrapper)


@dataclass(frozen=True, slots=True)
class Place:
    """What the command line says of where the service is, and of who calls."""

    address: str
    catalogue_address: str
    access: AccessOptions = field(repr=False)

    def connection(self, timeout_s: float) -> Connection:
        """Return the connection for calls of so many seconds."""
        return Connection(self.address, timeout_s, self.catalogue_address, self.access)


def reached(command: Callable[..., None]) -> Callable[..., None]:
    """Add --address and the options of access to a command; it receives them as `place`."""

    @functools.wraps(command)
    def wrapper(*, address: str, catalogue_address: str, **arguments: Any) -> None:
        access = AccessOptions(**{name: arguments.pop(name) for name in _ACCESS})  # type: ignore[typeddict-item]
        command(place=Place(address, catalogue_address, access), **arguments)

    for option in reversed([*_ADDRESSES, *_ACCESS.values()]):
        wrapper = option(wrapper)
    return wrapper


waits = click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="Wait up to so long until the service can take products, as after a roll-out.",
)
"""The option of commands that may come before the service is ready."""

_FILE = click.Path(path_type=Path, dir_okay=False)

_ADDRESSES = (
    click.option(
        "--address", default=DEFAULT_ADDRESS, envvar="VITRINE_ADDRESS", show_default=True, show_envvar=True
    ),
    click.option(
        "--catalogue-address",
        default="",
        envvar="VITRINE_CATALOGUE_ADDRESS",
        show_envvar=True,
        help="Where products are written, if not at --address.",
    ),
)

_ACCESS = {
    "token_file": click.option(
        "--token-file",
        type=_FILE,
        envvar="VITRINE_TOKEN_FILE",
        show_envvar=True,
        help="Holds the caller's token.",
    ),
    "ca": click.option(
        "--ca",
        type=_FILE,
        envvar="VITRINE_CA",
        show_envvar=True,
        help="TLS with a service whose certificate one of these authorities has signed.",
    ),
    "cert": click.option(
        "--cert", type=_FILE, envvar="VITRINE_CERT", show_envvar=True, help="The caller's certificate."
    ),
    "key": click.option("--key", type=_FILE, envvar="VITRINE_KEY", show_envvar=True, help="Its key."),
    "tls": click.option(
        "--tls", is_flag=True, envvar="VITRINE_TLS", show_envvar=True, help="TLS with the usual authorities."
    ),
    "server_name": click.option(
        "--server-name",
        default="",
        envvar="VITRINE_SERVER_NAME",
        show_envvar=True,
        help="The name in the service's certificate, where the address is another, as with a forwarded port.",
    ),
    "token_in_clear": click.option(
        "--token-in-clear",
        is_flag=True,
        envvar="VITRINE_TOKEN_IN_CLEAR",
        show_envvar=True,
        help="Send the token without TLS, as where a mesh encrypts.",
    ),
}
"""The options of access, by their names in AccessOptions. There is none for the token itself: others see command lines."""


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


def read_audio(path: Path) -> bytes:
    """Read a recording to send; one that no service takes is refused before it is read."""
    try:
        size = path.stat().st_size
        if size > MAX_AUDIO_BYTES:
            raise click.UsageError(
                f"{path}: a recording may have {MAX_AUDIO_BYTES:,} bytes, this one has {size:,}"
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
