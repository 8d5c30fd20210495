"""What a reply tells the shopper to say is what the rewriter understands."""

import re

import pytest

from gateway.conversation.replies.templates import Language, shipped_languages
from rewriter.languages.files import languages
from rewriter.nlu.next_page import asks_for_next_page

_QUOTED = re.compile("[“„«]\\s*(.+?)\\s*[”“»]")
SPOKEN = [language for language in shipped_languages() if language.code in languages()]


@pytest.mark.parametrize("language", SPOKEN, ids=lambda language: language.code)
def test_the_words_for_more_bring_the_next_page(language: Language) -> None:
    """Each language that the rewriter reads names words for the next page that it takes for these."""
    (phrase,) = _QUOTED.findall(language.say("next-more"))
    assert asks_for_next_page(phrase), phrase
