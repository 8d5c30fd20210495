"""The door: who calls, whether the caller may, and whether it has asked for too much, before a byte is parsed."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from grpc import aio

from gateway.callers import Caller
from gateway.edge.authentication import Authentication
from gateway.edge.methods import Needs
from gateway.edge.quotas import QuotaKeeper
from gateway.errors import PermissionDenied

_Context = aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Lets callers in at one listener; several doors share what is known and counted."""

    authentication: Authentication
    quotas: QuotaKeeper
    takes_writes: bool
    """Whether this listener answers what callers may not do who may search alone."""

    def caller(self, context: _Context) -> Caller:
        """Return who calls; raises Unauthenticated where nobody is known by what the call shows."""
        return self.authentication.caller_of(context)

    def check(self, caller: Caller, needs: Needs) -> None:
        """Raise PermissionDenied where the caller lacks the scope, or the method is answered at another address."""
        if not needs.scopes & caller.scopes:
            wanted = " or ".join(sorted(scope.value for scope in needs.scopes))
            raise PermissionDenied(f"{caller.name} lacks the scope {wanted}")
        if not needs.in_front and not self.takes_writes:
            raise PermissionDenied("the catalogue is written at an address of its own: --catalogue-address")

    def counted(self, caller: Caller, needs: Needs) -> AbstractContextManager[None]:
        """Return what counts the call to its caller's quotas while a block runs; the block raises QuotaExceeded."""
        return self.quotas.held(caller, ingest=needs.ingests)
