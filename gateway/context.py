"""The call that is being answered: its id and its deadline, known everywhere below the outermost interceptor."""

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from gateway.callers import LOCAL, Caller, Scope
from gateway.errors import DeadlineExceeded, PermissionDenied
from gateway.model import Deadline
from vitrine.process.tracing import hop_context

REQUEST_ID_HEADER = "x-request-id"
"""The metadata that carries a request's id, from its caller to every hop."""


@dataclass(slots=True, kw_only=True)
class Call:
    """One RPC; its caller is known once the door has looked."""

    method: str
    """Such as "Search"."""
    request_id: str
    deadline: Deadline
    caller: Caller = LOCAL
    peer: str = ""
    """The caller's end of the connection, as gRPC writes it."""
    notes: dict[str, Any] = field(default_factory=dict)
    """What the call's one log line tells besides; never the shopper's words."""

    @property
    def share(self) -> str:
        """Name whose share of the service the call takes: its caller's, or its connection's where nobody is asked."""
        return self.peer if self.caller is LOCAL else self.caller.name


_current: ContextVar[Call] = ContextVar("call")


def current_call() -> Call:
    """Return the call that this task answers; LookupError outside of one."""
    return _current.get()


def find_call() -> Call | None:
    """Return the call that this task answers, or None outside of one."""
    return _current.get(None)


def enter_call(call: Call) -> None:
    """Make it the current call of this task and of the tasks that it starts."""
    _current.set(call)


def require(scope: Scope) -> None:
    """Raise PermissionDenied unless the caller of this task's call has the scope; outside of a call nobody is asked."""
    call = find_call()
    if call is not None and scope not in call.caller.scopes:
        raise PermissionDenied(f"{call.caller.name} lacks the scope {scope.value}")


def current_share() -> str:
    """Return whose share of the service this task takes; empty outside of a call."""
    call = find_call()
    return call.share if call is not None else ""


def request_id() -> str:
    """Return the id of the call that this task answers; empty outside of one."""
    call = find_call()
    return call.request_id if call is not None else ""


def hop_metadata() -> tuple[tuple[str, str], ...]:
    """Return the metadata that a call to another service takes along: the request's id and the trace context."""
    identity = request_id()
    return ((REQUEST_ID_HEADER, identity), *hop_context()) if identity else hop_context()


def time_for_hop(deadline: Deadline, *, margin_s: float) -> float:
    """Return the seconds that a hop may take: what is left, less a margin in which its failure can be told.

    Raises:
        DeadlineExceeded: nothing is left.
    """
    remaining_s = deadline.remaining_s() - margin_s
    if remaining_s <= 0:
        raise DeadlineExceeded("the deadline has passed")
    return remaining_s
