# ruff: noqa: N802 - methods bear the names of the proto
"""Pictures, what a catalogue reads as, and a service that keeps what it is sent."""

import io
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from PIL import Image

from catalogue.product import CatalogueProduct
from catalogue.readers.opening import open_catalogue
from catalogue.readers.rows import RowError
from vitrine.domain.schema import Schema
from vitrine.v1 import catalogue_pb2, catalogue_pb2_grpc, schema_pb2
from vitrine.v1.catalogue_pb2 import UpsertProductsRequest, UpsertProductsResponse

Read = Callable[..., tuple[list[CatalogueProduct], list[tuple[int, str, str]]]]


@pytest.fixture(scope="session")
def picture() -> bytes:
    """The bytes of a small JPEG."""
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "crimson").save(out, format="JPEG")
    return out.getvalue()


@pytest.fixture
def folder(tmp_path: Path, picture: bytes) -> Path:
    """A folder with the pictures a.jpg and b.jpg."""
    (tmp_path / "a.jpg").write_bytes(picture)
    (tmp_path / "b.jpg").write_bytes(picture)
    return tmp_path


@pytest.fixture
def read() -> Read:
    """Reads a catalogue: its products, and line, field and reason of every error."""

    def read_all(
        path: Path, schema: Schema | None = None
    ) -> tuple[list[CatalogueProduct], list[tuple[int, str, str]]]:
        rows = list(open_catalogue(path, schema).rows)
        errors = [(row.line, row.field, row.reason) for row in rows if isinstance(row, RowError)]
        return [row for row in rows if isinstance(row, CatalogueProduct)], errors

    return read_all


@dataclass
class Shelf(catalogue_pb2_grpc.CatalogueServiceServicer):
    """Keeps products in memory, acknowledges every second one, and refuses titles that say so."""

    address: str = ""
    held: dict[str, catalogue_pb2.ProductInput] = field(default_factory=dict)
    options: list[catalogue_pb2.UpsertOptions] = field(default_factory=list)
    fail_after: int | None = None
    reads: threading.Event = field(default_factory=threading.Event)
    schema: schema_pb2.CatalogueSchema | None = None
    """That of the index; none before the first."""
    unready: int = 0
    """So often its health says NOT_SERVING before it says SERVING."""
    told: catalogue_pb2.InferenceReport = field(default_factory=catalogue_pb2.InferenceReport)
    """What the pictures told, where it is asked for."""

    def UpsertProducts(
        self, request_iterator: Iterator[UpsertProductsRequest], context: grpc.ServicerContext
    ) -> Iterator[UpsertProductsResponse]:
        """Take products until the stream ends, or until it is to fail."""
        context.send_initial_metadata(())
        answer = UpsertProductsResponse()
        self.reads.wait(timeout=60)
        for number, request in enumerate(request_iterator):
            if number == self.fail_after:
                deque(
                    request_iterator, maxlen=0
                )  # a write under way would hide the status in grpc's own error
                context.abort(grpc.StatusCode.UNAVAILABLE, "encoder is unavailable")
            if request.HasField("options"):
                self.options.append(request.options)
                continue
            self._take(request.product, answer)
            if number % 2 == 0:
                yield answer
                answer.ClearField("errors")
        answer.index = "products_1"
        if self.options and self.options[-1].HasField("inference"):
            answer.inference.CopyFrom(self.told)
        if self.options and self.options[-1].rebuild:
            answer.replaced.CopyFrom(
                catalogue_pb2.ReplacedIndex(index="products_0", products=9, products_now=len(self.held))
            )
        yield answer

    def Describe(
        self, _: catalogue_pb2.DescribeRequest, context: grpc.ServicerContext
    ) -> catalogue_pb2.DescribeResponse:
        """Describe the index, or say that there is none."""
        if self.schema is None:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "there is no index")
        return catalogue_pb2.DescribeResponse(schema=self.schema)

    def _take(self, product: catalogue_pb2.ProductInput, answer: UpsertProductsResponse) -> None:
        if "refuse" in product.product.title:
            answer.rejected += 1
            answer.errors.add(product_id=product.product.id, field="image", reason="is not a picture")
            return
        answer.without_image += not product.image
        answer.without_words += not product.product.title
        if self.held.get(product.product.id) == product:
            answer.unchanged += 1
        else:
            answer.written += 1
            self.held[product.product.id] = product


class Health(health.HealthServicer):
    """Says of the catalogue's service what the shelf says."""

    def __init__(self, shelf: Shelf) -> None:
        super().__init__()
        self._shelf = shelf

    def Check(
        self, request: health_pb2.HealthCheckRequest, _: grpc.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        """Answer once; any other service is unknown."""
        status = health_pb2.HealthCheckResponse
        if request.service != "vitrine.v1.CatalogueService":
            return status(status=status.SERVICE_UNKNOWN)
        self._shelf.unready -= 1
        return status(status=status.NOT_SERVING if self._shelf.unready >= 0 else status.SERVING)


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    """A service on a loopback port."""
    shelf = Shelf()
    shelf.reads.set()
    server = grpc.server(
        ThreadPoolExecutor(max_workers=2), options=[("grpc.max_receive_message_length", 12_000_000)]
    )
    catalogue_pb2_grpc.add_CatalogueServiceServicer_to_server(shelf, server)
    health_pb2_grpc.add_HealthServicer_to_server(Health(shelf), server)
    shelf.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield shelf
    server.stop(grace=None).wait(timeout=5)
