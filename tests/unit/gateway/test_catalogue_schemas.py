"""Catalogues of a schema of their own: written, read back, searched, described; and schemas that change."""

from collections.abc import Mapping
from dataclasses import replace

import grpc
import pytest

from gateway.errors import OutdatedIndex
from gateway.model import IndexVersion
from gateway.testing import (
    FakeIndex,
    ServedGateway,
    product,
    refused_field,
    send_products,
    serving,
    stored,
)
from vitrine.domain.messages import read_schema_message, schema_message, value_message
from vitrine.domain.schema import Field, Kind, Role, Schema
from vitrine.domain.schema_files import parse_schema, shipped_schema
from vitrine.domain.values import Value
from vitrine.v1 import catalogue_pb2, catalogue_pb2_grpc, query_pb2, schema_pb2, search_pb2, search_pb2_grpc

Request = catalogue_pb2.UpsertProductsRequest

GROCERY = parse_schema(
    """
    name = "grocery"
    currency = "GBP"
    [fields.sku]
    kind = "keyword"
    role = "id"
    [fields.name]
    kind = "text"
    role = "title"
    [fields.aisle]
    kind = "keyword"
    role = "category"
    [fields.allergens]
    kind = "keywords"
    [fields.organic]
    kind = "boolean"
    [fields.grams]
    kind = "number"
    [fields.cost]
    kind = "money"
    role = "price"
    """
)
OATS: Mapping[str, Value] = {
    "name": "Rolled oats", "aisle": "Breakfast", "allergens": ("Gluten", "Oats"), "organic": True,
    "grams": 500.0, "cost": 1.85,
}  # fmt: skip
RICE: Mapping[str, Value] = {"name": "Brown rice", "aisle": "Dry goods", "organic": False, "grams": 1_000.0}


def options(schema: Schema, **others: object) -> Request:
    return Request(
        options=catalogue_pb2.UpsertOptions(schema=schema_message(schema), **others)  # type: ignore[arg-type] # the tests name the fields
    )


def upsert(product_id: str, values: Mapping[str, Value], **legacy: object) -> Request:
    fields = {name: value_message(value) for name, value in values.items()}
    message = query_pb2.Product(id=product_id, fields=fields, **legacy)  # type: ignore[arg-type] # the tests name the fields
    return Request(product=catalogue_pb2.ProductInput(product=message))


async def get(gateway: ServedGateway, product_id: str) -> query_pb2.Product:
    stub = catalogue_pb2_grpc.CatalogueServiceStub(gateway.channel)
    answer = await stub.GetProduct(catalogue_pb2.GetProductRequest(product_id=product_id), timeout=30)
    return answer.product


async def search(gateway: ServedGateway, text: str, **request: object) -> search_pb2.SearchResponse:
    stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
    return await stub.Search(search_pb2.SearchRequest(text=text, **request), timeout=30)  # type: ignore[arg-type] # as above


def equals(field: str, value: Value) -> query_pb2.Filter:
    return query_pb2.Filter(equals=query_pb2.Equals(field=field, value=value_message(value)))


async def test_products_of_another_trade_come_back_as_they_were_written() -> None:
    """Numbers, booleans, lists of keywords and money of a schema of its own, by GetProduct and by Search."""
    async with serving(index=FakeIndex()) as gateway:
        *_, last = await send_products(gateway, [options(GROCERY), upsert("1", OATS), upsert("2", RICE)])
        found = await get(gateway, "1")
        (hit, _) = (await search(gateway, "rolled oats")).hits
    assert (last.written, last.rejected) == (2, 0)
    assert dict(found.fields) == {name: value_message(value) for name, value in OATS.items()}
    assert hit.product == found


async def test_old_clients_read_their_fields_by_role() -> None:
    """Title, category and price repeat the fields that have those roles, whatever the shop calls them."""
    async with serving(index=FakeIndex()) as gateway:
        await send_products(gateway, [options(GROCERY), upsert("1", OATS)])
        found = await get(gateway, "1")
    assert (found.title, found.category, found.price) == ("Rolled oats", "Breakfast", 1.85)
    assert (found.colour, found.brand) == ("", "")


async def test_old_clients_write_their_fields_by_role() -> None:
    """A title is the field of that role; a colour that the schema has no field for is kept as an attribute."""
    async with serving(index=FakeIndex()) as gateway:
        *_, last = await send_products(
            gateway,
            [
                options(GROCERY),
                upsert("1", {"grams": 500.0}, title="Oats", price=2.0),
                upsert("2", {"name": "Rice"}, colour="brown"),
            ],
        )
        oats, rice = await get(gateway, "1"), await get(gateway, "2")
    assert (last.written, last.rejected) == (2, 0)
    assert (oats.fields["name"].text, oats.fields["cost"].number) == ("Oats", 2.0)
    assert (rice.colour, dict(rice.attributes)) == ("", {"colour": "brown"})


