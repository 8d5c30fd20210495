"""What the router promises for every request, whatever its words."""

import string
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewriter.checks import check_request, violation
from rewriter.engines.rules.decide import decide
from rewriter.nlu.lexicon import build_lexicon
from rewriter.nlu.vocabulary import CUES, ORDINALS, STYLES, SYNONYMS
from vitrine.domain import limits
from vitrine.v1 import query_pb2, rewrite_pb2

_FACET_VALUES = {
    "category": ("dress", "skirt", "bag", "shoes"),
    "colour": ("red", "blue", "navy"),
    "pattern": ("plain", "striped", "floral"),
    "brand": ("Acme", "Only", "Red Fox"),
}
FACETS = [rewrite_pb2.Facet(field=field, values=values) for field, values in _FACET_VALUES.items()]
_PHRASES = sorted(
    {phrase for phrases in CUES.values() for phrase in phrases}
    | {phrase for styles in STYLES.values() for phrases in styles.values() for phrase in phrases}
    | {phrase for words in SYNONYMS.values() for phrases in words.values() for phrase in phrases}
    | {value for values in _FACET_VALUES.values() for value in values}
    | {
        *ORDINALS,
        "under 50",
        "between 20 and 40",
        "£30",
        "chartreuse",
        "zebra",
        "'); drop",
        "{}",
        "price<0",
        "crimson",
    }
)
_IDS = st.sampled_from(["a1", "b2", "c3", ""])

utterances = st.one_of(
    st.lists(st.sampled_from(_PHRASES), max_size=12).map(" ".join),
    st.text(alphabet=string.printable, max_size=200),
    st.text(max_size=limits.MAX_QUERY_LENGTH),
)
products = st.builds(
    query_pb2.Product,
    id=_IDS,
    title=utterances.map(lambda text: text[:100]),
    category=st.sampled_from(["dress", "sofa", ""]),
    colour=st.sampled_from(["red", "mauve", ""]),
    price=st.floats(min_value=0, max_value=1e12),
    attributes=st.dictionaries(st.sampled_from(["sleeve", "length"]), st.sampled_from(["midi", "maxi", "x"])),
)
leaves = st.one_of(
    st.builds(
        lambda field, value: query_pb2.Filter(
            equals=query_pb2.Equals(field=field, value=query_pb2.FieldValue(text=value))
        ),
        st.sampled_from(["category", "colour", "price", "secret"]),
        st.sampled_from(["dress", "red", "mauve", ""]),
    ),
    st.builds(
        lambda low: query_pb2.Filter(range=query_pb2.Range(field="price", minimum=low, maximum=50)),
        st.floats(),
    ),
    st.just(query_pb2.Filter()),
)
filters = st.recursive(
    leaves,
    lambda parts: st.one_of(
        st.builds(lambda part: query_pb2.Filter(negation=part), parts),
        st.lists(parts, max_size=3).map(
            lambda parts: query_pb2.Filter(all_of=query_pb2.FilterList(filters=parts))
        ),
    ),
    max_leaves=12,
)
rewrites = st.builds(
    rewrite_pb2.Rewrite,
    route=st.sampled_from(query_pb2.Route.values()),
    query=utterances.map(lambda text: text[:200]),
    modification=utterances.map(lambda text: text[:200]),
    filter=filters,
    references=st.lists(st.one_of(_IDS, st.just("never-shown")), max_size=3),
)
turns = st.builds(
    rewrite_pb2.Turn,
    text=utterances,
    image_id=st.sampled_from(["i1", ""]),
    product_id=_IDS,
    rewrite=rewrites,
    shown=st.lists(products, max_size=4),
)
requests = st.builds(
    rewrite_pb2.RewriteRequest,
    text=utterances,
    has_image=st.booleans(),
    product_id=_IDS,
    history=st.lists(turns, max_size=3),
    facets=st.sampled_from([FACETS, FACETS[:1], []]),
)


@pytest.mark.parametrize("route", query_pb2.Route.values())
@pytest.mark.parametrize("references", [[], ["a1"], ["i1"], ["never-shown"]])
@pytest.mark.parametrize("text", ["by price", "under 50", "longer", "red", "compare them"])
def test_a_history_told_wrongly_gets_a_valid_rewrite(
    route: query_pb2.Route.ValueType, references: list[str], text: str
) -> None:
    """A turn whose rewrite lacks what its route needs, or names the wrong kind of thing, is never repeated as it is."""
    wrong = rewrite_pb2.Rewrite(route=route, references=references)
    turn = rewrite_pb2.Turn(image_id="i1", product_id="a1", rewrite=wrong)
    request = rewrite_pb2.RewriteRequest(text=text, history=[turn])
    assert violation(decide(request, build_lexicon([])), request) == ""


@pytest.mark.slow
@settings(max_examples=200)
@given(requests)
def test_every_request_gets_a_valid_rewrite(request: rewrite_pb2.RewriteRequest) -> None:
    """Whatever is said after whatever conversation, the rewrite is complete and names nothing unknown."""
    check_request(request)
    rewrite = decide(request, build_lexicon(request.facets))
    assert violation(rewrite, request) == ""
    assert rewrite.source == "router"


@settings(max_examples=100)
@given(utterances)
def test_a_search_says_nothing_that_was_not_said(text: str) -> None:
    """Without facets nothing is filtered but a price, and a query holds no other field's conditions."""
    rewrite = decide(rewrite_pb2.RewriteRequest(text=text), build_lexicon([]))
    assert fields_of(rewrite.filter) <= {"price"}


@settings(max_examples=50)
@given(requests)
def test_reading_twice_gives_the_same(request: rewrite_pb2.RewriteRequest) -> None:
    """The router is deterministic and leaves the request as it was."""
    before = request.SerializeToString(deterministic=True)
    lexicon = build_lexicon(request.facets)
    assert decide(request, lexicon) == decide(request, lexicon)
    assert request.SerializeToString(deterministic=True) == before


def fields_of(node: query_pb2.Filter) -> set[str]:
    """Give every field that a filter names."""
    kind = node.WhichOneof("node")
    if kind in {"equals", "one_of", "range"}:
        return {getattr(node, kind).field}
    parts: Sequence[query_pb2.Filter] = [node.negation] if kind == "negation" else ()
    if kind in {"all_of", "any_of"}:
        parts = getattr(node, kind).filters
    return {field for part in parts for field in fields_of(part)}
