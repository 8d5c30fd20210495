"""A shopper's talk through the running stack: what each turn did to the route, the conditions, the references, the hits."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from grpc import aio

from gateway.adapters.milvus.index import open_milvus
from gateway.adapters.rewriter import open_rewriter
from gateway.adapters.triton import open_triton
from gateway.settings import Settings as GatewaySettings
from gateway.testing import serving
from rewriter.engines.rules.engine import Router
from rewriter.metrics import Metrics
from rewriter.server import serving as serving_rewriter
from rewriter.settings import Settings as RewriterSettings
from vitrine.filter_text import format_filter
from vitrine.v1 import query_pb2, rewrite_pb2, search_pb2, search_pb2_grpc

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60.0
LIMIT = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """What a turn was answered."""

    events: Sequence[search_pb2.ConverseResponse]

    @property
    def understood(self) -> rewrite_pb2.Rewrite:
        """How the turn was read."""
        return self.events[0].understood

    @property
    def route(self) -> str:
        """The route, such as "text"."""
        return query_pb2.Route.Name(self.understood.route).removeprefix("ROUTE_").lower()

    @property
    def result(self) -> search_pb2.SearchResponse:
        """The hits and how they came about; empty where nothing was searched."""
        return next((e.result for e in self.events if e.HasField("result")), search_pb2.SearchResponse())

    @property
    def products(self) -> list[query_pb2.Product]:
        """The products of the hits."""
        return [hit.product for hit in self.result.hits]

    @property
    def comparison(self) -> search_pb2.Comparison:
        """The table; empty where there is none."""
        return next((e.comparison for e in self.events if e.HasField("comparison")), search_pb2.Comparison())

    @property
    def facts(self) -> list[search_pb2.Fact]:
        """What the index knows."""
        return [fact for event in self.events for fact in event.facts.facts]

    @property
    def reply(self) -> str:
        """The sentence."""
        return self.events[-1].reply

    def values(self, name: str) -> set[str]:
        """Give the values of a field, or of an attribute, that the hits have."""
        fields = query_pb2.Product.DESCRIPTOR.fields_by_name
        return {
            str(getattr(each, name)) if name in fields else each.attributes[name] for each in self.products
        }


@dataclass(slots=True)
class Talk:
    """One conversation."""

    stub: Any
    session_id: str = ""
    answers: list[Answer] = field(default_factory=list)

    async def say(self, text: str = "", *, image: bytes = b"") -> Answer:
        """Take a turn; it must be answered whole."""
        request = search_pb2.ConverseRequest(session_id=self.session_id, text=text, limit=LIMIT)
        if image:
            request.image = image
        answer = Answer([event async for event in self.stub.Converse(request, timeout=TIMEOUT_S)])
        self.session_id = answer.events[0].session_id
        assert "rewrite" not in answer.result.degraded
        self.answers.append(answer)
        return answer


@pytest.fixture
async def talk(stack: Any) -> AsyncIterator[Talk]:
    """Begin a conversation with the running gateway."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with aio.insecure_channel(stack.gateway, options=options) as channel:
        yield Talk(search_pb2_grpc.SearchServiceStub(channel))


@pytest.fixture
def picture_path(stack: Any) -> Path:
    """Give the path of a picture of a blue striped midi dress."""
    path: Path = stack.catalogue / "queries" / "001.jpg"
    return path


@pytest.fixture
def picture(picture_path: Path) -> bytes:
    """Give the picture."""
    return picture_path.read_bytes()


async def test_a_dress_is_changed_step_by_step(talk: Talk) -> None:
    """Another colour, a lower price, other sleeves: each holds on to what was said before."""
    first = await talk.say("a blue midi dress")
    assert first.route == "text"
    assert first.values("category") == {"dress"}
    assert first.values("colour") == {"blue"}
    dress = first.products[0]

    red = await talk.say("Same but in red")
    assert (red.route, list(red.understood.references)) == ("refine", [dress.id])
    assert red.result.searched.product_id == dress.id
    assert red.values("category") == {"dress"}
    assert red.values("colour") == {"red"}
    assert red.products[0].title == dress.title.replace("blue", "red", 1)

    cheaper = await talk.say("cheaper")
    assert max(each.price for each in cheaper.products) < red.products[0].price
    assert cheaper.values("colour") == {"red"}
    assert "price<" in format_filter(cheaper.result.searched.filter)

    sleeveless = await talk.say("without sleeves")
    assert "sleeveless" in sleeveless.understood.modification
    assert "sleeveless" in sleeveless.values("sleeve")
    assert sleeveless.values("colour") == {"red"}
    assert max(each.price for each in sleeveless.products) < red.products[0].price


