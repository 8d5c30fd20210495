import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitrine.filter_text import MAX_NESTING, FilterSyntaxError, format_filter, parse_filter
from vitrine.v1.query_pb2 import Equals, FieldValue, Filter, FilterList, OneOf, Range


def equals(field: str, value: str | float) -> Filter:
    kind = FieldValue(text=value) if isinstance(value, str) else FieldValue(number=value)
    return Filter(equals=Equals(field=field, value=kind))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("category=dress", equals("category", "dress")),
        ("category == 1", None),
        ("category = polka-dot", equals("category", "polka-dot")),
        ('colour="light blue"', equals("colour", "light blue")),
        (r"brand='O\'Neill'", equals("brand", "O'Neill")),
        ('brand="80"', equals("brand", "80")),
        ("brand=80", equals("brand", 80.0)),
        ("brand=7th-avenue", equals("brand", "7th-avenue")),
        ("price<80", Filter(range=Range(field="price", maximum=80, exclusive_maximum=True))),
        ("price <= 80", Filter(range=Range(field="price", maximum=80))),
        ("price>=.5", None),
        ("price>0.5", Filter(range=Range(field="price", minimum=0.5, exclusive_minimum=True))),
        ("price 20..80", Filter(range=Range(field="price", minimum=20, maximum=80))),
        ("price 20 .. 80.5", Filter(range=Range(field="price", minimum=20, maximum=80.5))),
        ("price 20..", Filter(range=Range(field="price", minimum=20))),
        ("price ..80", Filter(range=Range(field="price", maximum=80))),
        ("price ..", None),
        ("price 20", None),
        ("pattern!=striped", Filter(negation=equals("pattern", "striped"))),
        ("not pattern=striped", Filter(negation=equals("pattern", "striped"))),
        (
            "colour IN (red, 'light blue')",
            Filter(
                one_of=OneOf(field="colour", values=[FieldValue(text="red"), FieldValue(text="light blue")])
            ),
        ),
    ],
)
def test_reads_a_condition(text: str, wanted: Filter | None) -> None:
    """Each form of a condition gives its node; a malformed one is refused."""
    if wanted is None:
        with pytest.raises(FilterSyntaxError):
            parse_filter(text)
    else:
        assert parse_filter(text) == wanted


def test_and_binds_tighter_than_or() -> None:
    """`a or b and c` is `a or (b and c)`; parentheses change it."""
    a, b, c = (equals("category", name) for name in "abc")
    text = "category=a or category=b and category=c"
    assert parse_filter(text) == Filter(
        any_of=FilterList(filters=[a, Filter(all_of=FilterList(filters=[b, c]))])
    )
    grouped = parse_filter("(category=a or category=b) and category=c")
    assert grouped == Filter(all_of=FilterList(filters=[Filter(any_of=FilterList(filters=[a, b])), c]))


def test_several_filters_must_all_hold() -> None:
    """Filters given one by one are joined by `and`."""
    assert parse_filter("category=a", "category=b") == parse_filter("category=a and category=b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a field's name at character 1, found the end"),
        ("price<", "expected a finite number at character 7, found the end"),
        ("price<cheap", "expected a finite number at character 7, found 'cheap'"),
        ("price<1e999", "expected a finite number at character 7, found '1e999'"),
        ("category=", "expected a value at character 10, found the end"),
        (
            "category dress",
            'expected "=", "<", ">", "in" or a range after \'category\' at character 10, found \'dress\'',
        ),
        ("category=light blue", 'expected "and", "or" or the end at character 16, found \'blue\''),
        ('category="dress', "expected a closing quote at character 10, found '\"dress'"),
        ("(category=a", 'expected ")" at character 12, found the end'),
        ("colour in red", "expected \"(\" at character 11, found 'red'"),
        ("and=1", "expected a field's name at character 1, found 'and=1'"),
        ("category=a!b", "expected a condition at character 11, found '!b'"),
    ],
)
def test_an_error_says_what_was_expected_and_where(text: str, message: str) -> None:
    """A filter that cannot be read is refused with the position and what should stand there."""
    with pytest.raises(FilterSyntaxError) as caught:
        parse_filter(text)
    assert str(caught.value) == message


