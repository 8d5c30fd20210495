"""What the words of a turn tell better than the plan that a model made of it.

The plan is right about most turns; these are the kinds in which the words are surer: positions and kinds that are named, questions
for the best of a kind, alternatives, what is asked for in so many words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from rewriter.engines.model.placeholders import MarkedTurn
from rewriter.engines.model.plan import Act, Money, Plan, Use
from rewriter.nlu.dialogue_state import Memory
from rewriter.nlu.lexicon import HEAD, Part
from rewriter.nlu.prices import speaks_of_money
from rewriter.nlu.tagging import PRICES, VALUES, Tag
from rewriter.nlu.tagging import Use as TagUse
from rewriter.nlu.vocabulary import WELCOMES, Role
from rewriter.nlu.words import CJK, fold
from vitrine.v1 import query_pb2, rewrite_pb2

_ALTERNATIVES = frozenset({"or", "nor"})
_BOUND = frozenset({Role.ARTICLE, Role.FILLER, Role.GLUE, Role.IN, Role.WITH})
"""Roles of what may stand between "or" and a value: "de cuadros o de rayas"."""
_GIVING_WAY = frozenset({Use.OLD, Use.DROP, Use.NAME, Use.AVOID})
"""Uses of the one of two alternatives of which the other is wanted; what the words exclude stays excluded."""
_OF_PRICES = frozenset({Money.CHEAPER, Money.DEARER, Money.CHEAPEST, Money.DEAREST})
_OF_SHOWN = frozenset({Act.DESCRIBE, Act.ADVISE, Act.SIMILAR, Act.DEFINE})
_CLASSIFIERS = frozenset("个件款双条")
"""What stands in Chinese between a position and a noun."""
_SUPERLATIVES = frozenset({Role.CHEAPEST, Role.DEAREST})
_QUESTIONS = frozenset({Act.DESCRIBE, Act.STOCK, Act.ADVISE, Act.DEFINE})
_OF_ONE = frozenset({Role.SAME, Role.POINT, Role.STEP, Role.COMPARATIVE, Role.ORDINAL})
"""Roles of words that speak of one product."""
_OF_ANY = frozenset({"something", "anything"})


def of_words(plan: Plan, turn: MarkedTurn, request: rewrite_pb2.RewriteRequest, memory: Memory) -> Plan:
    """Return the plan with what the turn's words tell about its act, its positions and money."""
    return _with_superlatives(_with_kinds_named(_with_money_said(plan, turn, request), turn), turn, memory)


def of_products(
    plan: Plan,
    turn: MarkedTurn,
    tags: Sequence[Tag],
    request: rewrite_pb2.RewriteRequest,
    memory: Memory,
    *,
    pointed: int,
) -> Plan:
    """Return the plan with what follows from how many products the turn names."""
    if pointed > 1 and plan.act in _OF_SHOWN and any(piece.tag.role is Role.COMPARE for piece in turn.pieces):
        return replace(plan, act=Act.COMPARE)
    if not pointed and _narrows(plan, turn, tags, request, memory):
        return replace(plan, act=Act.NARROW)
    return plan


def uses_of(uses: Mapping[str, Use], turn: MarkedTurn, ruled: Sequence[Tag]) -> Mapping[str, Use]:
    """Return what the marks are for, without what the words deny."""
    return _with_alternatives(_without_denied(uses, turn, ruled), turn)


def _with_money_said(plan: Plan, turn: MarkedTurn, request: rewrite_pb2.RewriteRequest) -> Plan:
    """Return the plan without an order or a bound by price that a turn in signs does not speak of.

    The model knows idioms of money in English; of signs that it never saw, 纯素的, it makes anything.
    """
    if plan.money not in _OF_PRICES or not CJK.search(request.text):
        return plan
    said = speaks_of_money(fold(request.text)) or any(piece.tag.role in PRICES for piece in turn.pieces)
    return plan if said else replace(plan, money=Money.NONE)


def _with_kinds_named(plan: Plan, turn: MarkedTurn) -> Plan:
    """Return the plan in which a position with a category right after it, "the first dress", names a product."""
    pieces = [piece for piece in turn.pieces if piece.tag.surface not in _CLASSIFIERS]
    kinds = {
        piece.text: int(before.tag.meaning.value)
        for before, piece in pairwise(pieces)
        if before.tag.role is Role.ORDINAL and piece.marked and piece.tag.part is Part.CATEGORY
    }
    named = {
        mark: Use.NAME for mark, use in plan.uses.items() if mark in kinds and use in {Use.WANT, Use.DROP}
    }
    return replace(plan, uses={**plan.uses, **named}, positions=plan.positions or (*kinds.values(),))


