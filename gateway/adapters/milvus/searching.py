"""The call of the serving path, by Milvus's own protocol: pymilvus's messages over a plain channel of grpc.aio.

pymilvus's client object spends more on a search than the channel does: its interceptors start a task each, and it builds
ten messages for the parameters that are the same in every search. Here these are written once, as bytes, and what
differs is appended: Protocol Buffers read the fields of two messages in a row as those of one.
"""

import base64
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson
from google.protobuf.message import Message
from pymilvus.grpc_gen import common_pb2, milvus_pb2

from gateway.adapters.channels import CHANNEL_OPTIONS
from gateway.adapters.milvus.layout import VECTOR
from gateway.context import request_id
from gateway.model import Embedding
from vitrine.channels import Tls, open_channel
from vitrine.process.secrets import Secret

_SERVICE = "/milvus.proto.milvus.MilvusService/"
_UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
_DEFAULT_PORT = 19_530
_DEFAULT_TLS_PORT = 443

_BOUNDED_TS = 2
"""The guarantee timestamp by which a client asks for the level Bounded: the server puts a moment of its own there."""

_PREPARED = 64
"""Shapes of searches that are kept, a shape for each number of rows and each set of columns."""

_PLACEHOLDER = "$0"

_PARAMETERS = {"round_decimal": "-1", "ignore_growing": "False"}
"""What Milvus is told besides, as pymilvus writes it."""

Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a Milvus is."""

    address: str
    """As gRPC takes it."""
    database: str = ""
    token: str = field(default="", repr=False)
    """A token, or user:password."""
    encrypted: bool = False


class SearchChannel:
    """Sends searches to one Milvus."""

    def __init__(self, unary: Callable[..., Any], *, token: Secret, database: str = "") -> None:
        """`unary` opens a method of the server, as a channel's `unary_unary` does."""
        self._unary = unary
        self._search = unary(
            f"{_SERVICE}Search",
            request_serializer=None,
            response_deserializer=milvus_pb2.SearchResults.FromString,
        )
        self._token = token
        self._database = database
        self._shown = ""
        self._metadata = self._showing("")

    def _showing(self, token: str) -> Metadata:
        shown = (("authorization", base64.b64encode(token.encode()).decode()),) if token else ()
        return (*shown, ("dbname", self._database))

    def _now(self) -> Metadata:
        if (token := self._token()) != self._shown:
            self._shown, self._metadata = token, self._showing(token)
        return (*self._metadata, ("client-request-id", request_id()))

    async def search(self, request: bytes, *, timeout_s: float) -> milvus_pb2.SearchResults:
        """Return what Milvus answers, its own refusals among them; the request's id goes along."""
        answer: milvus_pb2.SearchResults = await self._search(
            request, timeout=timeout_s, metadata=self._now()
        )
        return answer

    async def send(self, method: str, request: Message, answers: type[Message], *, timeout_s: float) -> Any:
        """Return what Milvus answers to a rarer call that pymilvus's asynchronous client lacks."""
        call = self._unary(
            f"{_SERVICE}{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answers.FromString,
        )
        return await call(request, timeout=timeout_s, metadata=self._now())


@asynccontextmanager
async def open_searches(uri: str, *, token: Secret, tls: Tls | None) -> AsyncIterator[SearchChannel]:
    """Open a channel to the URI, which is one of `http`, `https` or `unix`; it connects with the first search.

    Without a token of its own each search shows that of the URI, if it has one.
    """
    place = place_of(uri)
    # A certificate of its own is shown only beside an authority of its own, as with pymilvus.
    trust = (tls if tls is not None and tls.ca is not None else Tls()) if place.encrypted else None
    async with open_channel(place.address, trust, options=[*CHANNEL_OPTIONS, *_UNLIMITED]) as channel:
        yield SearchChannel(
            channel.unary_unary, token=lambda: token() or place.token, database=place.database
        )


class Asked(NamedTuple):
    """What searches have in common that one request asks for."""

    collection: str
    expression: str
    rows: int
    columns: tuple[str, ...]
    params: tuple[tuple[str, int], ...] = ()
    """The index's."""


def search_request(asked: Asked, vectors: Sequence[Embedding]) -> bytes:
    """Return the request, serialised, for the rows nearest to each of the vectors, (2 d,), as a bounded read."""
    value = common_pb2.PlaceholderValue(
        tag=_PLACEHOLDER,
        type=common_pb2.PlaceholderType.FloatVector,
        values=[vector.astype("<f4", copy=False).tobytes() for vector in vectors],
    )
    group = common_pb2.PlaceholderGroup(placeholders=[value]).SerializeToString()
    differing = milvus_pb2.SearchRequest(dsl=asked.expression, placeholder_group=group, nq=len(vectors))
    prepared = _prepared(asked.collection, asked.rows, asked.columns, asked.params)
    request: bytes = prepared + differing.SerializeToString()
    return request


def place_of(uri: str) -> Place:
    """Return what a URI says."""
    if uri.startswith("unix:"):
        return Place(address=uri)
    parts = urlsplit(uri)
    encrypted = parts.scheme == "https"
    port = parts.port or (_DEFAULT_TLS_PORT if encrypted else _DEFAULT_PORT)
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname
    return Place(
        address=f"{host}:{port}",
        database=parts.path.strip("/"),
        token=":".join(filter(None, (parts.username, parts.password))),
        encrypted=encrypted,
    )


@lru_cache(_PREPARED)
def _prepared(
    collection: str, rows: int, columns: tuple[str, ...], params: tuple[tuple[str, int], ...]
) -> bytes:
    """Return what searches of one shape have in common, as the bytes with which each begins."""
    of_index = orjson.dumps({**dict(params), "metric_type": "IP"}).decode()
    parameters = {
        "topk": str(rows),
        "metric_type": "IP",
        "anns_field": VECTOR,
        "params": of_index,
        **_PARAMETERS,
    }
    prepared: bytes = milvus_pb2.SearchRequest(
        collection_name=collection,
        output_fields=columns,
        search_params=[common_pb2.KeyValuePair(key=key, value=value) for key, value in parameters.items()],
        dsl_type=common_pb2.DslType.BoolExprV1,
        guarantee_timestamp=_BOUNDED_TS,
        consistency_level=common_pb2.ConsistencyLevel.Bounded,
    ).SerializeToString()
    return prepared
