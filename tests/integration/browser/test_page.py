"""The page in a real browser, before the real stack."""

import time
from pathlib import Path
from typing import Any

import pytest

from vitrine.client import VitrineClient
from vitrine.v1.campaigns_pb2 import Campaign
from vitrine.v1.search_pb2 import SearchRequest

pytestmark = pytest.mark.browser

IDLE = "!document.querySelector('.busy') && !document.getElementById('results').hasAttribute('aria-busy')"
HITS = "[...document.querySelectorAll('.card[data-product]')].map((card) => card.dataset.product)"
ON_FOCUS = "document.activeElement.id"
CARD_ON_FOCUS = "document.activeElement.closest('.card')?.dataset.product"


def text_of(selector: str) -> str:
    return f"document.querySelector({selector!r})?.textContent"


async def opened(tab: Any, stack: Any, **window: Any) -> None:
    """Open the page and wait until its entrance is furnished."""
    await tab.open(f"http://{stack.settings.storefront}/", **window)
    await tab.until("document.querySelectorAll('.tile').length > 0")


async def said(tab: Any, words: str) -> list[str]:
    """Type words where the focus is, send them, and give the products that are shown then."""
    turns = await tab.value("document.querySelectorAll('.turn').length")
    await tab.type(words)
    await tab.press("Enter")
    await tab.until(f"document.querySelectorAll('.turn').length > {turns} && {IDLE}")
    assert await tab.value(text_of(".failure")) is None
    hits: list[str] = await tab.value(HITS)
    return hits


async def tabbed(tab: Any, arrived: str, *, back: bool = False) -> None:
    """Press Tab until the focus has arrived."""
    for _ in range(60):
        await tab.press("Tab", shift=back)
        if await tab.value(arrived):
            return
    pytest.fail(f"Tab never leads to {arrived}")


async def test_words_then_a_dropped_picture_change_the_hits(tab: Any, stack: Any) -> None:
    """Words show products with pictures and scores; a picture that is dropped, and a change to it, show others."""
    await opened(tab, stack)
    await tab.screenshot("entrance")
    by_words = await said(tab, "red floral dress")
    assert len(by_words) > 0
    await tab.until("[...document.querySelectorAll('.frame img')].every((image) => image.naturalWidth > 0)")
    assert await tab.value(text_of(".card .name")) != ""
    assert float(await tab.value(text_of(".card .total b"))) > 0
    assert await tab.value(text_of("#route")) == "By words"
    await tab.screenshot("words")

    await tab.drop(stack.catalogue / "queries/001.jpg")
    await tab.until("document.querySelector('#attachment img')?.naturalWidth > 0")
    by_picture = await said(tab, "replace blue with red")
    assert by_picture != by_words
    assert await tab.value(text_of("#route")) == "By picture and words"
    assert "ms" in await tab.value(text_of("#how-summary"))
    assert "encode" in await tab.value(text_of(".stages"))
    assert await tab.value("document.getElementById('attachment').hidden")
    await tab.screenshot("picture-and-words")

    chips = await tab.value("document.querySelectorAll('.chip button').length")
    assert chips > 0
    for left in reversed(range(chips)):
        await tab.value("document.querySelector('.chip button').click()")
        await tab.until(f"{IDLE} && document.querySelectorAll('.chip button').length === {left}")
    assert await tab.value(HITS) != by_picture
    await tab.value("document.getElementById('more').click()")
    await tab.until(f"{IDLE} && {HITS}.length === 24")
    assert tab.complaints == []


