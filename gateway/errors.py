"""Every error that a caller may see, each with its gRPC status.

    SearchError
    ├── InvalidQuery        INVALID_ARGUMENT     the caller sent what no retry can mend
    │   └── Blocked         INVALID_ARGUMENT     the shop refuses what it shows or says
    ├── NotFound            NOT_FOUND            a product or session that is not there
    ├── Unauthenticated     UNAUTHENTICATED      nobody that this service knows
    ├── PermissionDenied    PERMISSION_DENIED    what this caller may not do, or another caller's session
    ├── Overloaded          RESOURCE_EXHAUSTED   refused at the door; no work was done
    │   └── QuotaExceeded   RESOURCE_EXHAUSTED   this caller asks for more than its share
    ├── DeadlineExceeded    DEADLINE_EXCEEDED    the caller's time ran out
    ├── FailedPrecondition  FAILED_PRECONDITION  an operator must act first
    ├── Aborted             ABORTED              overtaken by a change; begin again
    ├── EncodersExchanged   ABORTED              other encoders answered than made the index
    ├── IndexSwapped        ABORTED              other encoders made the index that is in use now
    ├── ShuttingDown        UNAVAILABLE          this gateway ends; another one answers
    └── DependencyError     UNAVAILABLE          Triton, Milvus, Redis, the speech service, the store of events or of campaigns did not answer

The outermost interceptor translates them; nothing else does. A late or broken rewriter is none of these:
it degrades the answer.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from vitrine.domain.errors import InvalidValue


class SearchError(Exception):
    """Base of the tree; `str(error)` is what the caller reads."""

    code = grpc.StatusCode.INTERNAL


class InvalidQuery(SearchError, InvalidValue):  # noqa: N818 - named as callers know it
    """A field of the request breaks its limit."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class Blocked(InvalidQuery):
    """A picture or words that the shop refuses; never says what they resemble."""

    def __init__(self, field: str) -> None:
        super().__init__(field, "is refused by the shop's moderation")


@contextmanager
def as_invalid_query() -> Iterator[None]:
    """Turn an InvalidValue of the domain into the InvalidQuery that callers see."""
    try:
        yield
    except SearchError:
        raise
    except InvalidValue as error:
        raise InvalidQuery(error.field, error.reason) from None


class NotFound(SearchError):  # noqa: N818
    """The named thing does not exist."""

    code = grpc.StatusCode.NOT_FOUND

    def __init__(self, field: str, what: str) -> None:
        super().__init__(f"{field}: {what} not found")
        self.field = field


class Unauthenticated(SearchError):  # noqa: N818
    """The caller did not say who it is, or nobody is known by what it said."""

    code = grpc.StatusCode.UNAUTHENTICATED


class PermissionDenied(SearchError):  # noqa: N818
    """The caller lacks the scope, or the thing belongs to somebody else."""

    code = grpc.StatusCode.PERMISSION_DENIED


class Overloaded(SearchError):  # noqa: N818
    """Refused at the door: the caller may retry after the delay, no work was done."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class QuotaExceeded(Overloaded):
    """This caller asks for more than its quota; others are served. Names the quota and its limit."""


class DeadlineExceeded(SearchError):  # noqa: N818
    """The caller's deadline passed before the answer was ready."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class FailedPrecondition(SearchError):  # noqa: N818
    """The service cannot do this until an operator acts; the message says what."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class OutdatedIndex(FailedPrecondition):
    """An earlier version made the index, in a layout that this one does not read: only a rebuild helps."""


class Aborted(SearchError, InvalidValue):  # noqa: N818
    """What a field of the call builds on was changed by another; the reason says where to begin again."""

    code = grpc.StatusCode.ABORTED


class EncodersExchanged(SearchError):  # noqa: N818
    """Other encoders answered than made the index, again and again: several sets serve behind one address."""

    code = grpc.StatusCode.ABORTED

    def __init__(self) -> None:
        super().__init__(
            "the encoders are being exchanged: nothing was computed by those that made the index; try again"
        )


class IndexSwapped(SearchError):  # noqa: N818
    """Another index than the call began with is in use, which other encoders made: begin again with it."""

    code = grpc.StatusCode.ABORTED

    def __init__(self) -> None:
        super().__init__("the index was replaced by one of other encoders meanwhile: try again")


class ShuttingDown(SearchError):  # noqa: N818
    """Refused because this gateway ends: no work was done, and another one may be asked at once."""

    code = grpc.StatusCode.UNAVAILABLE

    def __init__(self) -> None:
        super().__init__("the gateway is shutting down")


class DependencyError(SearchError):
    """A dependency failed; names it, and never passes its message on."""

    code = grpc.StatusCode.UNAVAILABLE

    def __init__(self, dependency: str) -> None:
        super().__init__(f"{dependency} is unavailable")
        self.dependency = dependency


class EncoderError(DependencyError):
    """Triton did not give an embedding."""

    def __init__(self) -> None:
        super().__init__("encoder")


class VectorIndexError(DependencyError):
    """Milvus did not answer."""

    def __init__(self) -> None:
        super().__init__("index")


class SpeechError(DependencyError):
    """The speech service did not hear a recording."""

    def __init__(self) -> None:
        super().__init__("speech")


class SessionStoreError(DependencyError):
    """The store of sessions did not answer."""

    def __init__(self) -> None:
        super().__init__("session store")


class EventStoreError(DependencyError):
    """The store of events did not answer."""

    def __init__(self) -> None:
        super().__init__("event store")


class CampaignStoreError(DependencyError):
    """The store of campaigns did not answer."""

    def __init__(self) -> None:
        super().__init__("campaign store")
