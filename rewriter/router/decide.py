"""The table of rules that makes a rewrite of a turn and its conversation; the first rule that answers decides.

Confidences order the rules by how seldom they misread a turn; they are no probabilities.
"""

from collections.abc import Callable, Iterable, Mapping

from rewriter.limits import MAX_REFERENCES
from rewriter.router import replies
from rewriter.router.answers import answer, chat
from rewriter.router.edits import edited_query, modification, shorten
from rewriter.router.filters import conditions_of, merge
from rewriter.router.lexicon import Lexicon
from rewriter.router.memory import remember
from rewriter.router.reading import point_at, read
from rewriter.router.situation import Situation
from rewriter.router.vocabulary import GLOSSARY, Role
from vitrine.v1 import query_pb2, rewrite_pb2

_SMALL_TALK: Mapping[Role, str] = {
    Role.SERVICE: replies.SERVICE,
    Role.GREET: replies.GREETING,
    Role.THANK: replies.THANKS,
    Role.LEAVE: replies.FAREWELL,
}
_CHANGE_CUES = (Role.SAME, Role.MAKE, Role.REPLACE, Role.STEP, Role.BUT, Role.IN, Role.WITH, Role.COMPARATIVE)
"""Cues that a turn says how the product in mind should differ."""
_MAX_TERMS = 2
"""Terms that one reply explains."""
_PRICE_CUES = (Role.CHEAPER, Role.DEARER, Role.CHEAPEST, Role.DEAREST)

_Rule = Callable[[Situation], rewrite_pb2.Rewrite | None]


def decide(request: rewrite_pb2.RewriteRequest, lexicon: Lexicon) -> rewrite_pb2.Rewrite:
    """Read the turn and give the answer of the first rule that has one."""
    memory = remember(request.history)
    reading, pointed = point_at(read(request.text, lexicon), memory.shown)
    situation = Situation(request=request, reading=reading, memory=memory, pointed=pointed)
    answers = (rule(situation) for rule in _RULES)
    return next(rewrite for rewrite in answers if rewrite is not None)


def _picture(situation: Situation) -> rewrite_pb2.Rewrite | None:
    """A picture, this turn's own or the one that its words name, alone or with words that change it."""
    reading, memory = situation.reading, situation.memory
    own = situation.request.has_image
    named = memory.picture if reading.has(Role.PICTURE) and not situation.target else ""
    if not own and not named:
        return None
    change = modification(reading.without_head(), {})
    return answer(
        query_pb2.ROUTE_COMPOSED if change else query_pb2.ROUTE_IMAGE,
        query=shorten(reading.query),
        modification=change,
        conditions=conditions_of(reading, reading.price),
        sort=situation.sort,
        references=() if own else (named,),
        reply=replies.changing("the picture", change) if change else replies.LIKE_PICTURE,
        confidence=0.8,
    )


def _definition(situation: Situation) -> rewrite_pb2.Rewrite | None:
    """A question for the meaning of a term, or for what a shown product is."""
    reading = situation.reading
    if not reading.has(Role.DEFINE, Role.WHICH, Role.COMPARE) or reading.has(*_PRICE_CUES, Role.STEP):
        return None
    terms = [GLOSSARY[tag.meaning.said] for tag in reading.wanted if tag.meaning.said in GLOSSARY]
    if reading.has(Role.DEFINE) or (reading.has(Role.COMPARE) and len(terms) > 1):
        known = " ".join(dict.fromkeys(terms[:_MAX_TERMS]))
        return chat(known or replies.UNKNOWN_TERM, confidence=0.8 if known else 0.5)
    asked = situation.target or (situation.memory.reference if reading.has(Role.POINT) else "")
    product = situation.memory.known.get(asked)
    if product is None or reading.has(Role.COMPARE) or reading.wanted:
        return None
    return chat(replies.described(product), references=[asked], confidence=0.7)


def _comparison(situation: Situation) -> rewrite_pb2.Rewrite | None:
    """Shown products side by side: those that are named, those compared before, or the first two."""
    reading, memory = situation.reading, situation.memory
    asks = reading.has(Role.COMPARE) or (reading.has(Role.WHICH) and reading.has(*_PRICE_CUES, Role.STEP))
    several = len(situation.pointed) > 1 and not reading.wanted
    if not asks and not several:
        return None
    compared = [memory.known[product_id] for product_id in memory.compared]
    choices = map(_distinct, (situation.pointed, compared, memory.shown[:2]))
    products = next((choice for choice in choices if len(choice) > 1), [])[:MAX_REFERENCES]
    if not products:
        return chat(replies.NOTHING_TO_COMPARE, confidence=0.8)
    return answer(
        query_pb2.ROUTE_COMPARE,
        references=[product.id for product in products],
        reply=replies.comparison(products),
        confidence=0.85,
    )


def _small_talk(situation: Situation) -> rewrite_pb2.Rewrite | None:
    """Courtesies, questions about the shop, and turns that give up what was searched."""
    reading = situation.reading
    asks = reading.has(*_PRICE_CUES, Role.SIMILAR, Role.STEP, Role.COMPARATIVE)
    if asks or reading.wanted or reading.unwanted or reading.price or situation.target:
        return None
    role = next((role for role in _SMALL_TALK if reading.has(role)), None)
    if role is not None and (role is Role.SERVICE or not reading.words):
        return chat(_SMALL_TALK[role], confidence=0.9)
    return (
        chat(replies.START_AFRESH, confidence=0.8) if reading.has(Role.RESET) and not reading.words else None
    )


