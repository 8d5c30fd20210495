"""The table of rules that says what a turn does; the first rule that answers decides."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise

from rewriter.engines.rules.asking import asked_of_shown
from rewriter.languages.files import any_language
from rewriter.nlu.bounds import moved
from rewriter.nlu.conditions import joined, range_on
from rewriter.nlu.dialogue_context import Situation, category_of
from rewriter.nlu.dialogue_state import remember
from rewriter.nlu.edits import modification
from rewriter.nlu.lexicon import Lexicon
from rewriter.nlu.lifted import take_lifted
from rewriter.nlu.next_page import asks_for_next_page
from rewriter.nlu.prices import changed_price, lifts_price
from rewriter.nlu.reading import Reading, point_at, read, titled
from rewriter.nlu.sentiments import add_opinions, intent_of, sentiment_of
from rewriter.nlu.service import asks_of_the_shop
from rewriter.nlu.tagging import PRICES, VALUES, Use
from rewriter.nlu.vocabulary import Role
from rewriter.nlu.words import fold
from rewriter.replies.builders import (
    alike,
    asked_about,
    changed,
    compared,
    constrained,
    defined,
    next_page,
    pictured,
    refined,
    searched,
    silent,
    small_talk,
    stock,
    terms_of,
    wish_of,
)
from vitrine.domain.filters import Range
from vitrine.domain.schema import Role as FieldRole
from vitrine.v1 import rewrite_pb2

_SMALL_TALK: Mapping[Role, str] = {
    Role.SERVICE: "service",
    Role.GREET: "greeting",
    Role.THANK: "thanks",
    Role.LEAVE: "farewell",
}
_CHANGE_CUES = (Role.SAME, Role.MAKE, Role.REPLACE, Role.STEP, Role.BUT, Role.IN, Role.WITH, Role.COMPARATIVE)
"""Cues that a turn says how the product in mind should differ."""

SCAFFOLDING = frozenset(
    {Role.FILLER, Role.GLUE, Role.ARTICLE, Role.JOIN, Role.POINT, Role.ONE, Role.IN, Role.WITH, Role.NOT}
)
"""Roles of words that ask for nothing by themselves."""

_RANGES = re.compile(any_language("stock", "ranges"))
"""What asks where the prices begin and end."""

_COUNTS = re.compile(any_language("stock", "counts"))
"""What asks how many there are and nothing else."""

_Rule = Callable[[Situation], rewrite_pb2.Rewrite | None]


def decide(request: rewrite_pb2.RewriteRequest, lexicon: Lexicon) -> rewrite_pb2.Rewrite:
    """Read the turn and return the answer of the first rule that has one."""
    if (asked := asked_of_shown(request, lexicon, fold(request.text))) is not None:
        return asked
    situation = _situation(request, lexicon)
    reading = situation.reading
    answers = (rule(situation) for rule in _RULES)
    rewrite = next(rewrite for rewrite in answers if rewrite is not None)
    return add_opinions(
        rewrite,
        reading,
        situation.values(situation.reference),
        intent=rewrite.intent or intent_of(rewrite, request.text, reading),
        sentiment=sentiment_of(rewrite, request.text, reading),
    )


def settled(request: rewrite_pb2.RewriteRequest, lexicon: Lexicon) -> rewrite_pb2.Rewrite | None:
    """Return the reading of a turn that needs no model; None for any other.

    Such a turn asks about a shown product, about the shop, for the next page, for the values of a field or the range of prices, changes the price that stands,
    or gives up a condition, or it sets conditions beside the words of the catalogue's fields and says nothing else.
    """
    text = fold(request.text)
    if (rewrite := asked_of_shown(request, lexicon, text) or _given_up(request, lexicon)) is not None:
        return rewrite
    if not request.has_image and asks_of_the_shop(text):
        return _service(_situation(request, lexicon))
    changes = changed_price(text) is not None or lifts_price(text)
    counts = _COUNTS.fullmatch(text.strip(" .?!¿")) is not None
    ranges = (counts or _RANGES.search(text) is not None) and not request.has_image
    asks = asks_for_next_page(request.text) or lexicon.fields.asks_for_values(text) or changes or ranges
    if not (asks or lexicon.fields.take(text, by_price=True)):
        return None
    situation = _situation(request, lexicon)
    if asks and (rewrite := _more(situation) or _stock(situation) or _budget(situation)) is not None:
        return rewrite
    if ranges:
        return stock(situation, standing=True)
    reading = situation.reading
    alone = reading.taken and not reading.price and reading.roles <= SCAFFOLDING
    return decide(request, lexicon) if alone else None


def _given_up(request: rewrite_pb2.RewriteRequest, lexicon: Lexicon) -> rewrite_pb2.Rewrite | None:
    """Return the search before without what the turn no longer cares about; None where the turn says more than that."""
    if not take_lifted(fold(request.text), lexicon)[0] or request.has_image or request.product_id:
        return None
    situation = _situation(request, lexicon)
    reading = situation.reading
    said = reading.wanted or reading.unwanted or reading.price or reading.taken or reading.excluded
    if said or situation.pointed or situation.memory.last is None or reading.has(*PRICES, Role.STEP):
        return None
    return constrained(replace(situation, reading=replace(reading, tags=())))


def more_of(request: rewrite_pb2.RewriteRequest, lexicon: Lexicon) -> rewrite_pb2.Rewrite | None:
    """Return the next page of the search before the turn; None where the turn asks for none."""
    return _more(_situation(request, lexicon)) if asks_for_next_page(request.text) else None


def _situation(request: rewrite_pb2.RewriteRequest, lexicon: Lexicon) -> Situation:
    memory = remember(request.history, lexicon.schema)
    reading = replace(read(request.text, lexicon), standing=category_of(memory, lexicon))
    reading, pointed = point_at(reading, memory.shown)
    if not pointed and reading.has(Role.COMPARE):
        pointed = tuple(titled(reading.tags, memory.shown, lexicon))
    return Situation(request=request, reading=reading, memory=memory, pointed=pointed)


def _more(situation: Situation) -> rewrite_pb2.Rewrite | None:
    """The next page of what was searched last."""
    return next_page(situation) if asks_for_next_page(situation.request.text) else None


def _stock(situation: Situation) -> rewrite_pb2.Rewrite | None:
    """A question for the values of a field, which the index answers."""
    if situation.request.has_image or not situation.lexicon.fields.asks_for_values(
        fold(situation.request.text)
    ):
        return None
    return stock()


def _budget(situation: Situation) -> rewrite_pb2.Rewrite | None:
    """Another amount for the price of the search before, "make that 40", or none: "any price is fine"."""
    if lifts_price(fold(situation.request.text)):
        return _without_price(situation)
    amount = changed_price(fold(situation.request.text))
    field = situation.lexicon.name_of(FieldRole.PRICE)
    earlier = range_on(situation.earlier, field) if amount is not None and field else None
    if amount is None or earlier is None or situation.request.has_image or situation.request.product_id:
        return None
    price = moved(earlier, amount)
    return constrained(replace(situation, reading=replace(situation.reading, tags=(), price=price)))


def _without_price(situation: Situation) -> rewrite_pb2.Rewrite | None:
    """The search before, without its bound on the price."""
    field = situation.lexicon.name_of(FieldRole.PRICE)
    earlier = situation.earlier
    if range_on(earlier, field) is None or situation.request.has_image or situation.request.product_id:
        return None
    rewrite = constrained(replace(situation, reading=replace(situation.reading, tags=(), price=None)))
    if rewrite is not None:
        rewrite.ClearField("filter")
        left = [each for each in earlier if not (isinstance(each, Range) and each.field == field)]
        if (conditions := joined(left)) is not None:
            rewrite.filter.CopyFrom(conditions)
    return rewrite


def _picture(situation: Situation) -> rewrite_pb2.Rewrite | None:
    """A picture, this turn's own or the one that its words name, alone or with words that change it."""
    own = situation.request.has_image
    asks = situation.reading.has(Role.PICTURE) and not situation.target
    named = situation.memory.picture if asks else ""
    return pictured(situation, "" if own else named) if own or named else None


