"""The one definition of a rewrite: what a field of the proto must have, and what it makes of schema and prompt."""

import json
from collections.abc import Sequence

import jsonschema
import pytest
from google.protobuf.descriptor import FieldDescriptor

from rewriter.answer_schema import TEXTS, answer_form, asked, choices
from rewriter.checks import violation
from rewriter.engines.chat.prompt import Ids, parse
from vitrine.v1 import query_pb2, rewrite_pb2

FORM = answer_form(rewrite_pb2.RewriteRequest())
SCHEMA = FORM.schema

OF_CODE = {"confidence", "source", "failure", "more", "excluded_words"}
"""Fields that no model is asked for."""

ANSWER = {
    "route": "refine",
    "query": "red midi dress",
    "modification": "replace blue with red",
    "filter": {"conditions": [], "numbers": [{"field": "price", "min": None, "max": 60}]},
    "sort": {"field": "price", "descending": True},
    "references": ["p1"],
    "reply": "Here it is.",
    "intent": "consult",
    "sentiment": "positive",
    "remarks": [{"field": "colour", "value": "blue", "polarity": "negative"}],
}
"""A value for every field that a model fills; none of them is the proto's default."""


def test_every_field_is_a_models_or_codes() -> None:
    """A field added to Rewrite either has a text in prompt.toml, or is named here as one that code fills."""
    fields = {field.name for field in rewrite_pb2.Rewrite.DESCRIPTOR.fields}
    assert {*asked(rewrite_pb2.Rewrite.DESCRIPTOR)} == fields - OF_CODE
    for message in (rewrite_pb2.Remark.DESCRIPTOR, query_pb2.Sort.DESCRIPTOR):
        assert {*asked(message)} == {field.name for field in message.fields}
    assert {*TEXTS} == {"system", "rewrite", "remark", "sort", "filter", "phrase"}


def test_the_schema_asks_for_every_field() -> None:
    """Every field is required, no other is allowed, and the schema itself is valid."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert [*SCHEMA["properties"]] == SCHEMA["required"] == [*asked(rewrite_pb2.Rewrite.DESCRIPTOR)]
    assert SCHEMA["additionalProperties"] is False
    jsonschema.validate(ANSWER, SCHEMA)
    for name in ANSWER:
        lacking = {key: value for key, value in ANSWER.items() if key != name}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(lacking, SCHEMA)


@pytest.mark.parametrize(
    "field",
    [
        field
        for message in (rewrite_pb2.Rewrite, rewrite_pb2.Remark, query_pb2.Sort)
        for field in asked(message.DESCRIPTOR).values()
    ],
    ids=lambda field: field.full_name,
)
def test_the_prompt_says_what_each_field_means(field: FieldDescriptor) -> None:
    """Each field's text stands in the prompt, and names every choice of its enum."""
    text = TEXTS[field.containing_type.name.lower()][field.name]
    assert f"- {field.name}: {text}" in FORM.prompt
    if field.enum_type is not None:
        offered = {*choices(field.enum_type)} - {"none"}
        assert all(name in text for name in offered)


def test_every_field_of_an_answer_is_read(
    facets: Sequence[rewrite_pb2.Facet], shown: Sequence[query_pb2.Product]
) -> None:
    """An answer with a value for every field gives a rewrite that has every field."""
    request = rewrite_pb2.RewriteRequest(facets=facets, history=[rewrite_pb2.Turn(shown=shown)])
    rewrite = parse(json.dumps(ANSWER), request, Ids.of(request), source="tiny")
    assert {field.name for field, _ in rewrite.ListFields()} >= {*asked(rewrite_pb2.Rewrite.DESCRIPTOR)}
    assert {field.name for field, _ in rewrite.remarks[0].ListFields()} == {
        *asked(rewrite_pb2.Remark.DESCRIPTOR)
    }


def test_choices_are_the_enums_names() -> None:
    """An enum's values are offered without their prefix; 0 is "none"."""
    assert dict(choices(query_pb2.Intent.DESCRIPTOR)) == {"none": 0, "buy": 1, "compare": 2, "consult": 3}


@pytest.mark.parametrize(
    ("remarks", "broken"),
    [
        ([rewrite_pb2.Remark(field="colour", value="blue")], ""),
        ([rewrite_pb2.Remark(field="colour")], ""),
        ([rewrite_pb2.Remark(field="fit", value="tight")], ""),
        ([rewrite_pb2.Remark(field="colour", value="mauve")], "remarks: a value that the facets lack"),
        ([rewrite_pb2.Remark(value="x" * 129)], "remarks: too long"),
        ([rewrite_pb2.Remark(field="fit", value="tight")] * 9, "remarks: too many"),
    ],
)
def test_remarks_are_held_to_the_facets_and_the_limits(
    remarks: Sequence[rewrite_pb2.Remark], broken: str, facets: Sequence[rewrite_pb2.Facet]
) -> None:
    """A remark on a field of the facets names one of its values or none; others are words, and all are bounded."""
    request = rewrite_pb2.RewriteRequest(text="hm", facets=facets)
    rewrite = rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query="dress", remarks=remarks)
    assert violation(rewrite, request) == broken
