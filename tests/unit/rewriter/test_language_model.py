"""The embedded model, with the weights that are committed."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from rewriter.checks import violation
from rewriter.engines.model.batcher import Batcher, Expired, Refused
from rewriter.engines.model.decoder import Decoder
from rewriter.engines.model.engine import WEIGHTS, LanguageModel, open_language_model
from rewriter.engines.model.plan import read_plan
from rewriter.engines.model.tokens import Tokens
from rewriter.engines.port import EngineError, Failure
from rewriter.engines.rules.decide import decide
from rewriter.metrics import Metrics
from rewriter.nlu.lexicon import build_lexicon
from rewriter.server import open_engine, open_linker
from rewriter.settings import Settings
from vitrine.v1 import query_pb2, rewrite_pb2

pytestmark = pytest.mark.slow

Facets = Sequence[rewrite_pb2.Facet]
Products = Sequence[query_pb2.Product]

ATTACKS = [
    json.loads(line)
    for line in (Path(__file__).parent / "injections.jsonl").read_text(encoding="utf-8").splitlines()
]
TURNS = (
    ("same but in red", "ROUTE_REFINE", ["b1"]),
    ("cheaper", "ROUTE_TEXT", []),
    ("without sleeves", "ROUTE_REFINE", ["b1"]),
    ("the second one but longer", "ROUTE_REFINE", ["r2"]),
    ("the third one", "ROUTE_SIMILAR", ["n3"]),
    ("compare the first two", "ROUTE_COMPARE", ["b1", "r2"]),
    ("what is a midi?", "ROUTE_CHAT", []),
    ("no, the skirt", "ROUTE_TEXT", []),
    ("now show me black boots", "ROUTE_TEXT", []),
    ("thanks!", "ROUTE_CHAT", []),
    ("el segundo pero en azul", "ROUTE_REFINE", ["r2"]),
    ("太贵了", "ROUTE_TEXT", []),
    ("빨간 치마 보여줘", "ROUTE_TEXT", []),
)


@pytest.fixture
async def model() -> AsyncIterator[LanguageModel]:
    """Run the committed model."""
    async with open_language_model(rows=8, waiting=256, least_certainty=0.0) as opened:
        yield opened


def after_dresses(text: str, facets: Facets, shown: Products) -> rewrite_pb2.RewriteRequest:
    """Give a turn after "dresses under 100", which showed b1 (blue), r2 (red) and n3 (navy)."""
    first = rewrite_pb2.RewriteRequest(text="dresses under 100", facets=facets)
    turn = rewrite_pb2.Turn(text=first.text, rewrite=decide(first, build_lexicon(facets)), shown=shown)
    return rewrite_pb2.RewriteRequest(text=text, facets=facets, history=[turn])


@pytest.mark.parametrize(("text", "route", "references"), TURNS, ids=[text for text, *_ in TURNS])
async def test_the_model_reads_the_turns_of_a_conversation(
    model: LanguageModel,
    facets: Facets,
    shown: Products,
    *,
    text: str,
    route: str,
    references: list[str],
) -> None:
    """What the design promises a conversation can hold, the model alone reads."""
    request = after_dresses(text, facets, shown)
    rewrite = await model.rewrite(request, timeout_s=60)
    assert (query_pb2.Route.Name(rewrite.route), list(rewrite.references)) == (route, references)
    assert (rewrite.source, violation(rewrite, request)) == ("model-small", "")


async def test_company_changes_no_answer(model: LanguageModel, facets: Facets, shown: Products) -> None:
    """Turns read together come out as they do alone, whenever they join."""
    requests = [after_dresses(text, facets, shown) for text, *_ in TURNS]
    alone = [await model.rewrite(request, timeout_s=60) for request in requests]
    together = await asyncio.gather(*(model.rewrite(request, timeout_s=60) for request in requests * 3))
    for one, other in zip(alone * 3, together, strict=True):
        assert other.confidence == pytest.approx(one.confidence, abs=1e-3)
        other.confidence = one.confidence
        assert one == other


async def test_hostile_words_stay_words(model: LanguageModel, facets: Facets, shown: Products) -> None:
    """Every attack is read to a valid rewrite of the session's own things, or to none."""

    async def read(request: rewrite_pb2.RewriteRequest) -> bool:
        try:
            rewrite = await model.rewrite(request, timeout_s=60.0)
        except EngineError as error:
            return error.failure in {Failure.TOO_LONG, Failure.UNSURE}
        return violation(rewrite, request) == ""

    requests = [after_dresses(text, facets, shown) for text in ATTACKS]
    assert all(await asyncio.gather(*map(read, requests)))


