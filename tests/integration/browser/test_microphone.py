"""The microphone of the page in a real browser, whose sound is a beep, before a gateway over fakes that hears words in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.testing import FakeTranscriber, product, serving
from storefront.server import application
from storefront.settings import Settings

pytestmark = pytest.mark.browser

BUTTON = "document.getElementById('microphone')"
LISTENING = f"{BUTTON}.getAttribute('aria-pressed') === 'true'"
IDLE = "!document.querySelector('.busy') && !document.getElementById('results').hasAttribute('aria-busy')"
SEND_IS_INSIDE = (
    "document.getElementById('send').getBoundingClientRect().right"
    " < document.getElementById('composer').getBoundingClientRect().right"
)
PRODUCTS = [product("p1", "red dress", category="dress"), product("p2", "blue shirt", category="shirt")]


@asynccontextmanager
async def page(transcriber: FakeTranscriber | None, pictures: Path) -> AsyncIterator[str]:
    """Serve the page; give its address."""
    async with serving(products=PRODUCTS, transcriber=transcriber) as gateway:
        runner = web.AppRunner(await application(Settings(gateway=gateway.address, pictures=pictures)))
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
        finally:
            await runner.cleanup()


async def furnished(tab: Any, address: str, **window: Any) -> None:
    await tab.open(address, **window)
    await tab.until("document.getElementById('stock').textContent === '2 products'")


async def said(tab: Any) -> None:
    """Press the button by the keyboard, let it record a while, and press it again."""
    await tab.value(f"{BUTTON}.focus()")
    await tab.press(" ")
    await tab.until(LISTENING)
    await tab.value("new Promise((done) => setTimeout(done, 400))")
    await tab.press(" ")
    await tab.until(f"!({LISTENING})")


async def test_what_is_said_is_shown_and_searched(tab: Any, tmp_path: Path) -> None:
    """By the keyboard alone: the words that were heard stand in the log, their products in the window."""
    transcriber = FakeTranscriber("a red dress")
    async with page(transcriber, tmp_path) as address:
        await furnished(tab, address)
        await said(tab)
        await tab.until(f"document.querySelector('.asked')?.textContent === 'a red dress' && {IDLE}")
        assert await tab.value("document.querySelector('.card[data-product]').dataset.product") == "p1"
        assert await tab.value("document.getElementById('status').textContent") != ""
        for name, width in (("phone", 390), ("tablet", 768), ("wide", 1440)):
            await tab.resize(width, 900)
            assert await tab.value("document.documentElement.scrollWidth <= innerWidth"), name
            assert await tab.value(f"{BUTTON}.getBoundingClientRect().width > 0"), name
            assert await tab.value(SEND_IS_INSIDE), name
            await tab.screenshot(f"microphone-{name}")
    # The browser's own recording is one that the service takes, in the browser's language.
    assert transcriber.asked == [(await tab.value("navigator.language")).partition("-")[0]]
    # What the entrance could not draw are the pictures of products that have none.
    assert [each for each in tab.complaints if "/picture" not in each] == []


async def test_escape_forgets_what_was_said(tab: Any, tmp_path: Path) -> None:
    """Nothing is sent, and the microphone is off."""
    transcriber = FakeTranscriber("a red dress")
    async with page(transcriber, tmp_path) as address:
        await furnished(tab, address)
        await tab.value(f"{BUTTON}.focus()")
        await tab.press("Enter")
        await tab.until(LISTENING)
        assert await tab.value("document.getElementById('microphone-label').textContent") == "Listening"
        assert await tab.value(SEND_IS_INSIDE)
        await tab.screenshot("microphone-listening")
        await tab.press("Escape")
        await tab.until(f"!({LISTENING})")
        assert await tab.value("document.getElementById('status').textContent") == "Forgotten."
        assert await tab.value("document.querySelectorAll('.turn').length") == 0
    assert transcriber.asked == []


async def test_nothing_that_was_understood_is_said_so(tab: Any, tmp_path: Path) -> None:
    """One sentence, with a way to try again."""
    async with page(FakeTranscriber(), tmp_path) as address:
        await furnished(tab, address)
        await said(tab)
        await tab.until("document.querySelector('.failure')")
        shown = await tab.value("document.querySelector('.failure').textContent")
    assert shown.startswith("audio: nothing was understood in it: say it again, or write it")
    assert "Try again" in shown


async def test_without_speech_there_is_no_microphone(tab: Any, tmp_path: Path) -> None:
    """A button that nobody hears is not shown."""
    async with page(None, tmp_path) as address:
        await furnished(tab, address)
        assert await tab.value(f"{BUTTON}.hidden")


async def test_a_recording_of_another_format_becomes_a_wav(tab: Any, tmp_path: Path) -> None:
    """What a browser records in a format of its own is made into one that the service takes, at the rate of a voice."""
    async with page(FakeTranscriber("x"), tmp_path) as address:
        await furnished(tab, address)
        made = await tab.value(
            """
            (async () => {
              const { asWav } = await import("/microphone.js");
              const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
              const recorder = new MediaRecorder(stream);
              const got = new Promise((done) => recorder.addEventListener("dataavailable", ({ data }) => done(data)));
              recorder.addEventListener("start", () => setTimeout(() => recorder.stop(), 1000));
              recorder.start();
              const bytes = new Uint8Array(await (await asWav(await got)).arrayBuffer());
              return [...bytes.slice(0, 44), bytes.length];
            })()
            """
        )
    head, length = bytes(made[:44]), made[44]
    assert head[:4] + head[8:16] == b"RIFFWAVEfmt "
    assert int.from_bytes(head[24:28], "little") == 16_000
    assert int.from_bytes(head[40:44], "little") == length - 44
    assert 0.1 < (length - 44) / 32_000 < 60
