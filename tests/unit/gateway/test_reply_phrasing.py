"""A model may put a reply into its own words; the shopper reads them only where they say what was to be said."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from gateway.conversation.replies.grounding import numbers, ungrounded
from gateway.errors import DeadlineExceeded
from gateway.ports import RewriterUnavailable
from gateway.settings import Settings
from gateway.testing import FakeRewriter, product, serving
from vitrine.domain.filters import Equals
from vitrine.domain.messages import filter_message
from vitrine.v1 import query_pb2, rewrite_pb2, search_pb2, search_pb2_grpc

DRAFT = "12 products fit: category dress; price under £1,250.50. Closest to your words: “a Party dress”."
VALUES = ("dress", "red", "Next", "The", "Acme", "\u7ea2")
PRODUCTS = tuple(product(f"p{i:02}", f"red dress {i}", price=10.0 + i) for i in range(12))


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        ("I found 12 dresses under £1,250.50 for you, closest to “a party dress”.", ""),
        ("Good news! There are 12, all under 1250.50. Want to see the next ones?", ""),
        ("I found 13 dresses under £1,250.50.", "numbers"),
        ("I found twelve dresses under £1,250.50.", "numbers"),
        ("I found 12 dresses under £1,250.50, delivered within 2 days.", "numbers"),
        ("I found 12 red dresses under £1,250.50.", "value"),
        ("I found 12 dresses by Next under £1,250.50.", "value"),
        ("I found 12 dresses under £1,250.50, the next ones are below.", ""),
        ("12 dresses under £1,250.50, such as the “Summer dream”.", "quotation"),
        ("12 dresses under £1,250.50, also from Zara.", "name"),
        ("12 dresses under £1,250.50. ZARA has more.", "name"),
        ("12 \u7ea2 dresses under £1,250.50.", "value"),
    ],
)
def test_a_reply_says_no_more_and_no_less_than_its_draft(reply: str, problem: str) -> None:
    """Numbers, quotations, the catalogue's values and other names are those of the draft."""
    assert ungrounded(reply, DRAFT, values=VALUES, capital_nouns=False) == problem


def test_a_language_may_write_nouns_with_capitals() -> None:
    """German names are told from nouns by nobody; the catalogue's values and the numbers still are."""
    draft = "12 Produkte passen: Kategorie dress."
    reply = "Ich habe 12 Kleider für deine Feier gefunden."
    assert ungrounded(reply, draft, values=VALUES, capital_nouns=True) == ""
    assert ungrounded(reply, draft, values=VALUES, capital_nouns=False) == "name"
    assert ungrounded(f"{reply} Von Acme.", draft, values=VALUES, capital_nouns=True) == "value"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1,234 and 1.234 and 1\u202f234 and 1'234", {1234.0}),
        ("12.50 and 12,5", {12.5}),
        ("1.234,50", {1234.5}),
        ("\uff11\uff12 and \u0661\u0662", {12.0}),
        ("under 50.00.", {50.0}),
        ("none", set()),
    ],
)
def test_numbers_are_read_in_whatever_form(text: str, found: set[float]) -> None:
    """A model may write a number as another language does, or without its separators."""
    assert numbers(text) == found


@dataclass
class FakePhraser:
    """Says what `say` makes of a draft."""

    say: Callable[[str], str] = str
    error: Exception | None = None
    delay_s: float = 0.0
    requests: list[rewrite_pb2.PhraseRequest] = field(default_factory=list)

    async def phrase(self, request: rewrite_pb2.PhraseRequest, *, timeout_s: float) -> str:
        """Return the model's words; fails and dawdles as it was told to."""
        self.requests.append(request)
        if self.delay_s > timeout_s:
            await asyncio.sleep(timeout_s)
            raise DeadlineExceeded("the fake did not answer in time")
        if self.error is not None:
            raise self.error
        return self.say(request.reply)


def _dresses(_: rewrite_pb2.RewriteRequest) -> rewrite_pb2.Rewrite:
    return rewrite_pb2.Rewrite(
        route=query_pb2.ROUTE_TEXT, query="dress", filter=filter_message(Equals("category", "dress"))
    )


async def _turn(
    phraser: FakePhraser, *, budget_ms: int = 5_000
) -> tuple[list[search_pb2.ConverseResponse], dict[str, float]]:
    """Ask for dresses; return the events, and how often a reply was degraded by reason."""
    settings = Settings(reply_budget_ms=budget_ms, converse_budget_ms=30_000, converse_budget_floor_ms=30_000)
    async with serving(
        products=PRODUCTS, rewriter=FakeRewriter(_dresses), phraser=phraser, settings=settings
    ) as gateway:
        stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
        request = search_pb2.ConverseRequest(text="dresses please", limit=20)
        events = [event async for event in stub.Converse(request, timeout=30)]
        samples = next(iter(gateway.metrics.degraded.collect())).samples
        reasons = {
            sample.labels["reason"]: sample.value
            for sample in samples
            if sample.labels["part"] == "reply" and sample.name.endswith("_total")
        }
    return events, reasons


async def test_a_model_is_told_what_to_say_and_says_it() -> None:
    """It gets the draft, the shopper's words and the language, and its words are the reply."""
    phraser = FakePhraser(lambda _: "Here are 12 dresses for you!")
    events, reasons = await _turn(phraser)
    assert events[-1].reply == "Here are 12 dresses for you!"
    (request,) = phraser.requests
    assert (request.reply, request.text, request.locale) == (
        "12 products fit: category dress.",
        "dresses please",
        "en",
    )
    assert reasons == {}


@pytest.mark.parametrize(
    ("phraser", "reason"),
    [
        (FakePhraser(lambda _: "Here are 13 dresses!"), "invalid"),
        (FakePhraser(lambda _: "12 " + "x" * 2_000), "invalid"),
        (FakePhraser(lambda _: "12 \x00"), "invalid"),
        (FakePhraser(lambda _: ""), "invalid"),
        (FakePhraser(error=RewriterUnavailable()), "unavailable"),
        (FakePhraser(delay_s=60), "late"),
    ],
)
async def test_the_template_stands_in_for_what_is_wrong_late_or_missing(
    phraser: FakePhraser, reason: str
) -> None:
    """The shopper reads a true sentence, and the metrics tell why it is the template's."""
    events, reasons = await _turn(phraser, budget_ms=100 if reason == "late" else 5_000)
    assert events[-1].reply == "12 products fit: category dress."
    assert [event.WhichOneof("event") for event in events] == ["understood", "result", "reply"]
    assert reasons == {reason: 1.0}


async def test_without_a_budget_no_model_is_asked() -> None:
    """The templates are the default, also where the rewriter could write."""
    phraser = FakePhraser()
    events, _ = await _turn(phraser, budget_ms=0)
    assert events[-1].reply == "12 products fit: category dress."
    assert phraser.requests == []
