"""What a conversation remembers of the products that it showed."""

from gateway.conversation.conversations import remembered
from gateway.testing import FakeIndex, FakeRewriter, serving, stored
from vitrine.domain.product import Product
from vitrine.domain.schema_files import parse_schema, shipped_schema
from vitrine.v1 import query_pb2, rewrite_pb2, search_pb2, search_pb2_grpc

LONG = "A dress for every day. " * 1_000


def test_long_texts_are_not_remembered() -> None:
    """The description goes, and so do long attributes; what a turn may speak of stays."""
    product = Product(
        id="p1",
        values={"title": "red dress", "description": LONG, "colour": "red", "price": 10.0},
        attributes={"fit": "slim", "care": "x" * 65},
        image_uris=("a.jpg",),
    )
    message = remembered(product, shipped_schema())
    assert set(message.fields) == {"title", "colour", "price"}
    assert dict(message.attributes) == {"fit": "slim"}
    assert (message.id, message.title, message.price) == ("p1", "red dress", 10.0)


def test_every_short_kind_of_field_is_remembered() -> None:
    """Numbers, booleans and lists of keywords of another trade's schema too; its texts beside the title are not."""
    schema = parse_schema(
        """
        name = "books"
        [fields.isbn]
        kind = "keyword"
        role = "id"
        [fields.name]
        kind = "text"
        role = "title"
        [fields.blurb]
        kind = "text"
        [fields.authors]
        kind = "keywords"
        [fields.pages]
        kind = "number"
        [fields.signed]
        kind = "boolean"
        """
    )
    values = {"name": "Emma", "blurb": LONG, "authors": ("Austen",), "pages": 474.0, "signed": False}
    message = remembered(Product(id="1", values=values), schema)
    assert set(message.fields) == {"name", "authors", "pages", "signed"}


async def test_neither_the_rewriter_nor_the_session_gets_long_texts() -> None:
    """The answer has the whole product, the conversation the short one."""
    rewriter = FakeRewriter(lambda turn: rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query=turn.text))
    index = FakeIndex.holding([stored("p1", title="red dress", description=LONG, colour="red")])
    async with serving(index=index, rewriter=rewriter) as gateway:
        stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
        turn = stub.Converse(search_pb2.ConverseRequest(text="red dress"), timeout=30)
        events = [event async for event in turn]
        again = search_pb2.ConverseRequest(text="this one in blue", session_id=events[0].session_id)
        assert [event async for event in stub.Converse(again, timeout=30)]
    assert events[1].result.hits[0].product.fields["description"].text == LONG
    (before,) = rewriter.requests[1].history
    assert set(before.shown[0].fields) == {"title", "colour"}