async def test_a_turn_of_many_words_is_left_to_the_rules(model: LanguageModel, facets: Facets) -> None:
    """What is longer than the model was made for is refused before any work."""
    request = rewrite_pb2.RewriteRequest(text="red dress " * 190, facets=facets)
    with pytest.raises(EngineError) as caught:
        await model.rewrite(request, timeout_s=60)
    assert caught.value.failure is Failure.TOO_LONG


async def test_no_time_is_a_timeout(model: LanguageModel, facets: Facets) -> None:
    """A call whose time is over gets no answer, and the next one does."""
    request = rewrite_pb2.RewriteRequest(text="red dress", facets=facets)
    with pytest.raises(EngineError) as caught:
        await model.rewrite(request, timeout_s=0.0)
    assert caught.value.failure is Failure.TIMEOUT
    assert (await model.rewrite(request, timeout_s=60)).query == "red dress"


async def test_an_unsure_reading_is_no_reading(facets: Facets) -> None:
    """With a certainty that no choice reaches, the model gives every turn to the rules."""
    async with open_language_model(rows=1, waiting=1, least_certainty=1.1) as strict:
        with pytest.raises(EngineError) as caught:
            await strict.rewrite(rewrite_pb2.RewriteRequest(text="red dress", facets=facets), timeout_s=60)
    assert caught.value.failure is Failure.UNSURE


async def test_the_rules_stand_in_for_the_model(facets: Facets) -> None:
    """As it is served, a turn that the model cannot read is read by rules, and the source says so."""
    async with (
        open_linker(Settings(engine="model")) as linker,
        open_engine(Settings(engine="model"), Metrics(), linker) as engine,
    ):
        read = await engine.rewrite(
            rewrite_pb2.RewriteRequest(text="red dress", facets=facets), timeout_s=10.0
        )
        long = rewrite_pb2.RewriteRequest(text="red dress " * 190, facets=facets)
        left = await engine.rewrite(long, timeout_s=60)
    assert (read.source, left.source) == ("model-small", "router (too long: model)")
    assert left.route == query_pb2.ROUTE_TEXT


@pytest.mark.parametrize("text", ["sofa", "wireless headphones", "do you have umbrellas"])
async def test_what_nobody_knows_is_searched(facets: Facets, text: str) -> None:
    """A thing that no facet names is looked for, not taken for small talk."""
    async with (
        open_linker(Settings(engine="model")) as linker,
        open_engine(Settings(engine="model"), Metrics(), linker) as engine,
    ):
        rewrite = await engine.rewrite(rewrite_pb2.RewriteRequest(text=text, facets=facets), timeout_s=60)
    assert rewrite.route == query_pb2.ROUTE_TEXT


@pytest.mark.parametrize("text", ["how do i pay", "where is my parcel", "are you a robot"])
async def test_small_talk_is_not_searched(facets: Facets, text: str) -> None:
    """A question about the shop is answered, though the catalogue knows none of its words."""
    async with (
        open_linker(Settings(engine="model")) as linker,
        open_engine(Settings(engine="model"), Metrics(), linker) as engine,
    ):
        rewrite = await engine.rewrite(rewrite_pb2.RewriteRequest(text=text, facets=facets), timeout_s=60)
    assert (rewrite.route, rewrite.intent) == (query_pb2.ROUTE_CHAT, query_pb2.INTENT_UNSPECIFIED)


