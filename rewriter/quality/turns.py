"""Turns with the rewrite that they should get: those written by hand, and those drawn from the grammar."""

import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from google.protobuf.descriptor import EnumDescriptor

from catalogue.grammar import BRANDS, CATEGORIES, COLOURS, PATTERNS
from rewriter.answer_schema import choices
from rewriter.nlu.words import key_of
from rewriter.quality.trades import trade_request, trade_states
from rewriter.training.samples import Sampler
from vitrine.filter_text import format_filter
from vitrine.v1 import query_pb2, rewrite_pb2

WRITTEN = Path(__file__).parent / "turns.txt"
OPINIONS = Path(__file__).parent / "opinions.txt"
TRADES = Path(__file__).parent / "trades.txt"
BLIND = Path(__file__).parent / "blind.txt"
SHOPPERS = Path(__file__).parent / "shoppers.txt"
SHOPPERS_HELD = Path(__file__).parent / "shoppers_held.txt"
UNSEEN = Path(__file__).parent / "unseen.txt"
ANY = "*"
"""Stands for any query."""
WITHOUT = "without "
"""Begins the condition that no hit says a word, "without pockets"; its words are compared by their stems."""

_FACETS = tuple(
    rewrite_pb2.Facet(field=field, values=values)
    for field, values in (
        ("category", CATEGORIES),
        ("colour", COLOURS),
        ("pattern", PATTERNS),
        ("brand", BRANDS),
    )
)
_EXCLUDED = re.compile(r"not (?P<field>\w+)(?:=(?P<value>.+)| in \((?P<several>.+)\))")
_VALUES = re.compile(r'"[^"]*"|[^,\s][^,]*')
_SIGNS = {
    query_pb2.SENTIMENT_UNSPECIFIED: "",
    query_pb2.SENTIMENT_POSITIVE: "+",
    query_pb2.SENTIMENT_NEGATIVE: "-",
}
_REFERRING = frozenset(
    {"change", "change_named", "narrow", "similar_named", "cheaper_named", "compare", "picture_back"}
)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a rewrite must match: every part of it in one comparable form."""

    route: str
    query: str
    conditions: frozenset[str]
    references: tuple[str, ...]
    sort: str
    """"price_ascending"; empty for the order of the scores."""

    @classmethod
    def of(cls, rewrite: rewrite_pb2.Rewrite) -> "Expected":
        """Read a rewrite; what a chat would search, and what a comparison is called, does not matter."""
        node = rewrite.filter
        parts = node.all_of.filters if node.WhichOneof("node") == "all_of" else [node]
        route = query_pb2.Route.Name(rewrite.route).removeprefix("ROUTE_").lower()
        searches = route not in {"chat", "compare"}
        return cls(
            route,
            rewrite.query if searches and route != "image" else "",
            _together([*filter(None, map(format_filter, parts)), *_without(rewrite)])
            if searches
            else frozenset(),
            tuple(rewrite.references),
            _order(rewrite),
        )

    def matches(self, other: "Expected") -> bool:
        """Return whether route, query, filters and order are the same, and the first reference of a search."""
        own, theirs = (e.references if e.route == "compare" else e.references[:1] for e in (self, other))
        same = (self.route, self.conditions, self.sort) == (other.route, other.conditions, other.sort)
        worded = ANY in {self.query, other.query} or self.query == other.query
        return same and worded and (self.route == "chat" or sorted(own) == sorted(theirs))


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a turn says beside the wish."""

    intent: str
    sentiment: str
    remarks: frozenset[str]
    """Each as "-colour=blue"."""

    @classmethod
    def of(cls, rewrite: rewrite_pb2.Rewrite) -> "Opinion":
        """Read a rewrite."""
        return cls(
            _name(query_pb2.Intent.DESCRIPTOR, rewrite.intent),
            _name(query_pb2.Sentiment.DESCRIPTOR, rewrite.sentiment),
            frozenset(
                f"{_SIGNS[remark.polarity]}{remark.field}={remark.value}" for remark in rewrite.remarks
            ),
        )


