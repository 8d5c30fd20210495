"""Valid inputs of every target, from which the fuzzing begins."""

import base64
import io
import json
import zlib
from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from gateway.retrieval.pages import page_token
from gateway.retrieval.query import Query
from gateway.testing import recording
from tests.fuzz.targets import CALLS, CATALOGUE_ENDINGS, PLANTED, versions
from vitrine.domain.messages import schema_message
from vitrine.domain.schema_files import shipped_schema
from vitrine.filter_text import parse_filter
from vitrine.v1 import catalogue_pb2, query_pb2, rewrite_pb2, search_pb2

FILTERS = (
    "category=dress and price<80",
    'colour in (red, "light blue") or not brand=acme',
    "price 10..20 and not (pattern=floral or price>=1e3)",
    "price ..5",
    "colour!=red and price>-1.5",
)
WORDS = (
    "red dress under 50", "cheapest blue shoes", "not black, something brighter", "show me more", "compare the first two",
    "how many brands are there?", "같은 스타일 빨간색으로", "vestido rojo barato", "便宜的红色连衣裙", "between 10 and 20 euros",
)  # fmt: skip


def _recordings() -> Iterator[bytes]:
    """Yield the beginning of a recording in every container that is taken."""
    yield recording(0.01)
    yield b"fLaC\x80\x00\x00\x22" + bytes(10) + (48_000 << 44 | 15 << 36 | 9).to_bytes(8, "big") + bytes(16)
    for packet in (b"OpusHead\x01\x01" + bytes(9), b"\x01vorbis\0\0\0\0\x01\x44\xac\0\0" + bytes(14)):
        yield b"OggS\0\0" + bytes(20) + b"\1" + bytes([len(packet)]) + packet
    info = bytes.fromhex("1549a966 8e 2ad7b1 83 0f4240 4489 84 44bb8000")
    yield bytes.fromhex("1a45dfa3 87 4282 84") + b"webm" + bytes.fromhex("18538067 ff") + info


def pictures() -> Iterator[bytes]:
    """Yield small pictures of every kind that is accepted."""
    drawn = Image.radial_gradient("L").resize((8, 6))
    colours = Image.merge("RGB", (drawn, drawn.rotate(90), drawn.rotate(180)))
    exif = Image.Exif()
    exif[0x0112] = 6
    for image, kind, options in (
        (colours, "JPEG", {"exif": exif}),
        (colours, "JPEG", {"progressive": True, "quality": 30}),
        (colours.convert("CMYK"), "JPEG", {}),
        (drawn, "PNG", {}),
        (drawn.convert("LA"), "PNG", {}),
        (drawn.quantize(4), "PNG", {"transparency": 3}),
        (drawn.quantize(4), "PNG", {}),
        (colours.convert("RGBA"), "PNG", {"exif": exif}),
        (drawn.convert("I;16"), "PNG", {}),
        (drawn.convert("1"), "PNG", {}),
        (colours, "WEBP", {}),
        (colours.convert("RGBA"), "WEBP", {"lossless": True, "exif": exif}),
        (colours, "WEBP", {"save_all": True, "append_images": [colours.rotate(90)]}),
    ):
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        yield buffer.getvalue()


def _filters() -> Iterator[bytes]:
    for text in FILTERS:
        yield parse_filter(text).SerializeToString()


def _filter_texts() -> Iterator[bytes]:
    for text in FILTERS:
        yield text.encode()


def _page_tokens() -> Iterator[bytes]:
    request = Query(text="red dress", typed="red dress")
    for offset in (1, 20, 999):
        token = page_token(request, request, versions(), offset=offset)
        yield token.encode()
        yield b"\0" + zlib.decompress(base64.urlsafe_b64decode(token))


def _history() -> list[rewrite_pb2.Turn]:
    shown = query_pb2.Product(id="1", title="red dress", category="dress", price=10.0)
    shown.fields["colour"].text = "red"
    rewrite = rewrite_pb2.Rewrite(
        route=query_pb2.ROUTE_TEXT, query="red dress", confidence=1.0, source="rules"
    )
    return [
        rewrite_pb2.Turn(position=0, text="red dress", rewrite=rewrite, shown=[shown]),
        rewrite_pb2.Turn(position=1, text="without floral", image_id="i", product_id="1", rewrite=rewrite),
    ]


