"""Experiments: which shoppers get the learnt order, and which the default one."""

import hashlib
import hmac
import re

from gateway.retrieval.query import Bucket
from vitrine.process.settings import InvalidSettings

_SETTING = "GATEWAY_EXPERIMENT"
_FORM = re.compile(r"([a-z0-9][a-z0-9-]{0,31}):(0?\.\d{1,4}|0|1)")
_SPAN = 1 << 64


class Experiment:
    """Splits shoppers by a hash; without a name nobody takes part.

    A shopper has one bucket in an experiment, at every gateway, for as long as its name is: HMAC-SHA256 of their id, by that
    name, as a fraction of 1. Nothing of the id is kept. Who sends no id is drawn anew with every search.
    """

    def __init__(self, name: str, share: float) -> None:
        self.name = name
        self._share = share

    def bucket(self, user_id: str, request_id: str) -> Bucket:
        """Return the bucket of a shopper, or of a request without one.

        Without either it is the default order: a conversation of nobody in particular keeps one, and is counted in no bucket.
        """
        if not self.name:
            return Bucket.NONE
        if not user_id and not request_id:
            return Bucket.DEFAULT
        unit = f"user\0{user_id}" if user_id else f"request\0{request_id}"
        digest = hmac.digest(self.name.encode(), unit.encode(), hashlib.sha256)
        learnt = int.from_bytes(digest[:8], "big") < self._share * _SPAN
        return Bucket.LEARNT if learnt else Bucket.DEFAULT

    def told(self, bucket: Bucket) -> str:
        """Return what answers and reports call a bucket; empty for none."""
        return f"{self.name}:{bucket.name.lower()}" if self.name and bucket is not Bucket.NONE else ""


NO_EXPERIMENT = Experiment("", 0.0)


def read_experiment(setting: str) -> Experiment:
    """Read NAME:SHARE, the share of the shoppers who get the learnt order; raises InvalidSettings."""
    if not setting:
        return NO_EXPERIMENT
    if (match := _FORM.fullmatch(setting)) is None:
        raise InvalidSettings(
            f"{_SETTING} must be NAME:SHARE, a name of a-z, 0-9 and - with at most 32 characters and a share from 0 to 1 such as .5,"
            f" got {setting[:64]!r}"
        )
    return Experiment(match[1], float(match[2]))
