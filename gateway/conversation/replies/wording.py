"""Conditions and values as a shopper reads them: "colour red; price under £50.00"."""

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.conversation.replies.templates import ENGLISH, Language
from vitrine.domain.filters import AllOf, AnyOf, Equals, Filter, Not, OneOf, Range, Says, Scalar, conjuncts
from vitrine.domain.schema import Field, Role, Schema
from vitrine.domain.schema_files import shipped_schema
from vitrine.domain.values import number_text

MAX_VALUES = 5
"""Values that one condition lists, and fields that one sentence does."""

_MAX_QUOTE = 80
"""Characters that are quoted of a title, a value or the shopper's words."""


@dataclass(frozen=True, slots=True)
class Wording:
    """Words for one catalogue in one language."""

    language: Language
    schema: Schema

    def label(self, name: str) -> str:
        """Return what to call a field: where the schema has no word of the language, the one that people have for such a field."""
        owner, code = self.schema.by_name.get(name), self.language.code
        if owner is None:
            return name
        known = shipped_schema()
        common = known.role(owner.role) if owner.role else known.by_name.get(name)
        if code == ENGLISH or code in owner.labels or common is None:
            return owner.label(code)
        return common.labels.get(code, owner.label(code))

    def conditions(self, conditions: Iterable[Filter | None]) -> str:
        """Return conditions in one line; empty for none."""
        gap = self.language.say("condition-gap")
        return gap.join(self._condition(part) for each in conditions for part in conjuncts(each))

    def fields(self, names: Iterable[str]) -> str:
        """Return the labels of fields as a list."""
        return self.language.listed([self.label(name) for name in [*names][:MAX_VALUES]])

    def money(self, price: float) -> str:
        """Return a price; the schema has a field of prices."""
        owner = self.schema.role(Role.PRICE)
        assert owner is not None, "only a field of prices gives a price"
        return self.language.number(owner, price, self.schema.currency)

    def number(self, name: str, number: float) -> str:
        """Return a number of a field."""
        owner = self.schema.by_name.get(name)
        return (
            number_text(number)
            if owner is None
            else self.language.number(owner, number, self.schema.currency)
        )

    def _condition(self, node: Filter, *, negated: bool = False) -> str:  # noqa: PLR0911 - a case for each kind of node
        match node:
            case Equals(field, bool(value)):
                return self.language.say(
                    "condition-true" if value is not negated else "condition-false", label=self.label(field)
                )
            case Equals(field, value):
                return self._holds(field, (value,), negated=negated)
            case OneOf(field, values):
                return self._holds(field, values, negated=negated)
            case Not(part):
                return self._condition(part, negated=not negated)
            case AllOf(parts) | AnyOf(parts):
                # The opposite of one thing or another is neither of them.
                style = "or" if isinstance(node, AnyOf) is not negated else "standard"
                said = [self._condition(part, negated=negated) for part in parts[:MAX_VALUES]]
                return self.language.listed(said, style=style)
            case Range():
                return self._range(node)
            case Says(forms):
                return quote(forms[0])

    def _holds(self, field: str, values: tuple[Scalar, ...], *, negated: bool) -> str:
        owner = self.schema.by_name.get(field)
        said = [self._value(owner, value) for value in values[:MAX_VALUES]]
        if len(values) > MAX_VALUES:
            said.append("…")
        listed = self.language.listed(said, style="or")
        return self.language.say(
            "condition-not" if negated else "condition-is", label=self.label(field), values=listed
        )

    def _value(self, owner: Field | None, value: Scalar) -> str:
        if isinstance(value, str) or owner is None:
            return quote(str(value))
        return self.language.number(owner, value, self.schema.currency)

    def _range(self, bounds: Range) -> str:
        label = self.label(bounds.field)
        low, high = bounds.minimum, bounds.maximum
        if low is not None and high is not None:
            return self.language.say(
                "condition-between",
                label=label,
                lowest=self.number(bounds.field, low),
                highest=self.number(bounds.field, high),
            )
        if high is not None:
            name, number = "condition-below" if bounds.exclusive_maximum else "condition-at-most", high
        else:
            assert low is not None, "a range has a bound"
            name, number = "condition-above" if bounds.exclusive_minimum else "condition-at-least", low
        return self.language.say(name, label=label, number=self.number(bounds.field, number))


def quote(text: str) -> str:
    """Return a text in one line, cut to what fits a sentence."""
    line = " ".join(text.split())
    return line if len(line) <= _MAX_QUOTE else f"{line[: _MAX_QUOTE - 1].rstrip()}…"
