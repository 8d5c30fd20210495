"""Whole conversations: each turn is read in the light of how those before it were read, and of what they found."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rewriter.engines.port import Engine, EngineError
from rewriter.linking.linker import Linker
from rewriter.nlu.dialogue_state import SEARCHES
from rewriter.quality.hits import Fit, Judge
from rewriter.quality.measure import TIMEOUT_S, Reading, embedded
from rewriter.quality.trades import trade_of, trade_request
from rewriter.quality.turns import ANY, Case, Expected, condition_set, state_request
from vitrine.domain.messages import product_message
from vitrine.domain.schema import Role, Schema
from vitrine.v1 import rewrite_pb2

_FOLDER = Path(__file__).parent
CONVERSATIONS = {
    "talks": _FOLDER / "blind_conversations.txt",
    "shoppers_talks": _FOLDER / "shoppers_talks.txt",
    "shoppers_talks_held": _FOLDER / "shoppers_talks_held.txt",
    "unseen_talks": _FOLDER / "unseen_conversations.txt",
    "dev_talks": _FOLDER / "dev_talks.txt",
    "blind_talks": _FOLDER / "blind_talks.txt",
    "fresh_talks": _FOLDER / "fresh_talks.txt",
}
"""The files of conversations, by the name of their slice."""
UNREAD = frozenset({"unseen_talks", "fresh_talks"})
"""Those of which only the figures are looked at, so that no report holds their turns."""
_BEGINS = "= "


@dataclass(frozen=True, slots=True)
class Said:
    """One turn of a conversation with what is expected of it; references are places, "#2", among what was shown last."""

    text: str
    language: str
    expected: Expected


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation of one catalogue."""

    catalogue: str
    turns: Sequence[Said]


def conversations(path: Path) -> list[Conversation]:
    """Read the conversations that were written by hand."""
    found: list[Conversation] = []
    turns: list[Said] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(_BEGINS):
            turns = []
            found.append(Conversation(line.removeprefix(_BEGINS), turns))
        elif line and not line.startswith("#"):
            turns.append(_said(line))
    return found


async def read_conversations(
    path: Path, engine: Engine, linker: Linker, judge: Judge
) -> tuple[list[Reading], list[Fit]]:
    """Let a decider read every conversation of a file; return how each turn was read, and the share of its hits that fit."""
    readings: list[Reading] = []
    fits: list[Fit] = []
    for conversation in conversations(path):
        async for reading, fit in _read(engine, linker, judge, conversation):
            readings.append(reading)
            fits += [] if fit is None else [fit]
    return readings, fits


async def _read(
    engine: Engine, linker: Linker, judge: Judge, conversation: Conversation
) -> AsyncIterator[tuple[Reading, Fit | None]]:
    """Yield how each turn of a conversation was read, and the share of its hits that fit; None where nothing is judged."""
    catalogue = conversation.catalogue
    schema = judge.by_catalogue[catalogue].schema
    history: list[rewrite_pb2.Turn] = []
    excluded: dict[str, rewrite_pb2.ExcludedWords] = {}
    for said in conversation.turns:
        request = trade_request(catalogue) if trade_of(catalogue) else state_request("first")
        request.text = said.text
        request.history.extend(history)
        await embedded(linker, [request])
        expected = replace(said.expected, references=_ids(said.expected.references, history))
        case = Case(request, expected, catalogue, said.language)
        try:
            rewrite = await engine.rewrite(request, timeout_s=TIMEOUT_S)
        except EngineError as error:
            yield Reading(case, None, error.failure.value), None
            continue
        turn = rewrite_pb2.Turn(text=said.text, rewrite=rewrite)
        if rewrite.route in SEARCHES:
            excluded = {} if _changes_topic(rewrite, history, schema) else excluded
            excluded |= {words.said: words for words in rewrite.excluded_words}
            rewrite.ClearField("excluded_words")
            rewrite.excluded_words.extend(excluded.values())
            found = judge.search(catalogue, rewrite)
            turn.shown.extend(product_message(product, schema) for product in found)
        yield Reading(case, rewrite), judge.fit(catalogue, expected, rewrite)
        history.append(turn)


def _changes_topic(rewrite: rewrite_pb2.Rewrite, history: Sequence[rewrite_pb2.Turn], schema: Schema) -> bool:
    """Return whether a search is of another category than the one before: the service forgets then what was not wanted."""
    owner = schema.role(Role.CATEGORY)
    named = f"{owner.name}=" if owner is not None else ""
    before = next((turn.rewrite for turn in reversed(history) if turn.rewrite.route in SEARCHES), None)
    kinds = [
        {condition for condition in Expected.of(each).conditions if condition.startswith(named)}
        for each in (rewrite, before)
        if each is not None
    ]
    return len(kinds) > 1 and all(kinds) and kinds[0].isdisjoint(kinds[1])


def _ids(places: Sequence[str], history: Sequence[rewrite_pb2.Turn]) -> tuple[str, ...]:
    """Return the ids of the products at the places, "#2", among what was shown last; a place without one stays."""
    shown = next(([*turn.shown] for turn in reversed(history) if turn.shown), [])
    numbers = [(place, int(place.removeprefix("#")) - 1) for place in places]
    return tuple(shown[number].id if number < len(shown) else place for place, number in numbers)


def _said(line: str) -> Said:
    language, text, route, conditions, references, sort = (
        *(part.strip() for part in line.split(" |")), *[""] * 5,
    )[:6]  # fmt: skip
    searches = route not in {"chat", "compare"}
    expected = Expected(
        route, ANY if searches else "", condition_set(conditions), tuple(references.split()), sort
    )
    return Said(text, language, expected)
