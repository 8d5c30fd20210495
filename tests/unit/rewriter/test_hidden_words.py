"""Words in which a shorter one stands that means something else."""

import re
from collections.abc import Sequence

import pytest

from rewriter.linking.linker import Linker
from rewriter.linking.unknown import candidates_of, tokens_of
from rewriter.nlu.conditions import conditions_of
from rewriter.nlu.lexicon import build_lexicon
from rewriter.nlu.phrasings import not_hidden, translated
from rewriter.nlu.reading import read
from rewriter.quality.trades import trade_request
from vitrine.domain.messages import filter_message
from vitrine.filter_text import format_filter
from vitrine.v1 import rewrite_pb2

Facets = Sequence[rewrite_pb2.Facet]


@pytest.mark.parametrize(
    ("catalogue", "text", "read_as"),
    [
        ("fashion", "想买面包", ""),
        ("fashion", "黑色的包", "colour=black and category=bag"),
        ("fashion", "红包", ""),
        ("fashion", "면도기", ""),
        ("fashion", "빨간 면 바지", "colour=red and category=trousers"),
        ("grocery", "casa verde cheese", 'brand="Casa Verde" and category=cheese'),
        ("grocery", "verde cheese", "category=cheese"),
    ],
)
async def test_a_name_within_a_longer_word_is_not_meant(
    facets: Facets, catalogue: str, text: str, read_as: str
) -> None:
    """Whether a language file has the longer word, or the catalogue a longer value."""
    request = (
        rewrite_pb2.RewriteRequest(facets=facets) if catalogue == "fashion" else trade_request(catalogue)
    )
    request.text = text
    linker = Linker()
    linked = await linker.link(request, timeout_s=60)
    linker.close()
    conditions = conditions_of(read(linked.request.text, linked.lexicon))
    found = [format_filter(filter_message(each)) for each in conditions]
    assert sorted(found) == sorted(filter(None, read_as.split(" and ")))


def test_a_catalogues_own_words_hide_names_too() -> None:
    """A shop whose categories are Chinese sells bread, and no bag of it."""
    lexicon = build_lexicon([rewrite_pb2.Facet(field="category", values=["面包", "红酒"])])
    (tag,) = read("面包", lexicon).wanted
    assert (tag.slot, tag.meaning.value) == ("category", "面包")
    assert translated("面包", lexicon.phrases) == "面包"


def test_a_word_that_carries_no_wish_is_none_within_another() -> None:
    """有, to have, divides a run of signs, but not 有机, organic."""
    lexicon = build_lexicon([])
    assert candidates_of(tokens_of("有机牛奶", lexicon))[0] == "有机牛奶"
    assert candidates_of(tokens_of("有牛奶", lexicon))[0] == "牛奶"
    assert [match.span() for match in not_hidden(re.compile("有"), "有机有")] == [(2, 3)]
