"""The language of a turn, told by its small words: "ich suche einen Rock" is German, and no rock."""

from collections import Counter
from collections.abc import Collection, Mapping
from functools import cache

from rewriter.languages.files import ENGLISH, languages
from rewriter.nlu.vocabulary import CUES, Role
from rewriter.nlu.words import CJK, key_of, split_words

_SMALL = (Role.FILLER, Role.GLUE, Role.ARTICLE, Role.JOIN, Role.POINT, Role.NOT, Role.IN, Role.WITH)
"""Roles of the English words that carry no wish."""
_LETTERS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys("äöü", ("de",)),
    **dict.fromkeys("ñ¿¡íóú", ("es",)),
    **dict.fromkeys("çœèêàùîôû", ("fr",)),
}
"""Letters and signs that one of the languages has."""


def language_of(text: str, locale: str, apart: Mapping[str, Collection[tuple[str, ...]]]) -> str:
    """Return the language that most small words and letters of folded text are of; that of the locale where none tells.

    Of several that are as likely it is the one in which a word of the turn means a thing, given such words by language.
    """
    words = split_words(text)
    told = [*words, *(letter for letter in set(text) if letter in _LETTERS)]
    found = Counter(
        code for each in told for code in (_LETTERS.get(each) or _languages_by_word().get(each, ()))
    )
    best = max(found.values(), default=0)
    likeliest = [code for code, count in found.items() if count == best]
    if len(likeliest) > 1:
        said = {key_of(word) for word in words}
        likeliest = [code for code in likeliest if not said.isdisjoint(apart.get(code, ()))]
    return likeliest[0] if len(likeliest) == 1 else locale.replace("_", "-").partition("-")[0].lower()


@cache
def _languages_by_word() -> Mapping[str, tuple[str, ...]]:
    """Return the languages of each small word, and of each name of a value that English does not have."""
    english = {word for role in _SMALL for phrase in CUES[role] for word in split_words(phrase)}
    words: dict[str, set[str]] = {word: {ENGLISH} for word in english}
    for code, language in languages().items():
        own = set(language.words("fillers")) if language.spaced else set()
        if code != ENGLISH and language.spaced:
            own |= {word for name, _ in language.names() for word in split_words(name)}
        for word in own:
            words.setdefault(word, set()).add(code)
    return {word: tuple(sorted(codes)) for word, codes in words.items() if not CJK.search(word)}
