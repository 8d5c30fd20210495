"""`vitrine check`: whether the service does what it is for, step by step."""

import io
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import click
import grpc
from PIL import Image
from rich.table import Table

from vitrine.client import VitrineClient, VitrineError
from vitrine.commands.connection import Connection, Failure, connected
from vitrine.commands.tables import cell
from vitrine.domain.filters import Equals, matches
from vitrine.domain.messages import filter_message, read_product, read_schema_message
from vitrine.terminal import console
from vitrine.v1.catalogue_pb2 import DeleteProductsRequest, DescribeResponse, FieldDescription, ProductInput
from vitrine.v1.query_pb2 import Product, Route
from vitrine.v1.search_pb2 import SearchRequest, SearchResponse

_WORDS = "something red"
_HITS = 5
_ID = "vitrine-check-"
"""Begins the id of the product that is written and deleted."""


class _WrongError(Exception):
    """An answer came and is not what it should be."""


@dataclass(frozen=True, slots=True)
class _Step:
    name: str
    run: Callable[[], Awaitable[str]]
    """Does it and returns what is to be said of it; raises _WrongError or VitrineError."""


@click.command(short_help="Search in three ways, write a product and delete it.")
@click.option(
    "--write/--no-write",
    default=True,
    help="Write a product and delete it again, at the catalogue's address.",
)
@connected
def check(*, connection: Connection, write: bool) -> None:
    """Check that the service does what it is for, step by step.

    Health, a search by words, one by a picture and words, one with a condition, and a product that is written, found and
    deleted. Each step is a line; the first that fails ends it, with its name, and the exit status says why. The product
    has a picture of one colour and no words, and an id that begins with vitrine-check-; it is deleted also where it was
    not found.
    """
    table = Table(box=None, show_header=False, pad_edge=False)
    failure = connection.run(lambda client: _run(_Check(client), connection, table, write=write))
    console().print(table)
    if failure is not None:
        raise failure


async def _run(checked: "_Check", connection: Connection, table: Table, *, write: bool) -> Failure | None:
    """Take the steps until one fails; a row each. Return the failure."""
    for step in checked.steps(write=write):
        began = time.perf_counter()
        failure: Failure | None = None
        try:
            said = await step.run()
        except VitrineError as error:
            failure = connection.failure(error)
        except _WrongError as error:
            failure = Failure(str(error))
        took = f"{(time.perf_counter() - began) * 1e3:.0f} ms"
        if failure is not None:
            table.add_row(cell(step.name), "failed", took)
            return type(failure)(f"{step.name}: {failure.message}")
        table.add_row(cell(step.name), "ok", took, cell(said))
    return None


class _Check:
    """The steps, and what the earlier ones found out for the later ones."""

    def __init__(self, client: VitrineClient) -> None:
        self._client = client
        self._described = DescribeResponse()
        self._picture = _draw()

    def steps(self, *, write: bool) -> list[_Step]:
        """Return the steps in their order."""
        return [
            _Step("health", self._health),
            _Step("catalogue", self._describe),
            _Step("words", self._words),
            _Step("picture and words", self._composed),
            _Step("condition", self._filtered),
            *([_Step("write and delete", self._write)] if write else []),
        ]

    async def _health(self) -> str:
        status = await self._client.health()
        if status != "SERVING":
            raise _WrongError(f"the service says {status}")
        return status

    async def _describe(self) -> str:
        self._described = await self._client.describe()
        if not self._described.products:
            raise _WrongError("the index has no products")
        return f"{self._described.products:,} products in {self._described.versions.index}"

    async def _words(self) -> str:
        return _told(await self._search(SearchRequest(text=_WORDS, limit=_HITS), Route.ROUTE_TEXT))

    async def _composed(self) -> str:
        request = SearchRequest(image=self._picture, text="in blue", limit=_HITS)
        return _told(await self._search(request, Route.ROUTE_COMPOSED))

    async def _filtered(self) -> str:
        types = FieldDescription
        named = [each for each in self._described.fields if each.type == types.TYPE_TEXT and each.values]
        if not named:
            return "left out: no field of words can be filtered by"
        condition = Equals(named[0].name, named[0].values[0])
        request = SearchRequest(text=_WORDS, filter=filter_message(condition), limit=_HITS)
        answer = await self._search(request, Route.ROUTE_TEXT)
        schema = read_schema_message(self._described.schema)
        for hit in answer.hits:
            if not matches(condition, read_product(hit.product, schema)):
                raise _WrongError(f"{hit.product_id} does not satisfy {condition.field}={condition.value}")
        return f"{_told(answer)} with {condition.field}={condition.value}"

    async def _search(self, request: SearchRequest, route: Route.ValueType) -> SearchResponse:
        answer = await self._client.search(request)
        if answer.searched.route != route:
            raise _WrongError(f"searched by {Route.Name(answer.searched.route)}, not {Route.Name(route)}")
        if not answer.hits:
            raise _WrongError("nothing was found")
        return answer

    async def _write(self) -> str:
        product_id = _ID + secrets.token_hex(8)
        try:
            async for answer in self._client.upsert(self._one_product(product_id)):
                for error in answer.errors:
                    raise _WrongError(f"{product_id}: {error.field}: {error.reason}")
            await self._client.get_product(product_id)
        finally:
            deleted = await self._client.delete(DeleteProductsRequest(product_ids=[product_id]))
        if deleted.deleted != 1:
            raise _WrongError(f"{product_id} was written, and {deleted.deleted} products were deleted")
        try:
            await self._client.get_product(product_id)
        except VitrineError as error:
            if error.code is grpc.StatusCode.NOT_FOUND:
                return product_id
            raise
        raise _WrongError(f"{product_id} is still there after it was deleted")

    async def _one_product(self, product_id: str) -> AsyncIterator[ProductInput]:
        yield ProductInput(product=Product(id=product_id), image=self._picture)


def _told(answer: SearchResponse) -> str:
    without = f", without {', '.join(answer.degraded)}" if answer.degraded else ""
    return f"{len(answer.hits)} hits in {answer.timings.total_ms:.0f} ms{without}"


def _draw() -> bytes:
    """Return a picture of one colour, as JPEG."""
    out = io.BytesIO()
    Image.new("RGB", (64, 64), (178, 34, 34)).save(out, format="JPEG")
    return out.getvalue()
