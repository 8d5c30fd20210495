"""Samples of the grammar: a request, the plan and the rewrite that it should get, and how it was drawn."""

import random
from collections import defaultdict
from dataclasses import dataclass, field

from rewriter.engines.model.placeholders import MarkedTurn, TooManyMarks, mark_turn
from rewriter.engines.model.plan import MAX_REFERENCES, Act, Money, Plan, Use
from rewriter.engines.model.resolve import resolve
from rewriter.engines.rules.decide import settled
from rewriter.nlu.dialogue_state import Memory, remember
from rewriter.nlu.lexicon import Lexicon, LexiconCache
from rewriter.training.conversations import converse, draw_state
from rewriter.training.fillers import Fillers, catalogues
from rewriter.training.grammar import Draft, compose, key_of
from rewriter.training.groups import GROUPS, STATE_LETTERS, phrases
from rewriter.training.noise import disturb
from vitrine.domain.product import Product
from vitrine.v1 import query_pb2, rewrite_pb2

_LANGUAGE_WEIGHTS = {"en": 0.6, "es": 0.14, "zh": 0.13, "ko": 0.13}
_ATTEMPTS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A turn with what it should become."""

    request: rewrite_pb2.RewriteRequest
    group: str
    language: str
    plan: Plan | None
    """For the turn as it stands, noise and all; None where the noise has taken a word that matters."""
    rewrite: rewrite_pb2.Rewrite
    """What the turn means; drawn before the noise."""


@dataclass(frozen=True, slots=True)
class Sampler:
    """Draws samples from one half of the phrases and one half of the words."""

    rng: random.Random
    held_phrases: bool = False
    held_words: bool = False
    languages: tuple[str, ...] = tuple(_LANGUAGE_WEIGHTS)
    groups: frozenset[str] = frozenset(GROUPS)
    noise: float = 0.3
    resolved: bool = True
    """Whether samples get their rewrite; training needs none."""
    lexicons: LexiconCache = field(default_factory=LexiconCache)

    def draw(self) -> Sample:
        """Draw one sample."""
        for _ in range(_ATTEMPTS):
            sample = self._try()
            if sample is not None:
                return sample
        raise RuntimeError("the grammar makes no valid turn")

    def _try(self) -> Sample | None:
        """Draw a turn; None where its words do not come out as they were meant."""
        rng = self.rng
        catalogue = rng.choice(catalogues())
        lexicon = self.lexicons.get(catalogue)
        state = draw_state(rng)
        request = converse(rng, state, catalogue, lexicon)
        memory = remember(request.history)
        language = rng.choices(self.languages, [_LANGUAGE_WEIGHTS[name] for name in self.languages])[0]
        group = _draw_group(rng, state, language, self.groups)
        if not group:
            return None
        draft = self._draft(request, memory, lexicon, language)
        text, money = compose(draft, group)
        request.text = text
        if settled(request, lexicon) is not None:
            return None  # no model is asked about it
        try:
            turn = mark_turn(text, lexicon)
        except TooManyMarks:
            return None
        plan = _plan(draft, group, turn, money, text)
        if plan is None:
            return None
        rewrite = rewrite_pb2.Rewrite()
        if self.resolved:
            rewrite = resolve(plan, turn, request, memory=memory, lexicon=lexicon)
        if rng.random() < self.noise:
            request.text = disturb(text, rng)
            plan = self._disturbed_plan(draft, group, money, request, text)
        return Sample(request=request, group=group, language=language, plan=plan, rewrite=rewrite)

    def _draft(
        self, request: rewrite_pb2.RewriteRequest, memory: Memory, lexicon: Lexicon, language: str
    ) -> Draft:
        reference = request.product_id or memory.reference
        return Draft(
            rng=self.rng,
            fillers=Fillers(self.held_words, language),
            held=self.held_phrases,
            lexicon=lexicon,
            facets=request.facets,
            memory=memory,
            reference=memory.known.get(reference, Product(id=""))
            if not request.has_image
            else Product(id=""),
        )

    def _disturbed_plan(
        self, draft: Draft, group: str, money: Money, request: rewrite_pb2.RewriteRequest, text: str
    ) -> Plan | None:
        try:
            turn = mark_turn(request.text, draft.lexicon)
        except TooManyMarks:
            return None
        return _plan(draft, group, turn, money, text)


def _draw_group(rng: random.Random, state: str, language: str, allowed: frozenset[str]) -> str:
    """Draw a kind of turn that the state allows and the tongue has phrases for; empty for none."""
    letter, known = STATE_LETTERS[state], {*phrases(language), "search"} & allowed
    weights = {
        name: group.weight for name, group in GROUPS.items() if letter in group.states and name in known
    }
    return rng.choices([*weights], [*weights.values()])[0] if weights else ""


def _plan(draft: Draft, group: str, turn: MarkedTurn, money: Money, text: str) -> Plan | None:
    """Return the plan of a turn by what its words were drawn for; None where one of them is lost.

    The text is the turn's before any noise.
    """
    meant: dict[str, list[Use]] = defaultdict(list)
    for key, use in draft.meant:
        meant[key].append(use)
    uses = {}
    for piece in turn.pieces:
        if piece.marked:
            waiting = meant[key_of(piece)]
            uses[piece.text] = waiting.pop(0) if waiting else Use.DROP
    if any(meant.values()) or len(draft.positions) > MAX_REFERENCES:
        return None
    spoken = turn.price is not None or not turn.amounts
    ranged = money not in {Money.NONE, Money.CHEAPER, Money.DEARER, Money.CHEAPEST, Money.DEAREST}
    act = _act(draft, group, uses)
    return Plan(
        act=act,
        positions=tuple(dict.fromkeys(draft.positions)),
        uses=uses,
        money=Money.NONE if ranged and spoken else money,
        intent=draft.intent(act, text),
        sentiment=draft.sentiment(act, text),
    )


def _act(draft: Draft, group: str, uses: dict[str, Use]) -> Act:
    """Return what the turn does: a wish after a search around a product or a picture changes that reference."""
    act = GROUPS[group].act
    last = draft.memory.last
    around = last is not None and last.route != query_pb2.ROUTE_TEXT
    wishes = any(use is Use.WANT and not mark.startswith("B") for mark, use in uses.items())
    return Act.CHANGE if group == "narrow" and around and wishes and draft.memory.reference else act
