"""The schema of a catalogue: what it takes, what it refuses, and what tells two of them apart."""

from dataclasses import replace
from pathlib import Path

import pytest

from vitrine.domain import limits
from vitrine.domain.messages import read_schema_message, schema_message
from vitrine.domain.schema import Kind, Role, Schema, SchemaError, changes
from vitrine.domain.schema_files import (
    FASHION,
    format_schema,
    parse_schema,
    read_schema,
    shipped_names,
    shipped_schema,
)
from vitrine.v1 import schema_pb2

BOOKS = """
name = "books"
currency = "GBP"
[fields.isbn]
kind = "keyword"
role = "id"
columns = ["ISBN-13"]
[fields.title]
kind = "text"
role = "title"
[fields.author]
kind = "keyword"
lexical = true
labels = { en = "author", es = "autor" }
questions = { en = ["writer", "written by"] }
[fields.blurb]
kind = "text"
role = "description"
encoded = true
[fields.subjects]
kind = "keywords"
[fields.pages]
kind = "number"
[fields.signed]
kind = "boolean"
[fields.price]
kind = "money"
role = "price"
"""


def test_the_kind_decides_what_a_field_is_for_where_nothing_is_said() -> None:
    """Keywords are filtered and counted, numbers filtered and sorted by, booleans filtered and counted, texts neither."""
    books = parse_schema(BOOKS)
    assert [*books.filtered] == ["author", "subjects", "pages", "signed", "price"]
    assert [*books.facets] == ["author", "subjects", "signed", "price"]
    assert [*books.sorted_by] == ["pages", "price"]
    assert [each.name for each in books.lexical] == ["isbn", "title", "author"]
    assert [each.name for each in books.encoded] == ["title", "blurb"]
    assert books.role(Role.PRICE) is books.by_name["price"]
    assert books.role(Role.CATEGORY) is None


def test_labels_fall_back_to_english_and_to_the_name() -> None:
    """A field is called by its label in a language, else in English, else by its name."""
    books = parse_schema(BOOKS)
    author = books.by_name["author"]
    assert [author.label(language) for language in ("es", "de", "en")] == ["autor", "author", "author"]
    assert books.by_name["pages"].label("es") == "pages"
    assert author.asked_by == ("author", "autor", "writer", "written by")


@pytest.mark.parametrize("text", [BOOKS, format_schema(shipped_schema())])
def test_a_schema_survives_its_file_and_its_message(text: str) -> None:
    """Written as TOML or as a message and read again, it is the same."""
    schema = parse_schema(text)
    assert parse_schema(format_schema(schema)) == schema
    assert read_schema_message(schema_message(schema)) == schema


def test_the_schemas_that_ship_can_be_read() -> None:
    """Every shipped schema is valid, and fashion is one of them."""
    assert FASHION in shipped_names()
    for name in shipped_names():
        assert shipped_schema(name).name == name
    with pytest.raises(SchemaError, match="none is called 'nope'; these ship: "):
        shipped_schema("nope")


ID = '[fields.id]\nkind = "keyword"\nrole = "id"\n'
TITLE = '[fields.title]\nkind = "text"\nrole = "title"\n'


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("", "name: must have 1 to 64"),
        ('name = "x"', "fields: must be 1 to 64, got 0"),
        ('name = "x"\nfields = 3', "fields: must be tables"),
        ('name = "x"\n' + TITLE, 'fields: one must have role = "id"'),
        ('name = "x"\n' + ID, 'fields: one must have role = "title" or role = "image"'),
        (f'name = "x"\n{ID}{TITLE}[fields.sku]\nkind = "keyword"\nrole = "id"', "fields.sku.role: id is the role of id already"),
        (f'name = "x"\ncurrency = "euro"\n{ID}{TITLE}', "currency: must be an ISO 4217 code such as EUR, got 'euro'"),
        (f'name = "x"\n{ID}{TITLE}[fields.size]\nkind = "colour"', "fields.size.kind: must be one of keyword, keywords"),
        (f'name = "x"\n{ID}{TITLE}[fields.size]\n', "fields.size.kind: must be one of keyword, keywords, text, number, boolean, money, got nothing"),
        (f'name = "x"\n{ID}{TITLE}[fields.Size]\nkind = "keyword"', "fields.Size: a field's name has lower-case letters"),
        (f'name = "x"\n{ID}{TITLE}[fields."a b"]\nkind = "keyword"', "fields.a b: a field's name has lower-case letters"),
        (f'name = "x"\n{ID}{TITLE}[fields.like]\nkind = "keyword"', "fields.like: a field's name has"),
        (f'name = "x"\n{ID}{TITLE}[fields.{"a" * 49}]\nkind = "keyword"', "has at most 48 characters"),
        (f'name = "x"\n{ID}{TITLE}[fields.size]\nkind = "keyword"\nfacets = true', "fields.size.facets: is unknown here; these are known: columns, encoded, facet"),
        (f'name = "x"\n{ID}{TITLE}[fields.size]\nkind = "keyword"\nfacet = "yes"', "fields.size.facet: must be true or false"),
        (f'name = "x"\n{ID}{TITLE}[fields.note]\nkind = "text"\nsort = true', "fields.note.sort: makes no sense for the kind text"),
        (f'name = "x"\n{ID}{TITLE}[fields.note]\nkind = "text"\nfilter = true', "fields.note.filter: makes no sense for the kind text"),
        (f'name = "x"\n{ID}{TITLE}[fields.cost]\nkind = "number"\nrole = "price"', "fields.cost.kind: must be money for the role price, got number"),
        (f'name = "x"\n{ID}{TITLE}[fields.size]\nkind = "keyword"\nlabels = {{ english = "size" }}', "fields.size.labels.english: must be a language of two or three letters"),
        (f'name = "x"\n{ID}{TITLE}[fields.size]\nkind = "keyword"\nquestions = {{ en = "size" }}', "fields.size.questions.en: must be a list of texts"),
        (f'name = "x"\n{ID}{TITLE}[fields.size]\nkind = "keyword"\nquestions = {{ en = [""] }}', "fields.size.questions.en: each must have 1 to 64"),
        ('name = "x"\nname = "y"', "is no TOML: "),
        ("[" * 5_000, "is no TOML"),
    ],
)  # fmt: skip
def test_a_schema_that_breaks_a_rule_is_refused_in_one_line(text: str, refusal: str) -> None:
    """The refusal names the field and the rule."""
    with pytest.raises(SchemaError) as refused:
        parse_schema(text)
    assert refusal in str(refused.value)
    assert "\n" not in str(refused.value).strip()


