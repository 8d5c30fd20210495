"""The prompt: the conversation's state in a few tokens, then the marked turn."""

from rewriter.engines.model.placeholders import MarkedTurn, Piece, is_plural, special_tokens
from rewriter.nlu.dialogue_context import category_of
from rewriter.nlu.dialogue_state import SEARCHES, Memory
from rewriter.nlu.lexicon import Lexicon, Part
from vitrine.v1 import query_pb2, rewrite_pb2

ANSWER = "<answer>"
END = "<end>"
"""Ends a prompt's answer; the model's end of text."""

_LAST = {
    query_pb2.ROUTE_TEXT: "<last-text>",
    query_pb2.ROUTE_IMAGE: "<last-picture>",
    query_pb2.ROUTE_COMPOSED: "<last-picture>",
    query_pb2.ROUTE_REFINE: "<last-product>",
    query_pb2.ROUTE_SIMILAR: "<last-product>",
}
_SAME = "<same>"
_PLURAL = "<s>"
_PRICE = "<price>"
_STATE = ("<first>", "<shown>", "<image>", "<picture>", "<product>", "<compared>")


def tokens_of_prompts() -> list[str]:
    """Return every special token, the end of text first."""
    return [END, ANSWER, _SAME, _PLURAL, _PRICE, *_STATE, *dict.fromkeys(_LAST.values()), *special_tokens()]


def prompt_of(
    request: rewrite_pb2.RewriteRequest, turn: MarkedTurn, memory: Memory, lexicon: Lexicon
) -> list[tuple[str, bool]]:
    """Return the prompt's parts, each with whether it is a special token; the others are the shopper's own words."""
    category = category_of(memory, lexicon)
    parts = [(token, True) for token in _state(request, memory)]
    if turn.price is not None:
        parts.append((_PRICE, True))
    for piece in turn.pieces:
        parts += _said(piece, category)
    return [*parts, (ANSWER, True)]


def _state(request: rewrite_pb2.RewriteRequest, memory: Memory) -> list[str]:
    """Return what came before the turn, and what comes with it."""
    holds = {
        "<shown>": bool(memory.shown),
        "<image>": request.has_image,
        "<picture>": bool(memory.picture),
        "<product>": bool(request.product_id),
        "<compared>": bool(memory.compared),
    }
    last = _LAST[memory.last.route] if memory.last is not None else "<first>"
    assert memory.last is None or memory.last.route in SEARCHES
    return [last, *(token for token, held in holds.items() if held)]


def _said(piece: Piece, category: str) -> list[tuple[str, bool]]:
    """Return a piece's tokens: a mark says whether it is the conversation's category, and an unknown word what it is."""
    if not piece.marked:
        return [(piece.text, piece.text.startswith("<"))]
    parts = [(f"<{piece.text}>", True)]
    if piece.tag.part is Part.CATEGORY:
        parts += [(_SAME, True)] if piece.tag.meaning.value == category else []
        parts += [(_PLURAL, True)] if is_plural(piece) else []
    if piece.text.startswith("W"):
        parts.append((piece.tag.surface, False))
    return parts
