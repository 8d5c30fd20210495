"""The embedded model behind the engine's port, alone or together with the router."""

import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from rewriter.checks import violation
from rewriter.engines.model.batcher import Batcher, Expired, Overlong, Refused
from rewriter.engines.model.decoder import Decoder
from rewriter.engines.model.placeholders import MAX_WORDS, MarkedTurn, TooManyMarks, mark_turn
from rewriter.engines.model.plan import Act, Plan, read_plan
from rewriter.engines.model.prompt import prompt_of
from rewriter.engines.model.resolve import SMALL_TALK, resolve
from rewriter.engines.model.tokens import MAX_PROMPT_TOKENS, PromptTooLong, Tokens
from rewriter.engines.port import EngineError, Failure
from rewriter.engines.rules.decide import SCAFFOLDING, decide, settled
from rewriter.languages.files import languages
from rewriter.linking.linker import Linker
from rewriter.nlu.dialogue_state import Memory, remember
from rewriter.nlu.lexicon import HEAD, Lexicon
from rewriter.nlu.vocabulary import Role
from rewriter.nlu.words import stem
from vitrine.v1 import rewrite_pb2

WEIGHTS = Path(__file__).parents[2] / "weights" / "small"
_FILES = ("tokenizer.json", "decoder.onnx")
_MAX_ANSWER_TOKENS = 192
_TALK = frozenset(stem(word) for language in languages().values() for word in language.words("small_talk"))
"""Words of small talk and of a shop's business, by stem."""
_DOUBTED = frozenset({Act.GREET, Act.SERVICE})
"""Small talk that the rules judge where it may be the very thing that is wanted: a search in vain costs less than one
that is not made."""

_COURTEOUS = frozenset(
    {Role.GREET, Role.THANK, Role.LEAVE, Role.SERVICE, Role.RESET, Role.DEFINE, Role.WHICH, Role.SAME}
)
"""Roles of the words of small talk, and of those that ask what a term means."""
_ANSWERED = frozenset({*SMALL_TALK, Act.DEFINE})
"""Acts that search nothing and name no product."""


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """Reads turns by the embedded model; what it is less certain of than `least_certainty` fails as UNSURE."""

    tokens: Tokens
    batcher: Batcher
    linker: Linker
    name: str
    version: str
    """The name with the digest of the weights."""
    least_certainty: float

    async def rewrite(self, request: rewrite_pb2.RewriteRequest, *, timeout_s: float) -> rewrite_pb2.Rewrite:
        """Return the reading of the turn, the model's unless rules settle it; raises EngineError when there is none in time."""
        began = time.perf_counter()
        linked = await self.linker.link(request, timeout_s=timeout_s)
        timeout_s -= time.perf_counter() - began
        request, lexicon = linked.request, linked.lexicon
        if (rewrite := settled(request, lexicon)) is not None:
            return linked.marked(rewrite)
        memory = remember(request.history, lexicon.schema)
        turn = _marked(request.text, lexicon)
        if turn.things and _says_nothing_else(turn):
            return linked.marked(decide(request, lexicon))
        plan, certainty = await self._plan(request, turn, memory, lexicon, timeout_s)
        doubted = (
            (plan.act in _DOUBTED and _may_be_a_thing(turn))
            or (plan.act in _ANSWERED and _names_an_untrained_field(turn))
            or (plan.act in SMALL_TALK and bool(turn.things or turn.price))
            or (plan.act in _ANSWERED and _names_a_kind_alone(turn))
            or (plan.act is Act.STOCK and all(piece.marked for piece in turn.pieces))
        )
        if certainty < self.least_certainty or doubted:
            raise EngineError(Failure.UNSURE, f"{plan.act.value}, {certainty:.2f}")
        rewrite = resolve(plan, turn, request, memory=memory, lexicon=lexicon)
        if broken := violation(rewrite, request, lexicon):
            raise EngineError(Failure.INVALID, broken)
        rewrite.source = self.name
        rewrite.confidence = certainty
        return linked.marked(rewrite)

    async def _plan(
        self,
        request: rewrite_pb2.RewriteRequest,
        turn: MarkedTurn,
        memory: Memory,
        lexicon: Lexicon,
        timeout_s: float,
    ) -> tuple[Plan, float]:
        """Ask the model for the turn's plan; return it with the least probability of a choice."""
        try:
            prompt = self.tokens.encode(prompt_of(request, turn, memory, lexicon))
            answer = await self.batcher.answer(prompt, self.tokens.matcher(turn.marks), timeout_s=timeout_s)
        except (PromptTooLong, Overlong):
            raise EngineError(Failure.TOO_LONG) from None
        except Refused:
            raise EngineError(Failure.BUSY) from None
        except Expired:
            raise EngineError(Failure.TIMEOUT) from None
        return read_plan(self.tokens.decode(answer.tokens)), answer.certainty


