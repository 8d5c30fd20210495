"""What becomes of what was found, and how it is told: an audit line and a metric, and nothing of the picture or the words."""

import logging
from dataclasses import dataclass
from enum import Enum
from typing import Any

from gateway.errors import Blocked
from gateway.logs import log_event
from gateway.metrics import Metrics

PART = "moderation"
"""In `degraded`: a picture was let through unchecked, as the settings want it where nobody can check it."""

_logger = logging.getLogger("gateway.audit")
_logger.setLevel(logging.INFO)


class Action(Enum):
    """What becomes of what was found."""

    OFF = ""
    FLAG = "flag"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that the shop does not want."""

    field: str
    """Of the request or of the product."""
    kind: str
    """"copy", "tile", "crop" or "nudity" of a picture; "words"."""
    entry: str = ""
    """The id of the blocked picture: for the audit line, never for the caller."""
    subject: str = ""
    """What it was found in, where it is the shop's own: a product's id or the SHA-256 of its picture."""


def settle(finding: Finding, action: Action, metrics: Metrics, *, again: bool = False) -> None:
    """Log and count a finding; not its refusal where the same comes `again` to be refused by itself.

    Raises:
        Blocked: it is to be refused; names the field and not what it resembles.
    """
    refused = action is Action.REFUSE
    if refused and again:
        raise Blocked(finding.field)
    metrics.moderated.labels(finding.kind, "refused" if refused else "flagged").inc()
    told: dict[str, Any] = {"entry": finding.entry, "subject": finding.subject}
    log_event(
        _logger,
        logging.INFO,
        "moderated",
        outcome="refused" if refused else "flagged",
        field=finding.field,
        kind=finding.kind,
        **{name: value for name, value in told.items() if value},
    )
    if refused:
        raise Blocked(finding.field)
