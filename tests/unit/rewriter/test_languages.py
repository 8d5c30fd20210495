"""The language files: what each must hold, and that every word of theirs can be found."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from string import Formatter

import pytest

from catalogue.grammar import CATEGORIES, COLOURS, PATTERNS
from rewriter.languages import files
from rewriter.languages.files import COMPULSORY, Language, english, languages, listed
from rewriter.nlu.lexicon import build_lexicon
from rewriter.nlu.vocabulary import (
    CUES,
    FAULTS,
    GLOSSARY,
    SCALES,
    SCALES_OF,
    STEPS,
    STYLES,
    SYNONYMS,
    Role,
)
from rewriter.nlu.words import fold, key_of
from rewriter.replies.sentences import sentence
from vitrine.v1 import rewrite_pb2

LANGUAGES = [pytest.param(language, id=code) for code, language in languages().items()]
PATTERN_TABLES = (
    "money",
    "sentiment",
    "bounds",
    "bounds_after",
    "measures",
    "prices",
    "sorting",
    "more",
    "stock",
)
LISTS = {"descending_words", "ascending_words", "more_is_better"}


def test_english_comes_first() -> None:
    """The languages are those of the files, English before the others."""
    assert [*languages()] == ["en", "de", "es", "fr", "ko", "zh"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_compulsory_table(language: Language) -> None:
    """A table that others have is no surprise in one of them: what is missing is missing in the file."""
    assert language.tables.keys() >= COMPULSORY
    assert language.tables.keys() <= english().tables.keys() | {"names", "fillers", "compounds", "hiding"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_lists_have_no_empty_entry_and_patterns_no_stray_space(language: Language) -> None:
    """Two bars side by side, or a space beside the bar of a pattern, are a slip of the pen."""
    for name in PATTERN_TABLES:
        for key in language.table(name).keys() - LISTS:
            pattern = language.pattern(name, key)
            assert not re.search(r"\|\||^\||\|$|  |^ | $", pattern), (name, key)
            re.compile(pattern.replace("{number}", "1").replace("{fields}", "x").replace("{field}", "x"))
    for value in language.table("names"):
        entries = language.phrases("names", value)
        assert all(entries), value
        assert len(set(entries)) == len(entries), value


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_name_stands_for_a_known_value(language: Language) -> None:
    """A foreign name is translated to a phrase that English knows, or to a plain word."""
    fields = {"category": CATEGORIES, "colour": COLOURS, "pattern": PATTERNS}
    facets = [rewrite_pb2.Facet(field=name, values=values) for name, values in fields.items()]
    known = build_lexicon(facets).phrases
    plain = {"wedding", "party", "office", "beach", "summer", "winter", "pockets"}
    for value in language.table("names"):
        assert key_of(value) in known or value in plain, value


@pytest.mark.parametrize("language", LANGUAGES)
def test_names_are_written_out(language: Language) -> None:
    """No sign of an ending is left in a name."""
    assert not any(sign in name for name, _ in language.names() for sign in "*+|")


def test_spanish_plurals_are_right() -> None:
    """Endings follow the vowel; irregular plurals are listed."""
    spanish = languages()["es"]
    assert spanish.names_of("red") == ["rojo", "roja", "rojos", "rojas"]
    assert spanish.names_of("blue") == ["azul", "azules"]
    assert {"café", "cafés"} <= {*spanish.names_of("brown")}
    assert {"top", "tops"} <= {*spanish.names_of("top")}


def test_cues_are_roles_and_every_role_of_words_has_cues() -> None:
    """The file names no role that the code lacks, and leaves out none that words can have."""
    assert {*CUES} == {*Role} - {
        Role.VALUE, Role.STYLE, Role.WORD, Role.ORDINAL, Role.NUMBER, Role.STEP, Role.FAULT,
    }  # fmt: skip


def test_scales_and_steps_speak_of_styles() -> None:
    """Every value of a scale is a style of its slot, and every step moves along a slot that has a scale."""
    for scales in (SCALES, *SCALES_OF.values()):
        for slot, known in scales.items():
            assert {value for scale in known for value in scale} <= STYLES[slot].keys()
    assert {slot for slot, _ in STEPS.values()} <= SCALES.keys()
    assert all(direction in {1, -1} for _, direction in STEPS.values())
    assert all(FAULTS.values())


def test_the_glossary_explains_what_is_known() -> None:
    """Each term is a style, a kind or a value with synonyms, and its explanation a sentence."""
    styles = {value for values in STYLES.values() for value in values}
    known = styles | {value for values in SYNONYMS.values() for value in values}
    assert GLOSSARY.keys() <= known
    assert all(text.endswith(".") for text in GLOSSARY.values())


@pytest.mark.parametrize("language", LANGUAGES)
def test_replies_fill_in_what_the_english_ones_do(language: Language) -> None:
    """Every sentence of a language is one that English has, with the same parts to fill in."""
    for name, text in language.table("replies").items():
        parts = {part for _, part, _, _ in Formatter().parse(text) if part}
        assert parts == {
            part for _, part, _, _ in Formatter().parse(english().table("replies")[name]) if part
        }


@pytest.mark.parametrize(
    ("locale", "reply"),
    [
        ("es-MX", "¡Adiós!"),
        ("zh_CN", "再见\uff01"),
        ("de-AT", "Auf Wiedersehen!"),
        ("pt", "Goodbye!"),
        ("", "Goodbye!"),
    ],
)
def test_replies_are_in_the_language_of_the_request(locale: str, reply: str) -> None:
    """A language that has the sentence is spoken; any other locale is answered in English."""
    assert sentence("farewell", locale) == reply


def test_phrases_are_folded_once() -> None:
    """Entries are written as they are compared."""
    for role, phrases in CUES.items():
        assert all(phrase == fold(phrase) for phrase in phrases), role
    assert listed("a | b  c |\nd") == ("a", "b c", "d")


_TOY = """
spaced = true
[names]
red = "ruvo | ruva"
dress = "drako"
[positions]
ordinals = ["unua", "dua", "tria", "kvara", "kvina"]
last = "lasta"
[money]
words = 'sube|eldona'
[sentiment]
praise = 'amegas'
blame = 'malamegas'
advice = 'konsilu'
[fillers]
words = "mi volas iun kun"
[endings]
words = "oj ojn on"
[bounds]
below = 'sube'
[bounds_after]
from = 'aldone'
[prices]
currency = 'monoj'
[numbers]
40 = "kvarapo"
[measures]
units = 'ulnoj'
[sorting]
by = 'ordigu laux'
[more]
phrases = 'plipli'
[stock]
questions = 'kiom da {field}'
[replies]
farewell = "Tuta bonon!"
[[phrasings]]
said = 'senpere'
means = 'without'
"""

_READ_TOY = """
import asyncio
from rewriter.engines.rules.engine import Router
from vitrine.filter_text import format_filter
from vitrine.v1 import rewrite_pb2

facets = [rewrite_pb2.Facet(field="category", values=["dress", "lamp", "bag"]), rewrite_pb2.Facet(field="colour", values=["red", "blue"])]

def read(text, locale=""):
    request = rewrite_pb2.RewriteRequest(text=text, facets=facets, locale=locale)
    return asyncio.run(Router().rewrite(request, timeout_s=60))

for text in ("mi volas ruva drako sube kvarapo monoj", "drako senpere ruvo", "lampojn"):
    print(format_filter(read(text).filter))
print(read("goodbye", locale="xx").reply)
"""


def test_a_language_is_added_by_its_file_alone(tmp_path: Path) -> None:
    """A language that nobody speaks is read once its file lies beside the others, and no code is touched."""
    room = Path(files.__file__).parents[1]
    copy = tmp_path / "rewriter"
    shutil.copytree(
        room, copy, ignore=shutil.ignore_patterns("weights", "training", "quality", "__pycache__")
    )
    (copy / "languages" / "xx.toml").write_text(_TOY, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(room.parent)])}
    told = subprocess.run(
        [sys.executable, "-P", "-c", _READ_TOY],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 0, told.stderr[-2_000:]
    assert told.stdout.splitlines() == [
        "colour=red and category=dress and price<40",
        "category=dress and not colour=red",
        "category=lamp",
        "Tuta bonon!",
    ]