async def test_keyboard_alone_is_enough(tab: Any, stack: Any) -> None:
    """Searching, refining from a product, dropping a condition, the details and starting over need no mouse."""
    await opened(tab, stack)
    first = await said(tab, "striped dress under 90")
    await tabbed(tab, f"{CARD_ON_FOCUS} === '{first[1]}'")
    assert (
        await tab.value("getComputedStyle(document.activeElement.closest('.card')).outlineStyle") == "solid"
    )
    await tab.press("Enter")
    assert await tab.value(ON_FOCUS) == "words"
    assert await tab.value("document.getElementById('words').placeholder") == "Like this, but …"
    await tab.press("Escape")
    assert await tab.value("document.getElementById('attachment').hidden")

    await tabbed(tab, f"{CARD_ON_FOCUS} === '{first[1]}'")
    await tab.press(" ")
    refined = await said(tab, "in black")
    assert await tab.value(text_of("#route")) == "By product and words"
    assert refined != first
    assert "products" in await tab.value(text_of("#status"))
    await tabbed(tab, f"{ON_FOCUS} === 'how-summary'")
    await tab.press("Enter")
    assert first[1] in await tab.value(text_of("#how[open] #how-body"))
    await tab.screenshot("refined", whole=True)

    chips = await tab.value("document.querySelectorAll('.chip button').length")
    await tabbed(tab, "document.activeElement.matches('.chip button')", back=True)
    await tab.press("Enter")
    await tab.until(f"{IDLE} && document.querySelectorAll('.chip button').length === {chips - 1}")
    await tabbed(tab, f"{ON_FOCUS} === 'restart'", back=True)
    await tab.press("Enter")
    assert await tab.value("document.querySelectorAll('.turn').length") == 0
    assert await tab.value(ON_FOCUS) == "words"


async def test_products_stand_side_by_side(tab: Any, stack: Any) -> None:
    """A comparison is a table in the conversation, with a picture and the index's values of each product."""
    await opened(tab, stack)
    first = await said(tab, "red dress")
    await said(tab, "compare the first two")
    assert await tab.value("document.querySelectorAll('.comparison thead th').length") == 2
    pictures = await tab.value("[...document.querySelectorAll('.comparison img')].map((image) => image.src)")
    assert [first[0] in pictures[0], first[1] in pictures[1]] == [True, True]
    await tab.until(
        "[...document.querySelectorAll('.comparison img')].every((image) => image.naturalWidth > 0)"
    )
    rows = await tab.value(
        "[...document.querySelectorAll('.comparison tbody th')].map((cell) => cell.textContent)"
    )
    assert {"category", "colour", "price", "length"} <= {*rows}
    assert await tab.value(HITS) == first, "the products that are compared stay in the window"
    await tab.screenshot("comparison")
    assert tab.complaints == []


async def test_what_is_hated_is_left_out_and_said(tab: Any, stack: Any) -> None:
    """A fault is a condition beside the hits, and a sentence; a question about the stock is answered in the talk."""
    await opened(tab, stack)
    await said(tab, "a striped dress")
    await said(tab, "hate stripes")
    assert await tab.value(text_of("#note")) == "Without what you found fault with: striped."
    assert "pattern: not striped" in await tab.value(text_of("#chips"))
    await said(tab, "what colours do you have?")
    assert "colour: " in await tab.value(text_of(".known"))
    assert tab.complaints == []


PRICES = (
    "[...document.querySelectorAll('.card[data-product] .price')]"
    ".map((price) => Number(price.textContent.replace(/[^0-9.]/g, '')))"
)


async def test_products_are_put_in_order_paged_and_refined(tab: Any, stack: Any) -> None:
    """The menu orders all products, further pages go on in that order, and a value of a facet narrows them."""
    await opened(tab, stack)
    await said(tab, "dress")
    await tab.until("document.querySelectorAll('.facet .count').length > 0")
    await tab.value(
        "{ const menu = document.getElementById('sort'); menu.value = 'price';"
        " menu.dispatchEvent(new Event('change')); }"
    )
    await tab.until(f"{IDLE} && document.getElementById('sort').value === 'price'")
    await tab.value("document.getElementById('more').click()")
    await tab.until(f"{IDLE} && {HITS}.length === 24")
    prices = await tab.value(PRICES)
    assert prices == sorted(prices)
    assert len({*await tab.value(HITS)}) == 24

    group = "document.querySelector('.facet[data-field=colour]')"
    await tab.value(f"{group}.open = true")
    await tab.value(f"{group}.querySelector('.choice').click()")
    await tab.until(f"{IDLE} && {group}.querySelector('.choice[aria-pressed=true]')")
    assert "colour: " in await tab.value(text_of("#chips"))
    assert await tab.value(f"{group}.open"), "the group that was open stays so"
    await tab.screenshot("refined-by-facets")
    await tab.value(f"{group}.querySelector('.choice[aria-pressed=true]').click()")
    await tab.until(f"{IDLE} && !{group}.querySelector('.choice[aria-pressed=true]')")
    assert tab.complaints == []