@pytest.mark.parametrize(
    ("condition", "ids"),
    [
        (equals("allergens", "GLUTEN"), ["1"]),
        (equals("organic", False), ["2"]),
        (query_pb2.Filter(range=query_pb2.Range(field="grams", minimum=600)), ["2"]),
        (query_pb2.Filter(range=query_pb2.Range(field="cost", maximum=1_000)), ["1"]),
        (query_pb2.Filter(negation=equals("allergens", "gluten")), ["2"]),
    ],
    ids=["one of the keywords", "a boolean", "a number", "a missing price", "not one of the keywords"],
)
async def test_a_catalogue_is_filtered_by_its_own_fields(condition: query_pb2.Filter, ids: list[str]) -> None:
    """Every kind of field that the schema filters takes conditions; a missing value satisfies none on a number."""
    index = FakeIndex.holding(
        [stored("1", images=[], schema=GROCERY, **OATS), stored("2", images=[], schema=GROCERY, **RICE)],
        schema=GROCERY,
    )
    async with serving(index=index) as gateway:
        answer = await search(gateway, "food", filter=condition)
    assert [hit.product_id for hit in answer.hits] == ids


async def test_a_catalogue_is_described_by_its_own_fields() -> None:
    """Describe tells the schema, the values and counts of keywords and booleans, and the ranges of numbers."""
    async with serving(index=FakeIndex()) as gateway:
        await send_products(gateway, [options(GROCERY), upsert("1", OATS), upsert("2", RICE)])
        stub = catalogue_pb2_grpc.CatalogueServiceStub(gateway.channel)
        answer = await stub.Describe(catalogue_pb2.DescribeRequest(), timeout=30)
    assert read_schema_message(answer.schema) == GROCERY
    fields = {field.name: field for field in answer.fields}
    types = catalogue_pb2.FieldDescription
    assert list(fields) == ["aisle", "allergens", "organic", "grams", "cost"]
    assert (list(fields["aisle"].values), list(fields["aisle"].counts)) == (
        ["Breakfast", "Dry goods"],
        [1, 1],
    )
    assert (fields["allergens"].type, list(fields["allergens"].values)) == (
        types.TYPE_TEXT,
        ["Gluten", "Oats"],
    )
    assert (fields["organic"].type, list(fields["organic"].values)) == (types.TYPE_BOOLEAN, ["false", "true"])
    assert (fields["grams"].type, fields["grams"].minimum, fields["grams"].maximum) == (
        types.TYPE_NUMBER, 500.0, 1_000.0,
    )  # fmt: skip


async def test_describe_names_the_fields_of_fashion_too() -> None:
    """The schema that ships is described alike, with how many products have each value."""
    products = [
        product("a", "one", price=3.0), product("b", "two", colour="blue", price=9.0), product("c", "three"),
    ]  # fmt: skip
    async with serving(products=products) as gateway:
        stub = catalogue_pb2_grpc.CatalogueServiceStub(gateway.channel)
        answer = await stub.Describe(catalogue_pb2.DescribeRequest(), timeout=30)
    fields = {field.name: field for field in answer.fields}
    assert (answer.products, answer.embedding_dim, answer.versions.model) == (3, 256, "manifest-of-the-fakes")
    assert (list(fields["colour"].values), list(fields["colour"].counts)) == (["red", "blue"], [2, 1])
    assert fields["colour"].type == catalogue_pb2.FieldDescription.TYPE_TEXT
    assert fields["price"].type == catalogue_pb2.FieldDescription.TYPE_NUMBER
    assert (fields["price"].minimum, fields["price"].maximum) == (3.0, 10.0)


def with_field(schema: Schema, field: Field) -> Schema:
    return replace(schema, fields=(*schema.fields, field))


async def test_a_field_that_is_added_is_taken_on() -> None:
    """An index takes a new field without a rebuild, and products can have it from then on."""
    index = FakeIndex()
    wider = with_field(GROCERY, Field(name="vegan", kind=Kind.BOOLEAN, filter=True))
    async with serving(index=index) as gateway:
        await send_products(gateway, [options(GROCERY), upsert("1", OATS)])
        *_, last = await send_products(gateway, [options(wider), upsert("2", {**RICE, "vegan": True})])
        answer = await search(gateway, "food", filter=equals("vegan", True))
    assert last.index == "fake-1"
    assert [hit.product_id for hit in answer.hits] == ["2"]


CHANGED = with_field(
    replace(GROCERY, fields=tuple(each for each in GROCERY if each.name != "grams")),
    Field(name="grams", kind=Kind.KEYWORD, filter=True),
)


async def test_a_field_that_changed_is_refused_by_its_name() -> None:
    """The refusal says what changed and which command mends it; nothing is written."""
    index = FakeIndex()
    async with serving(index=index) as gateway:
        await send_products(gateway, [options(GROCERY), upsert("1", OATS)])
        with pytest.raises(grpc.RpcError) as caught:
            await send_products(gateway, [options(CHANGED), upsert("2", {"name": "Rice"})])
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "field grams is of kind keyword now, was number" in str(caught.value.details())
    assert "vitrine index --rebuild PATH" in str(caught.value.details())
    assert index.in_use is not None
    assert set(index.in_use.products) == {"1"}