def _rewritings() -> Iterator[bytes]:
    facets = [
        rewrite_pb2.Facet(field="colour", values=["red", "light blue"]),
        rewrite_pb2.Facet(field="category", values=["dress", "shoes"]),
    ]
    schema = schema_message(shipped_schema())
    for number, text in enumerate(WORDS):
        yield rewrite_pb2.RewriteRequest(
            text=text,
            locale="en",
            history=_history() if number % 2 else [],
            facets=facets,
            schema=schema if number % 3 == 0 else None,
            has_image=number % 4 == 0,
        ).SerializeToString()


def _tables() -> Iterator[bytes]:
    rows = [
        {"id": "1", "title": "Red dress", "price": "1.299,00 EUR", "colour": "red|blue", "image": "a.jpg"},
        {"id": "2", "title": 'Shoes, "new"', "price": "$9.50", "colour": "", "image": ""},
    ]
    head = list(rows[0])
    texts = {
        ".csv": "\n".join([",".join(head)] + [",".join(f'"{v}"' for v in row.values()) for row in rows]),
        ".tsv": "\n".join(["\t".join(head)] + ["\t".join(row.values()) for row in rows]),
        ".txt": "\n".join([";".join(head)] + [";".join(row.values()) for row in rows]),
        ".jsonl": "\n".join(map(json.dumps, rows)),
        ".json": json.dumps({"products": rows}),
        ".xml": '<?xml version="1.0"?><rss xmlns:g="http://base.google.com/ns/1.0"><channel>'
        "<item><g:id>1</g:id><title>Red dress</title><g:price>10.00 EUR</g:price></item></channel></rss>",
    }
    for ending, text in texts.items():
        first = bytes([CATALOGUE_ENDINGS.index(ending)])
        yield first + text.encode()
        yield first + text.encode("utf-16")
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    yield bytes([CATALOGUE_ENDINGS.index(".parquet")]) + buffer.getvalue()


def _calls() -> Iterator[bytes]:
    picture = next(pictures())
    searches = [
        search_pb2.SearchRequest(
            text="red dress", filter=parse_filter(FILTERS[0]), limit=5, facets=["colour"], locale="en-GB"
        ),
        search_pb2.SearchRequest(text="", image=picture, weights=query_pb2.Weights(text=1, image=2)),
        search_pb2.SearchRequest(product_id="1", text="in blue", sort=query_pb2.Sort(field="price")),
    ]
    turns = [
        search_pb2.ConverseRequest(text=text, history=_history() if number % 2 else [], user_id="u")
        for number, text in enumerate(WORDS)
    ]
    upsert = catalogue_pb2.UpsertProductsRequest(
        product=catalogue_pb2.ProductInput(
            product=query_pb2.Product(id="9", title="a hat", price=3.0), image=picture
        )
    ).SerializeToString()
    options = catalogue_pb2.UpsertProductsRequest(
        options=catalogue_pb2.UpsertOptions(schema=schema_message(shipped_schema()))
    ).SerializeToString()
    requests: dict[str, list[bytes]] = {
        "Search": [each.SerializeToString() for each in searches],
        "Converse": [each.SerializeToString() for each in turns],
        "UpsertProducts": [_framed(upsert, upsert), _framed(options, upsert)],
        "DeleteProducts": [catalogue_pb2.DeleteProductsRequest(product_ids=["9"]).SerializeToString()],
        "GetProduct": [catalogue_pb2.GetProductRequest(product_id="1").SerializeToString()],
        "Describe": [b""],
    }
    for method, messages in requests.items():
        for message in messages:
            yield bytes([CALLS.index(method)]) + message


def _framed(*messages: bytes) -> bytes:
    return b"".join(len(message).to_bytes(2, "big") + message for message in messages)


def _forms() -> Iterator[bytes]:
    part = b'--x\r\nContent-Disposition: form-data; name="request"\r\n\r\n{"text": "red", "limit": 3}\r\n'
    image = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n\xff\xd8\xff\r\n'
    kind = b"multipart/form-data; boundary=x\n"
    yield kind + b"http://localhost\n" + part + b"--x--\r\n"
    yield kind + b"\n" + part + image + b"--x--\r\n"
    nested = b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n\r\na\r\n--y--\r\n"
    yield kind + b"\n" + nested + b"--x--\r\n"
    yield b"application/json\nhttp://[::1]:80\n{}"


SEEDS: dict[str, Callable[[], Iterator[bytes]]] = {
    "recording_header": _recordings,
    "picture_header": pictures,
    "picture": pictures,
    "filters": _filters,
    "filter_text": _filter_texts,
    "page_token": _page_tokens,
    "rewriting": _rewritings,
    "catalogue": _tables,
    "calls": _calls,
    "forms": _forms,
    PLANTED: lambda: iter((b"abc",)),
}
