"""Histories that callers send: every string and number of every turn is held to its limit, and none reaches a log."""

import json
import logging
import math
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.api.history import check_history
from gateway.errors import InvalidQuery
from gateway.logs import call_fields
from gateway.testing import FakeRewriter, product, serving
from vitrine.domain import limits
from vitrine.process.logs import JsonFormatter
from vitrine.v1 import query_pb2, rewrite_pb2, search_pb2, search_pb2_grpc

Way = tuple[FieldDescriptor, ...]
TOO_LONG = "x" * (limits.MAX_TEXT_BYTES + 1)


def strings(kind: Descriptor, seen: frozenset[str] = frozenset()) -> Iterator[Way]:
    """Yield the way to each string of a message, keys and values of maps among them."""
    for each in kind.fields:
        inner = each.message_type
        if each.type == FieldDescriptor.TYPE_STRING:
            yield (each,)
        elif inner is not None and inner.full_name not in seen:
            for way in strings(inner, seen | {kind.full_name}):
                yield (each, *way)


WAYS = [
    pytest.param(way, id=".".join(each.name for each in way)) for way in strings(rewrite_pb2.Turn.DESCRIPTOR)
]


def turn_with(way: Way, text: str) -> rewrite_pb2.Turn:
    """Return a turn that has a text at the end of a way."""
    turn = rewrite_pb2.Turn()
    holder: Any = turn
    for i, each in enumerate(way):
        kind: Any = each.message_type
        if kind is not None and kind.GetOptions().map_entry:
            _fill_map(getattr(holder, each.name), way[i + 1 :], text)
            return turn
        if kind is None:
            if each.is_repeated:
                getattr(holder, each.name).append(text)
            else:
                setattr(holder, each.name, text)
        elif each.is_repeated:
            holder = getattr(holder, each.name).add()
        else:
            holder = getattr(holder, each.name)
            holder.SetInParent()
    return turn


def _fill_map(entries: Any, way: Way, text: str) -> None:
    if way[0].name == "key":
        key, value = text, None
    else:
        key, value = "k", text
    if way[0].message_type is None and not hasattr(entries, "get_or_create"):
        entries[key] = value or ""
    elif len(way) > 1:
        leaf = way[-1]
        holder = entries[key].texts.values if leaf.name == "values" else None
        if holder is None:
            entries[key].text = text
        else:
            holder.append(text)
    else:
        entries[key].text = value or ""


@pytest.mark.parametrize("way", WAYS)
def test_no_string_of_a_turn_is_unbounded(way: Way) -> None:
    """A text that is longer than any may be is refused wherever it stands, by its turn."""
    with pytest.raises(InvalidQuery) as refused:
        check_history([turn_with(way, TOO_LONG)])
    assert refused.value.field.startswith("history[0]")


@pytest.mark.parametrize(
    ("turn", "field"),
    [
        (rewrite_pb2.Turn(rewrite=rewrite_pb2.Rewrite(source="a\nb\x00")), "history[0].rewrite.source"),
        (rewrite_pb2.Turn(rewrite=rewrite_pb2.Rewrite(confidence=math.nan)), "history[0].rewrite.confidence"),
        (
            rewrite_pb2.Turn(rewrite=rewrite_pb2.Rewrite(remarks=[rewrite_pb2.Remark(value="a\x00")])),
            "history[0].rewrite.remarks[0].value",
        ),
        (
            rewrite_pb2.Turn(rewrite=rewrite_pb2.Rewrite(references=["a\n"])),
            "history[0].rewrite.references[0]",
        ),
        (rewrite_pb2.Turn(shown=[query_pb2.Product(title="x" * 1_001)]), "history[0].shown[0].title"),
    ],
)
def test_a_refusal_names_the_place(turn: rewrite_pb2.Turn, field: str) -> None:
    """Remarks, references, sources and titles are looked at, and named when they are refused."""
    with pytest.raises(InvalidQuery) as refused:
        check_history([turn])
    assert refused.value.field == field


async def test_no_word_of_a_history_reaches_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """What a caller says that somebody disliked is counted, and not told."""
    caplog.set_level(logging.INFO, logger="gateway")
    secret = "MY SECRET 4111-1111"
    hates = query_pb2.SENTIMENT_NEGATIVE
    earlier = rewrite_pb2.Turn(
        text=secret,
        rewrite=rewrite_pb2.Rewrite(
            route=query_pb2.ROUTE_TEXT,
            query=secret,
            source=secret,
            remarks=[rewrite_pb2.Remark(field="brand", value=secret, polarity=hates)],
        ),
        shown=[query_pb2.Product(id=secret, title=secret, attributes={secret: secret})],
    )
    reading = rewrite_pb2.Rewrite(route=query_pb2.ROUTE_TEXT, query="dress", source="fake")
    async with serving(
        products=[product("p1", "red dress")], rewriter=FakeRewriter(lambda _: reading)
    ) as gateway:
        stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
        request = search_pb2.ConverseRequest(text="dress", history=[earlier])
        assert [event async for event in stub.Converse(request, timeout=60)]
    lines = {record.message: JsonFormatter(call_fields).format(record) for record in caplog.records}
    assert not any("SECRET" in line for line in lines.values())
    assert json.loads(lines["call"])["excluded"] == 1