async def test_shown_products_are_set_side_by_side(talk: Talk) -> None:
    """The comparison holds the first two of the hits, and the catalogue's own values of each."""
    shown = (await talk.say("red dresses")).products[:2]
    compared = await talk.say("compare the first two")
    assert compared.route == "compare"
    assert list(compared.understood.references) == [each.id for each in shown]
    assert [each.id for each in compared.comparison.products] == [each.id for each in shown]
    rows = {row.field: row for row in compared.comparison.fields}
    assert list(rows["price"].values) == [f"{each.price:.2f}" for each in shown]
    assert list(rows["brand"].values) == [each.brand for each in shown]
    assert list(rows["length"].values) == [each.attributes["length"] for each in shown]
    assert rows["category"].equal
    assert not compared.result.hits
    assert f"{min(each.price for each in shown):.2f}" in compared.reply


async def test_a_question_is_answered_without_a_search(talk: Talk) -> None:
    """What a word means is said; the conversation goes on where it was."""
    await talk.say("a red midi dress")
    meaning = await talk.say("what is a midi?")
    assert meaning.route == "chat"
    assert "knee" in meaning.reply
    assert not meaning.result.hits
    after = await talk.say("in navy")
    assert after.values("category") == {"dress"}
    assert after.values("colour") == {"navy"}


async def test_an_earlier_product_is_spoken_of_again(talk: Talk) -> None:
    """After another search the first dress is still known; the boots are what is looked for."""
    dresses = await talk.say("a red dress")
    await talk.say("show me boots")
    back = await talk.say("go back to the first dress and show boots that go with it")
    assert list(back.understood.references) == [dresses.products[0].id]
    assert back.values("category") == {"shoes"}
    assert back.products[0].attributes["type"] == "boots"


async def test_the_index_answers_what_it_knows(talk: Talk) -> None:
    """Which values there are, how many products have one, and what a shown product costs: all of it the index's own."""
    colours = await talk.say("what colours do you have?")
    assert (colours.route, colours.understood.intent) == ("chat", query_pb2.INTENT_CONSULT)
    (fact,) = colours.facts
    assert (fact.field, {"red", "navy"} <= {*fact.values}) == ("colour", True)
    second = (await talk.say("red dresses")).products[1]
    price = await talk.say("how much is the second one?")
    assert list(price.understood.references) == [second.id]
    assert [each.id for each in price.comparison.products] == [second.id]
    assert f"{second.price:.2f}" in price.reply


async def test_a_picture_is_changed_by_words(talk: Talk, picture: bytes) -> None:
    """A picture alone finds its like; with words it starts from the picture and finds others."""
    alone = await talk.say(image=picture)
    assert alone.route == "image"
    assert alone.products[0].colour == "blue"
    shorter = await talk.say("like this but shorter", image=picture)
    assert shorter.route == "composed"
    assert "short" in shorter.understood.modification
    assert shorter.products[0].category == "dress"
    assert [each.id for each in shorter.products] != [each.id for each in alone.products]


async def test_a_correction_a_topic_change_and_a_picture_of_before(talk: Talk, picture: bytes) -> None:
    """The skirt instead keeps the rest; a bag is another topic; the picture of three turns ago is still there."""
    await talk.say("like this but in red", image=picture)
    skirt = await talk.say("no, the skirt")
    assert skirt.values("category") == {"skirt"}
    bag = await talk.say("show me a leather bag")
    assert (bag.route, bag.values("category")) == ("text", {"bag"})
    assert format_filter(bag.result.searched.filter) == "category=bag"
    assert bag.products[0].attributes["material"] == "leather"
    black = await talk.say("the picture from before, but in black")
    assert black.route == "composed"
    (reference,) = black.understood.references
    assert reference.startswith("image:")
    assert black.values("colour") == {"black"}


