r"""Filters as people write them: `category=dress and price<80`.

    expression = term {"or" term}
    term       = factor {"and" factor}
    factor     = "not" factor | "(" expression ")" | condition
    condition  = FIELD ("=" | "!=" | "<" | "<=" | ">" | ">=") VALUE
               | FIELD "in" "(" VALUE {"," VALUE} ")"
               | FIELD [NUMBER] ".." [NUMBER]

A value is a number, a bare word (`polka-dot`) or a quoted text (`"light blue"`, with \ before a quote inside).
A quoted number is a text. Intervals written with `..` hold their bounds. A boolean is written `true` or `false`:
whether a field exists, and whether its values are texts, numbers or booleans, the catalogue's schema decides, and
with it the service that reads the filter.
"""

import math
import re
from dataclasses import dataclass
from typing import Literal, NoReturn

from vitrine.v1.query_pb2 import Equals, FieldValue, Filter, FilterList, OneOf, Range

MAX_NESTING = 32
"""Levels of parentheses and `not`; the service allows fewer."""

_Kind = Literal["space", "dots", "number", "operator", "mark", "text", "word", "end"]
_TOKENS = re.compile(
    r"""(?P<space>\s+)
    |(?P<dots>\.\.)
    |(?P<number>[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?=$|\.\.|[\s(),=<>!]))
    |(?P<operator><=|>=|!=|=|<|>)
    |(?P<mark>[(),])
    |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<word>[^\s"'(),=<>!]+)""",
    re.VERBOSE | re.DOTALL,
)
_PLAIN_WORD = re.compile(r"""[A-Za-z_][^\s"'(),=<>!]*""")
_FIELD = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_KEYWORDS = frozenset({"and", "or", "not", "in"})
_BOOLEANS = frozenset({"true", "false"})


class FilterSyntaxError(ValueError):
    """The text is no filter; says what was expected and where."""

    def __init__(self, text: str, position: int, expected: str) -> None:
        found = repr(text[position : position + 20]) if position < len(text) else "the end"
        super().__init__(f"expected {expected} at character {position + 1}, found {found}")
        self.position = position


def parse_filter(*texts: str) -> Filter:
    """Read filters that must all hold; raises FilterSyntaxError."""
    return _joined([_Parser(text).parse() for text in texts])


def format_filter(node: Filter) -> str:
    """Write a filter as `parse_filter` reads it; an empty one gives an empty text."""
    text = ""
    match node.WhichOneof("node"):
        case "equals":
            text = f"{node.equals.field}={_format_value(node.equals.value)}"
        case "one_of":
            values = ", ".join(_format_value(value) for value in node.one_of.values)
            text = f"{node.one_of.field} in ({values})"
        case "range":
            text = _format_range(node.range)
        case "all_of":
            text = " and ".join(_format_part(part) for part in node.all_of.filters)
        case "any_of":
            text = " or ".join(_format_part(part) for part in node.any_of.filters)
        case "negation":
            text = f"not {_format_part(node.negation)}"
    return text


@dataclass(frozen=True, slots=True)
class _Token:
    kind: _Kind
    value: str
    position: int

    def is_keyword(self, word: str) -> bool:
        return self.kind == "word" and self.value.lower() == word


