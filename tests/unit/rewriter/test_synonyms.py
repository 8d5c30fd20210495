"""A shop's own words for its values, from a file."""

from pathlib import Path

import pytest

from rewriter.engines.rules.engine import Router
from rewriter.linking.linker import Linker
from rewriter.nlu.lexicon import build_lexicon
from rewriter.nlu.reading import read
from rewriter.quality.trades import trade_request, trades
from rewriter.settings import Settings
from rewriter.synonyms import MAX_BYTES, MAX_SYNONYMS, read_synonyms
from vitrine.filter_text import format_filter
from vitrine.process.settings import InvalidSettings
from vitrine.v1 import rewrite_pb2

FILE = """
[grocery.category]
"toilet paper" = "loo roll | toilet roll"
"soft drinks" = "coke | cola"
Crisps = "薯片"
coffee = "Plörre | tin"
caviar = "roe"
[grocery.diet]
organic = "有机 | only"
[grocery.aisle]
three = "third"
[furniture.kind]
sofa = "settle"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Write the file."""
    path = tmp_path / "synonyms.toml"
    path.write_text(FILE, encoding="utf-8")
    return path


async def test_a_synonym_means_its_value(file: Path) -> None:
    """In any form and language; the longest phrase counts, a value of the catalogue's own goes first, and a query keeps the word."""
    linker = Linker(synonyms=Settings(synonyms=str(file)).own_synonyms())
    router = Router(linker)
    for text, conditions, query in (
        ("Loo rolls, cheapest", 'category="toilet paper"', "loo roll"),
        ("a settle", "", "settle"),  # of another catalogue
        ("coke or lemon cola", 'category="soft drinks" and flavour=lemon', ""),
        ("有机薯片", "diet=organic and category=crisps", ""),
        ("only milk", "category=milk", "milk"),  # a brand
        ("Plörre", "category=coffee", "plörre"),
        ("a tin", "category=coffee", "tin"),  # before what people in general call by it
    ):
        request = trade_request("grocery")
        request.text = text
        rewrite = await router.rewrite(request, timeout_s=60)
        assert format_filter(rewrite.filter) == conditions, text
        assert rewrite.query == query or not query
    linker.close()
    assert "+synonyms-" in linker.version
    assert linker.version != Linker().version


def test_without_a_file_there_are_none() -> None:
    """And a lexicon is what it was."""
    trade = trades()["grocery"]
    assert not read_synonyms("", "X").catalogues
    assert read("Plörre", build_lexicon(trade.facets, trade.schema)).category == ""
    assert Linker().version == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[grocery", "REWRITER_SYNONYMS: "),
        ('grocery = "x"', "grocery must be a table of fields"),
        ('[grocery]\ncategory = "x"', "grocery.category must be a table of values"),
        ("[grocery.category]\nmilk = 3", "grocery.category.milk must be words and phrases"),
        ('[grocery.category]\nmilk = "a | | b"', "grocery.category.milk must be words and phrases"),
        (f'[grocery.category]\nmilk = "{"x" * 49}"', "grocery.category.milk: at most 48 characters"),
        (f'[a.b]\nc = "{"x|" * MAX_SYNONYMS}x"', "at most 10,000 words and phrases, got 10,001"),
        ("#" * (MAX_BYTES + 1), "at most 1,000,000 bytes"),
    ],
)
def test_a_file_that_breaks_a_rule_ends_the_start(tmp_path: Path, text: str, message: str) -> None:
    """With the setting and the place."""
    path = tmp_path / "synonyms.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidSettings, match="REWRITER_SYNONYMS") as refused:
        Settings(synonyms=str(path))
    assert message in str(refused.value)
    with pytest.raises(InvalidSettings, match="No such file"):
        Settings(synonyms=str(tmp_path / "none.toml"))


def test_a_synonym_of_a_vocabulary_counts_too(file: Path) -> None:
    """A value may be listed in other letters than the file has."""
    trade = trades()["grocery"]
    facets = [rewrite_pb2.Facet(field="category", values=["TOILET PAPER"])]
    own = Settings(synonyms=str(file)).own_synonyms().of("grocery")
    assert read("loo roll", build_lexicon(facets, trade.schema, synonyms=own)).category == "TOILET PAPER"
