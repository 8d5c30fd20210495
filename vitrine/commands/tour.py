"""`vitrine tour`: every kind of query once, each with its table and its contact sheet."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from vitrine.client import DEFAULT_ADDRESS, VitrineClient
from vitrine.commands.connection import Connection, Failure, connected, read_image, save_sheet
from vitrine.commands.tables import describe_rewrite, hits_table, print_answer
from vitrine.filter_text import format_filter
from vitrine.sheet import PICTURES, Answer, product_picture
from vitrine.terminal import console, printable
from vitrine.v1.catalogue_pb2 import DescribeResponse
from vitrine.v1.query_pb2 import Equals, FieldValue, Filter
from vitrine.v1.search_pb2 import ConverseRequest, SearchRequest, SearchResponse

TEXT = "red floral midi dress"
CHANGE = "in navy"
TURNS = ("I need a red dress", "cheaper", "the second one but in navy")

_FOOTER = """
The service is up at {address}. Ask it yourself:
{export}
  vitrine status
  vitrine search "{text}"{conditions}
  vitrine search --image {picture} "{modification}" --sheet hits.png{shelf}
  vitrine search --like {product_id} "{change}"
  vitrine chat

or from Python:

  from vitrine.client import VitrineClient
  from vitrine.v1.search_pb2 import SearchRequest

  async with VitrineClient("{address}") as client:
      answer = await client.search(SearchRequest(text="{text}"))

The contact sheets are in {out}."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A picture that is in no index, and how it may be changed."""

    picture: Path
    caption: str
    modification: str = ""
    slot: str = ""
    """The attribute that the modification changes."""


def read_queries(folder: Path) -> list[Query]:
    """Read `queries.json`, a list of {"file", "caption", "modification"?, "slot"?}; raises Failure."""
    path = folder / "queries.json"
    try:
        return [
            Query(
                picture=folder / str(entry["file"]),
                caption=str(entry["caption"]),
                modification=str(entry.get("modification") or ""),
                slot=str(entry.get("slot") or ""),
            )
            for entry in json.loads(path.read_text())
        ]
    except OSError as error:
        way_out = "make it with `python -m catalogue build`"
        raise Failure(f"{path}: {error.strerror}: {way_out}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Failure(f"{path}: not a list of queries with file and caption: {error!r}") from error


@click.command()
@click.option(
    "--queries", type=click.Path(path_type=Path, file_okay=False), required=True, help="Holds queries.json."
)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Where the sheets go."
)
@click.option("--limit", type=int, default=5, show_default=True, help="How many hits a query shows.")
@click.option(
    "--pictures",
    type=click.Path(path_type=Path, file_okay=False),
    help="The catalogue's folder: pictures are read in it and nowhere else.  [default: the folder above --queries]",
)
@connected
def tour(*, connection: Connection, queries: Path, out: Path, limit: int, pictures: Path | None) -> None:
    """Ask a query of each kind; draw the answers."""
    shelf = pictures or queries.parent
    known = read_queries(queries)
    plain = next((query for query in known if not query.modification), None)
    # A change of colour is the one that a picture shows best.
    changed = max(known, key=lambda query: (bool(query.modification), query.slot == "colour"), default=None)
    if plain is None or changed is None or not changed.modification:
        raise Failure(f"{queries}: the tour needs a query with a modification and one without")
    described = connection.run(VitrineClient.describe)
    guide = _Guide(console(), out, limit, described.schema.currency, shelf)
    product_id = connection.run(lambda client: guide.lead(client, plain, changed))
    usual = connection.address == DEFAULT_ADDRESS
    footer = _FOOTER.format(
        address=connection.address,
        export="" if usual else f"\n  export VITRINE_ADDRESS={connection.address}",
        text=TEXT,
        conditions=_conditions(described),
        picture=changed.picture,
        modification=changed.modification,
        product_id=product_id,
        change=CHANGE,
        out=out,
        shelf="" if shelf == PICTURES else f" --pictures {shelf}",
    )
    guide.out.print(Text(footer), soft_wrap=True)


