"""Hostile words stay words: whatever a turn says, its rewrite keeps to the schema, the catalogue and the session."""

import json
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import pytest

from rewriter.checks import violation
from rewriter.engines.model.placeholders import TooManyMarks, mark_turn
from rewriter.engines.model.plan import Act, Money, Plan, Use
from rewriter.engines.model.prompt import prompt_of, tokens_of_prompts
from rewriter.engines.model.resolve import resolve
from rewriter.engines.model.tokens import Tokens
from rewriter.engines.rules.decide import decide
from rewriter.nlu.dialogue_state import remember
from rewriter.nlu.lexicon import build_lexicon
from vitrine.domain.limits import MAX_QUERY_LENGTH, MAX_REPLY_LENGTH
from vitrine.v1 import query_pb2, rewrite_pb2

ATTACKS = [
    json.loads(line)
    for line in (Path(__file__).parent / "injections.jsonl").read_text(encoding="utf-8").splitlines()
]
WEIGHTS = Path("rewriter/weights/small")
PLANS = (
    *((act, use, Money.NONE) for act, use in product(Act, Use)),
    *((act, Use.WANT, money) for act, money in product(Act, (Money.CHEAPER, Money.UNDER))),
)
"""What a model may say of a turn: every act with every use of its words, and with a bound of each kind."""


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    """The committed model's tokenizer."""
    return Tokens(WEIGHTS / "tokenizer.json")


def requests(
    text: str, facets: Sequence[rewrite_pb2.Facet], shown: Sequence[query_pb2.Product]
) -> Iterator[rewrite_pb2.RewriteRequest]:
    """Give the attack as a first turn, after three dresses, and with a picture."""
    first = rewrite_pb2.RewriteRequest(text="dresses", facets=facets)
    turn = rewrite_pb2.Turn(text=first.text, rewrite=decide(first, build_lexicon(facets)), shown=shown)
    yield rewrite_pb2.RewriteRequest(text=text, facets=facets)
    yield rewrite_pb2.RewriteRequest(text=text, facets=facets, history=[turn])
    yield rewrite_pb2.RewriteRequest(text=text, facets=facets, has_image=True)


def test_the_suite_is_large() -> None:
    """At least a hundred different attempts."""
    assert len(set(ATTACKS)) >= 100


@pytest.mark.parametrize("text", ATTACKS, ids=range(len(ATTACKS)))
def test_the_router_keeps_to_the_schema(
    text: str, facets: Sequence[rewrite_pb2.Facet], shown: Sequence[query_pb2.Product]
) -> None:
    """The rules' reading of an attack is a valid rewrite, within every limit."""
    for request in requests(text, facets, shown):
        rewrite = decide(request, build_lexicon(facets))
        assert violation(rewrite, request) == ""
        assert len(rewrite.reply) <= MAX_REPLY_LENGTH
        assert len(rewrite.query) <= MAX_QUERY_LENGTH


@pytest.mark.slow
@pytest.mark.parametrize("text", ATTACKS, ids=range(len(ATTACKS)))
def test_no_plan_of_an_attack_leaves_the_schema(
    text: str, facets: Sequence[rewrite_pb2.Facet], shown: Sequence[query_pb2.Product]
) -> None:
    """Even if the model were wholly taken over, what it may say resolves to a valid rewrite or to none."""
    lexicon = build_lexicon(facets)
    for request in requests(text, facets, shown):
        try:
            turn = mark_turn(request.text, lexicon)
        except TooManyMarks:
            return
        memory = remember(request.history)
        for act, use, money in PLANS:
            plan = Plan(act=act, positions=(2, 10, -3), uses=dict.fromkeys(turn.marks, use), money=money)
            rewrite = resolve(plan, turn, request, memory=memory, lexicon=lexicon)
            assert violation(rewrite, request) == ""


@pytest.mark.parametrize("text", ATTACKS, ids=range(len(ATTACKS)))
def test_no_attack_types_a_special_token(
    text: str, facets: Sequence[rewrite_pb2.Facet], tokens: Tokens
) -> None:
    """The shopper's own part of a prompt holds no special token, however much it looks like one."""
    lexicon = build_lexicon(facets)
    try:
        turn = mark_turn(text, lexicon)
    except TooManyMarks:
        return
    parts = prompt_of(rewrite_pb2.RewriteRequest(text=text), turn, remember([]), lexicon)
    words = [part for part, special in parts if not special]
    special = range(len(tokens_of_prompts()))
    for word in words:
        assert not any(token in special for token in tokens.encode([(word[:40], False)]))
