"""Changed copies are what `dataclasses.replace` makes."""

from dataclasses import fields, replace

import pytest

from gateway.copying import changed
from gateway.model import Hit
from gateway.retrieval.query import Query
from gateway.testing import product


def test_a_changed_copy_is_what_replace_makes() -> None:
    """Every field is kept but those that are named, and the value itself stays as it is."""
    query = Query(text="red dress", limit=5, disliked=("p1",))
    assert changed(query, text="blue dress", offset=5) == replace(query, text="blue dress", offset=5)
    assert query == Query(text="red dress", limit=5, disliked=("p1",))
    hit = Hit(product=product("p1", "dress"), score=1.0, text_score=0.5, image_score=0.5)
    copy = changed(hit, score=2.0)
    assert [getattr(copy, each.name) for each in fields(hit)][2:] == [
        getattr(hit, each.name) for each in fields(hit)
    ][2:]
    assert (copy.score, copy.product) == (2.0, hit.product)
    assert hash(changed(query)) == hash(query)


def test_what_is_no_field_is_refused() -> None:
    """A misspelt field is an error, and no copy."""
    with pytest.raises(KeyError, match="lenght"):
        changed(Query(text="dress"), lenght=1)  # type: ignore[call-arg]
