"""Sentences for the shopper where nothing is searched, in the language of the request."""

from rewriter.languages.files import english, languages


def sentence(name: str, locale: str) -> str:
    """Return the sentence of that name; a locale (BCP 47) whose language lacks it is answered in English."""
    language = languages().get(locale.replace("_", "-").split("-")[0].lower(), english())
    return str(language.table("replies").get(name) or english().table("replies")[name])
