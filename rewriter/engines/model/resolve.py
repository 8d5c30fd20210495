"""A plan made into a rewrite, by the parts that the router is made of.

The plan is a model's opinion. What it may do is bounded here: positions that were not shown name nothing, a change
needs something to change, a turn with a picture starts from it, and every value comes from the lexicon.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from rewriter.engines.model import overrule
from rewriter.engines.model.placeholders import MarkedTurn, Piece, is_plural
from rewriter.engines.model.plan import INTENTS, SENTIMENTS, Act, Money, Plan, Use
from rewriter.languages.files import spoken_words
from rewriter.nlu.bounds import BOUNDS, Interval
from rewriter.nlu.conditions import excluded_by, known_conditions
from rewriter.nlu.dialogue_context import Situation, category_of
from rewriter.nlu.dialogue_state import Memory
from rewriter.nlu.joining import Joining, joining_of
from rewriter.nlu.lexicon import HEAD, Lexicon, Meaning, Part
from rewriter.nlu.reading import Reading, fits, positions_of, titled
from rewriter.nlu.sentiments import add_opinions, sentiment_of
from rewriter.nlu.tagging import PRICES, VALUES, Tag, mark_uses
from rewriter.nlu.tagging import Use as TagUse
from rewriter.nlu.vocabulary import Role
from rewriter.nlu.words import fold
from rewriter.replies.builders import (
    advised,
    alike,
    asked_about,
    changed,
    compared,
    constrained,
    defined,
    pictured,
    searched,
    silent,
    small_talk,
    stock,
    wish_of,
)
from vitrine.domain.product import Product
from vitrine.domain.schema import Role as FieldRole
from vitrine.v1 import query_pb2, rewrite_pb2

_USES: Mapping[Use, TagUse] = {
    Use.WANT: TagUse.WANTED,
    Use.AVOID: TagUse.UNWANTED,
    Use.OLD: TagUse.OLD,
    Use.NAME: TagUse.NAMED,
    Use.ALLOW: TagUse.ALLOWED,
    Use.DROP: TagUse.NAMED,
}
_CUES: Mapping[Money, Role] = {
    Money.CHEAPER: Role.CHEAPER,
    Money.DEARER: Role.DEARER,
    Money.CHEAPEST: Role.CHEAPEST,
    Money.DEAREST: Role.DEAREST,
}
SMALL_TALK: Mapping[Act, str] = {
    Act.GREET: "greeting",
    Act.THANK: "thanks",
    Act.LEAVE: "farewell",
    Act.SERVICE: "service",
    Act.RESET: "start_afresh",
}
_KEPT = frozenset(
    {
        Role.GLUE,
        Role.ARTICLE,
        Role.IN,
        Role.WITH,
        Role.JOIN,
        Role.POINT,
        Role.NOT,
        Role.RESET,
        Role.SAME,
        Role.FAULT,
        Role.ONE,
        Role.CORRECT,
    }
)
"""Cues that stay: what binds words of the shopper's own, and what says whether a search goes on."""

_RULED = frozenset({TagUse.UNWANTED, TagUse.OLD})

_OF_NAMED = frozenset({Act.COMPARE, Act.DESCRIBE, Act.ADVISE})
"""Acts that speak of products by their titles."""

_VAGUE = frozenset({"except"})
"""Words that exclude in one turn and change in another: "all except red", "the same except in red"."""

_PICTURED = frozenset({Act.SEARCH, Act.CHANGE, Act.NARROW, Act.SIMILAR, Act.DESCRIBE})


def resolve(
    plan: Plan,
    turn: MarkedTurn,
    request: rewrite_pb2.RewriteRequest,
    *,
    memory: Memory,
    lexicon: Lexicon,
) -> rewrite_pb2.Rewrite:
    """Return the rewrite that the plan of the turn amounts to."""
    plan = overrule.of_words(plan, turn, request, memory, excluded=_excluded(memory, lexicon))
    pointed = _pointed(plan, turn, memory, lexicon)
    joining = joining_of(fold(request.text))
    tags = _tags(plan, turn, joining, names=bool(pointed))
    standing = category_of(memory, lexicon)
    plan = overrule.of_products(plan, turn, tags, request, memory, pointed=len(pointed), standing=standing)
    price = turn.price or (_price(plan.money, turn.amounts) if lexicon.name_of(FieldRole.PRICE) else None)
    reading = Reading(
        tags=tags,
        price=price,
        lexicon=lexicon,
        taken=turn.taken,
        things=turn.things,
        lifted=turn.lifted,
        joining=joining,
        standing=standing,
    )
    situation = Situation(request=request, reading=reading, memory=memory, pointed=pointed)
    rewrite = _built(plan, situation)
    return add_opinions(
        rewrite,
        reading,
        situation.values(situation.reference),
        intent=rewrite.intent or query_pb2.Intent.ValueType(INTENTS[plan.intent]),
        sentiment=query_pb2.Sentiment.ValueType(SENTIMENTS[plan.sentiment])
        or sentiment_of(rewrite, request.text, reading),
    )


