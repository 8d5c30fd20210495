# ruff: noqa: N802 - methods bear the names of the proto
"""`vitrine index`, against a service that keeps what it is sent."""

import json
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner, Result

from catalogue.commands import index
from catalogue.indexing import Report, send_catalogue, source_digest
from catalogue.product import Product
from catalogue.readers.opening import OpenCatalogue, open_catalogue
from vitrine.client import VitrineClient, VitrineError
from vitrine.preprocess import MAX_IMAGE_BYTES
from vitrine.v1 import catalogue_pb2, catalogue_pb2_grpc
from vitrine.v1.catalogue_pb2 import UpsertProductsRequest, UpsertProductsResponse

HEADER = "id,title,category,image,price,colour,fabric\n"


@dataclass
class Shelf(catalogue_pb2_grpc.CatalogueServiceServicer):
    """Keeps products in memory, acknowledges every second one, and refuses titles that say so."""

    address: str = ""
    held: dict[str, catalogue_pb2.ProductInput] = field(default_factory=dict)
    options: list[catalogue_pb2.UpsertOptions] = field(default_factory=list)
    fail_after: int | None = None
    reads: threading.Event = field(default_factory=threading.Event)

    def UpsertProducts(
        self, request_iterator: Iterator[UpsertProductsRequest], context: grpc.ServicerContext
    ) -> Iterator[UpsertProductsResponse]:
        """Take products until the stream ends, or until it is to fail."""
        context.send_initial_metadata(())
        answer = UpsertProductsResponse()
        self.reads.wait(timeout=10)
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
        yield answer

    def _take(self, product: catalogue_pb2.ProductInput, answer: UpsertProductsResponse) -> None:
        if "refuse" in product.product.title:
            answer.rejected += 1
            answer.errors.add(product_id=product.product.id, field="image", reason="is not a picture")
        elif self.held.get(product.product.id) == product:
            answer.unchanged += 1
        else:
            answer.written += 1
            self.held[product.product.id] = product


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    shelf = Shelf()
    shelf.reads.set()
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    catalogue_pb2_grpc.add_CatalogueServiceServicer_to_server(shelf, server)
    shelf.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield shelf
    server.stop(grace=None).wait(timeout=5)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "a.jpg").write_bytes(b"picture")
    path = tmp_path / "products.csv"
    path.write_text(HEADER + "".join(f"p{i},Shirt {i},top,a.jpg,{i}.5,red,linen\n" for i in range(5)))
    return path


def _run(shelf: Shelf, *arguments: object) -> Result:
    return CliRunner().invoke(index, [*map(str, arguments), "--address", shelf.address])


def test_products_reach_the_service_with_their_pictures(shelf: Shelf, table: Path) -> None:
    """Every field and the picture's bytes are sent, and the summary says what was done."""
    result = _run(shelf, table.parent)
    assert result.exit_code == 0
    assert f"{table.parent}: 5 written, 0 unchanged, 0 rejected in products_1 (" in result.stdout
    assert list(shelf.held) == ["p0", "p1", "p2", "p3", "p4"]
    product = shelf.held["p1"].product
    assert shelf.held["p1"].image == b"picture"
    assert (product.title, product.category, product.price, product.colour) == ("Shirt 1", "top", 1.5, "red")
    assert product.attributes == {"fabric": "linen"}
    assert product.image_uri == str((table.parent / "a.jpg").resolve())