def _pointed_product(situation: Situation) -> rewrite_pb2.Rewrite | None:
    """A product that this turn points at: its look-alikes, or what it becomes by the change."""
    if not situation.target:
        return None
    change = modification(situation.reading, situation.values(situation.target))
    return _refined(situation, change) if change else _alike(situation)


def _change(situation: Situation) -> rewrite_pb2.Rewrite | None:
    """A change to the product in mind: "same but in red", "without sleeves", "longer"; or that product itself."""
    reading = situation.reading
    if not situation.reference or situation.opens_topic or situation.restates_kind:
        return None
    if reading.has(Role.SIMILAR, Role.POINT, Role.SAME) and not _asks_anything(situation):
        return _alike(situation)
    detail = any(tag.role is Role.STYLE for tag in reading.wanted) and not reading.has(Role.ONE)
    if not (detail or reading.old or reading.has(*_CHANGE_CUES) or situation.follows_reference):
        return None
    change = modification(reading, situation.values(situation.reference))
    return _refined(situation, change) if change else None


def _constraint(situation: Situation) -> rewrite_pb2.Rewrite | None:
    """A condition more on what was searched last: "under 50", "only red ones", "no stripes", "no, the skirt"."""
    last, reading = situation.memory.last, situation.reading
    apart = situation.opens_topic or situation.restates_kind or bool(reading.words)
    if last is None or apart or not _asks_anything(situation):
        return None
    route = query_pb2.ROUTE_TEXT if reading.category else last.route
    references = [] if route == query_pb2.ROUTE_TEXT else _still_known(situation, last.references)
    query = edited_query(last.query, reading)
    if not (query if route == query_pb2.ROUTE_TEXT else references):
        return _alike(situation) if situation.reference else None
    price = situation.price_around(situation.memory.reference)
    return answer(
        route,
        query=query,
        modification=shorten(last.modification) if references else "",
        conditions=merge(situation.earlier, conditions_of(reading, price)),
        sort=situation.sort or last.sort,
        references=references,
        reply=replies.searching(query or "products like that", price),
        confidence=0.8,
    )


def _search(situation: Situation) -> rewrite_pb2.Rewrite | None:
    """Words that stand for themselves: a search without the conversation, but for the budget of the same kind."""
    reading = situation.reading
    query = shorten(reading.query or " ".join(situation.request.text.split()))
    if not any(character.isalnum() for character in query):
        return None
    same_kind = bool(reading.category) and not situation.opens_topic
    budget = [c for c in situation.earlier if same_kind and c.WhichOneof("node") == "range"]
    return answer(
        query_pb2.ROUTE_TEXT,
        query=query,
        conditions=merge(budget, conditions_of(reading, reading.price)),
        sort=situation.sort,
        reply=replies.searching(query, reading.price),
        confidence=0.85 if reading.category else 0.6 if reading.wanted else 0.4,
    )


def _silence(_: Situation) -> rewrite_pb2.Rewrite:
    """Nothing that could be searched."""
    return chat(replies.NOTHING_SAID, confidence=0.6)


_RULES: tuple[_Rule, ...] = (
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


def _refined(situation: Situation, change: str) -> rewrite_pb2.Rewrite:
    """Search from the product in mind, changed; the conversation's conditions stay where the turn sets no others."""
    product = situation.product(situation.reference)
    last = situation.memory.last
    base = product.title or (last.query if last is not None else "")
    return answer(
        query_pb2.ROUTE_REFINE,
        query=edited_query(base, situation.reading, situation.values(product.id)),
        modification=change,
        conditions=situation.conditions_around(product.id),
        sort=situation.sort,
        references=[product.id],
        reply=replies.changing(product.title or "that product", change),
        confidence=0.85 if situation.target else 0.75,
    )


def _alike(situation: Situation) -> rewrite_pb2.Rewrite:
    """Search the look-alikes of the product in mind."""
    product = situation.product(situation.reference)
    return answer(
        query_pb2.ROUTE_SIMILAR,
        query=shorten(product.title),
        conditions=situation.conditions_around(product.id),
        sort=situation.sort,
        references=[product.id],
        reply=replies.alike(product.title or "that product"),
        confidence=0.85 if situation.target else 0.6,
    )


def _distinct(products: Iterable[query_pb2.Product]) -> list[query_pb2.Product]:
    """Give each product that has an id once."""
    return list({product.id: product for product in products if product.id}.values())


def _asks_anything(situation: Situation) -> bool:
    """Say whether the turn holds a wish, an exclusion, a price or words of the shopper's own."""
    reading = situation.reading
    said = reading.wanted or reading.unwanted or reading.price or reading.words
    return bool(said) or reading.has(*_PRICE_CUES, Role.STEP)


def _still_known(situation: Situation, references: Iterable[str]) -> list[str]:
    """Keep the references that the conversation still holds."""
    memory = situation.memory
    return [
        reference for reference in references if reference in memory.known or reference in memory.pictures
    ]