def _with_superlatives(plan: Plan, turn: MarkedTurn, memory: Memory) -> Plan:
    """Return the plan in which a question for the cheapest or the best of a kind is a search in that order.

    "What's the priciest handbag?" is answered by the handbag; of no kind, "which is the best rated?", by what was searched.
    """
    ranks = turn.taken.sort is not None or any(piece.tag.role in _SUPERLATIVES for piece in turn.pieces)
    if not ranks or plan.positions or plan.act not in _QUESTIONS:
        return plan
    uses = {mark: Use.WANT if use is Use.NAME else use for mark, use in plan.uses.items()}
    names_a_kind = any(piece.marked and piece.tag.part in HEAD for piece in turn.pieces)
    return replace(plan, act=Act.NARROW if memory.last and not names_a_kind else Act.SEARCH, uses=uses)


def _narrows(
    plan: Plan,
    turn: MarkedTurn,
    tags: Sequence[Tag],
    request: rewrite_pb2.RewriteRequest,
    memory: Memory,
) -> bool:
    """Return whether what the plan takes for a change of a product is a condition on a search by words.

    So are alternatives, "in green or blue", what leaves something out beside what it asks for, and what asks for "something":
    one product is not changed into any of them.
    """
    by_words = memory.last is not None and memory.last.route == query_pb2.ROUTE_TEXT
    if plan.act is not Act.CHANGE or not by_words or request.has_image or request.product_id:
        return False
    wanted = [tag for tag in tags if tag.use is TagUse.WANTED and tag.role in VALUES]
    known = bool(wanted) and all(tag.role is Role.VALUE for tag in wanted)
    if not known or any(piece.tag.role in _OF_ONE for piece in turn.pieces):
        return False
    alternatives = len({tag.meaning.value for tag in wanted}) > len({tag.slot for tag in wanted})
    excludes = any(tag.use is TagUse.UNWANTED for tag in tags) or bool(turn.things)
    return alternatives or excludes or any(piece.tag.surface in _OF_ANY for piece in turn.pieces)


def _without_denied(uses: Mapping[str, Use], turn: MarkedTurn, ruled: Sequence[Tag]) -> Mapping[str, Use]:
    """Return the uses without exclusions that the words deny: where they tell what is excluded, nothing else is."""
    excluded = {(tag.slot, tag.meaning.value) for tag in ruled if tag.use is TagUse.UNWANTED}
    wanted = {
        piece.text
        for piece in turn.pieces
        if excluded and piece.tag.role in VALUES and (piece.tag.slot, piece.tag.meaning.value) not in excluded
    }
    wanted |= _welcomed(turn)
    return {mark: Use.WANT if mark in wanted and use is Use.AVOID else use for mark, use in uses.items()}


def _welcomed(turn: MarkedTurn) -> set[str]:
    """Return the marks of values that the words right before or after them ask for: "do you have plain ones please"."""
    welcomed: set[str] = set()
    asks = False
    for piece in turn.pieces:
        if piece.marked and piece.tag.role in VALUES:
            welcomed |= {piece.text} if asks else set()
        elif piece.tag.role not in _BOUND or piece.tag.surface in WELCOMES:
            asks = piece.tag.surface in WELCOMES
    return welcomed


def _with_alternatives(uses: Mapping[str, Use], turn: MarkedTurn) -> Mapping[str, Use]:
    """Return the uses in which both values of "grey or blue" are wanted where one is: neither gives way to the other."""
    said = [piece for piece in turn.pieces if piece.marked or piece.tag.role not in _BOUND]
    pairs = (
        (first.text, second.text)
        for first, join, second in zip(said, said[1:], said[2:], strict=False)
        if join.tag.surface in _ALTERNATIVES
        and first.marked
        and second.marked
        and first.tag.role in VALUES
        and first.tag.slot == second.tag.slot
    )
    wanted = {mark for pair in pairs if Use.WANT in {uses[mark] for mark in pair} for mark in pair}
    return {mark: Use.WANT if mark in wanted and use in _GIVING_WAY else use for mark, use in uses.items()}
