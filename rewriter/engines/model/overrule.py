"""What the words of a turn tell better than the plan that a model made of it.

The plan is right about most turns; these are the kinds in which the words are surer: positions and kinds that are named, questions
for the best of a kind, alternatives, what is asked for in so many words.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from rewriter.engines.model import going_on
from rewriter.engines.model.placeholders import OF_OTHER_VALUES, MarkedTurn
from rewriter.engines.model.plan import Act, Money, Plan, Use
from rewriter.languages.files import any_language
from rewriter.nlu.dialogue_state import Memory
from rewriter.nlu.joining import Joining
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
_REPLACING = frozenset({Role.REPLACE, Role.INSTEAD_OF, Role.INSTEAD, Role.FAULT})
_OF_NO_SEARCH = frozenset({Act.STOCK, Act.DEFINE, Act.GREET, Act.SERVICE})
_ASKING_TO_SEE = frozenset(
    {"show", "show me", "find me", "get me", "give me", "looking for", "look for", "search for"}
)
_GOING_ON = frozenset({Act.NARROW, Act.CHANGE, Act.SIMILAR})
_OF_LOOKS = frozenset({Act.SIMILAR, Act.CHANGE})
_COURTESIES = {Role.GREET: Act.GREET, Role.THANK: Act.THANK, Role.LEAVE: Act.LEAVE}
_NEGATIVE = frozenset({Role.NOT, Role.INSTEAD_OF, Role.FAULT, Role.REPLACE})
_BLAME = re.compile(f"{any_language('sentiment', 'blame')}|{any_language('measures', 'negations')}")
_TWO = 2
_OF_ONE = frozenset({Role.SAME, Role.POINT, Role.STEP, Role.COMPARATIVE, Role.ORDINAL})
"""Roles of words that speak of one product."""
OF_ANY = frozenset({"something", "anything", "any"})
"""Words that speak of more than one product."""


def of_words(
    plan: Plan,
    turn: MarkedTurn,
    request: rewrite_pb2.RewriteRequest,
    memory: Memory,
    *,
    excluded: Collection[str],
) -> Plan:
    """Return the plan with what the turn's words tell about its act, its positions and money, given what is left out so far."""
    plan = going_on.of_courtesies(_with_wishes_alone(plan, turn, excluded), turn, memory)
    plan = going_on.of_questions(plan, turn, request.text)
    plan = _with_courtesy(_with_money_said(_with_what_is_to_be_shown(plan, turn), turn, request), turn)
    return _with_superlatives(_with_kinds_named(_with_looks_changed(plan, turn), turn), turn, memory)


def of_products(
    plan: Plan,
    turn: MarkedTurn,
    tags: Sequence[Tag],
    request: rewrite_pb2.RewriteRequest,
    memory: Memory,
    *,
    pointed: int,
    standing: str,
) -> Plan:
    """Return the plan with what follows from how many products the turn names, and from the category that was searched."""
    asks = any(tag.use is TagUse.WANTED and tag.role is Role.VALUE for tag in tags) or turn.taken.conditions
    compares = any(piece.tag.role is Role.COMPARE for piece in turn.pieces)
    if plan.act is Act.COMPARE and memory.last and pointed < _TWO and asks and not compares:
        return replace(plan, act=Act.NARROW)
    if pointed >= _TWO and compares and plan.act in _OF_SHOWN:
        return replace(plan, act=Act.COMPARE)
    if not pointed and _narrows(plan, turn, tags, request, memory):
        plan = replace(plan, act=Act.NARROW)
    if plan.act is Act.SEARCH and memory.last is not None and _corrects_the_kind(turn):
        return replace(plan, act=Act.NARROW)
    plan = going_on.of_additions(plan, turn, tags, request, memory, pointed=pointed, standing=standing)
    anew = plan.act in _GOING_ON and not pointed and _begins_anew(turn, tags, standing)
    return replace(plan, act=Act.SEARCH) if anew else plan


def _corrects_the_kind(turn: MarkedTurn) -> bool:
    """Return whether a turn says that another kind was meant and nothing else: "sorry, I meant a skirt" keeps all that was said of it."""
    marked = [piece.tag for piece in turn.pieces if piece.marked]
    roles = {piece.tag.role for piece in turn.pieces if not piece.marked}
    one = len(marked) == 1 and marked[0].part in HEAD and turn.price is None
    meant = any(not going_on.MEANT.isdisjoint(piece.tag.surface.split(" ")) for piece in turn.pieces)
    return one and meant and Role.CORRECT in roles and roles <= _BOUND | {Role.CORRECT, Role.JOIN}


