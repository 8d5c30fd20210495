"""Events and answers of nobody, for tests of what keeps them."""

import time
from dataclasses import replace
from typing import Any

from redis.asyncio import Redis

from gateway.events import DAY_MS, Event, EventKind

NOW_MS = int(time.time()) // 86_400 * DAY_MS + 5_000
"""A little after midnight."""
WAIT_S = 30.0
"""What a store may take on a machine that is busy."""
RETENTION_DAYS = 90


def event(name: str, **changes: Any) -> Event:
    """Return a click of ann's."""
    click = Event(id=name, kind=EventKind.CLICK, product_id="p1", at_ms=NOW_MS, shopper="ann")
    return replace(click, **changes)


async def remove_events(client: "Redis") -> None:
    """Remove every event of a Redis."""
    async for key in client.scan_iter("*vitrine:events:*"):
        await client.delete(key)