@dataclass(frozen=True, slots=True)
class Case:
    """A request with what is expected of it."""

    request: rewrite_pb2.RewriteRequest
    expected: Expected
    kind: str
    """The group or the state that it is of."""
    language: str
    opinion: Opinion | None = None
    """Where the turn was written or drawn with one."""


def written_cases(path: Path = WRITTEN) -> list[Case]:
    """Read the turns written by hand."""
    cases = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        state, language, text, route, query, conditions, references, sort, *opinion = (
            *(part.strip() for part in line.split(" |")), *[""] * 8,
        )[:11]  # fmt: skip
        request = state_request(state)
        request.text = text
        expected = Expected(
            route,
            query if route != "image" or query == ANY else "",
            condition_set(conditions),
            tuple(references.split()),
            sort,
        )
        cases.append(Case(request, expected, state, language, _opinion(*opinion)))
    return cases


def condition_set(conditions: str) -> frozenset[str]:
    """Read conditions as the files of turns write them, joined by "; "."""
    return _together(map(_normal, filter(None, conditions.split("; "))))


def _together(conditions: Iterable[str]) -> frozenset[str]:
    """Return conditions with what is left out of a field as one: "neither a nor b" is "not a" and "not b"."""
    excluded: dict[str, set[str]] = {}
    others = set()
    for condition in conditions:
        if (one := _EXCLUDED.fullmatch(condition)) is not None:
            several: list[str] = _VALUES.findall(one["several"] or "")
            excluded.setdefault(one["field"], set()).update(several or [one["value"]])
        else:
            others.add(condition)
    for name, values in excluded.items():
        listed = ", ".join(sorted(values))
        others.add(f"not {name} in ({listed})" if len(values) > 1 else f"not {name}={listed}")
    return frozenset(others)


def _without(rewrite: rewrite_pb2.Rewrite) -> Iterator[str]:
    yield from (_normal(f"{WITHOUT}{words.said}") for words in rewrite.excluded_words)


def _normal(condition: str) -> str:
    """Return a condition as it is compared: of words, by their stems."""
    if not condition.startswith(WITHOUT):
        return condition
    return WITHOUT + " ".join(key_of(condition.removeprefix(WITHOUT)))


def drawn_cases(sampler: Sampler, count: int) -> list[Case]:
    """Draw turns from the grammar."""
    cases = []
    for _ in range(count):
        sample = sampler.draw()
        expected, opinion = Expected.of(sample.rewrite), Opinion.of(sample.rewrite)
        cases.append(Case(sample.request, expected, sample.group, sample.language, opinion))
    return cases


def slices(count: int, seed: int = 77) -> Mapping[str, Sequence[Case]]:
    """Return every slice: held-out fillers, held-out phrasings, both, other tongues, references, and those written by hand."""
    others = ("es", "zh", "ko")

    def draw(number: int, *, phrases: bool, words: bool, languages: tuple[str, ...] = ("en",)) -> list[Case]:
        rng = random.Random(seed + number)  # noqa: S311 - no secret
        return drawn_cases(Sampler(rng, held_phrases=phrases, held_words=words, languages=languages), count)

    rng = random.Random(seed + 4)  # noqa: S311 - no secret
    referring = Sampler(rng, held_phrases=True, held_words=True, languages=("en",), groups=_REFERRING)
    return MappingProxyType(
        {
            "fillers": draw(0, phrases=False, words=True),
            "phrasings": draw(1, phrases=True, words=False),
            "both": draw(2, phrases=True, words=True),
            "languages": draw(3, phrases=True, words=True, languages=others),
            "references": drawn_cases(referring, count),
            "written": written_cases(),
            "opinions": written_cases(OPINIONS),
            "trades": written_cases(TRADES),
            "blind": written_cases(BLIND),
            "shoppers": written_cases(SHOPPERS),
            "shoppers_held": written_cases(SHOPPERS_HELD),
            "unseen": written_cases(UNSEEN),
        }
    )


