"""What the model answers: the turn's act, whom it speaks of, what each mark is for, and what it says of money.

The answer is one JSON object whose keys are given; every value is one of a few words, so that a grammar made for the
turn leaves the model nothing but the choices.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rewriter.answer_schema import NONE, choices
from vitrine.v1 import query_pb2

MAX_REFERENCES = 4


class Act(StrEnum):
    """What a turn does."""

    SEARCH = "search"
    CHANGE = "change"
    """Wants the product in mind, or the one named, otherwise."""
    NARROW = "narrow"
    """Sets one condition more on what was searched."""
    SIMILAR = "similar"
    PICTURE = "picture"
    """Starts from a picture, this turn's own or an earlier one."""
    COMPARE = "compare"
    DESCRIBE = "describe"
    """Asks what a shown product is."""
    DEFINE = "define"
    """Asks what a term means."""
    STOCK = "stock"
    """Asks what the catalogue holds."""
    ADVISE = "advise"
    """Asks what to think of shown products, or which to take."""
    GREET = "greet"
    THANK = "thank"
    LEAVE = "leave"
    SERVICE = "service"
    RESET = "reset"
    """Gives up what was searched and names nothing new."""


class Use(StrEnum):
    """What the shopper means by a marked word."""

    WANT = "want"
    AVOID = "avoid"
    OLD = "old"
    """What the reference has and is to lose."""
    ALLOW = "allow"
    """What was avoided and is welcome again."""
    NAME = "name"
    """A part of a shown product's description."""
    DROP = "drop"
    """Beside the point."""


class Money(StrEnum):
    """What the turn says of money; the words from UNDER on speak of the numbers that it names."""

    NONE = "none"
    CHEAPER = "cheaper"
    DEARER = "dearer"
    CHEAPEST = "cheapest"
    DEAREST = "dearest"
    UNDER = "under"
    UP_TO = "upto"
    OVER = "over"
    FROM = "from"
    ABOUT = "about"
    BETWEEN = "between"


INTENTS = choices(query_pb2.Intent.DESCRIPTOR)
SENTIMENTS = choices(query_pb2.Sentiment.DESCRIPTOR)
"""The choices of the rewrite's own fields, by their names."""

POSITIONS = (*range(1, 11), -1, -2, -3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The structure of a turn."""

    act: Act
    positions: tuple[int, ...] = ()
    """Of the products shown last, from 1; negative ones count from the end."""
    uses: Mapping[str, Use]
    """By mark, in the order of the turn."""
    money: Money = Money.NONE
    intent: str = NONE
    """One of INTENTS."""
    sentiment: str = NONE
    """One of SENTIMENTS."""

    def to_json(self) -> str:
        """Write the plan as the model is to."""
        answer = {
            "act": self.act.value,
            "refs": [str(position) for position in self.positions],
            "uses": {mark: use.value for mark, use in self.uses.items()},
            "money": self.money.value,
            "intent": self.intent,
            "sentiment": self.sentiment,
        }
        return json.dumps(answer, separators=(",", ":"))


def read_plan(text: str) -> Plan:
    """Read a model's answer; raises ValueError or KeyError for what the schema does not allow."""
    answer = json.loads(text)
    return Plan(
        act=Act(answer["act"]),
        positions=tuple(int(position) for position in answer["refs"]),
        uses={mark: Use(use) for mark, use in answer["uses"].items()},
        money=Money(answer["money"]),
        intent=answer["intent"],
        sentiment=answer["sentiment"],
    )


def plan_schema(marks: Sequence[str]) -> dict[str, Any]:
    """Return the JSON schema of a plan for a turn with these marks, without white space in between."""
    properties = {
        "act": {"enum": [act.value for act in Act]},
        "refs": {
            "type": "array",
            "items": {"enum": [str(position) for position in POSITIONS]},
            "maxItems": MAX_REFERENCES,
        },
        "uses": {
            "type": "object",
            "properties": {mark: {"enum": [use.value for use in Use]} for mark in marks},
            "required": list(marks),
            "additionalProperties": False,
        },
        "money": {"enum": [money.value for money in Money]},
        "intent": {"enum": [*INTENTS]},
        "sentiment": {"enum": [*SENTIMENTS]},
    }
    return {
        "x-guidance": {"whitespace_flexible": False, "item_separator": ",", "key_separator": ":"},
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }
