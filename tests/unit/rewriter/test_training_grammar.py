"""The grammar of training: what is held out of it, and what it makes."""

import random
import re
from collections.abc import Iterator, Sequence
from itertools import chain

import pytest

from catalogue.grammar import CATEGORIES, COLOURS, PATTERNS
from rewriter.checks import violation
from rewriter.engines.model.placeholders import mark_turn
from rewriter.engines.model.plan import Use
from rewriter.nlu.lexicon import LexiconCache
from rewriter.quality.turns import OPINIONS, WITHOUT, slices, written_cases
from rewriter.training.fillers import Fillers, catalogues, held_of
from rewriter.training.groups import GROUPS, LANGUAGES, phrases
from rewriter.training.samples import Sample, Sampler


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """Turns as training says them, without noise."""
    sampler = Sampler(random.Random(13), resolved=False, noise=0)
    return [sampler.draw() for _ in range(3_000)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_held_out_phrases_are_in_no_training_list(language: str) -> None:
    """No phrase of any part is both trained on and held out."""
    parts = phrases(language).values()
    trained = set(chain.from_iterable(part["train"] for part in parts))
    held = set(chain.from_iterable(part.get("held", ()) for part in parts))
    assert held
    assert trained.isdisjoint(held)


@pytest.mark.slow
def test_training_composes_no_held_out_phrase(samples: Sequence[Sample]) -> None:
    """Whatever training puts together, no held-out phrase of three literal words or more stands in it."""
    held = {language: [*_held_patterns(language)] for language in LANGUAGES}
    assert all(len(patterns) > 20 for patterns in held.values())
    for sample in samples:
        words = sample.request.text.casefold()
        assert not any(pattern.search(words) for pattern in held[sample.language]), words


def _held_patterns(language: str) -> Iterator[re.Pattern[str]]:
    """Give the held-out phrases as patterns, with anything in the place of what is filled in."""
    spaced = language in {"en", "es"}
    for part in phrases(language).values():
        for phrase in part.get("held", ()):
            literal = re.sub(r"\{\w+\}|^[-+?=] ", " ", phrase)
            if len(re.findall(r"\w+" if spaced else r"\w", literal)) < 3 + (not spaced):
                continue
            parts = re.split(r"\{\w+\}", re.sub(r"^[-+?=] ", "", phrase))
            pattern = r".{1,25}?".join(map(re.escape, parts))
            yield re.compile(rf"(?<!\w){pattern}(?!\w)")


@pytest.mark.parametrize("language", LANGUAGES)
def test_held_out_words_are_in_no_training_list(language: str) -> None:
    """No colour, pattern, category or brand is both trained on and held out, and the two halves are all there is."""
    trained, held = Fillers(held=False, language=language), Fillers(held=True, language=language)
    for slot, values in (("colour", COLOURS), ("pattern", PATTERNS), ("category", CATEGORIES)):
        assert {*held.values(slot, values)} == held_of(slot)
        assert {*trained.values(slot, values)} == {*values} - held_of(slot)
    for facets in catalogues():
        assert {*trained.brands(facets)}.isdisjoint(held.brands(facets))


@pytest.mark.slow
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


@pytest.mark.slow
def test_no_test_turn_is_a_training_turn(samples: Sequence[Sample]) -> None:
    """Neither the slices of held-out phrases nor the turns by hand repeat what training says.

    The slice of new words keeps the phrases of training, some of which hold no word that could be new.
    """
    trained = {sample.request.text for sample in samples}
    drawn = {
        case.request.text
        for name, cases in slices(40).items()
        for case in cases
        if name != "fillers" and len(case.request.text.split()) > 2
    }
    assert trained.isdisjoint(drawn)


def test_samples_are_valid_and_repeat_by_seed() -> None:
    """Every rewrite keeps to the schema, and one seed gives one sequence."""
    first, second = (Sampler(random.Random(9)) for _ in range(2))
    for _ in range(60):
        sample = first.draw()
        assert violation(sample.rewrite, sample.request) == ""
        assert sample.request == second.draw().request


@pytest.mark.slow
def test_every_group_is_drawn(samples: Sequence[Sample]) -> None:
    """No kind of turn is out of reach."""
    assert {sample.group for sample in samples} == {*GROUPS}


def test_the_turns_by_hand_are_many_and_well_formed() -> None:
    """At least 150 turns in four tongues, each with a route that exists and values that the facets hold."""
    cases = [*written_cases(), *written_cases(OPINIONS)]
    lexicons = LexiconCache()
    assert len(cases) >= 150
    assert {case.language for case in cases} == {*LANGUAGES}
    for case in cases:
        assert case.expected.route in {"text", "image", "composed", "refine", "similar", "compare", "chat"}
        assert bool(case.expected.query) == (case.expected.route in {"text", "composed", "refine", "similar"})
        values = lexicons.get(case.request.facets).values
        for condition in case.expected.conditions:
            field, _, value = condition.removeprefix("not ").partition("=")
            assert (
                condition.startswith(WITHOUT)
                or "price" in condition
                or " in " in condition
                or value.strip('"') in values[field].values()
            )
