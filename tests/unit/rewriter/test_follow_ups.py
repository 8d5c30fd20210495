"""Kinds of turns that go on with a search: what they give up, add, correct or ask, in the languages that the rewriter knows."""

from collections.abc import AsyncIterator

import pytest

from rewriter.engines.fallback import Fallback
from rewriter.engines.model.engine import open_language_model
from rewriter.engines.port import Engine
from rewriter.engines.rules.engine import Router
from rewriter.linking.linker import Linker
from rewriter.quality.turns import Expected, state_request
from rewriter.settings import Settings
from vitrine.filter_text import parse_filter

Read = tuple[str, str, str, str]

KINDS: dict[str, dict[tuple[str, str, str], Read]] = {
    "a field that no longer matters": {
        ("dresses", "category=dress and colour=red and price<100", "whatever pattern, and the colour is irrelevant"): (
            "text", "category=dress; price<100", "", "",
        ),
        ("dresses", "category=dress and pattern=floral and price<100", "das Muster spielt keine Rolle"): (
            "text", "category=dress; price<100", "", "",
        ),
        ("bags", "category=bag and colour=brown", "n'importe quelle couleur"): ("text", "category=bag", "", ""),
        ("bags", "category=bag and brand=Osterly", "no me importa la marca"): ("text", "category=bag", "", ""),
        ("bags", "category=bag and colour=brown", "什么颜色都行"): ("text", "category=bag", "", ""),
        ("novels", "genre=novel and language=German and price<20", "언어는 중요하지 않아요"): (
            "text", "genre=novel; price<20", "", "",
        ),
        ("sofas", "kind=sofa and colour=grey and price<900", "any colour but yellow"): (
            "text", "kind=sofa; not colour=yellow; price<900", "", "",
        ),
        ("drills", "category=drill and voltage>=18", "the voltage doesn't matter"): ("text", "category=drill", "", ""),
        ("drills", "category=drill and price<150", "the budget is flexible"): ("text", "category=drill", "", ""),
    },
    "a value that is no longer needed": {
        ("cheeses", "category=cheese and diet=vegan and price<10", "they don't have to be vegan any more"): (
            "text", "category=cheese; price<10", "", "",
        ),
        ("headphones", "category=headphones and waterproof=true", "wasserdicht müssen sie nicht sein"): (
            "text", "category=headphones", "", "",
        ),
        ("sofas", "kind=sofa and material=velvet", "no hace falta que sea de terciopelo"): ("text", "kind=sofa", "", ""),
        ("drills", "category=drill and cordless=true", "sans fil n'est pas indispensable"): (
            "text", "category=drill", "", "",
        ),
        ("headphones", "category=headphones and waterproof=true", "不一定要防水"): ("text", "category=headphones", "", ""),
        ("drills", "category=drill and cordless=true", "무선 아니어도 괜찮아요"): ("text", "category=drill", "", ""),
    },
}  # fmt: skip
"""By kind: the state, the conditions that stand, and the words; then route, conditions, references and order that they should have."""


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    """Open what reads turns: the embedded model with the rules behind it, without the sentence encoder."""
    linker = Linker()
    certainty = Settings().model_least_certainty
    async with open_language_model(rows=1, waiting=4, least_certainty=certainty, linker=linker) as model:
        yield Fallback(model, Router(linker), name="model", reserve_s=0.01, on_failure=lambda _: None)
    linker.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_turns_of_a_kind_are_read_rightly(kind: str, engine: Engine) -> None:
    """Every one of them."""
    wrong: dict[str, Read] = {}
    for (state, standing, text), expected in KINDS[kind].items():
        request = state_request(state)
        request.text = text
        if standing:
            request.history[-1].rewrite.filter.CopyFrom(parse_filter(standing))
        read = Expected.of(await engine.rewrite(request, timeout_s=30))
        found = (read.route, "; ".join(sorted(read.conditions)), " ".join(read.references), read.sort)
        wrong |= {text: found} if found != expected else {}
    assert wrong == {}
