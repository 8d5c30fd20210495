"""Prices and numbers as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogue.readers.prices import (
    DecimalMark,
    currencies_named,
    decimal_mark,
    looks_like_price,
    may_be_code,
    read_number,
    read_price,
)
from vitrine.domain.errors import InvalidValue


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("49", 49.0),
        ("49.95", 49.95),
        ("49,95", 49.95),
        ("2,349.00", 2349.0),
        ("2.349,00", 2349.0),
        ("1,234,567.89", 1234567.89),
        ("1.234.567", 1234567.0),
        ("12,34,567.00", 1234567.0),
        ("2 349,00", 2349.0),
        ("2\u00a0349,00 kr", 2349.0),
        ("2\u202f349,00 €", 2349.0),
        ("2'349.50 CHF", 2349.5),
        ("CHF 2\u2019349", 2349.0),
        ("49.95 USD", 49.95),
        ("usd49.95", 49.95),
        ("€49.95", 49.95),
        ("2.349,00 €", 2349.0),
        ("$2,349", 2349.0),
        ("US$ 49", 49.0),
        ("kr. 49", 49.0),
        ("Rs.500", 500.0),
        ("49,- €", 49.0),
        ("49,\u2013 €", 49.0),
        ("1.249,-- €", 1249.0),
        ("1,249.\u2014", 1249.0),
        ("129:-", 129.0),
        ("kr 2 349:-", 2349.0),
        ("Fr. 49.90", 49.9),
        ("29,90 Euro", 29.9),
        ("49,95 € inkl. MwSt.", 49.95),
        ("1 299 € TTC", 1299.0),
        ("£12.00 (incl. VAT)", 12.0),
        ("49 zł", 49.0),
        ("４９．９５", 49.95),  # noqa: RUF001 - full-width digits
        ("0.125", 0.125),
        ("0", 0.0),
        ("-3", -3.0),
    ],
)
def test_usual_forms_are_read(text: str, amount: float) -> None:
    """A plain number, thousands and decimals of any country, and a currency's sign or code on either side are read."""
    assert read_price("price", text) == amount


@pytest.mark.parametrize(
    "text",
    [
        "1_000", "ask in the shop", "from 49", "49 - 59", "49\u201359 €", "3 for 2", "49 excl. VAT", "49%", "nan", "inf", "1e3", "1.2.3", "1,29,9",
        "49 EUR USD", "", ".", "49 apples", "1 2 3", "--5",
    ],
)  # fmt: skip
def test_what_is_no_price_is_refused_with_the_forms_that_are(text: str) -> None:
    """The error names the field, the forms that are taken and the way out."""
    with pytest.raises(InvalidValue, match=r"must be a price such as 19\.99, .*plain number") as error:
        read_price("price", text)
    assert error.value.field == "price"


@pytest.mark.parametrize("text", ["1.234", "1,234", "12.500 €"])
def test_a_number_with_two_meanings_is_never_guessed(text: str) -> None:
    """Thousands and decimals that cannot be told apart are refused, unless the column's other numbers tell."""
    with pytest.raises(InvalidValue, match="may have thousands or decimals"):
        read_price("price", text)
    wanted = {"1.234": 1.234, "1,234": 1234.0, "12.500 €": 12.5}[text]
    assert read_price("price", text, mark=".") == wanted


@pytest.mark.parametrize(
    ("texts", "mark"),
    [
        (["49.95", "1.234"], "."),
        (["49,95", "12"], ","),
        (["2.349,00"], ","),
        (["1.234", "12"], ""),
        (["49.95", "49,95"], ""),
        ([], ""),
    ],
)
def test_a_columns_numbers_tell_its_decimal_mark(texts: list[str], mark: DecimalMark) -> None:
    """Numbers that can be read one way decide, where they agree."""
    assert decimal_mark(texts) == mark


def test_another_currency_is_refused_with_its_reason() -> None:
    """The amount's currency must be the schema's; a sign of several currencies may be any of them."""
    with pytest.raises(InvalidValue, match="is in USD, got '49 USD': the schema's currency is EUR"):
        read_price("price", "49 USD", currencies=frozenset({"EUR"}))
    with pytest.raises(InvalidValue, match="is in another currency"):
        read_price("price", "$49", currencies=frozenset({"EUR"}))
    assert read_price("price", "$49", currencies=frozenset({"CAD"})) == 49
    assert read_price("price", "49", currencies=frozenset({"EUR"})) == 49
    assert currencies_named("49 €") == {"EUR"}
    assert currencies_named("49") == frozenset()


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("R12", True), ("R 12", True), ("38R", True), ("FR 36", True), ("R12.50", False), ("Fr. 36", False), ("EUR12", False), ("49 kr", False), ("Rs 500", False)],
)  # fmt: skip
def test_what_may_be_a_code_as_well_is_told(text: str, *, is_one: bool) -> None:
    """Letters that stand for a currency are like those of codes and sizes; cents, a dot or a code of ISO 4217 tell."""
    assert looks_like_price(text)
    assert may_be_code(text) is is_one


def test_numbers_are_read_as_programs_write_them() -> None:
    """A number's field takes exponents and signs; words and currencies are refused."""
    assert read_number("weight", "1.234") == 1.234
    assert read_number("weight", "-1.5e3") == -1500
    assert read_number("weight", "1,234.5") == 1234.5
    assert read_number("weight", "1.234", mark=",") == 1234
    for text in ("12 kg", "€3", "many"):
        with pytest.raises(InvalidValue, match="must be a number"):
            read_number("weight", text)


@given(st.integers(0, 10**8))
def test_every_form_of_an_amount_reads_as_itself(cents: int) -> None:
    """An amount with two decimals, written in any of the usual forms, is never read as another."""
    amount = cents / 100
    english, german = f"{amount:,.2f}", f"{amount:,.2f}".translate(str.maketrans(",.", ".,"))
    spaced = english.replace(",", " ")
    for text in (f"{amount:.2f}", english, german, spaced, f"{german} €", f"${english}", f"{english} USD"):
        assert read_price("price", text) == amount
