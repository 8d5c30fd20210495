"""What the words of a turn tell better than a plan of how it goes on with the conversation: additions, corrections, thanks, another kind.

The model learnt them from fewer phrasings than people have.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rewriter.engines.model.placeholders import MarkedTurn
from rewriter.engines.model.plan import Act, Plan, Use
from rewriter.nlu.dialogue_state import Memory
from rewriter.nlu.joining import Joining, joining_of
from rewriter.nlu.lexicon import HEAD
from rewriter.nlu.tagging import PRICES, VALUES, Tag
from rewriter.nlu.tagging import Use as TagUse
from rewriter.nlu.vocabulary import Role
from rewriter.nlu.words import fold
from vitrine.v1 import query_pb2, rewrite_pb2

_COURTEOUS = frozenset({Act.GREET, Act.THANK, Act.LEAVE, Act.SERVICE})
_CHANGING = frozenset({Act.NARROW, Act.CHANGE, Act.SIMILAR, Act.SEARCH})
_OF_LOOKS = frozenset({Act.CHANGE, Act.SIMILAR})
_THANKING = ("thank", "many thank", "cheers")
"""What a thanking begins with; "great" and "nice" are said of what was shown."""
_OF_THE_SEARCH = (
    VALUES | PRICES | {Role.ORDINAL, Role.STEP, Role.COMPARATIVE, Role.SAME, Role.SIMILAR, Role.COMPARE}
)
_OF_ONE = frozenset({Role.SAME, Role.POINT, Role.STEP, Role.COMPARATIVE, Role.ORDINAL, Role.SIMILAR})
"""Roles of words that speak of one product."""
_KEEPING = _OF_ONE | {Role.CORRECT, Role.REPLACE, Role.MAKE, Role.RESET, Role.FAULT, Role.BUT}
"""Roles of words beside which another kind is no other subject."""
_COMPARING = frozenset({Role.COMPARE, Role.WHICH, Role.POINT, Role.JOIN})
"""Roles of words that speak of a second product."""
MEANT = frozenset({"meant", "mean", "said"})
"""Words of a slip that is put right; "actually" is said of another mind."""
_OFFERING = frozenset({"do you have", "have you got", "got", "show me", "show"})
_COUNTING = frozenset({"how many", "many", "which"})
_NEGATIVE = frozenset({Role.NOT, Role.FAULT, Role.INSTEAD_OF, Role.REPLACE})


def of_questions(plan: Plan, turn: MarkedTurn, text: str) -> Plan:
    """Return the plan in which a question about one product, which asks for no other, is answered and searches nothing."""
    roles = {piece.tag.role for piece in turn.pieces}
    places = [piece for piece in turn.pieces if piece.tag.role is Role.ORDINAL]
    values = any(piece.marked and piece.tag.role in VALUES for piece in turn.pieces)
    asks = text.rstrip().endswith(("?", "\uff1f")) and len(places) == 1 and not values
    compares = not roles.isdisjoint(_COMPARING)
    return replace(plan, act=Act.DESCRIBE) if plan.act is Act.COMPARE and asks and not compares else plan


def of_courtesies(plan: Plan, turn: MarkedTurn, memory: Memory) -> Plan:
    """Return the plan in which a turn that thanks thanks, and one that corrects what was searched goes on with that."""
    roles = {piece.tag.role for piece in turn.pieces}
    said = turn.taken or turn.things or turn.price or turn.amounts or turn.lifted
    thanks = any(
        piece.tag.role is Role.THANK and piece.tag.surface.startswith(_THANKING) for piece in turn.pieces[:2]
    )
    if thanks and not said and roles.isdisjoint(_OF_THE_SEARCH):
        return replace(plan, act=Act.THANK)
    places = [piece for piece in turn.pieces if piece.tag.role is Role.ORDINAL]
    values = [piece.text for piece in turn.pieces if piece.marked and piece.tag.role in VALUES]
    if (
        plan.act is Act.COMPARE
        and len(places) == 1
        and values
        and roles.isdisjoint({Role.COMPARE, Role.WHICH})
    ):
        return replace(plan, act=Act.CHANGE, uses={**plan.uses, **dict.fromkeys(values, Use.WANT)})
    surfaces = {piece.tag.surface for piece in turn.pieces}
    offers = not _OFFERING.isdisjoint(surfaces) and _COUNTING.isdisjoint(surfaces)
    if plan.act is Act.STOCK and offers and (turn.taken.conditions or turn.price) and _names_a_kind(turn):
        return replace(plan, act=Act.SEARCH)
    unknown = [piece.text for piece in turn.pieces if piece.marked and piece.tag.role is Role.WORD]
    if Role.CORRECT in roles and memory.last is not None and plan.act in _COURTEOUS and unknown:
        return replace(plan, act=Act.NARROW, uses={**plan.uses, **dict.fromkeys(unknown, Use.WANT)})
    return plan


def _names_a_kind(turn: MarkedTurn) -> bool:
    return any(piece.marked and piece.tag.part in HEAD for piece in turn.pieces)


def of_additions(
    plan: Plan,
    turn: MarkedTurn,
    tags: Sequence[Tag],
    request: rewrite_pb2.RewriteRequest,
    memory: Memory,
    *,
    pointed: int,
    standing: str,
) -> Plan:
    """Return the plan of a turn that adds to a search by words, corrects it, or leaves it for another kind of thing."""
    roles = {piece.tag.role for piece in turn.pieces}
    wanted = [tag for tag in tags if tag.use is TagUse.WANTED and tag.role in VALUES]
    by_words = memory.last is not None and memory.last.route == query_pb2.ROUTE_TEXT
    if pointed or not by_words or request.has_image or request.product_id:
        return plan
    requires = any(piece.tag.surface == "something" for piece in turn.pieces) and not request.text.endswith(
        "?"
    )
    if plan.act not in _CHANGING:
        asks = plan.act is Act.DESCRIBE and wanted and requires
        bounds = turn.taken.conditions and not request.text.endswith("?") and roles.isdisjoint(_OF_ONE)
        return replace(plan, act=Act.NARROW) if asks or bounds else plan
    kinds = {tag.meaning.value for tag in wanted if tag.part in HEAD}
    joining = joining_of(fold(request.text))
    if joining is Joining.EITHER or (joining is not Joining.NONE and not kinds):
        return replace(plan, act=Act.NARROW) if wanted else plan
    meant = any(not MEANT.isdisjoint(piece.tag.surface.split(" ")) for piece in turn.pieces)
    keeping = _KEEPING - ({Role.CORRECT} if not meant else set())
    if kinds and standing not in kinds and roles.isdisjoint(keeping) and plan.act is not Act.SEARCH:
        return replace(plan, act=Act.SEARCH)
    narrows = not kinds and roles.isdisjoint(_OF_ONE) and _narrows(plan, turn, wanted)
    return replace(plan, act=Act.NARROW) if narrows else plan


def _narrows(plan: Plan, turn: MarkedTurn, wanted: Sequence[Tag]) -> bool:
    """Return whether a turn that speaks of no product, and replaces no value by another, is a condition on what was searched."""
    if plan.act is Act.SEARCH:
        values = bool(wanted) and all(piece.tag.role is Role.VALUE for piece in turn.pieces if piece.marked)
        return values or (not wanted and not turn.marks and bool(turn.price or turn.taken.conditions))
    roles = {piece.tag.role for piece in turn.pieces}
    styles = bool(wanted) and all(tag.role is Role.STYLE for tag in wanted)
    replaces = not roles.isdisjoint({Role.REPLACE, Role.INSTEAD_OF}) or Use.OLD in plan.uses.values()
    return plan.act in _OF_LOOKS and not replaces and not (styles and Role.ONE in roles)


def uses_of(
    uses: Mapping[str, Use], turn: MarkedTurn, ruled: Sequence[Tag], joining: Joining
) -> Mapping[str, Use]:
    """Return the uses in which what is added or corrected is wanted: "no, paperback" excludes nothing."""
    roles = {piece.tag.role for piece in turn.pieces}
    excludes = (
        not roles.isdisjoint(_NEGATIVE) or turn.things or any(tag.use is TagUse.UNWANTED for tag in ruled)
    )
    corrects = Role.CORRECT in roles and not excludes
    giving_way = {Use.AVOID} if corrects else set()
    giving_way |= (
        {Use.OLD, Use.DROP, Use.NAME, Use.AVOID} if joining is Joining.EITHER and not excludes else set()
    )
    if not giving_way:
        return uses
    values = {piece.text for piece in turn.pieces if piece.marked and piece.tag.role in VALUES}
    return {mark: Use.WANT if mark in values and use in giving_way else use for mark, use in uses.items()}
