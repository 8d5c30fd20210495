"""Turns that ask for more of the same."""

from collections.abc import Sequence

import pytest

from rewriter.checks import violation
from rewriter.engines.rules.decide import decide, more_of, settled
from rewriter.nlu.lexicon import build_lexicon
from rewriter.nlu.next_page import asks_for_next_page
from vitrine.v1 import query_pb2, rewrite_pb2

Facets = Sequence[rewrite_pb2.Facet]
Products = Sequence[query_pb2.Product]


@pytest.mark.parametrize(
    "text",
    [
        "Show me more", "more", "More please!", "next page", "any more?", "show more results", "what else do you have",
        "another ten", "next 10", "ok, next", "10 more", "can you show me more, please", "keep going", "anything else?",
        "muéstrame más", "más resultados", "siguiente página", "otros diez", "¿qué más hay?", "algo más por favor",
        "更多", "再来几个", "下一页", "还有吗?", "还有别的吗", "给我看更多",
        "더 보여줘", "더 보여 주세요", "다음 페이지", "열 개 더",
    ],
)  # fmt: skip
def test_more_is_asked_for_in_every_language(text: str) -> None:
    """The usual ways to ask for the next page are known, with courtesies around them."""
    assert asks_for_next_page(text)


@pytest.mark.parametrize(
    "text",
    [
        "more red ones", "more expensive", "more like this", "more dresses", "no more", "more of the second one", "",
        "next to my sofa", "show me more of the blue dress", "something else", "one more thing: bags", "más barato",
        "más como este", "更多这样的", "더 싼 거", "다음에 봐요", "more " * 400,
    ],
)  # fmt: skip
def test_a_turn_that_names_anything_else_is_no_next_page(text: str) -> None:
    """What more is wanted of makes the turn a search of its own."""
    assert not asks_for_next_page(text)


def test_the_next_page_is_the_search_before_as_it_was(facets: Facets, shown: Products) -> None:
    """Route, query, conditions, order and references are those of the last search, small talk in between or not."""
    lexicon = build_lexicon(facets)
    history: list[rewrite_pb2.Turn] = []
    for text in ("dresses under 100", "cheapest first", "thanks", "show me more", "more"):
        request = rewrite_pb2.RewriteRequest(text=text, facets=facets, history=history)
        rewrite = decide(request, lexicon)
        assert violation(rewrite, request) == ""
        history.append(rewrite_pb2.Turn(text=text, rewrite=rewrite, shown=shown))
    _, searched, _, *pages = (turn.rewrite for turn in history)
    for page in pages:
        assert page.more
        assert (page.route, page.query, page.filter, page.sort) == (
            searched.route,
            searched.query,
            searched.filter,
            searched.sort,
        )
        assert page.intent == query_pb2.INTENT_BUY


def test_more_after_a_picture_goes_on_with_the_picture(facets: Facets, shown: Products) -> None:
    """The picture that a search came with is the next page's reference, by its id."""
    turn = rewrite_pb2.Turn(
        image_id="i1", shown=shown, rewrite=rewrite_pb2.Rewrite(route=query_pb2.ROUTE_IMAGE)
    )
    request = rewrite_pb2.RewriteRequest(text="more", facets=facets, history=[turn], locale="es-ES")
    rewrite = more_of(request, build_lexicon(facets))
    assert rewrite is not None
    assert (rewrite.route, list(rewrite.references), rewrite.more) == (query_pb2.ROUTE_IMAGE, ["i1"], True)


@pytest.mark.parametrize(
    "request_",
    [
        rewrite_pb2.RewriteRequest(text="more"),
        rewrite_pb2.RewriteRequest(
            text="more", history=[rewrite_pb2.Turn(rewrite=rewrite_pb2.Rewrite(route=query_pb2.ROUTE_CHAT))]
        ),
        rewrite_pb2.RewriteRequest(
            text="more", history=[rewrite_pb2.Turn(rewrite=rewrite_pb2.Rewrite(route=query_pb2.ROUTE_REFINE))]
        ),
    ],
    ids=["nothing before", "small talk before", "a search that cannot be repeated"],
)
def test_without_a_search_before_there_is_no_more(request_: rewrite_pb2.RewriteRequest) -> None:
    """A next page of nothing is none."""
    lexicon = build_lexicon([])
    assert settled(request_, lexicon) is None
    assert not decide(request_, lexicon).more


def test_more_beside_a_picture_or_a_product_is_about_that(facets: Facets, shown: Products) -> None:
    """A picture of the turn's own, or a product that it points at, is what the turn is about."""
    lexicon = build_lexicon(facets)
    first = rewrite_pb2.RewriteRequest(text="dresses", facets=facets)
    history = [rewrite_pb2.Turn(text="dresses", rewrite=decide(first, lexicon), shown=shown)]
    for own in ({"has_image": True}, {"product_id": "r2"}):
        request = rewrite_pb2.RewriteRequest(text="more", facets=facets, history=history, **own)  # type: ignore[arg-type]
        assert not decide(request, lexicon).more