def _begins_anew(turn: MarkedTurn, tags: Sequence[Tag], standing: str) -> bool:
    """Return whether a turn gives up what was searched and names another kind: "never mind, shoes", "bags instead"."""
    roles = {piece.tag.role for piece in turn.pieces if piece.tag.surface != "rather"}
    gives_up = Role.RESET in roles or (Role.INSTEAD in roles and Role.CORRECT not in roles)
    kinds = {tag.meaning.value for tag in tags if tag.use is TagUse.WANTED and tag.part in HEAD}
    return gives_up and bool(kinds) and standing not in kinds


def uses_of(
    uses: Mapping[str, Use], turn: MarkedTurn, ruled: Sequence[Tag], joining: Joining
) -> Mapping[str, Use]:
    """Return what the marks are for, without what the words deny."""
    uses = going_on.uses_of(uses, turn, ruled, joining)
    return _with_other_kinds(_with_alternatives(_without_denied(uses, turn, ruled), turn), turn, ruled)


def _with_wishes_alone(plan: Plan, turn: MarkedTurn, excluded: Collection[str]) -> Plan:
    """Return the plan in which what is named alone is wanted: nothing is welcome again that was not left out.

    Nor does anything give way where the words leave something else out: "con capucha, ni roja ni rosa".
    """
    roles = {piece.tag.role for piece in turn.pieces}
    slots = Counter(piece.tag.slot for piece in turn.pieces if piece.marked and piece.tag.role in VALUES)
    others = Role.NOT in roles and roles.isdisjoint(_REPLACING) and len(slots) > 1
    wanted = {
        piece.text
        for piece in turn.pieces
        if piece.marked
        and piece.tag.role in VALUES
        and (
            (plan.uses[piece.text] is Use.ALLOW and fold(piece.tag.meaning.value) not in excluded)
            or (plan.uses[piece.text] is Use.OLD and others and slots[piece.tag.slot] == 1)
        )
    }
    return replace(plan, uses={**plan.uses, **dict.fromkeys(wanted, Use.WANT)}) if wanted else plan


def _with_what_is_to_be_shown(plan: Plan, turn: MarkedTurn) -> Plan:
    """Return the plan that searches where the turn asks to be shown a thing, though nobody knows it: "show me umbrellas"."""
    if plan.act not in _OF_NO_SEARCH:
        return plan
    asked = [
        piece.text
        for before, piece in pairwise(turn.pieces)
        if piece.marked and before.tag.surface in _ASKING_TO_SEE
    ]
    return (
        replace(plan, act=Act.SEARCH, uses={**plan.uses, **dict.fromkeys(asked, Use.WANT)}) if asked else plan
    )


def _with_courtesy(plan: Plan, turn: MarkedTurn) -> Plan:
    """Return the plan with the courtesy that is said where only one is: "cheers mate" thanks and does not greet."""
    said = {_COURTESIES[piece.tag.role] for piece in turn.pieces if piece.tag.role in _COURTESIES}
    return replace(plan, act=said.pop()) if len(said) == 1 and plan.act in _COURTESIES.values() else plan


def _with_money_said(plan: Plan, turn: MarkedTurn, request: rewrite_pb2.RewriteRequest) -> Plan:
    """Return the plan without an order or a bound by price that the turn does not speak of.

    The model knows idioms of money, "that's a bit steep", and takes what it never saw for one: 纯素的, "something bigger",
    "with wooden legs". Words that say how or with what a thing is are wishes.
    """
    said = speaks_of_money(fold(request.text)) or any(piece.tag.role in PRICES for piece in turn.pieces)
    if said or plan.money not in _OF_PRICES:
        return plan
    wishes = _wishes(turn)
    if not wishes and not CJK.search(request.text):
        return plan
    return replace(plan, money=Money.NONE, uses={**plan.uses, **dict.fromkeys(wishes, Use.WANT)})


def _with_looks_changed(plan: Plan, turn: MarkedTurn) -> Plan:
    """Return the plan in which a product that is to be otherwise is changed: "like the second but smaller"."""
    wishes = _wishes(turn) if plan.act is Act.SIMILAR and plan.money is Money.NONE else []
    if not wishes:
        return plan
    return replace(plan, act=Act.CHANGE, uses={**plan.uses, **dict.fromkeys(wishes, Use.WANT)})


