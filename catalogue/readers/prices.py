"""Prices and numbers as people write them: 19.99 USD, 1,299.00, 29,90, €19.99, 1.299,00 €, 1 299,00 kr, 49,- incl. VAT.

Only what can be read one way is read. "1.234" is 1,234 in Berlin and 1.234 in London: the other numbers of its
column decide, and where they do not it is refused.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import Literal

from babel import Locale
from babel.numbers import get_currency_precision, list_currencies

from catalogue.readers.rows import shown
from vitrine.domain.errors import InvalidValue

DecimalMark = Literal[".", ",", ""]
"""What parts the decimals of a column's numbers; empty where its numbers do not tell."""

PRICE_FORMS = "19.99, 1,299.00, 29,90, 19.99 USD, €19.99 or 1.299,00 €"
_WAY_OUT = "write a plain number such as 1299.00"

_AMOUNT = re.compile(
    r"(?P<before>(?:[^\d.,+-]+\.?)?)\s*(?P<sign>[+-]?)\s*(?P<before2>(?:[^\d.,+-]+\.?)?)\s*"
    r"(?P<number>\d[\d.,' ]*\d|\d)(?P<cents>[.,:]-{1,2})?(?P<after>[^\d]*)"
)
_DASHES = str.maketrans({"\u2212": "-", "\u2013": "-", "\u2014": "-"})
_WITH_TAX = re.compile(
    r"[\s(]+(?:(?:inkl|incl|inc)\b\.? ?(?:der |of )?(?:mwst|ust|vat|gst|tax|taxes|btw|moms|mva)\b\.?"
    r"|ttc|iva (?:incluido|inclusa|inclu[ií]do|incl\b\.?)|税込|VAT included|tax included)\)?$",
    re.IGNORECASE,
)
"""What a price says of the tax in it, which is the same amount without these words."""
_GROUPED = re.compile(r"\d{1,3}(?:([.,' ])\d{3})(?:\1\d{3})*|\d{1,2}(?:,\d{2})+,\d{3}")
"""Thousands, or lakhs as in 12,34,567."""
_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_SPACES = re.compile(r"[\s\u00a0\u202f\u2009]+")
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u02bc": "'", "\uff07": "'"})
_GROUP = 3
_LOCALES = [
    "en",
    "en_CA",
    "en_AU",
    "en_NZ",
    "en_ZA",
    "en_SG",
    "es_MX",
    "es_AR",
    "es_CL",
    "es_CO",
    "pt_BR",
    "sv",
    "da",
    "nb",
    "is",
    "pl",
    "cs",
    "hu",
    "ro",
    "bg",
    "uk",
    "ru",
    "tr",
    "ja",
    "ko",
    "zh",
    "zh_Hant_TW",
    "he",
    "hi",
    "th",
    "vi",
    "id",
    "ms",
]
"""Whose signs of currencies are known: those of the larger currencies that differ from their codes."""
_SIGNS_BESIDE = {"fr": "CHF", "sfr": "CHF", "euro": "EUR", "euros": "EUR", "tl": "TRY", "руб": "RUB"}  # noqa: RUF001 - Cyrillic
"""Signs that people write and the CLDR does not have."""
_LIKE_A_CODE = re.compile(r"[A-Z]+\d+|(?:[A-Z]|FR|Fr|fr|EURO|Euro) \d+|\d+ ?(?:[A-Z]|FR)")


def read_price(
    name: str, text: str, *, currencies: frozenset[str] = frozenset(), mark: DecimalMark = ""
) -> float:
    """Read an amount of money.

    Raises:
        InvalidValue: it is in none of the currencies, is no price, or can be read in two ways.
    """
    amount = _AMOUNT.fullmatch(_normalised(text))
    codes = _codes(amount) if amount else None
    if amount is None or codes is None:
        raise InvalidValue(name, f"must be a price such as {PRICE_FORMS}, got {shown(text)}: {_WAY_OUT}")
    if codes and currencies and not codes & currencies:
        named = f"is in {next(iter(codes))}" if len(codes) == 1 else "is in another currency"
        owned = (
            f"the schema's currency is {next(iter(currencies))}"
            if len(currencies) == 1
            else "most prices are not"
        )
        raise InvalidValue(name, f"{named}, got {shown(text)}: {owned}")
    mark = mark or _mark_before_no_cents(amount)
    if not mark and "," in amount["number"] and codes and not any(map(_has_mills, codes)):
        mark = "."  # "$1,299": no price in dollars has three decimals, and no program writes a decimal comma
    return _signed(amount["sign"], _number(name, amount["number"], mark, text))


def read_number(name: str, text: str, *, mark: DecimalMark = "") -> float:
    """Read a number: as programs write it, or with thousands and decimals parted as in a price."""
    normalised = _normalised(text)
    if _PLAIN.fullmatch(normalised) and mark != ",":
        return float(normalised)
    amount = _AMOUNT.fullmatch(normalised)
    if amount is None or _affixes(amount):
        raise InvalidValue(name, f"must be a number, got {shown(text)}")
    mark = mark or _mark_before_no_cents(amount)
    return _signed(amount["sign"], _number(name, amount["number"], mark, text))