def _definition(situation: Situation) -> rewrite_pb2.Rewrite | None:
    """A question for the meaning of a term, or for what a shown product is."""
    reading = situation.reading
    if not reading.has(Role.DEFINE, Role.WHICH, Role.COMPARE) or reading.has(*PRICES, Role.STEP):
        return None
    if reading.has(Role.DEFINE) or (reading.has(Role.COMPARE) and len(terms_of(situation)) > 1):
        return defined(situation)
    asked = situation.target or (situation.memory.reference if reading.has(Role.POINT) else "")
    product = situation.memory.known.get(asked)
    if product is None or reading.has(Role.COMPARE) or reading.wanted:
        return None
    return asked_about(product, reading=reading)


def _comparison(situation: Situation) -> rewrite_pb2.Rewrite | None:
    """Shown products side by side."""
    reading = situation.reading
    asks = reading.has(Role.COMPARE) or (
        reading.has(Role.WHICH) and reading.has(*PRICES, Role.STEP) and not _ranks_a_kind(reading)
    )
    several = len(situation.pointed) > 1 and not reading.wanted
    return compared(situation) if asks or several else None


def _ranks_a_kind(reading: Reading) -> bool:
    """Return whether the turn asks which of a kind is the cheapest or the dearest: "what's the priciest handbag"."""
    return bool(reading.category) and reading.has(Role.CHEAPEST, Role.DEAREST)