def _wishes(turn: MarkedTurn) -> list[str]:
    """Return the marks of words that say how a thing is, or with what: "bigger", "with wooden legs"."""
    wishes: list[str] = []
    follows = False
    for piece in turn.pieces:
        if piece.marked and piece.tag.role in {Role.WORD, Role.COMPARATIVE}:
            wishes += [piece.text] if follows or piece.tag.role is Role.COMPARATIVE else []
        else:
            follows = piece.tag.role is Role.WITH or (follows and piece.tag.role in _BOUND)
    return wishes


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
    bare = memory.last is not None and not turn.marks and plan.act in _OF_LOOKS | {Act.COMPARE}
    of_one = (
        memory.last is not None and plan.act in _OF_LOOKS and any(p.tag.role is Role.ONE for p in turn.pieces)
    )
    if not ranks or plan.positions or not (bare or of_one or plan.act in _QUESTIONS):
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

    So are alternatives, "in green or blue", what leaves something out beside what it asks for, what asks for "something", and
    values of fields in which products are not changed: one product is not made into any of them.
    """
    by_words = memory.last is not None and memory.last.route == query_pb2.ROUTE_TEXT
    if plan.act not in _OF_LOOKS or not by_words or request.has_image or request.product_id:
        return False
    if any(piece.tag.role in _OF_ONE for piece in turn.pieces):
        return False
    wanted = [tag for tag in tags if tag.use is TagUse.WANTED and tag.role in VALUES]
    excludes = any(tag.use is TagUse.UNWANTED for tag in tags) or bool(turn.things)
    if not wanted and (excludes or (turn.price is not None and not turn.marks)):
        return True
    any_of_them = any(piece.tag.surface in OF_ANY for piece in turn.pieces)
    if not wanted or any(tag.role is not Role.VALUE for tag in wanted):
        return bool(wanted) and any_of_them
    if len(wanted) == 1 and wanted[0].part is Part.CATEGORY:
        return True
    alternatives = len({tag.meaning.value for tag in wanted}) > len({tag.slot for tag in wanted})
    untrained = all(mark.startswith(OF_OTHER_VALUES) for mark in turn.marks)
    return alternatives or excludes or untrained or any_of_them


def _without_denied(uses: Mapping[str, Use], turn: MarkedTurn, ruled: Sequence[Tag]) -> Mapping[str, Use]:
    """Return the uses without exclusions that the words deny: where they tell what is excluded, nothing else is."""
    excluded = {(tag.slot, tag.meaning.value) for tag in ruled if tag.use is TagUse.UNWANTED}
    wanted = {
        piece.text
        for piece in turn.pieces
        if excluded and piece.tag.role in VALUES and (piece.tag.slot, piece.tag.meaning.value) not in excluded
    }
    wanted |= _welcomed(turn)
    if not _says_no(turn, ruled):
        # Of fields that the model met in no training it guesses.
        wanted |= {mark for mark in uses if mark.startswith(OF_OTHER_VALUES)}
    return {mark: Use.WANT if mark in wanted and use is Use.AVOID else use for mark, use in uses.items()}


def _with_other_kinds(uses: Mapping[str, Use], turn: MarkedTurn, ruled: Sequence[Tag]) -> Mapping[str, Use]:
    """Return the uses in which a kind is wanted that stands beside one that is not, or is joined to one that is.

    Of two kinds the plan drops one: "not heels, sandals", "a keyboard and a mouse", and of a list, "milk bread butter", all but one.
    """
    wanted: set[str] = set()
    before: Tag | None = None
    joined = stands_alone = False
    for piece, tag in zip(turn.pieces, ruled, strict=True):
        if piece.marked and tag.role is Role.WORD and tag.meaning.said:
            wanted.add(piece.text)  # the phone of a "phone charger"
        if piece.marked and tag.part in HEAD and tag.role in VALUES:
            denied = before is not None and before.use is TagUse.UNWANTED
            if before is not None and tag.use is TagUse.WANTED and (denied or joined):
                wanted.add(piece.text)
            before, joined, stands_alone = tag, True, True
        elif tag.role is Role.JOIN:
            joined, stands_alone = before is not None, False
        elif stands_alone or tag.role not in _BOUND | {Role.SIMILAR}:
            joined = stands_alone = False
    return {mark: Use.WANT if mark in wanted and use is Use.DROP else use for mark, use in uses.items()}


def _says_no(turn: MarkedTurn, ruled: Sequence[Tag]) -> bool:
    """Return whether a word of the turn excludes or finds fault."""
    negative = any(tag.role in _NEGATIVE or tag.use is TagUse.UNWANTED for tag in ruled)
    said = " ".join(piece.tag.surface for piece in turn.pieces)
    return negative or bool(turn.things) or _BLAME.search(said) is not None


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
    pairs: list[tuple[str, str]] = []
    latest: dict[str, str] = {}
    joined = False
    for piece in turn.pieces:
        if piece.marked and piece.tag.role in VALUES:
            if joined and piece.tag.slot in latest:
                pairs.append((latest[piece.tag.slot], piece.text))
            latest[piece.tag.slot] = piece.text
            joined = False
        elif piece.tag.role not in _BOUND:
            joined = piece.tag.surface in _ALTERNATIVES
    wanted = {mark for pair in pairs if Use.WANT in {uses[mark] for mark in pair} for mark in pair}
    return {mark: Use.WANT if mark in wanted and use in _GIVING_WAY else use for mark, use in uses.items()}