@asynccontextmanager
async def open_language_model(
    *,
    weights: Path = WEIGHTS,
    rows: int,
    waiting: int,
    least_certainty: float,
    linker: Linker | None = None,
) -> AsyncIterator[LanguageModel]:
    """Load the model and run it until the end."""
    linker = linker or Linker()
    tokens = Tokens(weights / "tokenizer.json")
    decoder = Decoder(weights / "decoder.onnx", rows=rows, length=MAX_PROMPT_TOKENS + _MAX_ANSWER_TOKENS)
    batcher = Batcher(decoder, end=tokens.end, size=tokens.size, waiting=waiting)
    try:
        name = f"model-{weights.name}"
        yield LanguageModel(
            tokens=tokens,
            batcher=batcher,
            linker=linker,
            name=name,
            version=f"{name}-{_digest(weights)}{linker.version}",
            least_certainty=least_certainty,
        )
    finally:
        batcher.close()


def _may_be_a_thing(turn: MarkedTurn) -> bool:
    """Return whether the turn holds words that nobody knows, and none of small talk or of a shop's business."""
    unknown = [piece.tag.surface for piece in turn.pieces if piece.text.startswith("W") and piece.marked]
    spoken = {stem(word) for piece in turn.pieces for word in piece.tag.surface.split(" ")}
    return bool(unknown) and _TALK.isdisjoint(spoken)


def _names_an_untrained_field(turn: MarkedTurn) -> bool:
    """Return whether the turn speaks of a field that the model met in no training: such a turn is no small talk."""
    values = (piece for piece in turn.pieces if piece.marked and piece.tag.role is Role.VALUE)
    return bool(turn.taken) or any(piece.text.startswith("S") for piece in values)


def _names_a_kind_alone(turn: MarkedTurn) -> bool:
    """Return whether the turn names a kind of product and has no word of small talk, nor one that asks for a meaning."""
    kinds = any(
        piece.marked and piece.tag.part in HEAD and piece.tag.role is Role.VALUE for piece in turn.pieces
    )
    return kinds and all(piece.tag.role not in _COURTEOUS for piece in turn.pieces)


def _says_nothing_else(turn: MarkedTurn) -> bool:
    """Return whether nothing is left of a turn but words that ask for nothing: what it leaves out is all that it says."""
    return not turn.taken and not turn.amounts and all(piece.tag.role in SCAFFOLDING for piece in turn.pieces)


def _digest(weights: Path) -> str:
    """Return what tells these weights from others."""
    state = hashlib.blake2b(digest_size=6)
    for name in _FILES:
        state.update((weights / name).read_bytes())
    return state.hexdigest()


def _marked(text: str, lexicon: Lexicon) -> MarkedTurn:
    """Mark a turn; one of more words than the model was made for fails before any work is done on it."""
    if len(text) > MAX_WORDS * 8 or len(text.split()) > MAX_WORDS:
        raise EngineError(Failure.TOO_LONG)
    try:
        return mark_turn(text, lexicon)
    except TooManyMarks:
        raise EngineError(Failure.TOO_LONG) from None
