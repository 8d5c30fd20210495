"""Rewrites made of a situation, once it is known what the turn does; whoever decides that calls these.

Confidences order the answers by how seldom they misread a turn; they are no probabilities.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rewriter.checks import violation
from rewriter.nlu.conditions import beside, conditions_of, joined, merge
from rewriter.nlu.dialogue_context import Situation
from rewriter.nlu.edits import edited_query, modification, shorten
from rewriter.nlu.lexicon import HEAD
from rewriter.nlu.reading import Reading
from rewriter.nlu.tagging import VALUES, Use
from rewriter.nlu.vocabulary import GLOSSARY
from rewriter.nlu.vocabulary import Role as Cue
from rewriter.replies.answers import SOURCE, answer, chat
from rewriter.replies.sentences import sentence
from vitrine.domain.filters import Filter, Range
from vitrine.domain.limits import MAX_REFERENCES, MAX_REMARKS
from vitrine.domain.product import Product
from vitrine.domain.routes import ANYTHING
from vitrine.domain.schema import Role
from vitrine.v1 import query_pb2, rewrite_pb2

_MAX_ADVISED = 4
"""Products that one advice speaks of."""

_MAX_TERMS = 2
"""Terms that one reply explains."""


def small_talk(situation: Situation, name: str, *, confidence: float = 0.9) -> rewrite_pb2.Rewrite:
    """Answer with a sentence of that name, without a search."""
    return chat(sentence(name, situation.request.locale), confidence=confidence)


def pictured(situation: Situation, picture_id: str) -> rewrite_pb2.Rewrite:
    """Search by a picture, alone or with words that change it; no id means the turn's own."""
    reading = situation.reading
    change = modification(reading.without_head(), {})
    return answer(
        query_pb2.ROUTE_COMPOSED if change else query_pb2.ROUTE_IMAGE,
        query=shorten(reading.query),
        modification=change,
        conditions=conditions_of(reading, reading.price),
        sort=situation.sort,
        references=(picture_id,) if picture_id else (),
        confidence=0.8,
    )


def terms_of(situation: Situation) -> list[str]:
    """Explain the terms that the turn names and the glossary knows."""
    wanted = situation.reading.wanted
    return [GLOSSARY[tag.meaning.said] for tag in wanted if tag.meaning.said in GLOSSARY]


def defined(situation: Situation) -> rewrite_pb2.Rewrite:
    """Explain the terms that the turn asks about, or say that they are unknown."""
    known = " ".join(dict.fromkeys(terms_of(situation)[:_MAX_TERMS]))
    unknown = sentence("unknown_term", situation.request.locale)
    return chat(known or unknown, confidence=0.8 if known else 0.5)


def asked_about(*products: Product, reading: Reading | None = None) -> rewrite_pb2.Rewrite:
    """Answer a question about shown products, which the index describes; "is it wool?" comes with what is asked of them."""
    rewrite = chat(references=[product.id for product in products], confidence=0.7)
    if reading is not None:
        asked = _asked(replace(reading, tags=tuple(tag for tag in reading.tags if tag.part not in HEAD)))
        styles = [tag for tag in asked.tags if tag.role is Cue.STYLE]
        rewrite.query = shorten(" ".join(tag.meaning.said for tag in styles))
        # Of an attribute that no condition may name, the product itself may tell the value.
        rewrite.remarks.extend(
            rewrite_pb2.Remark(field=tag.slot, value=tag.meaning.said) for tag in styles[:MAX_REMARKS]
        )
        _ask(rewrite, conditions_of(asked))
    return rewrite


def stock(situation: Situation | None = None, *, standing: bool = False) -> rewrite_pb2.Rewrite:
    """Answer a question for what there is, which the index knows, under the turn's conditions.

    Those of the search that stands hold too where the turn names no other kind and, unless it is known to be about that
    search, has no word that nobody knows.
    """
    rewrite = chat(confidence=0.9)
    rewrite.intent = query_pb2.INTENT_CONSULT
    if situation is not None:
        reading = situation.reading
        own = conditions_of(_asked(reading), reading.price)
        stands = (standing or not reading.words) and not (situation.opens_topic or situation.restates_kind)
        _ask(rewrite, merge(situation.earlier, own) if stands else own)
    return rewrite


def _asked(reading: Reading) -> Reading:
    """Return a question in which what a product is called by is asked of it too: in "is the blue one wool?" both are."""
    tags = (replace(tag, use=Use.WANTED) if tag.use is Use.NAMED else tag for tag in reading.tags)
    return replace(reading, tags=tuple(tag for tag in tags if tag.role in VALUES))


def _ask(rewrite: rewrite_pb2.Rewrite, conditions: Sequence[Filter]) -> None:
    """Put what a question asks for into its answer."""
    if (asked := joined(conditions)) is not None:
        rewrite.filter.CopyFrom(asked)


def advised(situation: Situation) -> rewrite_pb2.Rewrite | None:
    """Answer for the products that the turn asks advice on: those that are named, else those shown; None for none."""
    products = _distinct(situation.pointed or situation.memory.shown)[:_MAX_ADVISED]
    return asked_about(*products) if products else None


def compared(situation: Situation) -> rewrite_pb2.Rewrite:
    """Set products side by side: those that are named, those compared before, or the first two."""
    memory = situation.memory
    earlier = [memory.known[product_id] for product_id in memory.compared]
    choices = map(_distinct, (situation.pointed, earlier, memory.shown[:2]))
    products = next((choice for choice in choices if len(choice) > 1), [])[:MAX_REFERENCES]
    if not products:
        return small_talk(situation, "nothing_to_compare", confidence=0.8)
    return answer(
        query_pb2.ROUTE_COMPARE,
        references=[product.id for product in products],
        confidence=0.85,
    )