def _order(rewrite: rewrite_pb2.Rewrite) -> str:
    """Return the order as turns.txt writes it."""
    if not rewrite.HasField("sort"):
        return ""
    return f"{rewrite.sort.field}_{'descending' if rewrite.sort.descending else 'ascending'}"


def _opinion(intent: str, sentiment: str, remarks: str) -> Opinion | None:
    return Opinion(intent, sentiment, frozenset(filter(None, remarks.split("; ")))) if intent else None


def _name(enum: EnumDescriptor, number: int) -> str:
    return next(name for name, value in choices(enum).items() if value == number)


def state_request(state: str) -> rewrite_pb2.RewriteRequest:
    """Return a request in one of the states that turns.txt names, without words."""
    if state in trade_states():
        return trade_request(state)
    request = rewrite_pb2.RewriteRequest(facets=_FACETS, has_image=state == "image")
    if state in {"dresses", "refined", "pointed"}:
        _turn(request, "dresses under 100", _text("dress", "category", "dress", under=100), _DRESSES)
    if state == "refined":
        red = rewrite_pb2.Rewrite(route=query_pb2.ROUTE_REFINE, references=["b1"])
        red.query, red.modification = "red striped long-sleeve midi dress", "replace blue with red"
        red.filter.all_of.filters.extend(
            [_equals("category", "dress"), _equals("colour", "red"), _under(100)]
        )
        _turn(request, "same but in red", red, _DRESSES[1:])
    if state == "bags":
        _turn(request, "bags", _text("bag", "category", "bag"), _BAGS)
    if state == "pictured":
        turn = rewrite_pb2.Turn(image_id="img-1", shown=_DRESSES)
        turn.rewrite.route = query_pb2.ROUTE_IMAGE
        request.history.append(turn)
    request.product_id = "r2" if state == "pointed" else ""
    return request


def _turn(
    request: rewrite_pb2.RewriteRequest,
    text: str,
    rewrite: rewrite_pb2.Rewrite,
    shown: Sequence[query_pb2.Product],
) -> None:
    request.history.append(rewrite_pb2.Turn(text=text, rewrite=rewrite, shown=shown))


def _text(query: str, field: str, value: str, *, under: float | None = None) -> rewrite_pb2.Rewrite:
    rewrite = rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query=query)
    if under is None:
        rewrite.filter.CopyFrom(_equals(field, value))
    else:
        rewrite.filter.all_of.filters.extend([_equals(field, value), _under(under)])
    return rewrite


def _equals(field: str, text: str) -> query_pb2.Filter:
    return query_pb2.Filter(equals=query_pb2.Equals(field=field, value=query_pb2.FieldValue(text=text)))


def _under(price: float) -> query_pb2.Filter:
    return query_pb2.Filter(range=query_pb2.Range(field="price", maximum=price, exclusive_maximum=True))


def _products(*rows: str) -> Iterator[query_pb2.Product]:
    """Read products: id, price, brand, category, colour, pattern, title, attributes."""
    for row in rows:
        id_, price, brand, category, colour, pattern, title, attributes = row.split("; ")
        yield query_pb2.Product(
            id=id_,
            title=title,
            category=category,
            colour=colour,
            pattern=pattern,
            brand=brand,
            price=float(price),
            attributes=dict(pair.split("=") for pair in attributes.split(" ")),
        )


_DRESSES = tuple(
    _products(
        "b1; 60; Northlane; dress; blue; striped; blue striped long-sleeve midi dress; sleeve=long-sleeve length=midi",
        "r2; 45; Miravelle; dress; red; floral; red floral sleeveless mini dress; sleeve=sleeveless length=mini",
        "n3; 80; Osterly; dress; navy; plain; navy plain short-sleeve maxi dress; sleeve=short-sleeve length=maxi",
    )
)
_BAGS = tuple(
    _products(
        "t1; 120; Northlane; bag; black; ; black leather tote; material=leather type=tote",
        "k2; 70; Miravelle; bag; brown; ; brown canvas backpack; material=canvas type=backpack",
        "c3; 90; Osterly; bag; beige; ; beige leather clutch; material=leather type=clutch",
    )
)