async def test_a_place_that_is_paid_for_says_so(tab: Any, stack: Any) -> None:
    """The card names who pays, above all others; no other card does."""
    async with VitrineClient(stack.gateway, timeout_s=30) as client:
        organic = await client.search(SearchRequest(text="dress", limit=5, no_sponsored=True))
        made = Campaign(
            id="page", advertiser="Ada <b>& Co", products=[organic.hits[4].product_id], bid_micros=10_000,
            budget_micros=10_000_000, currency="EUR",
        )  # fmt: skip
        made.starts.FromSeconds(int(time.time()) - 60)
        made.ends.FromSeconds(int(time.time()) + 3_600)
        await client.campaigns.create(made)
        try:
            await opened(tab, stack)
            marked = "document.querySelectorAll('.card .sponsored').length"
            give_up = time.monotonic() + 60  # every gateway knows of a campaign within a second
            while not await tab.value(marked) and time.monotonic() < give_up:
                await said(tab, "dress")
            assert await tab.value(marked) == 1
            assert await tab.value(text_of(".card .sponsored")) == "Sponsored by Ada <b>& Co"
            assert (await tab.value(HITS))[0] == organic.hits[4].product_id
            await tab.screenshot("sponsored")
        finally:
            await client.campaigns.delete("page")
    assert tab.complaints == []


async def test_page_fits_a_phone(tab: Any, stack: Any) -> None:
    """On a phone nothing is wider than the screen, the question stays in reach, and products stand two abreast."""
    await opened(tab, stack, width=390, height=844, dark=True)
    await tab.screenshot("phone-entrance")
    await said(tab, "red dress")
    assert await tab.value("document.documentElement.scrollWidth") <= 390
    box = await tab.value("document.getElementById('composer').getBoundingClientRect().toJSON()")
    assert (round(box["left"]), round(box["right"]), round(box["bottom"])) == (0, 390, 844)
    tops = await tab.value(
        "[...document.querySelectorAll('.card')].slice(0, 3).map((card) => card.getBoundingClientRect().top)"
    )
    assert tops[0] == tops[1] < tops[2]
    await tab.screenshot("phone")


async def test_words_of_others_stay_words(tab: Any, stack: Any) -> None:
    """Markup that is typed is shown as it was typed, and runs nothing."""
    await opened(tab, stack)
    markup = "<img src=/x onerror=\"document.title='taken'\"><b>dress</b>"
    await said(tab, markup)
    assert await tab.value(text_of(".asked")) == markup
    assert await tab.value("document.querySelectorAll('.asked *').length") == 0
    assert await tab.value("document.title") == "Vitrine"
    assert tab.complaints == []


async def test_file_that_is_no_picture_is_said(tab: Any, stack: Any, tmp_path: Path) -> None:
    """A file that is no picture is refused in a sentence, and the next question is answered as ever."""
    await opened(tab, stack)
    (tmp_path / "notes.jpg").write_text("no picture")
    await tab.drop(tmp_path / "notes.jpg")
    await tab.until(text_of(".failure"))
    assert await tab.value(text_of(".failure")) == "notes.jpg is no picture that can be read."
    await tab.value("document.getElementById('words').focus()")
    await tab.type("red dress")
    await tab.press("Enter")
    await tab.until(f"{IDLE} && {HITS}.length > 0")
