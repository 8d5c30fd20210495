# ruff: noqa: N802 - methods bear the names of the proto
"""A gateway that answers from a script, on a real loopback port.

It runs in threads, so that tests with and without an event loop can call it.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from PIL import Image

from vitrine.v1 import (
    catalogue_pb2,
    catalogue_pb2_grpc,
    feedback_pb2,
    feedback_pb2_grpc,
    query_pb2,
    report_pb2,
    report_pb2_grpc,
    rewrite_pb2,
    schema_pb2,
    search_pb2,
    search_pb2_grpc,
)

SCHEMA = schema_pb2.CatalogueSchema(
    name="crates",
    currency="NOK",
    fields=[
        schema_pb2.CatalogueField(
            name="code", kind=schema_pb2.FIELD_KIND_KEYWORD, role=schema_pb2.FIELD_ROLE_ID
        ),
        schema_pb2.CatalogueField(
            name="title",
            kind=schema_pb2.FIELD_KIND_TEXT,
            role=schema_pb2.FIELD_ROLE_TITLE,
            lexical=True,
            encoded=True,
        ),
        schema_pb2.CatalogueField(
            name="wood", kind=schema_pb2.FIELD_KIND_KEYWORDS, filter=True, facet=True, labels={"en": "timber"}
        ),
        schema_pb2.CatalogueField(
            name="cost",
            kind=schema_pb2.FIELD_KIND_MONEY,
            role=schema_pb2.FIELD_ROLE_PRICE,
            filter=True,
            facet=True,
            sort=True,
        ),
        schema_pb2.CatalogueField(
            name="weight_kg", kind=schema_pb2.FIELD_KIND_NUMBER, filter=True, sort=True
        ),
        schema_pb2.CatalogueField(
            name="stackable", kind=schema_pb2.FIELD_KIND_BOOLEAN, filter=True, facet=True
        ),
    ],
)
"""Of a catalogue that is not the one which ships."""


@dataclass
class Script:
    """What the gateway answers, and what it was asked."""

    pictures: Path
    address: str = ""
    failure: status_pb2.Status | None = None
    goes_on: threading.Event = field(default_factory=threading.Event)
    """Once this is set, as it is from the start, calls are answered."""
    pages: int = 1
    """How many pages every search has."""
    encoders: tuple[str, ...] = ("m-1",)
    """Those that serve, by Describe."""
    requests: list[Any] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    """What each request had as `authorization`."""

    def __post_init__(self) -> None:
        self.goes_on.set()

    def fail(self, code: int, message: str, *details: Message) -> None:
        """Make every further call fail."""
        self.failure = status_pb2.Status(code=code, message=message)
        for detail in details:
            self.failure.details.add().Pack(detail)

    def begin(self, request: Any, context: grpc.ServicerContext) -> None:
        """Note the request, then wait or fail as the script says."""
        self.requests.append(request)
        self.tokens.append(dict(context.invocation_metadata()).get("authorization", ""))
        self.goes_on.wait(60)
        if self.failure is not None:
            context.abort_with_status(rpc_status.to_status(self.failure))

    def result(
        self, *, limit: int = 3, route: int = query_pb2.ROUTE_TEXT, page: int = 1
    ) -> search_pb2.SearchResponse:
        """Return the hits of a page, p1, p2, ... on the first; the last of each has no picture."""
        first = limit * (page - 1) + 1
        hits = [
            search_pb2.Hit(
                product_id=f"p{rank}",
                score=1 - rank / 10,
                parts=search_pb2.ScoreParts(text=0.5, image=0.25),
                product=self.product(f"p{rank}", missing=rank == first + limit - 1),
            )
            for rank in range(first, first + limit)
        ]
        return search_pb2.SearchResponse(
            hits=hits,
            next_page_token=f"page-{page + 1}" if page < self.pages else "",
            more=page < self.pages,
            searched=search_pb2.SearchedQuery(
                route=route,
                text="red dress",
                weights=query_pb2.Weights(text=0.75, image=0.25),
                source="caller",
            ),
            timings=search_pb2.Timings(total_ms=12.5, stages_ms={"embed": 8, "index": 3}),
            versions=search_pb2.Versions(model="m-1", index="products_1"),
            request_id="r-1",
        )

    def product(self, product_id: str, *, missing: bool = False) -> query_pb2.Product:
        """Return a product with a picture on disk, unless it is to be missing."""
        path = self.pictures / f"{product_id}.jpg"
        if not missing:
            Image.new("RGB", (64, 64), "crimson").save(path)
        return query_pb2.Product(
            id=product_id, title=f"red dress {product_id}", category="dress", price=59.9, image_uri=str(path)
        )


class _Search(search_pb2_grpc.SearchServiceServicer):
    def __init__(self, script: Script) -> None:
        self._script = script

    def Search(self, request: search_pb2.SearchRequest, context: Any) -> search_pb2.SearchResponse:
        self._script.begin(request, context)
        page = int(request.page_token.removeprefix("page-") or 1)
        answer = self._script.result(limit=request.limit or 3, page=page)
        if request.HasField("sort"):
            answer.searched.sort.CopyFrom(request.sort)
        answer.facets.extend(_counted(field) for field in request.facets)
        return answer

    def Converse(
        self, request: search_pb2.ConverseRequest, context: Any
    ) -> Iterator[search_pb2.ConverseResponse]:
        self._script.begin(request, context)
        session = request.session_id or "s-1"
        understood = rewrite_pb2.Rewrite(
            route=query_pb2.ROUTE_TEXT, query=request.text, source="router", confidence=0.9
        )
        yield search_pb2.ConverseResponse(session_id=session, understood=understood)
        yield search_pb2.ConverseResponse(
            session_id=session, result=self._script.result(limit=request.limit or 3)
        )
        yield search_pb2.ConverseResponse(session_id=session, reply="Here you are.")


class _Feedback(feedback_pb2_grpc.FeedbackServiceServicer):
    def __init__(self, script: Script) -> None:
        self._script = script

    def Record(
        self, request_iterator: Iterator[feedback_pb2.RecordRequest], context: Any
    ) -> feedback_pb2.RecordResponse:
        for request in request_iterator:
            self._script.begin(request, context)
        errors = [feedback_pb2.EventError(id="e1", field="time", reason="must say when it happened")]
        return feedback_pb2.RecordResponse(recorded=1_200, rejected=1, errors=errors)


class _Reports(report_pb2_grpc.ReportServiceServicer):
    def __init__(self, script: Script) -> None:
        self._script = script

    def Report(self, request: report_pb2.ReportRequest, context: Any) -> report_pb2.ReportResponse:
        self._script.begin(request, context)
        rate = report_pb2.Rate(value=0.25, lowest=0.2, highest=0.305)
        day = report_pb2.DayReport(day="2026-11-29")
        day.counts.add(kind=feedback_pb2.Event.KIND_CART, shoppers=1_200)
        answer = report_pb2.ReportResponse(
            days=[day],
            buckets=[
                report_pb2.BucketReport(
                    bucket=name, answers=4_000, click_through=rate, cart=rate, conversion=rate
                )
                for name in ("", "may:learnt")
            ],
            comparisons=[
                report_pb2.OrdersCompared(
                    experiment="may",
                    click_through=report_pb2.Rate(value=0.02, lowest=0.005, highest=0.035),
                    cart=report_pb2.Rate(value=0.001, lowest=-0.01, highest=0.012),
                    conversion=report_pb2.Rate(value=-0.01, lowest=-0.02, highest=-0.001),
                )
            ],
            noise=report_pb2.Noise(epsilon=0.5, budget=5, shoppers_scale=24, answers_scale=12),
        )
        answer.words.popular.add(words="[red] dress", today=30, yesterday=25, mean_ms=12.34)
        return answer


def _counted(field: str) -> search_pb2.FacetCounts:
    if field == "cost":
        return search_pb2.FacetCounts(field=field, minimum=5, maximum=1_299.5, products=2_990)
    values = [search_pb2.FacetValue(value=f"{field} {i}", products=1_000 - i) for i in range(14)]
    return search_pb2.FacetCounts(field=field, values=values, more_values=field == "maker", products=3_000)


class _Catalogue(catalogue_pb2_grpc.CatalogueServiceServicer):
    def __init__(self, script: Script) -> None:
        self._script = script

    def UpsertProducts(
        self, request_iterator: Any, context: Any
    ) -> Iterator[catalogue_pb2.UpsertProductsResponse]:
        context.send_initial_metadata(())
        written = 0
        for request in request_iterator:
            self._script.begin(request, context)
            if request.HasField("product"):
                written += 1
                yield catalogue_pb2.UpsertProductsResponse(written=written)

    def GetProduct(
        self, request: catalogue_pb2.GetProductRequest, context: Any
    ) -> catalogue_pb2.GetProductResponse:
        self._script.begin(request, context)
        return catalogue_pb2.GetProductResponse(product=self._script.product(request.product_id))

    def DeleteProducts(
        self, request: catalogue_pb2.DeleteProductsRequest, context: Any
    ) -> catalogue_pb2.DeleteProductsResponse:
        self._script.begin(request, context)
        return catalogue_pb2.DeleteProductsResponse(deleted=len(request.product_ids))

    def ListIndexes(
        self, request: catalogue_pb2.ListIndexesRequest, context: Any
    ) -> catalogue_pb2.ListIndexesResponse:
        self._script.begin(request, context)
        kept = catalogue_pb2.KeptIndex
        return catalogue_pb2.ListIndexesResponse(
            indexes=[
                kept(index="products_2", state=kept.STATE_IN_USE, products=1_200, model="0123456789abcdef"),
                kept(index="products_1", state=kept.STATE_BEFORE, products=3_000, model="m-1"),
                kept(index="products_3", state=kept.STATE_UNFINISHED, products=7, model="m-1"),
            ]
        )

    def RestoreIndex(
        self, request: catalogue_pb2.RestoreIndexRequest, context: Any
    ) -> catalogue_pb2.RestoreIndexResponse:
        self._script.begin(request, context)
        replaced = catalogue_pb2.ReplacedIndex(index="products_2", products=1_200, products_now=3_000)
        return catalogue_pb2.RestoreIndexResponse(index="products_1", replaced=replaced)

    def Describe(
        self, request: catalogue_pb2.DescribeRequest, context: Any
    ) -> catalogue_pb2.DescribeResponse:
        self._script.begin(request, context)
        return catalogue_pb2.DescribeResponse(
            versions=search_pb2.Versions(model="m-1", index="products_1"),
            products=3000,
            encoders=self._script.encoders,
            embedding_dim=256,
            schema=SCHEMA,
            fields=[
                catalogue_pb2.FieldDescription(
                    name="wood",
                    type=catalogue_pb2.FieldDescription.TYPE_TEXT,
                    values=["oak", "white pine"],
                    counts=[1_752, 218],
                ),
                catalogue_pb2.FieldDescription(
                    name="cost", type=catalogue_pb2.FieldDescription.TYPE_NUMBER, minimum=5, maximum=1_299.5
                ),
                catalogue_pb2.FieldDescription(
                    name="weight_kg", type=catalogue_pb2.FieldDescription.TYPE_NUMBER, minimum=1, maximum=40
                ),
                catalogue_pb2.FieldDescription(
                    name="stackable",
                    type=catalogue_pb2.FieldDescription.TYPE_BOOLEAN,
                    values=["true", "false"],
                    counts=[2_000, 1_000],
                ),
            ],
        )


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Script]:
    """A gateway is served at `script.address` and does what the script says."""
    script = Script(pictures=tmp_path)
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    search_pb2_grpc.add_SearchServiceServicer_to_server(_Search(script), server)
    report_pb2_grpc.add_ReportServiceServicer_to_server(_Reports(script), server)
    feedback_pb2_grpc.add_FeedbackServiceServicer_to_server(_Feedback(script), server)
    catalogue_pb2_grpc.add_CatalogueServiceServicer_to_server(_Catalogue(script), server)
    servicer = health.HealthServicer()
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    servicer.set("vitrine.v1.CatalogueService", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    script.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield script
    server.stop(grace=None).wait(timeout=5)
