"""Replies through a gateway on loopback, over fakes: after the hits, about them, and never at their cost."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gateway.errors import DeadlineExceeded
from gateway.testing import FakeIndex, FakeRewriter, ServedGateway, product, serving
from vitrine.domain.filters import AllOf, Equals, Filter, Range
from vitrine.domain.messages import filter_message
from vitrine.v1 import query_pb2, rewrite_pb2, search_pb2, search_pb2_grpc

PRODUCTS = tuple(product(f"p{i:02}", f"red dress {i}", price=10.0 + i) for i in range(12))
DRESSES = rewrite_pb2.Rewrite(
    route=query_pb2.ROUTE_TEXT,
    query="dress",
    filter=filter_message(Equals("category", "dress")),
    reply="I am looking.",
)


class UncountedIndex(FakeIndex):
    """An index that counts too late."""

    async def count(self, filters: Filter, *, timeout_s: float) -> int:
        """Raise DeadlineExceeded."""
        raise DeadlineExceeded(f"no count of {filters} within {timeout_s} s")


def reading(*rewrites: rewrite_pb2.Rewrite) -> FakeRewriter:
    script = iter(rewrites)
    return FakeRewriter(lambda _: next(script))


async def take_turn(
    gateway: ServedGateway, text: str, **request: object
) -> list[search_pb2.ConverseResponse]:
    stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
    turn = search_pb2.ConverseRequest(text=text, **request)  # type: ignore[arg-type] # the tests name the fields
    return [event async for event in stub.Converse(turn, timeout=30)]


def reply_of(turn: Sequence[search_pb2.ConverseResponse]) -> str:
    """Return the reply, which is the last event."""
    assert turn[-1].WhichOneof("event") == "reply"
    return turn[-1].reply


async def test_the_index_counts_what_one_page_does_not_tell() -> None:
    """All twelve fit, of which the page has four; the second page is numbered through, and the last one ends."""
    more = rewrite_pb2.Rewrite(more=True)
    more.MergeFrom(DRESSES)
    async with serving(products=PRODUCTS, rewriter=reading(DRESSES, more, more, more)) as gateway:
        first = await take_turn(gateway, "dresses", limit=4)
        again = {"session_id": first[0].session_id, "limit": 4}
        later = [reply_of(await take_turn(gateway, "show me more", **again)) for _ in range(3)]
    assert reply_of(first) == "12 products fit: category dress. Say “show me more” to see the next ones."
    assert later == [
        "These are numbers 5 to 8 of 12. Say “show me more” to see the next ones.",
        "These are numbers 9 to 12 of 12.",
        "That was all; there are no more.",
    ]


async def test_a_count_that_comes_too_late_is_left_out() -> None:
    """The hits and the reply come all the same, and the metrics tell."""
    index = UncountedIndex.holding(PRODUCTS)
    async with serving(index=index, rewriter=reading(DRESSES)) as gateway:
        turn = await take_turn(gateway, "dresses", limit=4)
        late = gateway.metrics.degraded.labels("reply", "late")._value.get()
    assert len(turn[1].result.hits) == 4
    assert turn[1].result.degraded == []
    assert reply_of(turn).startswith("All of these fit: category dress.")
    assert late == 1


@pytest.mark.parametrize(
    ("text", "locale", "lead"),
    [
        ("dresses", "", "12 products fit"),
        ("dresses", "de-AT", "12 Produkte passen"),
        ("dresses", "es-MX", "Encontré 12 productos"),
        ("¿qué vestidos hay para mí?", "en-GB", "Encontré 12 productos"),
        ("el paso dresses", "en-US", "12 products fit"),
        ("원피스 보여줘", "", "상품 12개를 찾았어요"),
        ("dresses", "xx", "12 products fit"),
    ],
)
async def test_the_reply_is_in_the_language_of_the_words_or_of_the_locale(
    text: str, locale: str, lead: str
) -> None:
    """Words tell it before the locale does; a language that nobody taught is answered in English."""
    async with serving(products=PRODUCTS, rewriter=reading(DRESSES)) as gateway:
        turn = await take_turn(gateway, text, locale=locale)
    assert reply_of(turn).startswith(lead)


async def test_a_turn_that_tells_no_language_is_answered_in_that_of_the_turns_before() -> None:
    """A shopper without a locale who began in Spanish goes on in it, until other words tell another language."""
    async with serving(products=PRODUCTS, rewriter=reading(DRESSES, DRESSES, DRESSES)) as gateway:
        first = await take_turn(gateway, "¿qué vestidos hay para mí?")
        session = {"session_id": first[0].session_id}
        second = await take_turn(gateway, "barato", **session)
        third = await take_turn(gateway, "what dresses do you have for me?", **session)
    assert reply_of(second).startswith("Encontré 12 productos")
    assert reply_of(third).startswith("12 products fit")


async def test_conditions_that_nothing_satisfies_are_told() -> None:
    """A colour gives way and is named; a budget does not, and the least price is."""
    blue = rewrite_pb2.Rewrite(
        route=query_pb2.ROUTE_TEXT,
        query="blue dress",
        filter=filter_message(Equals("colour", "blue")),
    )
    cheap = rewrite_pb2.Rewrite(
        route=query_pb2.ROUTE_TEXT,
        query="dress",
        filter=filter_message(Range(field="price", maximum=5.0, exclusive_maximum=True)),
    )
    shirts = (product("p90", "blue shirt", price=99.0, colour="blue", category="shirt"),)
    index = FakeIndex.holding([*PRODUCTS, *shirts])
    async with serving(index=index, rewriter=reading(blue, cheap)) as gateway:
        filtered = {"filter": filter_message(Equals("category", "dress"))}
        relaxed = await take_turn(gateway, "a blue dress", **filtered)
        nothing = await take_turn(gateway, "under 5", **filtered)
    assert "No product has all you asked for, so I left this out: colour blue." in reply_of(relaxed)
    assert reply_of(nothing).startswith(
        "No product fits: category dress; price under 5.00. The lowest in the catalogue is 10.00 (price)."
    )


async def test_what_searches_nothing_is_answered_by_the_index_or_by_the_rewriter() -> None:
    """Products that are spoken of are described as the index has them; small talk is the rewriter's."""
    compared = rewrite_pb2.Rewrite(route=query_pb2.ROUTE_COMPARE, references=["p00", "p01"])
    thanked = rewrite_pb2.Rewrite(route=query_pb2.ROUTE_CHAT, reply="You are welcome.")
    asked = rewrite_pb2.Rewrite(
        route=query_pb2.ROUTE_CHAT, intent=query_pb2.INTENT_CONSULT, reply="Red is a colour."
    )
    rewriter = reading(DRESSES, compared, thanked, asked)
    async with serving(products=PRODUCTS, rewriter=rewriter) as gateway:
        first = await take_turn(gateway, "dresses")
        session = {"session_id": first[0].session_id}
        compare = await take_turn(gateway, "compare the first two", **session)
        thanks = await take_turn(gateway, "thanks", **session)
        fact = await take_turn(gateway, "do you have red?", **session)
    assert reply_of(compare).startswith(
        "Here are 2 products side by side. The cheapest costs 10.00: red dress 0."
    )
    assert reply_of(thanks) == "You are welcome."
    assert reply_of(fact) == "Red is a colour. Yes, 12 products have colour red."