def test_a_message_of_an_unknown_kind_is_refused() -> None:
    """What a newer client says and this service does not know is no field."""
    message = schema_message(parse_schema(BOOKS))
    message.fields[2].kind = schema_pb2.FIELD_KIND_UNSPECIFIED
    with pytest.raises(SchemaError, match=r"fields\.author\.kind: must be one of"):
        read_schema_message(message)
    message.fields[2].kind = schema_pb2.FIELD_KIND_KEYWORD
    message.fields.add(name="author", kind=schema_pb2.FIELD_KIND_KEYWORD)
    with pytest.raises(SchemaError, match="fields: 'author' is there twice"):
        read_schema_message(message)


def test_a_file_that_cannot_be_read_is_told_by_its_path(tmp_path: Path) -> None:
    """A missing file, bytes that are no text, and a bad field are named with the file."""
    with pytest.raises(SchemaError, match=r"nothing\.toml: No such file"):
        read_schema(tmp_path / "nothing.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    with pytest.raises(SchemaError, match=r"latin\.toml: is not UTF-8"):
        read_schema(tmp_path / "latin.toml")
    (tmp_path / "bad.toml").write_text('name = "x"\n' + TITLE)
    with pytest.raises(SchemaError, match=r"bad\.toml: fields: one must have"):
        read_schema(tmp_path / "bad.toml")


def _with(text: str, added: str) -> Schema:
    return parse_schema(text + added)


@pytest.mark.parametrize(
    ("later", "added", "breaking"),
    [
        (BOOKS, (), ()),
        (BOOKS.replace("ISBN-13", "ean").replace("autor", "escritor"), (), ()),
        (BOOKS + '[fields.shelf]\nkind = "keyword"', ("shelf",), ()),
        (BOOKS + '[fields.shelf]\nkind = "keyword"\nlexical = true', (), ("field shelf is new and is searched by its words",)),
        (BOOKS + '[fields.shelf]\nkind = "keyword"\nencoded = true', (), ("field shelf is new and is encoded",)),
        (BOOKS + '[fields.cover]\nkind = "text"\nrole = "image"', (), ("field cover is new and has the role image",)),
        (BOOKS.replace('[fields.pages]\nkind = "number"', ""), (), ("field pages is gone",)),
        (BOOKS.replace('[fields.pages]\nkind = "number"', '[fields.pages]\nkind = "keyword"'), (), ("field pages is of kind keyword now, was number",)),
        (BOOKS.replace("GBP", "EUR"), (), ("the currency is EUR now, was GBP",)),
        (BOOKS.replace('kind = "boolean"', 'kind = "boolean"\nfacet = false'), (), ("field signed has facet = false now",)),
        (BOOKS.replace('role = "price"', ""), (), ("field price has the role none now, had price, has facet = false now",)),
    ],
)  # fmt: skip
def test_changes_are_told_by_name(later: str, added: tuple[str, ...], breaking: tuple[str, ...]) -> None:
    """What an index can take on is told from what needs a rebuild; words about fields are no change."""
    found = changes(parse_schema(BOOKS), parse_schema(later))
    assert found.added == added
    assert [reason.split(", has facet")[0] for reason in found.breaking] == [
        each.split(", has facet")[0] for each in breaking
    ]
    assert bool(found) == bool(added or breaking)


def test_the_digest_tells_what_an_index_is_made_by() -> None:
    """It changes with kinds, roles and flags, and not with labels, columns, the name or the order of fields."""
    books = parse_schema(BOOKS)
    renamed = replace(books, name="livres", fields=tuple(reversed(books.fields)))
    assert renamed.digest == books.digest
    assert _with(BOOKS, '[fields.shelf]\nkind = "keyword"').digest != books.digest
    assert replace(books, currency="EUR").digest != books.digest


def test_a_schema_has_at_most_so_many_fields() -> None:
    """The number of fields and of bytes is bounded."""
    fields = "".join(f'[fields.f{i}]\nkind = "keyword"\n' for i in range(limits.MAX_SCHEMA_FIELDS - 2))
    assert len(parse_schema(f'name = "x"\n{ID}{TITLE}{fields}').fields) == limits.MAX_SCHEMA_FIELDS
    with pytest.raises(SchemaError, match="fields: must be 1 to 64, got 65"):
        parse_schema(f'name = "x"\n{ID}{TITLE}{fields}[fields.more]\nkind = "number"')
    with pytest.raises(SchemaError, match="at most 60,000 bytes"):
        parse_schema("#" * 60_001)
    assert {*Kind} == {each.kind for each in parse_schema(BOOKS)}
