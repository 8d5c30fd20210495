"""Fakes that obey the ports' contracts, and a gateway on loopback: for tests of this service and of its callers.

async with serving(products=[product("p1", "red dress")]) as gateway:
    stub = SearchServiceStub(gateway.channel)
    answer = await stub.Search(SearchRequest(text="red dress"))
"""

from gateway.testing.blocked import FakeBlocked, FakeDecoder
from gateway.testing.calls import refused_field, send_products, until
from gateway.testing.collections import FakeBuild, FakeCollection
from gateway.testing.documents import FakeDocuments
from gateway.testing.encoder import MANIFEST, FakeEncoder, embed_picture, embed_words
from gateway.testing.hearing import FakeTranscriber, recording
from gateway.testing.index import FakeIndex
from gateway.testing.products import product, stored
from gateway.testing.served import PATIENT, FakeRewriter, ServedGateway, serving

__all__ = [
    "MANIFEST",
    "PATIENT",
    "FakeBlocked",
    "FakeBuild",
    "FakeCollection",
    "FakeDecoder",
    "FakeDocuments",
    "FakeEncoder",
    "FakeIndex",
    "FakeRewriter",
    "FakeTranscriber",
    "ServedGateway",
    "embed_picture",
    "embed_words",
    "product",
    "recording",
    "refused_field",
    "send_products",
    "serving",
    "stored",
    "until",
]
