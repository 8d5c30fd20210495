"""Pseudonyms: keyed hashes of shoppers' ids, with keys that are exchanged and, in the end, destroyed.

A key serves for a period; a shopper is looked up under the pseudonyms of all periods whose events are still kept. Once the
events of a period have passed their age its key is deleted, and nobody can tell any more whose pseudonyms they were.
"""

import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.ports import EventStore

_DIGITS = 32
"""Hexadecimal digits of a pseudonym: 128 bits."""
_TOKEN_DIGITS = 32
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys of all periods whose events are kept."""

    keys: Mapping[int, bytes]
    """By the number of the period; the latest is the one in use."""

    def pseudonym(self, kind: str, identity: str) -> str:
        """Return the pseudonym of an id of a kind, such as "shopper", by the key in use."""
        return _digest(self.keys[max(self.keys)], kind, identity)[:_DIGITS]

    def pseudonyms(self, kind: str, identity: str) -> tuple[str, ...]:
        """Return its pseudonyms by all keys, the latest first."""
        latest_first = sorted(self.keys, reverse=True)
        return tuple(_digest(self.keys[period], kind, identity)[:_DIGITS] for period in latest_first)

    def answer_token(self, request_id: str, now_s: float) -> str:
        """Return the token that names an answer of now in events."""
        issued = f"{int(now_s):x}"
        mac = _digest(self.keys[max(self.keys)], "answer", f"{request_id} {issued}")
        return f"{request_id}.{issued}.{mac[:_TOKEN_DIGITS]}"

    def read_token(self, token: str) -> tuple[str, int] | None:
        """Return the id of the request that a token names and when it was answered, in s; None where none of ours does."""
        request_id, _, rest = token.rpartition(".")
        request_id, _, issued = request_id.rpartition(".")
        try:
            answered_s = int(issued, 16)
        except ValueError:
            return None
        for key in self.keys.values():
            mac = _digest(key, "answer", f"{request_id} {issued}")[:_TOKEN_DIGITS]
            if hmac.compare_digest(mac.encode(), rest.encode()):
                return request_id, answered_s
        return None


class Keys:
    """Holds the keyring; the store makes the keys and keeps them."""

    def __init__(
        self,
        store: EventStore,
        *,
        key_days: int,
        retention_days: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._key_s = key_days * _DAY_S
        self._retention_s = retention_days * _DAY_S
        self._clock = clock
        self._keyring: Keyring | None = None

    @property
    def known(self) -> Keyring | None:
        """Return the keyring without asking anybody; None where the store has not answered in this period yet."""
        keyring = self._keyring
        return keyring if keyring is not None and self._period() in keyring.keys else None

    async def keyring(self, *, timeout_s: float) -> Keyring:
        """Return the keyring, from memory as long as its latest key is in use; raises EventStoreError."""
        return self.known or await self.refresh(timeout_s=timeout_s)

    async def refresh(self, *, timeout_s: float) -> Keyring:
        """Ask the store for the keys; those that no kept event needs any more are destroyed."""
        period = self._period()
        oldest = int((self._clock() - self._retention_s) // self._key_s)
        self._keyring = Keyring(await self._store.keys(period, oldest=oldest, timeout_s=timeout_s))
        return self._keyring

    def _period(self) -> int:
        return int(self._clock() // self._key_s)


def _digest(key: bytes, kind: str, identity: str) -> str:
    return hmac.digest(key, f"{kind}\0{identity}".encode(), "sha256").hex()
