"""Turns as shoppers type them: shortened, in six languages, asked where a search is meant, and about the shop."""

from collections.abc import AsyncIterator, Sequence

import pytest

from rewriter.engines.model.engine import LanguageModel, open_language_model
from rewriter.engines.model.placeholders import mark_turn
from rewriter.engines.model.plan import Act, Money, Plan, Use
from rewriter.engines.model.resolve import resolve
from rewriter.engines.rules.engine import Router
from rewriter.linking.linker import Linker
from rewriter.nlu.dialogue_state import remember
from rewriter.nlu.lexicon import build_lexicon
from rewriter.nlu.phrasings import plain, written_out
from rewriter.nlu.service import asks_of_the_shop
from rewriter.quality.turns import Expected, state_request
from vitrine.v1 import rewrite_pb2

Facets = Sequence[rewrite_pb2.Facet]

READINGS = {
    ("dresses", "whats the priciest handbag"): ("text", "category=bag", "", "price_descending"),
    ("first", "was ist die teuerste tasche"): ("text", "category=bag", "", "price_descending"),
    ("first", "cuál es el bolso más caro"): ("text", "category=bag", "", "price_descending"),
    ("first", "quel est le sac le moins cher"): ("text", "category=bag", "", "price_ascending"),
    ("dresses", "哪个最便宜"): ("text", "category=dress; price<100", "", "price_ascending"),
    ("dresses", "nur rote"): ("text", "category=dress; colour=red; price<100", "", ""),
    ("dresses", "seulement les rouges"): ("text", "category=dress; colour=red; price<100", "", ""),
    ("dresses", "in green or beige"): ("text", "category=dress; colour in (green, beige); price<100", "", ""),
    ("dresses", "第二个有绿色吗"): ("refine", "category=dress; colour=green; price<100", "r2", ""),
    ("headphones", "第二个防水吗"): ("chat", "", "h2", ""),
    ("dresses", "두 번째 거 초록색으로 있나요"): (
        "refine",
        "category=dress; colour=green; price<100",
        "r2",
        "",
    ),
    ("first", "tops that arent striped"): ("text", "category=top; not pattern=striped", "", ""),
    ("dresses", "merci beaucoup"): ("chat", "", "", ""),
    ("dresses", "kann ich das zurückgeben?"): ("chat", "", "", ""),
    ("sofas", "whats the diff between riga and oslo"): ("compare", "", "s2 s1", ""),
    ("sofas", "두 번째 거 가죽인가요?"): ("chat", "", "s2", ""),
    ("cheeses", "woher kommt der zweite?"): ("chat", "", "c2", ""),
    ("cheeses", "no butter please"): ("text", "category=cheese; price<10; without butter", "", ""),
}
"""By state and words: route, conditions, references and order."""


@pytest.fixture
async def model() -> AsyncIterator[LanguageModel]:
    """Open the embedded model."""
    async with open_language_model(rows=1, waiting=4, least_certainty=0.0) as opened:
        yield opened


async def read(model: LanguageModel, state: str, text: str) -> tuple[str, str, str, str]:
    """Return how a turn is read in one of the states of turns.txt: route, conditions, references and order."""
    request = state_request(state)
    request.text = text
    expected = Expected.of(await model.rewrite(request, timeout_s=30))
    return (
        expected.route,
        "; ".join(sorted(expected.conditions)),
        " ".join(expected.references),
        expected.sort,
    )


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("tops that arent striped", "tops that aren't striped"),
        ("r u open", "are you open"),
        ("dress w long sleeves", "dress with long sleeves"),
        ("between 30 n 60", "between 30 and 60"),
        ("fromage d'italie", "fromage d italie"),
        ("60 w lamp", "60 w lamp"),
        ("chaquetas q no sean negras", "chaquetas que no sean negras"),
    ],
)
def test_what_is_shortened_is_written_out(typed: str, meant: str) -> None:
    """Words that stand for others become them; a unit stays one."""
    assert written_out(typed, {}) == meant


def test_what_the_catalogue_calls_so_stays() -> None:
    """A brand named like something shortened is that brand."""
    assert written_out("a d'addario bag", {("d'addario",): None}) == "a d'addario bag"


def test_two_kinds_share_their_noun() -> None:
    """A noun that is said once belongs to both, where the lexicon knows both."""
    known: dict[tuple[str, ...], None] = {("red", "wine"): None, ("white", "wine"): None}
    assert plain("red or white wine", known) == "red wine or white wine"
    assert plain("red or green wine", known) == "red or green wine"


