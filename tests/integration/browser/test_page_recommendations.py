"""The page tells what was seen and clicked, remembers a shopper only where they agree, and shows more like a product."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from gateway.adapters.sqlite_events import SqliteEvents, open_sqlite_events
from gateway.testing import PATIENT, product, serving
from storefront.server import application
from storefront.settings import Settings

pytestmark = pytest.mark.browser

PRODUCTS = [product(f"p{number:02}", f"dress number {number}", category="dress") for number in range(20)]
WAIT_S = 60.0


@asynccontextmanager
async def page(path: Path) -> AsyncIterator[tuple[str, SqliteEvents, Path]]:
    """The page over a gateway of fakes that takes events."""
    events = path / "events.db"
    async with (
        open_sqlite_events(events) as store,
        serving(products=PRODUCTS, events=store, settings=replace(PATIENT, recommend_shoppers=1)) as gateway,
        TestServer(await application(Settings(gateway=gateway.address)), host="127.0.0.1") as server,
    ):
        yield str(server.make_url("/")), store, events


async def kept(store: SqliteEvents, *, least: int) -> list[tuple[Any, ...]]:
    """Return kind, shopper and visit of all events, once there are so many."""
    give_up = time.monotonic() + WAIT_S
    while True:
        rows = await store._reader.do(
            lambda database: database.execute("SELECT kind, shopper, session FROM events").fetchall(),
            timeout_s=WAIT_S,
        )
        if len(rows) >= least or time.monotonic() > give_up:
            return list(rows)
        await asyncio.sleep(0.05)


async def search(tab: Any, words: str) -> None:
    """Ask for something by the keyboard, and wait for the cards."""
    await tab.value("document.getElementById('words').focus()")
    await tab.type(words)
    await tab.press("Enter")
    await tab.until(
        "document.querySelectorAll('#cards .card[data-product]').length === 12 && !document.querySelector('#results[aria-busy]')"
    )


async def test_nobody_is_known_without_consent_and_with_it_what_they_do_counts(
    tab: Any, tmp_path: Path
) -> None:
    """Impressions and clicks are sent either way; the decision is off at first, is remembered, and can be taken back."""
    async with page(tmp_path) as (address, store, _):
        await tab.open(address)
        await search(tab, "dress")
        await tab.until("!document.getElementById('consent-offer').hidden")
        assert await tab.value("document.getElementById('consent').checked") is False
        before = await kept(store, least=4)
        assert {kind for kind, _, _ in before} == {1}
        assert {(shopper, visit) for _, shopper, visit in before} == {("", "")}

        await tab.value("document.getElementById('consent').focus()")
        await tab.press(" ")
        assert await tab.value("document.getElementById('consent').checked") is True
        await tab.value("document.querySelector('#cards .alike').focus()")
        await tab.press("Enter")
        await tab.until("!document.getElementById('shelf').hidden")
        assert await tab.value("document.activeElement.id") == "shelf-title"
        first = await tab.value("document.querySelector('#cards .card').dataset.product")
        shelf = await tab.value(
            "[...document.querySelectorAll('#shelf-cards .card')].map((card) => card.dataset.product)"
        )
        assert len(shelf) == 6
        assert first not in shelf
        rows = await kept(store, least=len(before) + 1)
        clicks = [(shopper, visit) for kind, shopper, visit in rows if kind == 2]
        assert len(clicks) == 1
        assert all(clicks[0])

        await tab.open(address)
        await tab.until(
            "!document.getElementById('consent-offer').hidden && document.getElementById('consent').checked"
        )
        await tab.until("!document.getElementById('shelf').hidden")
        assert await tab.value("document.getElementById('shelf-title').textContent") in {
            "For you",
            "Popular now",
        }
        await tab.value("document.getElementById('consent').click()")
        assert await tab.value("localStorage.length") == 0
        assert [each for each in tab.complaints if "/picture" not in each] == []  # these products have none