def _excluded(memory: Memory, lexicon: Lexicon) -> set[str]:
    """Return the folded values and words that the search before leaves out."""
    last = memory.last
    if last is None:
        return set()
    words = (word for each in last.excluded_words for word in (each.said, *each.forms))
    known = known_conditions(last.filter, lexicon) if last.HasField("filter") else []
    return {*map(fold, words), *excluded_by(known)}


def _built(plan: Plan, situation: Situation) -> rewrite_pb2.Rewrite:
    """Let the builder of the plan's act answer; what it cannot do is a search."""
    if plan.act in SMALL_TALK:
        return small_talk(situation, SMALL_TALK[plan.act])
    pictured = situation.request.has_image and plan.act in _PICTURED
    act = Act.PICTURE if pictured else plan.act
    return _BUILDERS[act](situation) or _search(situation) or silent(situation)


def _pointed(plan: Plan, turn: MarkedTurn, memory: Memory, lexicon: Lexicon) -> Sequence[Product]:
    """Find the products that the plan names: by position among those shown last, else by description among all."""
    ruled = mark_uses(tuple(piece.tag for piece in turn.pieces))
    named = [
        piece.tag
        for piece, tag in zip(turn.pieces, ruled, strict=True)
        if piece.marked
        and plan.uses[piece.text] is Use.NAME
        and _is_value(piece)
        and tag.use is not TagUse.UNWANTED
    ]
    shown = _shelf(named, memory, lexicon)
    if positioned := [shown[place] for place in _places(plan, turn, len(shown))]:
        return positioned
    shown = memory.shown
    products = (*shown, *reversed([*memory.known.values()]))
    if plan.act is Act.COMPARE:
        wholes = [[tag] for tag in named if tag.part is not Part.CATEGORY]
    else:
        wholes = [named] if named and not _speaks_of_many(plan, turn) else []
    matches = (next((p for p in products if fits(p, whole, lexicon)), None) for whole in wholes)
    found = [match for match in matches if match is not None]
    if not found and plan.act in _OF_NAMED:
        return titled([piece.tag for piece in turn.pieces], memory.shown, lexicon)
    return found


def _speaks_of_many(plan: Plan, turn: MarkedTurn) -> bool:
    """Return whether all that names products is a category in the plural: "the dresses" are no one product."""
    named = [piece for piece in turn.pieces if piece.marked and plan.uses[piece.text] is Use.NAME]
    return all(is_plural(piece) for piece in named)


def _shelf(named: Sequence[Tag], memory: Memory, lexicon: Lexicon) -> Sequence[Product]:
    """Return what positions count among: what was shown last of the category that is named, or at all."""
    categories = [tag for tag in named if tag.part is Part.CATEGORY][:1]
    shelves = (
        [product for product in shelf if fits(product, categories, lexicon)]
        for shelf in memory.shelves
        if categories
    )
    return next(filter(None, shelves), memory.shown)


def _places(plan: Plan, turn: MarkedTurn, shown: int) -> Sequence[int]:
    """Return the places, from 0, that the plan names; which ones they are, the words tell better where they can."""
    if not plan.positions:
        return ()
    if said := positions_of([piece.tag for piece in turn.pieces], shown):
        return said
    places = [place - 1 if place > 0 else shown + place for place in plan.positions]
    return [place for place in dict.fromkeys(places) if 0 <= place < shown]


def _is_value(piece: Piece) -> bool:
    return piece.tag.role in VALUES


def _tags(plan: Plan, turn: MarkedTurn, joining: Joining, *, names: bool) -> tuple[Tag, ...]:
    """Return the turn's tags as the plan means them; what names no product is a wish after all."""
    ruled = mark_uses(
        tuple(_as_filler(piece.tag) if piece.tag.surface in _VAGUE else piece.tag for piece in turn.pieces)
    )
    uses = overrule.uses_of(plan.uses, turn, ruled, joining)
    asks = plan.act is Act.STOCK  # what is asked for, though nobody knows it, is beside no point
    prices = {piece.tag.role for piece in turn.pieces} & PRICES
    if plan.money is Money.CHEAPER and plan.act is not Act.SEARCH and not any(map(_is_value, turn.pieces)):
        prices -= {Role.EXPENSIVE}  # a complaint in so many words
    tags = [
        tag
        if (len(prices) == 1 and piece.tag.role in prices)
        or (asks and tag.role is Role.WORD and tag.surface not in spoken_words())
        else _as_meant(piece, uses, ruled=tag.use, names=names)
        if piece.marked
        else _as_cue(tag)
        for piece, tag in zip(turn.pieces, ruled, strict=True)
    ]
    if plan.money in _CUES and len(prices) != 1:
        tags.append(Tag("", Meaning(_CUES[plan.money])))
    return tuple(tags)