async def test_a_stale_schema_is_rebuilt_where_that_is_asked_for() -> None:
    """With rebuild_if_stale a changed schema replaces the index, and an equal one adds to it."""
    index = FakeIndex()
    async with serving(index=index) as gateway:
        await send_products(gateway, [options(GROCERY), upsert("1", OATS)])
        stale = options(CHANGED, rebuild_if_stale=True, source="test")
        *_, rebuilt = await send_products(gateway, [stale, upsert("2", {"name": "Rice", "grams": "500 g"})])
        *_, added = await send_products(gateway, [stale, upsert("3", {"name": "Peas"})])
    assert index.in_use is not None
    assert rebuilt.index == added.index == index.in_use.version.collection != "fake-1"
    assert set(index.in_use.products) == {"2", "3"}
    assert index.in_use.version.schema == CHANGED


class OutdatedUntilBuilt(FakeIndex):
    """An index that an earlier version made, until one is built."""

    async def version(self, *, timeout_s: float) -> IndexVersion:
        """Return the version; OutdatedIndex before the first rebuild."""
        if not self.built:
            raise OutdatedIndex("index was made by another version: run `vitrine index --rebuild PATH`")
        return await super().version(timeout_s=timeout_s)


async def test_an_index_of_an_earlier_version_is_rebuilt_where_that_is_asked_for() -> None:
    """With rebuild_if_stale an update of Vitrine needs no hand."""
    index = OutdatedUntilBuilt()
    async with serving(index=index) as gateway:
        stale = options(GROCERY, rebuild_if_stale=True, source="test")
        *_, rebuilt = await send_products(gateway, [stale, upsert("1", OATS)])
    assert index.in_use is not None
    assert rebuilt.index == index.in_use.version.collection


async def test_without_a_schema_the_indexs_own_holds() -> None:
    """A later stream need not repeat it."""
    async with serving(index=FakeIndex()) as gateway:
        await send_products(gateway, [options(GROCERY), upsert("1", OATS)])
        *_, last = await send_products(gateway, [upsert("2", RICE)])
    assert (last.written, last.rejected) == (1, 0)


def message_of(*fields: schema_pb2.CatalogueField) -> schema_pb2.CatalogueSchema:
    identity = schema_pb2.CatalogueField(
        name="id", kind=schema_pb2.FIELD_KIND_KEYWORD, role=schema_pb2.FIELD_ROLE_ID
    )
    return schema_pb2.CatalogueSchema(name="x", fields=[identity, *fields])


TITLE = schema_pb2.CatalogueField(name="t", kind=schema_pb2.FIELD_KIND_TEXT, role=schema_pb2.FIELD_ROLE_TITLE)


@pytest.mark.parametrize(
    ("schema", "field"),
    [
        (schema_pb2.CatalogueSchema(), "options.schema.name"),
        (message_of(), "options.schema.fields"),
        (message_of(TITLE, schema_pb2.CatalogueField(name="n")), "options.schema.fields.n.kind"),
        (
            message_of(
                schema_pb2.CatalogueField(
                    name="t",
                    kind=schema_pb2.FIELD_KIND_TEXT,
                    role=schema_pb2.FIELD_ROLE_TITLE,
                    sort=True,
                )
            ),
            "options.schema.fields.t.sort",
        ),
        (
            message_of(TITLE, schema_pb2.CatalogueField(name="u", kind=schema_pb2.FIELD_KIND_TEXT,
                                                        role=schema_pb2.FIELD_ROLE_TITLE)),
            "options.schema.fields.u.role",
        ),
        (
            message_of(TITLE, schema_pb2.CatalogueField(name="Not A Name", kind=schema_pb2.FIELD_KIND_TEXT)),
            "options.schema.fields.Not A Name",
        ),
        (
            message_of(TITLE, *[schema_pb2.CatalogueField(name=f"f{i}", kind=schema_pb2.FIELD_KIND_NUMBER)
                                for i in range(63)]),
            "options.schema.fields",
        ),
        (schema_pb2.CatalogueSchema(name="x" * 70_000), "options.schema"),
    ],
    ids=["empty", "no title", "no kind", "a text to sort by", "two titles", "a bad name", "too many", "too large"],
)  # fmt: skip
async def test_a_schema_that_breaks_a_rule_is_refused_by_name(
    schema: schema_pb2.CatalogueSchema, field: str
) -> None:
    """The field's path is named, and no index is made."""
    index = FakeIndex()
    bad = Request(options=catalogue_pb2.UpsertOptions(schema=schema))
    async with serving(index=index) as gateway:
        with pytest.raises(grpc.RpcError) as caught:
            await send_products(gateway, [bad])
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused_field(caught.value) == field
    assert index.in_use is None


def test_the_schema_that_ships_has_the_roles_of_old_clients() -> None:
    """Clients of before find their fields in it."""
    schema = shipped_schema()
    assert all(schema.role(role) for role in (Role.TITLE, Role.CATEGORY, Role.BRAND, Role.PRICE))
    assert {"colour", "pattern"} <= schema.by_name.keys()
