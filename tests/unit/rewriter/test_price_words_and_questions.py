"""Words about the price that name no amount, and questions that the index answers, by the rules and by the model."""

from collections.abc import AsyncIterator, Sequence

import pytest

from rewriter.engines.model.engine import LanguageModel, open_language_model
from rewriter.engines.rules.decide import decide
from rewriter.nlu.lexicon import build_lexicon
from rewriter.quality.turns import Expected, state_request
from vitrine.filter_text import format_filter
from vitrine.v1 import query_pb2, rewrite_pb2

Facets = Sequence[rewrite_pb2.Facet]

EXPENSIVE = (
    "expensive hats", "a pricey hat", "teure Hüte", "ein teurer Hut", "sombreros caros", "un chapeau cher", "贵的帽子", "비싼 모자",
    "not a cheap hat",
)  # fmt: skip
CHEAP = (
    "cheap hats", "a hat that is not too expensive", "hats, not expensive", "günstige Hüte", "ein nicht so teurer Hut",
    "sombreros baratos", "un sombrero que no sea caro", "un chapeau pas cher", "un chapeau pas trop cher", "便宜的帽子",
    "不太贵的帽子", "저렴한 모자", "너무 비싸지 않은 모자",
)  # fmt: skip
NAMES = {"hut": "hat", "hüte": "hat", "chapeau": "hat"}
"""What a tower would link; these tests have none."""

NO_ORDER = ("not the cheapest hat", "nicht der teuerste hat")
QUESTIONS = {
    "is it wool?": ("wool", "", ["b1"]),
    "ist es aus Wolle?": ("wool", "", ["b1"]),
    "¿es de lana?": ("wool", "", ["b1"]),
    "is the second one striped?": ("", "pattern=striped", ["r2"]),
    "how many are there?": ("", "category=dress and price<100", []),
    "wie viele gibt es?": ("", "category=dress and price<100", []),
    "how many red dresses do you have?": ("", "colour=red and category=dress", []),
    "how many lamps do you have?": ("", "", []),
}
CHEAPER = (
    "something cheaper",
    "too expensive",
    "zu teuer",
    "günstiger",
    "más barato",
    "moins cher",
    "太贵了",
    "더 싼 거",
)


def worded(text: str) -> str:
    """Return the text with the names that the language files lack in English."""
    return " ".join(NAMES.get(word.casefold(), word) for word in text.split())


@pytest.fixture
async def model() -> AsyncIterator[LanguageModel]:
    """Open the embedded model."""
    async with open_language_model(rows=1, waiting=4, least_certainty=0.0) as opened:
        yield opened


async def both(request: rewrite_pb2.RewriteRequest, model: LanguageModel) -> list[Expected]:
    """Return how the rules and the model read a turn."""
    lexicon = build_lexicon(request.facets)
    rewrites = [decide(request, lexicon), await model.rewrite(request, timeout_s=60)]
    return [*map(Expected.of, rewrites)]


@pytest.mark.parametrize(("order", "texts"), [("", (*EXPENSIVE, *NO_ORDER)), ("price_ascending", CHEAP)])
async def test_things_are_ordered_by_what_they_are_said_to_cost(
    order: str, texts: Sequence[str], facets: Facets, model: LanguageModel
) -> None:
    """Cheap ones come cheapest first, expensive ones never; the opposite of a superlative is no order."""
    read = {
        text: await both(rewrite_pb2.RewriteRequest(text=worded(text), facets=facets), model)
        for text in texts
    }
    wrong = {
        text: readings
        for text, readings in read.items()
        if any((each.sort, each.conditions) != (order, {"category=hat"}) for each in readings)
    }
    assert wrong == {}


async def test_cheaper_is_below_what_stands(model: LanguageModel) -> None:
    """After dresses of which the first costs 60."""
    request = state_request("dresses")
    for request.text in CHEAPER:
        for reading in await both(request, model):
            assert {"category=dress", "price<60"} <= reading.conditions, request.text


async def test_questions_come_with_what_they_ask_for(model: LanguageModel) -> None:
    """About a product: its words as a filter or, where no field has them, as a query; about all: how many of what."""
    read = {}
    for text in QUESTIONS:
        request = state_request("dresses")
        request.text = text
        rewrite = await model.rewrite(request, timeout_s=60)
        assert rewrite.route == query_pb2.ROUTE_CHAT, text
        read[text] = (rewrite.query, format_filter(rewrite.filter), [*rewrite.references])
    assert read == QUESTIONS


def test_the_word_for_expensive_goes_to_the_encoder(facets: Facets) -> None:
    """What is described by it is searched with it."""
    request = rewrite_pb2.RewriteRequest(text="expensive hats", facets=facets)
    assert decide(request, build_lexicon(facets)).query == "expensive hat"


def test_the_face_is_not_expensive(facets: Facets) -> None:
    """Spanish writes both words alike."""
    request = rewrite_pb2.RewriteRequest(text="un bolso para la cara", facets=facets)
    read = decide(request, build_lexicon(facets))
    assert (read.query, read.HasField("sort")) == ("bag cara", False)