@pytest.mark.parametrize(
    "text",
    [
        "do you deliver on sundays",
        "do you have a return policy?",
        "which cards do you accept",
        "do you deliver bags to france",
        "ok and when will it arrive?",
        "kann ich das zurückgeben?",
        "wie lange dauert der versand?",
        "quels sont les frais de port",
        "cuánto tarda el envío",
        "可以退货吗",
        "배송은 얼마나 걸려요",
    ],
)
def test_questions_about_the_shop_are_known(text: str) -> None:
    """In every language, with courtesies before them."""
    assert asks_of_the_shop(text)


@pytest.mark.parametrize(
    "text",
    [
        *("do you have a dress", "how much is the first one?", "quel est le prix du premier", "가방 있어요?"),
        *("do you have a privacy screen", "how much are shipping boxes", "which cards for a birthday"),
        *("can i return to the first one", "was kostet ein versandkarton", "可以退烧的药"),
    ],
)
def test_questions_about_products_are_none_about_the_shop(text: str) -> None:
    """They begin like those, and ask for what it sells."""
    assert not asks_of_the_shop(text)


async def test_turns_are_read_as_they_are_meant(model: LanguageModel) -> None:
    """Superlatives search, alternatives narrow, questions about a product or the shop search nothing."""
    assert {said: await read(model, *said) for said in READINGS} == READINGS


def test_a_plan_invents_no_price_of_signs(facets: Facets) -> None:
    """A turn in signs that speaks of no money gets no order by price, whatever the plan says."""
    request = rewrite_pb2.RewriteRequest(text="纯素的裙子", facets=facets)
    lexicon = build_lexicon(facets)
    turn = mark_turn(request.text, lexicon)
    plan = Plan(act=Act.SEARCH, uses=dict.fromkeys(turn.marks, Use.WANT), money=Money.DEAREST)
    rewrite = resolve(plan, turn, request, memory=remember(request.history), lexicon=lexicon)
    assert not rewrite.HasField("sort")


@pytest.mark.parametrize(
    "typed",
    [
        *("u-shaped pillow", "cotton u neck top", "ssd 2 tb", "q tips", "lol surprise doll", "ty beanie hat"),
        *("d'orsay flats", "ring size n gold", "hornby n gauge"),
    ],
)
def test_what_only_looks_shortened_stays(typed: str) -> None:
    """Letters that are shapes, units and names are no words that somebody shortened."""
    assert written_out(typed, {}) == typed


def test_what_is_quoted_has_no_inches() -> None:
    """A quotation mark is a sign of inches, but not where it ends what another one begins."""
    assert written_out('the 27" or 32" screen', {}) == "the 27 inch or 32 inch screen"
    assert written_out('levis "501" jeans', {}) == "levis 501 jeans"


def test_a_longer_name_of_the_catalogue_is_not_shortened() -> None:
    """Nor put plainly: a part of "Salt n Light" or "Ciao Bella" is none of the shopper's."""
    known = {("salt", "n", "light"): None, ("ciao", "bella"): None}
    assert written_out("a salt n light lamp", known) == "a salt n light lamp"
    assert written_out("salt n vinegar", known) == "salt and vinegar"
    assert plain("ciao bella bag", known) == "ciao bella bag"
    assert plain("rubber o ring", {}) == "rubber o ring"


@pytest.mark.parametrize(
    ("state", "text", "read_as"),
    [
        ("dresses", "no bags", "category=dress; price<100; without bag"),
        ("cheeses", "thanks, no butter", "category=cheese; price<10; without butter"),
        ("dresses", "black toaster", "colour=black"),
        ("dresses", "casual blue", "category=dress; colour=blue; price<100"),
    ],
)
async def test_the_rules_carry_on_what_a_turn_narrows(state: str, text: str, read_as: str) -> None:
    """What is left out narrows the search that stands; what has a noun of its own behind a value is another search."""
    request = state_request(state)
    request.text = text
    rewrite = await Router(Linker()).rewrite(request, timeout_s=30)
    assert "; ".join(sorted(Expected.of(rewrite).conditions)) == read_as


@pytest.mark.parametrize("text", ["bitter", "body butter", "pound cake", "build a bear"])
async def test_a_word_is_no_slip_for_a_bound_where_nobody_knows_it(text: str) -> None:
    """Without the sentence encoder "bitter" may be a word, and is not mended to "better"."""
    request = state_request("first")
    request.text = text
    linked = await Linker().link(request, timeout_s=30)
    assert linked.request.text == text