def asked(condition: Filter, *references: str, query: str = "") -> rewrite_pb2.Rewrite:
    """Return a question of the index, about products that were shown or about all."""
    return rewrite_pb2.Rewrite(
        route=query_pb2.ROUTE_CHAT,
        intent=query_pb2.INTENT_CONSULT,
        references=references,
        filter=filter_message(condition),
        query=query,
    )


async def test_an_attribute_that_no_field_has_is_answered_by_the_product() -> None:
    """A product that is known to be of wool is not of leather; of one that has no such attribute nothing is known."""
    plain = product("p91", "red coat", price=99.0)
    wool = product("p90", "red jacket", price=99.0)
    wool = replace(wool, product=replace(wool.product, attributes={"material": "wool"}))
    leather = rewrite_pb2.Remark(field="material", value="leather")
    questions = []
    for product_id in ("p90", "p91"):
        rewrite = rewrite_pb2.Rewrite(route=query_pb2.ROUTE_CHAT, query="leather", references=[product_id])
        rewrite.intent = query_pb2.INTENT_CONSULT
        rewrite.remarks.append(leather)
        questions.append(rewrite)
    async with serving(products=(wool, plain), rewriter=reading(DRESSES, *questions)) as gateway:
        first = await take_turn(gateway, "dresses")
        session = {"session_id": first[0].session_id}
        said = [reply_of(await take_turn(gateway, "is it leather?", **session)) for _ in questions]
    assert said[0].startswith("No, not this: leather. It has: material wool. This is: red jacket.")
    assert said[1].startswith("The catalogue does not say whether this is so: leather. This is: red coat.")


async def test_a_question_about_a_product_is_answered_yes_or_no_first() -> None:
    """By the product as the index holds it; what it does not say is said to be so, and the rest of it follows."""
    questions = (
        asked(Equals("colour", "red"), "p01"),
        asked(Equals("colour", "blue"), "p01"),
        asked(Equals("colour", "red"), "p01", query="wool"),
    )
    others = (product("p90", "blue hat", price=99.0, category="hat", colour="blue"),)
    async with serving(products=(*PRODUCTS, *others), rewriter=reading(DRESSES, *questions)) as gateway:
        first = await take_turn(gateway, "dresses")
        session = {"session_id": first[0].session_id}
        said = [reply_of(await take_turn(gateway, "is it?", **session)) for _ in questions]
    assert said[0].startswith("Yes: colour red. This is: red dress 1. The catalogue says:")
    assert said[1].startswith(
        "No, not this: colour blue. It has: colour red. No other product of its kind has it. This is: red dress 1."
    )
    assert said[2].startswith(
        "Yes: colour red. The catalogue does not say whether this is so: wool. This is:"
    )


async def test_products_under_several_conditions_are_counted_together() -> None:
    """And the prices that are asked for are those of these products alone."""
    condition = AllOf((Equals("category", "dress"), Equals("colour", "red")))
    others = (product("p90", "blue hat", price=99.0, category="hat", colour="blue"),)
    rewriter = reading(
        asked(condition), asked(condition), asked(AllOf((Equals("category", "hat"), Equals("colour", "red"))))
    )
    async with serving(products=(*PRODUCTS, *others), rewriter=rewriter) as gateway:
        counted = await take_turn(gateway, "how many red dresses are there?")
        bounded = await take_turn(gateway, "what is the price range of red dresses?")
        none = await take_turn(gateway, "how many red hats are there?")
    assert reply_of(counted) == "12 products fit: category dress; colour red."
    (fact,) = counted[1].facts.facts
    assert (fact.field, fact.value, fact.products) == ("", "category=dress and colour=red", 12)
    assert reply_of(bounded).endswith("From 10.00 to 21.00 (price).")
    assert [(each.lowest, each.highest) for each in bounded[1].facts.facts[1:]] == [(10.0, 21.0)]
    assert reply_of(none) == "No product fits: category hat; colour red."