OPINIONS = (
    ("red dresses", "INTENT_BUY", "SENTIMENT_UNSPECIFIED", []),
    ("compare the first two", "INTENT_COMPARE", "SENTIMENT_UNSPECIFIED", []),
    ("what is a midi?", "INTENT_CONSULT", "SENTIMENT_UNSPECIFIED", []),
    ("how much is the second one?", "INTENT_CONSULT", "SENTIMENT_UNSPECIFIED", []),
    ("what colours do you have?", "INTENT_CONSULT", "SENTIMENT_UNSPECIFIED", []),
    ("hate stripes", "INTENT_BUY", "SENTIMENT_NEGATIVE", [("pattern", "striped")]),
    ("too bright", "INTENT_BUY", "SENTIMENT_NEGATIVE", [("colour", "blue")]),
)


@pytest.mark.parametrize(
    ("text", "intent", "sentiment", "remarks"), OPINIONS, ids=[text for text, *_ in OPINIONS]
)
async def test_the_model_reads_what_the_shopper_thinks(
    model: LanguageModel,
    facets: Facets,
    shown: Products,
    *,
    text: str,
    intent: str,
    sentiment: str,
    remarks: list[tuple[str, str]],
) -> None:
    """Why the shopper asks, in which mood, and what is found fault with come out beside the wish."""
    rewrite = await model.rewrite(after_dresses(text, facets, shown), timeout_s=60)
    assert query_pb2.Intent.Name(rewrite.intent) == intent
    assert query_pb2.Sentiment.Name(rewrite.sentiment) == sentiment
    assert [(remark.field, remark.value) for remark in rewrite.remarks] == remarks


class _Stuck:
    """A network whose step takes its time."""

    rows = 1

    def __init__(self, size: int) -> None:
        self._size = size

    def free(self, row: int) -> None:
        """Forget nothing."""

    def move(self, source: int, target: int) -> None:
        """Move nothing."""

    def room(self, row: int) -> int:
        """Have room for everything."""
        return 1_000 + row

    def step(self, first: int, fed: Sequence[Sequence[int]]) -> object:
        """Take a tenth of a second and fail."""
        time.sleep(0.1)
        raise RuntimeError(f"no step of {len(fed)} from {first}")


async def test_a_full_queue_refuses_and_a_dead_network_answers() -> None:
    """Nobody waits in vain: not for a place, and not for a thread that has died."""
    tokens = Tokens(WEIGHTS / "tokenizer.json")
    batcher = Batcher(_Stuck(tokens.size), end=tokens.end, size=tokens.size, waiting=1)  # type: ignore[arg-type]
    calls = [batcher.answer([1], tokens.matcher(()), timeout_s=60) for _ in range(4)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(outcome, Refused) for outcome in outcomes)
    with pytest.raises(Refused):
        await batcher.answer([1], tokens.matcher(()), timeout_s=60)


async def test_an_answer_is_held_to_its_grammar() -> None:
    """Even a prompt of nonsense is answered with a plan of exactly the turn's marks."""
    tokens = Tokens(WEIGHTS / "tokenizer.json")
    decoder = Decoder(WEIGHTS / "decoder.onnx", rows=2, length=256)
    batcher = Batcher(decoder, end=tokens.end, size=tokens.size, waiting=4)
    try:
        for marks in ((), ("C1",), ("C1", "W1", "W2", "N1")):
            answer = await batcher.answer([700, 900, 1], tokens.matcher(marks), timeout_s=60)
            assert tuple(read_plan(tokens.decode(answer.tokens)).uses) == marks
        with pytest.raises(Expired):
            await batcher.answer([700], tokens.matcher(()), timeout_s=0.0)
    finally:
        batcher.close()
