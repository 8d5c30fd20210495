"""The audit log: one line for every call that changes an index or a campaign, or tells or erases what is kept of a shopper, or tried to.

It says who, what, how many and with which outcome; of products and shoppers it holds nothing. Its logger, `gateway.audit`, is heard
at every log level.
"""

import logging

from gateway.context import Call
from gateway.logs import log_event

NOTES = (
    "rebuild",
    "written",
    "unchanged",
    "rejected",
    "deleted",
    "index",
    "replaced",
    "events",
    "conversations",
    "blocked",
    "unblocked",
    "campaign",
    "fields",
)
"""What a line takes over from the notes of the call, where they have it."""

_logger = logging.getLogger("gateway.audit")
_logger.setLevel(logging.INFO)


def audit(call: Call, *, code: str) -> None:
    """Log how a call ended that writes; its caller, its method and its id are in the line as in every other."""
    told = {key: call.notes[key] for key in NOTES if key in call.notes}
    log_event(_logger, logging.INFO, "audit", outcome=code, peer=call.peer, **told)