def decimal_mark(texts: Iterable[str]) -> DecimalMark:
    """Return what parts the decimals of a column's numbers, where those that can be read one way agree."""
    amounts = (amount for text in texts if (amount := _AMOUNT.fullmatch(_normalised(text))))
    marks = {_mark(amount["number"]) or _mark_before_no_cents(amount) for amount in amounts}
    marks.discard("")
    return marks.pop() if len(marks) == 1 else ""


def currencies_named(text: str) -> frozenset[str]:
    """Return the currencies that a price's sign or code may mean; none where it names none."""
    amount = _AMOUNT.fullmatch(_normalised(text))
    return (_codes(amount) or frozenset()) if amount else frozenset()


def looks_like_price(text: str) -> bool:
    """Whether a text names an amount and its currency."""
    return bool(currencies_named(text))


def may_be_code(text: str) -> bool:
    """Whether what looks like a price may be a code or a size as well, as R12, 38R and FR 36 may."""
    normalised = _normalised(text)
    letters = "".join(filter(str.isalpha, normalised))
    return bool(_LIKE_A_CODE.fullmatch(normalised)) and letters.upper() not in _currency_codes()


def _normalised(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).translate(_APOSTROPHES).translate(_DASHES)
    return _WITH_TAX.sub("", _SPACES.sub(" ", folded).strip())


def _affixes(amount: re.Match[str]) -> list[str]:
    parts = (amount["before"], amount["before2"], amount["after"])
    return [part for each in parts if (part := each.strip(" ()"))]


def _codes(amount: re.Match[str]) -> frozenset[str] | None:
    """Return the currencies that all signs and codes beside the number agree on; None where one is no currency."""
    codes: frozenset[str] = frozenset()
    for affix in _affixes(amount):
        meant = _currencies_of(affix)
        if not meant or (codes and not codes & meant):
            return None
        codes = codes & meant or meant
    return codes


def _currencies_of(affix: str) -> frozenset[str]:
    if affix.upper() in _currency_codes():
        return frozenset({affix.upper()})
    return _signs().get(affix.casefold().rstrip("."), frozenset())


def _has_mills(code: str) -> bool:
    """Whether amounts of the currency have three decimals, as dinars do."""
    return get_currency_precision(code) >= _GROUP


@cache
def _currency_codes() -> frozenset[str]:
    return frozenset(list_currencies())


@cache
def _signs() -> dict[str, frozenset[str]]:
    """Return the currencies by their signs, as the Unicode CLDR has them."""
    signs: dict[str, set[str]] = {}
    for name in _LOCALES:
        for code, sign in Locale.parse(name).currency_symbols.items():
            bare = unicodedata.normalize("NFKC", sign).strip("\u200e\u200f ").casefold().rstrip(".")
            if bare and bare.upper() != code:
                signs.setdefault(bare, set()).add(code)
    for sign, code in _SIGNS_BESIDE.items():
        signs.setdefault(sign, set()).add(code)
    return {sign: frozenset(codes) for sign, codes in signs.items()}


def _mark(number: str) -> DecimalMark:
    """Return the decimal mark of a number that can be read one way; empty where it has none, or could have either."""
    dot, comma = number.count("."), number.count(",")
    if dot and comma:
        return "." if number.rfind(".") > number.rfind(",") else ","
    if not dot and not comma:
        return ""
    mark: DecimalMark = "." if dot else ","
    if max(dot, comma) > 1:
        return "," if dot else "."
    whole, _, decimals = number.partition(mark)
    if len(decimals) != _GROUP or len(whole) > _GROUP or whole == "0" or " " in whole or "'" in whole:
        return mark
    return ""


def _mark_before_no_cents(amount: re.Match[str]) -> DecimalMark:
    """Return what stands before the dash in "1.299,-", where it is a decimal mark."""
    match (amount["cents"] or "")[:1]:
        case ".":
            return "."
        case ",":
            return ","
        case _:
            return ""


def _number(name: str, number: str, mark: DecimalMark, text: str) -> float:
    own = _mark(number)
    if not own and ("." in number or "," in number):
        if not mark:
            raise InvalidValue(name, f"may have thousands or decimals, got {shown(text)}: {_WAY_OUT}")
        own = mark
    whole, _, decimals = number.rpartition(own) if own and own in number else (number, "", "")
    if not whole.isdecimal() and not _GROUPED.fullmatch(whole):
        raise InvalidValue(name, f"must be a price such as {PRICE_FORMS}, got {shown(text)}: {_WAY_OUT}")
    if decimals and not decimals.isdecimal():
        raise InvalidValue(name, f"must be a price such as {PRICE_FORMS}, got {shown(text)}: {_WAY_OUT}")
    digits = re.sub(r"\D", "", whole)
    return float(f"{digits}.{decimals}" if decimals else digits)


def _signed(sign: str, number: float) -> float:
    return -number if sign == "-" else number