def _service(situation: Situation) -> rewrite_pb2.Rewrite | None:
    """A question about the shop, which its documents answer."""
    asks = not situation.request.has_image and asks_of_the_shop(fold(situation.request.text))
    return small_talk(situation, "service") if asks else None


def _small_talk(situation: Situation) -> rewrite_pb2.Rewrite | None:
    """Courtesies, questions about the shop, and turns that give up what was searched."""
    reading = situation.reading
    asks = reading.has(*PRICES, Role.SIMILAR, Role.STEP, Role.COMPARATIVE, Role.FAULT)
    said = reading.taken or reading.excluded or reading.wanted or reading.unwanted or reading.price
    if asks or said or situation.target:
        return None
    role = next((role for role in _SMALL_TALK if reading.has(role)), None)
    if role is not None and (role is Role.SERVICE or not reading.words):
        return small_talk(situation, _SMALL_TALK[role])
    resets = reading.has(Role.RESET) and not reading.words
    return small_talk(situation, "start_afresh", confidence=0.8) if resets else None


def _pointed_product(situation: Situation) -> rewrite_pb2.Rewrite | None:
    """A product that this turn points at: its look-alikes, or what it becomes by the change."""
    return changed(situation) if situation.target else None


def _change(situation: Situation) -> rewrite_pb2.Rewrite | None:
    """A change to the product in mind: "same but in red", "without sleeves", "longer"; or that product itself."""
    reading = situation.reading
    if not situation.reference or situation.opens_topic or situation.restates_kind:
        return None
    if reading.has(Role.SIMILAR, Role.POINT, Role.SAME) and not _asks_anything(situation):
        return alike(situation)
    detail = any(tag.role is Role.STYLE for tag in reading.wanted) and not reading.has(Role.ONE)
    if not (detail or reading.old or reading.has(*_CHANGE_CUES) or situation.follows_reference):
        return None
    change = modification(reading, situation.values(situation.reference))
    return refined(situation, change) if change else None


def _constraint(situation: Situation) -> rewrite_pb2.Rewrite | None:
    """A condition more on what was searched last: "under 50", "only red ones", "no stripes", "no, the skirt"."""
    reading = situation.reading
    says_more = bool(
        reading.wanted
        or reading.unwanted
        or reading.price
        or reading.taken
        or reading.excluded
        or reading.lifted
    )
    apart = situation.opens_topic or situation.restates_kind or _names_a_thing(reading)
    apart = apart or bool(reading.words and not says_more)
    return None if apart or not _asks_anything(situation) else constrained(situation)


def _names_a_thing(reading: Reading) -> bool:
    """Return whether a word that nobody knows follows a value at once, as a noun does: "black toaster", not "red with pockets"."""
    return any(
        value.role in VALUES and value.use is Use.WANTED and word.role is Role.WORD and word.surface.isascii()
        for value, word in pairwise(reading.tags)
    )


def _search(situation: Situation) -> rewrite_pb2.Rewrite | None:
    """Words that stand for themselves."""
    return searched(situation, wish_of(situation))


def _silence(situation: Situation) -> rewrite_pb2.Rewrite:
    """Nothing that could be searched."""
    return silent(situation)


_RULES: tuple[_Rule, ...] = (
    _more,
    _stock,
    _budget,
    _service,
    _picture,
    _definition,
    _comparison,
    _small_talk,
    _pointed_product,
    _change,
    _constraint,
    _search,
    _silence,
)


def _asks_anything(situation: Situation) -> bool:
    """Return whether the turn holds a wish, an exclusion, a condition, a price or words of the shopper's own."""
    reading = situation.reading
    said = (
        reading.wanted
        or reading.unwanted
        or reading.price
        or reading.taken
        or reading.words
        or reading.excluded
        or reading.lifted
    )
    return bool(said) or reading.has(*PRICES, Role.STEP, Role.FAULT)