def changed(situation: Situation) -> rewrite_pb2.Rewrite:
    """Search from the product in mind as the turn changes it, or for its look-alikes where it changes nothing."""
    change = modification(situation.reading, situation.values(situation.reference))
    return refined(situation, change) if change else alike(situation)


def refined(situation: Situation, change: str) -> rewrite_pb2.Rewrite:
    """Search from the product in mind, changed; the conversation's conditions stay where the turn sets no others."""
    product = situation.product(situation.reference)
    last = situation.memory.last
    title = product.text(situation.lexicon.schema, Role.TITLE)
    base = title or (last.query if last is not None else "")
    return answer(
        query_pb2.ROUTE_REFINE,
        query=edited_query(base, situation.reading, situation.values(product.id)),
        modification=change,
        conditions=situation.conditions_around(product.id),
        sort=situation.sort,
        references=[product.id],
        confidence=0.85 if situation.target else 0.75,
    )


def alike(situation: Situation) -> rewrite_pb2.Rewrite:
    """Search the look-alikes of the product in mind."""
    product = situation.product(situation.reference)
    return answer(
        query_pb2.ROUTE_SIMILAR,
        query=shorten(product.text(situation.lexicon.schema, Role.TITLE)),
        conditions=situation.conditions_around(product.id),
        sort=situation.sort,
        references=[product.id],
        confidence=0.85 if situation.target else 0.6,
    )


def constrained(situation: Situation) -> rewrite_pb2.Rewrite | None:
    """Search what was searched last, under a condition more; None where nothing was."""
    last, reading = situation.memory.last, situation.reading
    if last is None:
        return None
    route = query_pb2.ROUTE_TEXT if reading.category else _carried_route(last)
    references = _still_known(situation, route, last.references)
    query = edited_query(last.query, reading) or (ANYTHING if reading.lifted else "")
    if not (query if route == query_pb2.ROUTE_TEXT else references):
        return alike(situation) if situation.reference else None
    price = situation.price_around(situation.memory.reference)
    return answer(
        route,
        query=query,
        modification=shorten(last.modification) if references else "",
        conditions=merge(
            situation.earlier, beside(situation.earlier, conditions_of(reading, price), reading)
        ),
        sort=situation.sort or situation.earlier_sort,
        references=references,
        confidence=0.8,
    )


def wish_of(situation: Situation) -> str:
    """Return the words to search by: the turn's own where none of them is known, and none that it does not want."""
    reading = situation.reading
    declined = reading.unwanted or reading.excluded
    return shorten(reading.query or (ANYTHING if declined else " ".join(situation.request.text.split())))


def searched(situation: Situation, query: str) -> rewrite_pb2.Rewrite | None:
    """Search by words without the conversation, but for the budget of the same kind; None without a word.

    A product that is named, as in "boots that go with the first dress", is a reference and no part of the search.
    """
    reading = situation.reading
    if not any(character.isalnum() for character in query):
        return None
    same_kind = bool(reading.category) and not situation.opens_topic
    budget = [c for c in situation.earlier if same_kind and isinstance(c, Range)]
    return answer(
        query_pb2.ROUTE_TEXT,
        query=query,
        conditions=merge(budget, conditions_of(reading, reading.price)),
        sort=situation.sort,
        references=[situation.pointed[0].id] if situation.pointed else (),
        confidence=0.85 if reading.category else 0.6 if reading.wanted else 0.4,
    )


def silent(situation: Situation) -> rewrite_pb2.Rewrite:
    """Answer a turn that says nothing."""
    return small_talk(situation, "nothing_said", confidence=0.6)


def next_page(situation: Situation) -> rewrite_pb2.Rewrite | None:
    """Go on with the search before this turn as it was; None where there was none, or it cannot be repeated."""
    last, request = situation.memory.last, situation.request
    if last is None or request.has_image or request.product_id:
        return None
    rewrite = rewrite_pb2.Rewrite(
        route=last.route,
        query=last.query,
        modification=last.modification,
        references=last.references,
        more=True,
        confidence=0.9,
        source=SOURCE,
        intent=query_pb2.INTENT_BUY,
    )
    if last.HasField("filter"):
        rewrite.filter.CopyFrom(last.filter)
    if last.HasField("sort"):
        rewrite.sort.CopyFrom(last.sort)
    return None if violation(rewrite, request, situation.lexicon) else rewrite


def _distinct(products: Iterable[Product]) -> list[Product]:
    """Return each product that has an id once."""
    return list({product.id: product for product in products if product.id}.values())


def _carried_route(last: rewrite_pb2.Rewrite) -> query_pb2.Route.ValueType:
    """Return the route of the last search, which the history may tell wrongly: without a change there is none to repeat."""
    unchanged = {
        query_pb2.ROUTE_COMPOSED: query_pb2.ROUTE_IMAGE,
        query_pb2.ROUTE_REFINE: query_pb2.ROUTE_SIMILAR,
    }
    return last.route if last.modification.strip() else unchanged.get(last.route, last.route)


def _still_known(
    situation: Situation, route: query_pb2.Route.ValueType, references: Iterable[str]
) -> list[str]:
    """Keep the references that the conversation still holds, and that a search of that kind may start from."""
    memory = situation.memory
    if route == query_pb2.ROUTE_TEXT:
        return []
    pictured = route in {query_pb2.ROUTE_IMAGE, query_pb2.ROUTE_COMPOSED}
    known = memory.pictures if pictured else memory.known
    return [reference for reference in references if reference in known]
