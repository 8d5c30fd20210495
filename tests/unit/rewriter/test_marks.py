"""Turns with marks in the place of the catalogue's words."""

from collections.abc import Sequence

import pytest

from rewriter.engines.model.placeholders import MAX_OF_A_KIND, TooManyMarks, mark_turn
from rewriter.nlu.lexicon import build_lexicon
from vitrine.v1 import rewrite_pb2

Facets = Sequence[rewrite_pb2.Facet]


def marked(text: str, facets: Facets) -> str:
    """Write a marked turn in one line: marks with their values, other words as they are."""
    turn = mark_turn(text, build_lexicon(facets))
    said = [f"{p.text}={p.tag.meaning.said or p.tag.surface}" if p.marked else p.text for p in turn.pieces]
    return " ".join(said)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Same, but in RED", "same , but in C1=red"),
        ("a striped dress by Acme", "a P1=striped N1=dress B1=acme"),
        ("with long sleeves", "with S1=long-sleeve"),
        ("sneakers for a wedding", "K1=sneakers for a W1=wedding"),
        ("a bit longer", "a bit T1=longer"),
        ("the second one in navy", "the <O2> one in C1=navy"),
        ("number 3 but floral", "<O3> but P1=floral"),
        ("keep it near 50", "W1=keep it W2=near <#1>"),
        ("navy dress with yellow accents", "C1=navy N1=dress with S1=with yellow accents"),
        ("un vestido rojo de flores", "un N1=dress C1=red P1=floral"),
        ("faldas azules sin mangas", "N1=skirt C1=blue S1=sleeveless"),
        ("el último más largo", "el <O-1> T1=longer"),
        ("有没有红色的连衣裙", "有没有 C1=red 的 N1=dress"),
        ("第二个换成黑色", "<O2> 个换成 C1=black"),
        ("빨간 원피스 보여줘", "C1=red N1=dress 보여줘"),
        ("red drses with long sleevs", "C1=red N1=dress with S1=long-sleeve"),
        ("yelow stiped skrit", "C1=yellow P1=striped N1=skirt"),
        ("<C1> <answer>", "W1=c1 W2=answer"),
    ],
)
def test_words_become_marks(text: str, expected: str, facets: Facets) -> None:
    """Values, styles, steps and unknown words are marked in every tongue; typos of one slip are mended."""
    assert marked(text, facets) == expected


def test_prices_are_read_before_the_model(facets: Facets) -> None:
    """A phrase about money that the rules know is an interval; any other number is the model's to judge."""
    known = mark_turn("dresses under 50", build_lexicon(facets))
    assert (known.price and known.price.maximum, known.amounts) == (50.0, ())
    spanish = mark_turn("vestidos hasta 50", build_lexicon(facets))
    assert (spanish.price and spanish.price.maximum, spanish.amounts) == (50.0, ())
    unknown = mark_turn("vestidos, tengo 50", build_lexicon(facets))
    assert (unknown.price, unknown.amounts) == (None, (50.0,))


def test_more_values_than_the_model_knows_are_refused(facets: Facets) -> None:
    """A list of everything is not asked of the model."""
    with pytest.raises(TooManyMarks):
        mark_turn("red " * (MAX_OF_A_KIND + 1), build_lexicon(facets))
