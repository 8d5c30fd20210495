"""Facets of very many values, told while a catalogue is sent."""

from collections import Counter

from catalogue.indexing import FacetValues
from vitrine.domain.product import Product
from vitrine.domain.schema_files import parse_schema

SCHEMA = parse_schema(
    """
    name = "shop"
    [fields.id]
    kind = "keyword"
    role = "id"
    [fields.title]
    kind = "text"
    role = "title"
    [fields.serial]
    kind = "keyword"
    [fields.tags]
    kind = "keywords"
    [fields.batch]
    kind = "keyword"
    facet = false
    """
)


def test_a_facet_of_too_many_values_is_told_once() -> None:
    """Values that are equal in any case count once; what is no facet is not counted."""
    notes: Counter[str] = Counter()
    facets = FacetValues(SCHEMA, most=3)
    for number in range(10):
        values = {
            "serial": f"S{number}",
            "batch": str(number),
            "tags": ("a", "A", "b" if number % 2 else "c"),
        }
        facets.see(Product(id=str(number), values=values), notes)
    assert [*notes.values()] == [1]
    assert next(iter(notes)).startswith("facet serial has more than 3 values, and no more are counted")