async def test_what_is_hated_stays_away(talk: Talk) -> None:
    """Stripes that are hated are not among the hits nor those of the next turn, until they are fine after all."""
    striped = await talk.say("a striped dress")
    assert striped.values("pattern") == {"striped"}
    for words in ("hate stripes", "in red"):
        without = await talk.say(words)
        assert "striped" not in without.values("pattern")
        assert "not pattern=striped" in format_filter(without.result.searched.filter)
        assert without.values("category") == {"dress"}
        assert [each.value for each in without.result.searched.excluded] == ["striped"]
    fine = await talk.say("stripes are fine after all")
    assert not fine.result.searched.excluded
    assert "striped" not in format_filter(fine.result.searched.filter)


@pytest.fixture
async def talk_with_rules(stack: Any) -> AsyncIterator[Talk]:
    """Begin a conversation with a gateway on the real encoders and index whose turns the rules read."""
    settings = RewriterSettings(listen="127.0.0.1:0", engine="router", drain_s=0, grace_s=0)
    patient = GatewaySettings(converse_budget_ms=30_000, converse_budget_floor_ms=30_000)
    async with (
        serving_rewriter(settings, Router(), Metrics()) as rewriter,
        open_rewriter(f"127.0.0.1:{rewriter.port}") as adapter,
        open_triton(stack.triton) as encoder,
        open_milvus(stack.milvus) as index,
        serving(encoder=encoder, index=index, rewriter=adapter, settings=patient) as gateway,
    ):
        yield Talk(search_pb2_grpc.SearchServiceStub(gateway.channel))


async def test_a_fault_acts_until_it_is_forgiven(talk_with_rules: Talk) -> None:
    """What is too bright loses its colour in this search and the next; who asks for it again gets it again."""
    talk = talk_with_rules
    red = await talk.say("red dresses")
    assert red.values("colour") == {"red"}
    for words in ("too bright", "under 80"):
        other = await talk.say(words)
        assert other.values("category") == {"dress"}
        assert "red" not in other.values("colour")
        assert [(each.field, each.value) for each in other.result.searched.excluded] == [("colour", "red")]
        assert "not colour=red" in format_filter(other.result.searched.filter)
    again = await talk.say("show me red ones")
    assert again.values("colour") == {"red"}
    assert not again.result.searched.excluded


async def test_a_fault_is_forgotten_with_its_topic(talk_with_rules: Talk) -> None:
    """Stripes that are hated of dresses are no matter of shoes, and then of dresses no more."""
    talk = talk_with_rules
    await talk.say("a striped dress")
    hated = await talk.say("hate stripes")
    assert [(each.field, each.value) for each in hated.result.searched.excluded] == [("pattern", "striped")]
    assert "striped" not in hated.values("pattern")
    assert hated.understood.sentiment == query_pb2.SENTIMENT_NEGATIVE
    shoes = await talk.say("black shoes please")
    assert shoes.values("category") == {"shoes"}
    assert not shoes.result.searched.excluded


def piped(stack: Any, lines: Collection[str], *options: str) -> str:
    """Give what `vitrine chat` says to these lines."""
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "vitrine",
            "chat",
            "--address",
            stack.gateway,
            "--limit",
            str(LIMIT),
            *options,
        ],
        cwd=ROOT,
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S * 4,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


async def test_the_command_line_reads_the_same_talk_from_a_pipe(
    stack: Any, talk: Talk, picture: bytes, picture_path: Path
) -> None:
    """`vitrine chat` understands and finds what Converse does, line by line."""
    lines = ["a blue striped midi dress", "Same but in red", "compare the first two", "what is a midi?"]
    for line in lines:
        await talk.say(line)
    await talk.say("like this but shorter", image=picture)
    said = piped(stack, [*lines, f"/image {picture_path} like this but shorter"], "--json")
    events = [json.loads(line) for line in said.splitlines()]
    routes = [event["understood"]["route"] for event in events if "understood" in event]
    assert routes == [query_pb2.Route.Name(answer.understood.route) for answer in talk.answers]
    hits = [[hit["product_id"] for hit in event["result"]["hits"]] for event in events if "result" in event]
    assert hits == [[each.id for each in answer.products] for answer in talk.answers if answer.products]


async def test_the_command_line_shows_what_a_person_needs(stack: Any) -> None:
    """Hits and a comparison are tables, what was understood and the reply are lines."""
    said = piped(stack, ["red dresses", "compare the first two", "/new", "what is a midi?"])
    assert 'text | "red dress' in said
    for row in ("colour", "price", "length"):
        assert f"\n{row} " in said
    assert "knee" in said