def _as_meant(piece: Piece, uses: Mapping[str, Use], *, ruled: TagUse, names: bool) -> Tag:
    """Return a mark's tag with its use; a word that is beside the point becomes a filler.

    What "not" or "instead of" governs is no wish, whatever the plan says.
    """
    use = uses[piece.text]
    overruled = {Use.WANT, Use.AVOID, Use.OLD, *([Use.DROP] if piece.tag.part in HEAD else [])}
    overruled |= set() if names else {Use.NAME}
    # One of several that are left out together: "nothing in red or black".
    overruled |= {Use.DROP} if ruled is TagUse.UNWANTED and Use.AVOID in uses.values() else set()
    if _is_value(piece) and ruled in _RULED and use in overruled:
        return replace(piece.tag, use=ruled)
    if use is Use.NAME and not names:
        use = Use.WANT
    if _is_value(piece):
        return replace(piece.tag, use=_USES[use])
    return piece.tag if use is Use.WANT else _as_filler(piece.tag)


def _as_cue(tag: Tag) -> Tag:
    """Keep what binds words together; the plan says the rest."""
    return tag if tag.role in _KEPT else _as_filler(tag)


def _as_filler(tag: Tag) -> Tag:
    return replace(tag, meaning=Meaning(Role.FILLER))


def _price(money: Money, amounts: Sequence[float]) -> Interval | None:
    """Return the interval that the plan makes of the turn's numbers; None for none."""
    if not amounts:
        return None
    if money is Money.BETWEEN:
        return Interval(minimum=min(amounts), maximum=max(amounts))
    return BOUNDS[_BOUNDS[money]](min(amounts)) if money in _BOUNDS else None


_BOUNDS: Mapping[Money, str] = {
    Money.UNDER: "below",
    Money.UP_TO: "up_to",
    Money.OVER: "above",
    Money.FROM: "from",
    Money.ABOUT: "about",
}


def _search(situation: Situation) -> rewrite_pb2.Rewrite | None:
    return searched(situation, wish_of(situation))


def _change(situation: Situation) -> rewrite_pb2.Rewrite | None:
    return changed(situation) if situation.reference else None


def _narrow(situation: Situation) -> rewrite_pb2.Rewrite | None:
    """A condition on what was searched; on a product that this very turn points at, a search around that one.

    A style is no condition, for no filter knows it: "without sleeves" changes the product in mind, as the rules have it;
    "sleeveless ones" speaks of more than that one.
    """
    reading = situation.reading
    styles = bool(reading.wanted) and all(tag.role is Role.STYLE for tag in reading.wanted)
    many = reading.has(Role.ONE) or any(tag.surface in overrule.OF_ANY for tag in reading.tags)
    detail = styles and bool(situation.reference) and not many
    return changed(situation) if situation.target or detail else constrained(situation)


def _similar(situation: Situation) -> rewrite_pb2.Rewrite | None:
    return alike(situation) if situation.reference else None


def _picture(situation: Situation) -> rewrite_pb2.Rewrite | None:
    if situation.request.has_image:
        return pictured(situation, "")
    return pictured(situation, situation.memory.picture) if situation.memory.picture else None


def _describe(situation: Situation) -> rewrite_pb2.Rewrite | None:
    product = situation.memory.known.get(situation.reference)
    return asked_about(product, reading=situation.reading) if product is not None else None


def _advise(situation: Situation) -> rewrite_pb2.Rewrite | None:
    return advised(situation) or _search(situation)


_BUILDERS: Mapping[Act, Callable[[Situation], rewrite_pb2.Rewrite | None]] = {
    Act.SEARCH: _search,
    Act.CHANGE: _change,
    Act.NARROW: _narrow,
    Act.SIMILAR: _similar,
    Act.PICTURE: _picture,
    Act.COMPARE: compared,
    Act.DESCRIBE: _describe,
    Act.DEFINE: defined,
    Act.ADVISE: _advise,
    Act.STOCK: stock,
}