@pytest.mark.parametrize("opening", ["(", "not "])
def test_nesting_is_bounded(opening: str) -> None:
    """Ten thousand levels are an error of the text, not of the interpreter."""
    with pytest.raises(FilterSyntaxError, match=f"at most {MAX_NESTING} levels"):
        parse_filter(opening * 10_000)


_fields = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True).filter(
    lambda n: n not in {"and", "or", "not", "in"}
)
_numbers = st.floats(allow_nan=False, allow_infinity=False)
_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_values = _texts.map(lambda text: FieldValue(text=text)) | _numbers.map(
    lambda number: FieldValue(number=number)
)
_conditions = st.one_of(
    st.builds(lambda field, value: Filter(equals=Equals(field=field, value=value)), _fields, _values),
    st.builds(
        lambda field, values: Filter(one_of=OneOf(field=field, values=values)),
        _fields,
        st.lists(_values, min_size=1, max_size=4),
    ),
    st.builds(
        lambda field, low, high: Filter(range=Range(field=field, minimum=low, maximum=high)),
        _fields,
        _numbers,
        _numbers,
    ),
    st.builds(
        lambda field, low, exclusive: Filter(
            range=Range(field=field, minimum=low, exclusive_minimum=exclusive)
        ),
        _fields,
        _numbers,
        st.booleans(),
    ),
)
_filters = st.recursive(
    _conditions,
    lambda parts: st.one_of(
        st.lists(parts, min_size=2, max_size=3).map(lambda list_: Filter(all_of=FilterList(filters=list_))),
        st.lists(parts, min_size=2, max_size=3).map(lambda list_: Filter(any_of=FilterList(filters=list_))),
        parts.map(lambda part: Filter(negation=part)),
    ),
    max_leaves=8,
)


@given(_filters)
def test_what_is_written_is_read_back(node: Filter) -> None:
    """Any filter survives being written as text and read again, whatever its values hold."""
    assert parse_filter(format_filter(node)) == node


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (FieldValue(boolean=True), "stackable=true"),
        (FieldValue(boolean=False), "stackable=false"),
        (FieldValue(text="true"), 'stackable="true"'),
        (FieldValue(text="Or"), 'stackable="Or"'),
        (FieldValue(text="in"), 'stackable="in"'),
        (FieldValue(text="order"), "stackable=order"),
    ],
)
def test_words_of_the_syntax_are_quoted_and_booleans_are_not(value: FieldValue, text: str) -> None:
    """A boolean is written as a word; a text that reads like a word of the syntax stands in quotes."""
    assert format_filter(Filter(equals=Equals(field="stackable", value=value))) == text


def test_a_boolean_is_read_as_a_word() -> None:
    """Which words are booleans is the schema's to say, so that a keyword `true` can be asked for too."""
    assert parse_filter("stackable=true") == equals("stackable", "true")


def test_a_range_with_both_bounds_left_out_is_written_with_both() -> None:
    """An interval without its bounds becomes two comparisons, kept together by parentheses."""
    node = Filter(
        negation=Filter(
            range=Range(field="price", minimum=1, maximum=2, exclusive_minimum=True, exclusive_maximum=True)
        )
    )
    assert format_filter(node) == "not (price>1 and price<2)"


@given(st.text(max_size=40))
def test_any_text_gives_a_filter_or_one_error(text: str) -> None:
    """Whatever is typed, the answer is a filter or FilterSyntaxError with a position inside the text."""
    position = 0
    try:
        parse_filter(text)
    except FilterSyntaxError as error:
        position = error.position
    assert 0 <= position <= len(text)
