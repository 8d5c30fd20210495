"""The grammar of training: what is held out of it, and what it makes."""

import random
from itertools import chain

import pytest

from catalogue.grammar import CATEGORIES, COLOURS, PATTERNS
from rewriter.checks import violation
from rewriter.language.marks import mark_turn
from rewriter.language.plan import Use
from rewriter.quality.turns import slices, written_cases
from rewriter.router.lexicon import LexiconCache
from rewriter.training.fillers import Fillers, catalogues, held_of
from rewriter.training.grammar import GROUPS, LANGUAGES, phrases
from rewriter.training.samples import Sampler


@pytest.mark.parametrize("language", LANGUAGES)
def test_held_out_phrases_are_in_no_training_list(language: str) -> None:
    """No phrase of any part is both trained on and held out."""
    parts = phrases(language).values()
    trained = set(chain.from_iterable(part["train"] for part in parts))
    held = set(chain.from_iterable(part.get("held", ()) for part in parts))
    assert held
    assert trained.isdisjoint(held)


@pytest.mark.parametrize("language", LANGUAGES)
def test_held_out_words_are_in_no_training_list(language: str) -> None:
    """No colour, pattern, category or brand is both trained on and held out, and the two halves are all there is."""
    trained, held = Fillers(held=False, language=language), Fillers(held=True, language=language)
    for slot, values in (("colour", COLOURS), ("pattern", PATTERNS), ("category", CATEGORIES)):
        assert {*held.values(slot, values)} == held_of(slot)
        assert {*trained.values(slot, values)} == {*values} - held_of(slot)
    for facets in catalogues():
        assert {*trained.brands(facets)}.isdisjoint(held.brands(facets))


def test_training_never_says_a_held_out_word() -> None:
    """Over many samples, what training marks as wanted or avoided holds no held-out colour, pattern or category."""
    sampler = Sampler(random.Random(3), resolved=False)
    out = held_of("colour") | held_of("pattern") | held_of("category")
    for _ in range(300):
        sample = sampler.draw()
        if sample.plan is None:
            continue
        turn = mark_turn(sample.request.text, sampler.lexicons.get(sample.request.facets))
        wished = [
            piece.tag.meaning.value
            for piece in turn.pieces
            if piece.marked and sample.plan.uses[piece.text] in {Use.WANT, Use.AVOID}
        ]
        assert out.isdisjoint(wished), sample.request.text


def test_no_test_turn_is_a_training_turn() -> None:
    """Neither the drawn slices nor the turns by hand repeat what training says."""
    sampler = Sampler(random.Random(5), resolved=False)
    trained = {sampler.draw().request.text for _ in range(400)}
    drawn = {
        case.request.text
        for cases in slices(40).values()
        for case in cases
        if len(case.request.text.split()) > 2
    }
    assert trained.isdisjoint(drawn)


def test_samples_are_valid_and_repeat_by_seed() -> None:
    """Every rewrite keeps to the schema, and one seed gives one sequence."""
    first, second = (Sampler(random.Random(9)) for _ in range(2))
    for _ in range(60):
        sample = first.draw()
        assert violation(sample.rewrite, sample.request) == ""
        assert sample.request == second.draw().request


def test_every_group_is_drawn() -> None:
    """No kind of turn is out of reach."""
    sampler = Sampler(random.Random(1), resolved=False)
    assert {sampler.draw().group for _ in range(1_500)} == {*GROUPS}


def test_the_turns_by_hand_are_many_and_well_formed() -> None:
    """At least 150 turns in four tongues, each with a route that exists and values that the facets hold."""
    cases = written_cases()
    lexicons = LexiconCache()
    assert len(cases) >= 150
    assert {case.language for case in cases} == {*LANGUAGES}
    for case in cases:
        assert case.expected.route in {"text", "image", "composed", "refine", "similar", "compare", "chat"}
        assert bool(case.expected.query) == (case.expected.route in {"text", "composed", "refine", "similar"})
        values = lexicons.get(case.request.facets).values
        for condition in case.expected.conditions:
            field, _, value = condition.removeprefix("not ").partition("=")
            assert "price" in condition or " in " in condition or value.strip('"') in values[field]
