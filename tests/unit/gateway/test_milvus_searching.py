"""Searches by Milvus's own protocol: what is asked, where, and what is made of the answer."""

import numpy as np
import pytest
from pymilvus.client import ts_utils
from pymilvus.client.prepare import Prepare
from pymilvus.grpc_gen import milvus_pb2, schema_pb2

from gateway.adapters.milvus.found import Row, take_found
from gateway.adapters.milvus.rows import to_product
from gateway.adapters.milvus.searching import Asked, Place, place_of, search_request
from gateway.memory import MAX_KEPT_BYTES
from gateway.model import Embedding, StoredProduct
from vitrine.domain.product import Product

VECTOR = np.linspace(-1, 1, 8, dtype=np.float32)


@pytest.mark.parametrize("vectors", [[VECTOR], [VECTOR, -VECTOR]])
@pytest.mark.parametrize("params", [{}, {"ef": 256}])
def test_a_search_asks_what_pymilvus_would_ask(params: dict[str, int], vectors: list[Embedding]) -> None:
    """Milvus cannot tell the prepared request from the one that the client library of this version builds."""
    options = {"consistency_level": "Bounded"}
    by_default = ts_utils.construct_guarantee_ts("shop", options)
    theirs = Prepare.search_requests_with_expr(
        collection_name="shop",
        anns_field="embedding",
        param={"metric_type": "IP", "params": dict(params)},
        limit=28,
        data=vectors,
        expr='f_colour == "red"',
        output_fields=["embedding", "values"],
        use_default_consistency=by_default,
        **options,
    )
    ours = milvus_pb2.SearchRequest.FromString(
        search_request(
            Asked(
                "shop",
                expression='f_colour == "red"',
                rows=28,
                columns=("embedding", "values"),
                params=tuple(params.items()),
            ),
            vectors,
        )
    )
    for request in (ours, theirs):
        request.search_params.sort(key=lambda pair: pair.key)
    assert ours == theirs


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("unix:/run/milvus.sock", Place(address="unix:/run/milvus.sock")),
        ("http://milvus:19530", Place(address="milvus:19530")),
        ("http://root:secret@milvus", Place(address="milvus:19530", token="root:secret")),
        ("https://cloud.example", Place(address="cloud.example:443", encrypted=True)),
        (
            "https://[2001:db8::1]:19530/shop",
            Place(address="[2001:db8::1]:19530", database="shop", encrypted=True),
        ),
    ],
)
def test_a_uri_names_address_database_and_tls(uri: str, place: Place) -> None:
    """A URI means to searches what it means to every other call."""
    assert place_of(uri) == place


def test_cells_are_taken_as_they_came() -> None:
    """Vectors come as an array of both halves, JSON and words as values of their rows."""
    vectors = schema_pb2.VectorField(dim=2, float_vector=schema_pb2.FloatArray(data=[0.5, 1, 2, 3]))
    texts = schema_pb2.JSONArray(data=[b'{"price": 3}', b"{}"])
    (found,) = take_found(
        schema_pb2.SearchResultData(
            ids=schema_pb2.IDs(str_id=schema_pb2.StringArray(data=["a", "b"])),
            fields_data=[
                schema_pb2.FieldData(field_name="embedding", vectors=vectors),
                schema_pb2.FieldData(field_name="values", scalars=schema_pb2.ScalarField(json_data=texts)),
                schema_pb2.FieldData(
                    field_name="digest",
                    scalars=schema_pb2.ScalarField(string_data=schema_pb2.StringArray(data=["x", "y"])),
                ),
            ],
        )
    )
    assert found.keys == ["a", "b"]
    np.testing.assert_array_equal(found.vectors, [[0.5, 1], [2, 3]])
    assert [dict(row) for row in found.rows] == [
        {"values": {"price": 3}, "digest": "x"},
        {"values": {}, "digest": "y"},
    ]


def test_an_answer_to_several_vectors_is_dealt_out() -> None:
    """Each vector gets its own rows, also one that nothing is near to; what it gets does not hold the others' vectors."""
    vectors = schema_pb2.VectorField(dim=2, float_vector=schema_pb2.FloatArray(data=[0.5, 1, 2, 3, 4, 5]))
    texts = schema_pb2.JSONArray(data=[b"{}", b'{"price": 3}', b'{"price": 4}'])
    found = take_found(
        schema_pb2.SearchResultData(
            num_queries=3,
            topks=[1, 0, 2],
            ids=schema_pb2.IDs(str_id=schema_pb2.StringArray(data=["a", "b", "c"])),
            fields_data=[
                schema_pb2.FieldData(field_name="embedding", vectors=vectors),
                schema_pb2.FieldData(field_name="values", scalars=schema_pb2.ScalarField(json_data=texts)),
            ],
        ),
        3,
    )
    assert [each.keys for each in found] == [["a"], [], ["b", "c"]]
    assert [each.vectors.tolist() for each in found] == [[[0.5, 1]], [], [[2, 3], [4, 5]]]
    assert [[row["values"] for row in each.rows] for each in found] == [
        [{}],
        [],
        [{"price": 3}, {"price": 4}],
    ]
    assert all(each.vectors.base is None for each in found)
    assert [len(each) for each in take_found(schema_pb2.SearchResultData(), 2)] == [0, 0]


def test_nothing_found_is_no_row() -> None:
    """An answer without rows names its columns, or does not; either way there is nothing in it."""
    columns = [schema_pb2.FieldData(field_name="embedding"), schema_pb2.FieldData(field_name="values")]
    for answer in (schema_pb2.SearchResultData(), schema_pb2.SearchResultData(fields_data=columns)):
        (found,) = take_found(answer)
        assert len(found) == 0
        assert not found.rows
        assert found.vectors.shape == (0, 0)


@pytest.mark.parametrize("text", ["long", "x" * MAX_KEPT_BYTES])
def test_a_product_is_the_one_that_its_row_says(text: str) -> None:
    """Equal rows of usual size give one object; a row that was written since gives what it says now."""

    def read(price: bytes) -> StoredProduct:
        cells = {
            "values": [b'{"price": ' + price + b', "materials": ["silk", "wool"]}'],
            "texts": [f'{{"story": "{text}"}}'.encode()],
            "attributes": [b'{"fit": "loose"}'],
            "pictures": [b'{"count": 1, "uris": ["a.jpg"]}'],
            "digest": ["d" + price.decode()],
            "vectors_digest": ["v"],
        }
        halves = np.ones((1, 2), np.float32)
        return to_product("p1", Row(cells, 0), images=halves, text=halves[0])

    first, again, changed = read(b"3.5"), read(b"3.5"), read(b"4.5")
    assert (
        first.product
        == again.product
        == Product(
            id="p1",
            values={"price": 3.5, "materials": ("silk", "wool"), "story": text},
            attributes={"fit": "loose"},
            image_uris=("a.jpg",),
        )
    )
    assert (first.product is again.product) == (text == "long")
    assert (changed.product.values["price"], changed.digest) == (4.5, "d4.5")
