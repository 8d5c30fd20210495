import asyncio
import json
from typing import Any

from gateway.adapters.milvus.lease import LEASE_S, Claim, Claims, read_claim


class Ledger:
    """The ledger's rows, in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[int, str]] = {}

    async def read_all(self, prefix: str, *, timeout_s: float) -> dict[str, tuple[int, str]]:
        """Return the rows whose keys begin so."""
        del timeout_s
        return {key: row for key, row in self.rows.items() if key.startswith(prefix)}

    async def put(self, key: str, number: int, value: str, *, timeout_s: float) -> None:
        """Keep a row."""
        del timeout_s
        self.rows[key] = number, value

    async def forget(self, key: str, *, timeout_s: float) -> None:
        """Keep it no longer."""
        del timeout_s
        self.rows.pop(key, None)

    async def make(self, *, timeout_s: float) -> None:
        """Be there."""
        del timeout_s


def claims(ledger: Any, lease_s: float) -> Claims:
    """The claims as a process sees them whose own last so long."""
    return Claims(ledger, prefix="claim/", lease_s=lease_s)


async def test_a_claim_is_dead_by_its_own_length_and_not_by_the_readers() -> None:
    """A bulk run's claim outlives the usual one by far: a gateway leaves it, though its own would be dead by then."""
    for own_s, left in ((3_600.0, 1), (0.05, 0)):
        ledger = Ledger()
        assert await claims(ledger, own_s).try_once("rebuild", timeout_s=60) is not None
        reader = claims(ledger, 3_600.0 if left == 0 else 0.05)
        assert len(await reader.read(timeout_s=60)) == 1
        await asyncio.sleep(0.2)
        assert len(await reader.read(timeout_s=60)) == left
        assert len(ledger.rows) == left


def test_a_claim_says_what_is_unusual_alone() -> None:
    """A gateway of the version before reads the claims of this one; a field that is not known yet hurts nobody."""
    assert json.loads(Claim(kind="rebuild", token=3).told()) == {"kind": "rebuild", "token": 3}
    long = Claim(kind="rebuild", lease_s=90.0)
    assert read_claim(long.told()) == long
    assert read_claim('{"kind": "rebuild", "of_tomorrow": 1}') == Claim(kind="rebuild", lease_s=LEASE_S)