class _Parser:
    """Reads one text by recursive descent, a method a rule of the grammar."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokenise(text)
        self._next = 0
        self._nesting = 0

    def parse(self) -> Filter:
        result = self._expression()
        if self._peek().kind != "end":
            self._fail('"and", "or" or the end')
        return result

    def _expression(self) -> Filter:
        terms = [self._term()]
        while self._accept_keyword("or"):
            terms.append(self._term())
        return terms[0] if len(terms) == 1 else Filter(any_of=FilterList(filters=terms))

    def _term(self) -> Filter:
        factors = [self._factor()]
        while self._accept_keyword("and"):
            factors.append(self._factor())
        return _joined(factors)

    def _factor(self) -> Filter:
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            self._fail(f"at most {MAX_NESTING} levels")
        if self._accept_keyword("not"):
            result = Filter(negation=self._factor())
        elif self._accept_mark("("):
            result = self._expression()
            self._expect_mark(")")
        else:
            result = self._condition()
        self._nesting -= 1
        return result

    def _condition(self) -> Filter:
        field = self._field()
        token = self._peek()
        if token.kind == "operator":
            return self._comparison(field)
        if self._accept_keyword("in"):
            return Filter(one_of=OneOf(field=field, values=self._values()))
        if token.kind not in {"number", "dots"}:
            self._fail(f'"=", "<", ">", "in" or a range after {field!r}')
        return self._interval(field)

    def _field(self) -> str:
        token = self._peek()
        if token.kind != "word" or token.value.lower() in _KEYWORDS or not _FIELD.fullmatch(token.value):
            self._fail("a field's name")
        return self._take().value

    def _comparison(self, field: str) -> Filter:
        operator = self._take().value
        if operator in {"=", "!="}:
            equals = Filter(equals=Equals(field=field, value=self._value()))
            return equals if operator == "=" else Filter(negation=equals)
        exclusive = operator in {"<", ">"}
        bound = self._number()
        if operator.startswith("<"):
            return Filter(range=Range(field=field, maximum=bound, exclusive_maximum=exclusive))
        return Filter(range=Range(field=field, minimum=bound, exclusive_minimum=exclusive))

    def _interval(self, field: str) -> Filter:
        interval = Range(field=field)
        if self._peek().kind == "number":
            interval.minimum = self._number()
        if self._peek().kind != "dots":
            self._fail('".."')
        self._take()
        if self._peek().kind == "number":
            interval.maximum = self._number()
        elif not interval.HasField("minimum"):
            self._fail("a number")
        return Filter(range=interval)

    def _values(self) -> list[FieldValue]:
        self._expect_mark("(")
        values = [self._value()]
        while self._accept_mark(","):
            values.append(self._value())
        self._expect_mark(")")
        return values

    def _value(self) -> FieldValue:
        token = self._peek()
        if token.kind == "number":
            return FieldValue(number=self._number())
        if token.kind == "text":
            return FieldValue(text=re.sub(r"\\(.)", r"\1", self._take().value[1:-1], flags=re.DOTALL))
        if token.kind != "word":
            self._fail("a value")
        return FieldValue(text=self._take().value)

    def _number(self) -> float:
        token = self._peek()
        if token.kind != "number" or not math.isfinite(float(token.value)):
            self._fail("a finite number")
        return float(self._take().value)

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        self._next += 1
        return self._tokens[self._next - 1]

    def _accept_keyword(self, word: str) -> bool:
        if not self._peek().is_keyword(word):
            return False
        self._take()
        return True

    def _accept_mark(self, mark: str) -> bool:
        if self._peek().kind != "mark" or self._peek().value != mark:
            return False
        self._take()
        return True

    def _expect_mark(self, mark: str) -> None:
        if not self._accept_mark(mark):
            self._fail(f'"{mark}"')

    def _fail(self, expected: str) -> NoReturn:
        raise FilterSyntaxError(self._text, self._peek().position, expected)


def _tokenise(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    while position < len(text):
        match = _TOKENS.match(text, position)
        if match is None:
            raise FilterSyntaxError(
                text, position, "a closing quote" if text[position] in "\"'" else "a condition"
            )
        kind: _Kind = match.lastgroup  # type: ignore[assignment]
        if kind != "space":
            tokens.append(_Token(kind, match.group(), position))
        position = match.end()
    return [*tokens, _Token("end", "", len(text))]


def _joined(filters: list[Filter]) -> Filter:
    return filters[0] if len(filters) == 1 else Filter(all_of=FilterList(filters=filters))


def _format_part(node: Filter) -> str:
    text = format_filter(node)
    return f"({text})" if node.WhichOneof("node") in {"all_of", "any_of"} else text


def _format_range(interval: Range) -> str:
    low = _format_number(interval.minimum) if interval.HasField("minimum") else ""
    high = _format_number(interval.maximum) if interval.HasField("maximum") else ""
    if not interval.exclusive_minimum and not interval.exclusive_maximum:
        return f"{interval.field} {low}..{high}"
    above = f"{interval.field}{'>' if interval.exclusive_minimum else '>='}{low}" if low else ""
    below = f"{interval.field}{'<' if interval.exclusive_maximum else '<='}{high}" if high else ""
    return f"({above} and {below})" if above and below else above or below


def _format_value(value: FieldValue) -> str:
    match value.WhichOneof("kind"):
        case "number":
            return _format_number(value.number)
        case "boolean":
            return str(value.boolean).lower()
    # Words of the syntax are read as values all the same; in quotes nobody takes them for what they are not.
    if _PLAIN_WORD.fullmatch(value.text) and value.text.lower() not in _KEYWORDS | _BOOLEANS:
        return value.text
    return '"' + re.sub(r'(["\\])', r"\\\1", value.text) + '"'


def _format_number(number: float) -> str:
    return repr(number).removesuffix(".0")
