"""Intent, sentiment and remarks, as the rules read them."""

from collections.abc import Sequence

import pytest

from rewriter.checks import violation
from rewriter.engines.rules.decide import decide
from rewriter.nlu.lexicon import build_lexicon
from vitrine.v1 import query_pb2, rewrite_pb2

Facets = Sequence[rewrite_pb2.Facet]
Products = Sequence[query_pb2.Product]


def read(text: str, facets: Facets, shown: Products = ()) -> rewrite_pb2.Rewrite:
    """Let the rules read a turn after "dresses", which showed b1 (blue), r2 (red) and n3 (navy)."""
    lexicon = build_lexicon(facets)
    first = rewrite_pb2.RewriteRequest(text="dresses", facets=facets)
    turn = rewrite_pb2.Turn(text=first.text, rewrite=decide(first, lexicon), shown=shown)
    history = [turn] if shown else []
    request = rewrite_pb2.RewriteRequest(text=text, facets=facets, history=history)
    rewrite = decide(request, lexicon)
    assert violation(rewrite, request) == ""
    return rewrite


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("red dress", query_pb2.INTENT_BUY),
        ("compare the first two", query_pb2.INTENT_COMPARE),
        ("what is a midi?", query_pb2.INTENT_CONSULT),
        ("what do you recommend", query_pb2.INTENT_CONSULT),
        ("hello", query_pb2.INTENT_UNSPECIFIED),
    ],
)
def test_why_the_shopper_asks(
    text: str, intent: query_pb2.Intent.ValueType, facets: Facets, shown: Products
) -> None:
    """Comparisons, questions and searches are told apart; a greeting is none of them."""
    assert read(text, facets, shown).intent == intent


@pytest.mark.parametrize(
    ("text", "sentiment", "remarks"),
    [
        ("hate stripes", query_pb2.SENTIMENT_NEGATIVE, [("pattern", "striped")]),
        ("it's too bright", query_pb2.SENTIMENT_NEGATIVE, [("colour", "blue")]),
        ("way too tight for me", query_pb2.SENTIMENT_NEGATIVE, [("fit", "tight")]),
        ("ugly", query_pb2.SENTIMENT_NEGATIVE, []),
        ("love the floral one", query_pb2.SENTIMENT_POSITIVE, []),
        ("thanks", query_pb2.SENTIMENT_POSITIVE, []),
        ("no stripes", query_pb2.SENTIMENT_UNSPECIFIED, []),
    ],
)
def test_what_the_shopper_thinks(
    text: str,
    sentiment: query_pb2.Sentiment.ValueType,
    remarks: Sequence[tuple[str, str]],
    facets: Facets,
    shown: Products,
) -> None:
    """A negative word blames the value that it speaks of; a fault blames what the reference has."""
    rewrite = read(text, facets, shown)
    assert rewrite.sentiment == sentiment
    assert [(remark.field, remark.value) for remark in rewrite.remarks] == list(remarks)


def test_a_fault_keeps_the_search(facets: Facets, shown: Products) -> None:
    """After "too bright" the same thing is searched, and the remark says what to do about it."""
    rewrite = read("too bright", facets, shown)
    assert (rewrite.route, rewrite.query) == (query_pb2.ROUTE_TEXT, "dress")