@dataclass(frozen=True, slots=True)
class _Guide:
    """Asks, shows and draws."""

    out: Console
    folder: Path
    limit: int
    currency: str
    pictures: Path
    """Where the products' pictures are read."""

    async def lead(self, client: VitrineClient, plain: Query, changed: Query) -> str:
        """Go through every kind of query; return the id of the product that was refined."""
        text = await client.search(SearchRequest(text=TEXT, limit=self.limit))
        rows = [self._show("text", text, words=TEXT)]
        picture = read_image(plain.picture)
        image = await client.search(SearchRequest(image=picture, limit=self.limit))
        rows.append(self._show("image", image, picture=picture))
        rows.append(await self._compose(client, changed))
        if not text.hits:
            raise Failure(f"nothing found for {TEXT!r}: index the catalogue with `vitrine index`")
        rows.append(await self._refine(client, text.hits[0].product_id))
        rows += await self._talk(client)
        self._save("all", rows)
        return text.hits[0].product_id

    async def _compose(self, client: VitrineClient, query: Query) -> Answer:
        picture = read_image(query.picture)
        request = SearchRequest(image=picture, text=query.modification, limit=self.limit)
        answer = await client.search(request)
        return self._show("composed", answer, words=query.modification, picture=picture)

    async def _refine(self, client: VitrineClient, product_id: str) -> Answer:
        answer = await client.search(SearchRequest(product_id=product_id, text=CHANGE, limit=self.limit))
        picture = await self._picture_of(client, product_id)
        return self._show("refined", answer, words=CHANGE, picture=picture)

    async def _talk(self, client: VitrineClient) -> list[Answer]:
        rows = []
        session_id = ""
        for number, words in enumerate(TURNS, start=1):
            self._head(f"conversation, turn {number}: {words}")
            row = Answer(heading=f"turn {number}", words=words)
            turn = ConverseRequest(session_id=session_id, text=words, limit=self.limit)
            async for event in client.converse(turn):
                session_id = event.session_id
                match event.WhichOneof("event"):
                    case "understood":
                        self.out.print(Text(describe_rewrite(event.understood)))
                        reference = next(iter(event.understood.references), "")
                        row = replace(row, picture=await self._picture_of(client, reference))
                    case "result":
                        self.out.print(hits_table(event.result.hits))
                        row = replace(row, hits=tuple(event.result.hits))
                    case "reply":
                        self.out.print(Text(printable(event.reply)))
            rows.append(row)
        self._save("conversation", rows)
        return rows

    def _show(
        self, kind: str, answer: SearchResponse, *, words: str = "", picture: bytes | None = None
    ) -> Answer:
        self._head(f"{kind} search")
        print_answer(self.out, answer)
        row = Answer(heading=kind, words=words, picture=picture, hits=answer.hits)
        self._save(kind, [row])
        return row

    def _head(self, heading: str) -> None:
        self.out.print()
        self.out.rule(Text(printable(heading)), align="left")

    def _save(self, name: str, rows: Sequence[Answer]) -> None:
        path = self.folder / f"{name}.png"
        save_sheet(path, rows, self.pictures, currency=self.currency)
        self.out.print(Text(f"sheet: {path}", style="dim"), soft_wrap=True)

    async def _picture_of(self, client: VitrineClient, product_id: str) -> bytes | None:
        """Return the picture of the product, if one is named."""
        if not product_id:
            return None
        return product_picture((await client.get_product(product_id)).product, self.pictures)


def _conditions(described: DescribeResponse) -> str:
    """Return options that name a field and a value of the catalogue that is served; none where it has none."""
    options = []
    text = next((field for field in described.fields if field.values), None)
    if text is not None:
        equals = Equals(field=text.name, value=FieldValue(text=text.values[0]))
        options.append(f" --filter {shlex.quote(format_filter(Filter(equals=equals)))}")
    if (ordered := next((field for field in described.schema.fields if field.sort), None)) is not None:
        options.append(f" --sort {ordered.name}")
    return printable("".join(options))