def test_a_second_run_finds_everything_unchanged(shelf: Shelf, table: Path) -> None:
    """Indexing twice changes nothing and says so."""
    _run(shelf, table)
    result = _run(shelf, table, "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert (report["written"], report["unchanged"], report["rejected"]) == (0, 5, 0)
    assert (report["index"], report["ended"], report["errors"]) == ("products_1", True, [])


def test_rejections_here_and_there_are_counted_and_quoted(shelf: Shelf, table: Path) -> None:
    """A bad row, a huge picture and a product that the service refuses are all in the summary; the rest is written."""
    huge = table.parent / "huge.jpg"
    with huge.open("wb") as file:
        file.truncate(MAX_IMAGE_BYTES + 1)
    with table.open("a") as file:
        file.write("q1,Shirt,top,a.jpg,cheap,,\nq2,Shirt,top,huge.jpg,1,,\nq3,refuse me,top,a.jpg,1,,\n")
    result = _run(shelf, table)
    assert result.exit_code == 0
    assert "5 written, 0 unchanged, 3 rejected" in result.stdout
    assert sorted(line.strip() for line in result.stderr.splitlines()) == [
        f"{table}:7: price: must be a number, got 'cheap'",
        f"product q2: image: {huge} has 8,000,001 bytes; the limit is 8,000,000",
        "product q3: image: is not a picture",
    ]


def test_only_the_first_errors_are_quoted(shelf: Shelf, table: Path) -> None:
    """Of 50 bad rows 20 are shown; all are counted."""
    with table.open("a") as file:
        file.writelines(f"q{i},,top,a.jpg,1,,\n" for i in range(50))
    result = _run(shelf, table)
    assert "5 written, 0 unchanged, 50 rejected" in result.stdout
    assert len(result.stderr.splitlines()) == 21
    assert result.stderr.splitlines()[-1] == "  and 30 more"


def test_nothing_indexed_is_a_failure(shelf: Shelf, table: Path) -> None:
    """When every row is bad the command fails."""
    table.write_text(HEADER + "p1,,top,a.jpg,1,,\n")
    result = _run(shelf, table)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == f"Error: {table}: no product could be indexed"


def test_a_failing_service_leaves_a_count_and_the_way_on(shelf: Shelf, table: Path) -> None:
    """What is acknowledged before a failure is reported as done, and the same command finishes the rest."""
    shelf.fail_after = 4
    result = _run(shelf, table)
    assert result.exit_code == 4
    assert "2 written, 0 unchanged, 0 rejected before it stopped; the same command goes on" in result.stdout
    assert result.stderr == "Error: encoder is unavailable: see `make status`\n"
    shelf.fail_after = None
    assert "2 written, 3 unchanged" in _run(shelf, table).stdout


def test_rebuild_names_its_source(shelf: Shelf, table: Path) -> None:
    """The source is the same until the file changes."""
    for _ in range(2):
        _run(shelf, table, "--rebuild")
    table.write_text(table.read_text() + "p9,Shirt,top,a.jpg,1,,\n")
    _run(shelf, table, "--rebuild")
    sources = [options.source for options in shelf.options]
    assert all(options.rebuild for options in shelf.options)
    assert sources[0] == sources[1] != sources[2]
    assert sources[2] == source_digest(table)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("nowhere", "no such file or folder"),
        ("a.jpg", "not a catalogue"),
        ("empty.csv", "a header is expected"),
    ],
)
def test_a_path_that_is_no_catalogue_is_one_plain_line(
    shelf: Shelf, table: Path, path: str, reason: str
) -> None:
    """The error names the path and the reason, without a traceback."""
    (table.parent / "empty.csv").touch()
    result = _run(shelf, table.parent / path)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert reason in result.stderr


def test_no_service_is_one_plain_line(table: Path) -> None:
    """Without a service the command says where it looked and how to start one."""
    result = CliRunner().invoke(index, [str(table), "--address", "127.0.0.1:1"])
    assert result.exit_code == 3
    assert result.stderr.startswith("Error: no service at 127.0.0.1:1: start it with `make up`")


async def test_a_slow_service_holds_the_reading_back(shelf: Shelf, table: Path) -> None:
    """While the service reads nothing, only what the transport buffers has been read: not the whole catalogue."""
    image = table.parent / "large.jpg"
    image.write_bytes(bytes(100_000))
    read = 0

    def rows() -> Iterator[Product]:
        nonlocal read
        for number in range(2_000):
            read += 1
            yield Product(id=str(number), title="Shirt", category="top", image=image)

    shelf.reads.clear()
    async with VitrineClient(shelf.address) as client:
        catalogue = OpenCatalogue(table, rows(), 2_000)
        report = Report()
        with pytest.raises(VitrineError):
            await send_catalogue(
                client, catalogue, report, rebuild=False, timeout_s=1, progress=lambda _: None
            )
    shelf.reads.set()
    assert 0 < read < 400
    assert report.indexed == 0


def test_open_catalogue_is_lazy(table: Path) -> None:
    """Opening reads no row: a catalogue of any size is opened at once."""
    catalogue = open_catalogue(table)
    table.write_text(HEADER + "only,Shirt,top,a.jpg,1,,\n")
    assert [row.id for row in catalogue.rows if isinstance(row, Product)] == ["only"]
