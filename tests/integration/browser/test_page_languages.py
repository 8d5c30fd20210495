"""The page in another language, in a real browser, before a gateway over fakes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from PIL import Image

from gateway.testing import FakeRewriter, product, serving
from storefront.server import application
from storefront.settings import Settings
from vitrine.domain.filters import Equals
from vitrine.domain.messages import filter_message
from vitrine.v1 import query_pb2, rewrite_pb2

pytestmark = pytest.mark.browser

IDLE = "!document.querySelector('.busy') && !document.getElementById('results').hasAttribute('aria-busy')"


def _dresses(_: rewrite_pb2.RewriteRequest) -> rewrite_pb2.Rewrite:
    return rewrite_pb2.Rewrite(
        route=query_pb2.ROUTE_TEXT, query="dress", filter=filter_message(Equals("category", "dress"))
    )


@asynccontextmanager
async def page(pictures: Path) -> AsyncIterator[tuple[str, FakeRewriter]]:
    """Serve the page; give its address and the rewriter."""
    rewriter = FakeRewriter(_dresses)
    picture = pictures / "dress.png"
    Image.new("RGB", (8, 8), "red").save(picture)
    products = [
        product(f"p{number}", f"red dress {number}", category="dress", image_uri=str(picture))
        for number in range(3)
    ]
    async with serving(products=products, rewriter=rewriter) as gateway:
        runner = web.AppRunner(await application(Settings(gateway=gateway.address, pictures=pictures)))
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/", rewriter
        finally:
            await runner.cleanup()


def stock(text: str) -> str:
    return f"document.getElementById('stock')?.textContent === {text!r}"


async def said(tab: Any, words: str) -> str:
    """Ask in words; give the reply."""
    await tab.value("document.getElementById('words').focus()")
    await tab.type(words)
    await tab.press("Enter")
    await tab.until(f"document.querySelector('.turn:last-child .reply') && {IDLE}")
    reply: str = await tab.value("document.querySelector('.turn:last-child .reply').textContent")
    return reply


async def test_a_language_is_chosen_and_kept(tab: Any, tmp_path: Path) -> None:
    """It is that of the page, its labels, its numbers and the replies, also after a reload."""
    async with page(tmp_path) as (address, rewriter):
        await tab.open(address)
        await tab.until(stock("3 products"))
        assert await said(tab, "dress") == "3 products fit: category dress."
        await tab.value("document.getElementById('language').focus()")
        await tab.value(
            "(() => { const menu = document.activeElement; menu.value = 'de'; menu.dispatchEvent(new Event('change')); })()"
        )
        await tab.until(stock("3 Produkte"))
        assert await tab.value("document.documentElement.lang") == "de"
        assert (
            await tab.value("document.getElementById('words').placeholder") == "Beschreibe, was du suchst …"
        )
        assert (
            await tab.value("document.querySelector('#chips .chip').firstChild.textContent")
            == "Kategorie: dress"
        )
        assert "Worte" in await tab.value("document.querySelector('.scores').textContent")
        assert await said(tab, "dress") == "3 Produkte passen: Kategorie dress."
        assert [request.locale for request in rewriter.requests] == ["en", "de"]
        await tab.value("globalThis.before = true")
        await tab.call("Page.reload")
        await tab.until(f"!globalThis.before && {stock('3 Produkte')}")
        assert await tab.value("document.getElementById('language').value") == "de"
    assert tab.complaints == []


@pytest.mark.parametrize("code", ["de", "es", "fr", "ko", "zh"])
async def test_every_language_fits_a_phone(tab: Any, tmp_path: Path, code: str) -> None:
    """Nothing is wider than the window, and the way back stays within the head of the page."""
    async with page(tmp_path) as (address, _):
        await tab.open(address, width=360, height=740)
        await tab.until(stock("3 products"))
        await tab.value(f"import('/language.js').then(({{ speak }}) => speak({code!r}))")
        await said(tab, "dress")
        assert await tab.value("document.documentElement.scrollWidth <= innerWidth")
        assert await tab.value(
            "document.getElementById('restart').getBoundingClientRect().height"
            " <= document.querySelector('.masthead').getBoundingClientRect().height"
        )
    assert tab.complaints == []
