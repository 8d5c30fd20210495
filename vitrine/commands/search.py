"""`vitrine search`: one query, answered as a table, as JSON, or as a contact sheet."""

import re
from pathlib import Path

import click

from vitrine.client import VitrineClient
from vitrine.commands.connection import (
    Connection,
    connected,
    currency_of,
    read_audio,
    read_image,
    save_sheet,
    valid_text,
)
from vitrine.commands.tables import as_json, print_answer, print_json, route_name
from vitrine.filter_text import FilterSyntaxError, parse_filter
from vitrine.sheet import PICTURES, Answer, product_picture
from vitrine.terminal import console, printable
from vitrine.v1.query_pb2 import Filter, FilterList, Sort, Weights
from vitrine.v1.search_pb2 import RewriteMode, SearchRequest, SearchResponse

_EXAMPLES = """\b
vitrine search --image photo.jpg "with long sleeves"
vitrine search --like PRODUCT_ID "in navy" --sheet hits.png
vitrine search "a gift" --filter 'FIELD<80' --sort FIELD:desc --facets FIELD --pages 3

\b
FIELD is a field of the catalogue that is served. Its names, what may be done with
each, and the values that it has are the schema's: `vitrine status` lists them.
"""

MAX_PAGES = 1_000
"""Pages of one hit each reach the last hit that the service gives."""

_REWRITE_MODES = {
    None: RewriteMode.REWRITE_MODE_UNSPECIFIED,
    True: RewriteMode.REWRITE_MODE_AUTO,
    False: RewriteMode.REWRITE_MODE_OFF,
}


class FilterType(click.ParamType[Filter, Filter]):
    """A condition such as `price<80`."""

    name = "condition"

    def convert(
        self, value: str | Filter, param: click.Parameter | None, ctx: click.Context | None
    ) -> Filter:
        """Parse it; what cannot be read is wrong usage."""
        if isinstance(value, Filter):
            return value
        try:
            return parse_filter(valid_text(value))
        except FilterSyntaxError as error:
            self.fail(printable(str(error)), param, ctx)


class WeightsType(click.ParamType[Weights, Weights]):
    """Weights such as `text=0.3,image=0.7`; a part that is left out weighs nothing."""

    name = "text=W,image=W"

    def convert(
        self, value: str | Weights, param: click.Parameter | None, ctx: click.Context | None
    ) -> Weights:
        """Parse them; whether they make sense is the service's to say."""
        if isinstance(value, Weights):
            return value
        parts = dict(re.findall(r"(text|image)=([^,]+)", value))
        try:
            shares = {name: float(number) for name, number in parts.items()}
        except ValueError:
            shares = {}
        if not shares or len(value.split(",")) != len(shares):
            self.fail(f"write them as text=0.3,image=0.7, not {value!r}", param, ctx)
        return Weights(text=shares.get("text", 0.0), image=shares.get("image", 0.0))


class SortType(click.ParamType[Sort, Sort]):
    """An order such as `price` or `price:desc`."""

    name = "FIELD[:asc|:desc]"

    def convert(self, value: str | Sort, param: click.Parameter | None, ctx: click.Context | None) -> Sort:
        """Parse it; whether hits may be ordered by the field is the service's to say."""
        if isinstance(value, Sort):
            return value
        field, colon, direction = valid_text(value).partition(":")
        if not field or direction not in ({"asc", "desc"} if colon else {""}):
            self.fail(f"write it as FIELD, FIELD:asc or FIELD:desc, not {printable(value)!r}", param, ctx)
        return Sort(field=field, descending=direction == "desc")


class NamesType(click.ParamType[tuple[str, ...], tuple[str, ...]]):
    """Names of fields such as `category,brand`."""

    name = "FIELD,..."

    def convert(
        self, value: str | tuple[str, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Part them; whether the fields are counted is the service's to say."""
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in valid_text(value).split(","))
        if not all(names):
            self.fail(f"write the names with commas between them, not {printable(value)!r}", param, ctx)
        return names


@click.command(epilog=_EXAMPLES, short_help="Find products by words, a picture, a product.")
@click.argument("words", nargs=-1)
@click.option("--image", type=click.Path(path_type=Path), help="A picture to search by: JPEG, PNG or WebP.")
@click.option(
    "--audio", type=click.Path(path_type=Path), help="Spoken words: WAV, FLAC, Ogg or WebM, of 30 seconds."
)
@click.option(
    "--locale",
    default="",
    metavar="TAG",
    help="The language of the words, written and spoken, such as en-GB.",
)
@click.option(
    "--like", "product_id", metavar="PRODUCT_ID", default="", help="A product of the index to start from."
)
@click.option(
    "--filter",
    "filters",
    type=FilterType(),
    multiple=True,
    help="Such as 'FIELD<80', 'FIELD in (red, navy)', 'FIELD 20..80', 'not FIELD=striped', 'FIELD=true'; "
    "with and, or, parentheses. Several must all hold. The fields are the catalogue's: see `vitrine status`.",
)
@click.option("--limit", type=int, help="How many hits a page; the service's default is 10, its maximum 200.")
@click.option(
    "--sort",
    type=SortType(),
    help="Order by a field, ascending, or descending with :desc, instead of by score; "
    "a product without a value comes last both ways.",
)
@click.option(
    "--facets",
    type=NamesType(),
    default=(),
    help="Count the values of these fields over all products that satisfy the filter.",
)
@click.option(
    "--page",
    "page_token",
    metavar="TOKEN",
    default="",
    help="Go on after a page: the token that stands below it. All else must be as it was then.",
)
@click.option(
    "--pages",
    type=click.IntRange(1, MAX_PAGES),
    default=1,
    show_default=True,
    help="How many pages to ask for, one after the other; they are shown as one.",
)
@click.option(
    "--weights", type=WeightsType(), help="Score = text * S_text + image * S_image, and the signals."
)
@click.option("--rewrite/--no-rewrite", default=None, help="Whether the rewriter may read the words.")
@click.option("--json", "want_json", is_flag=True, help="Write vitrine.v1.SearchResponse as JSON.")
@click.option(
    "--sheet", type=click.Path(path_type=Path, dir_okay=False), help="Draw the pictures into this PNG."
)
@click.option(
    "--pictures",
    type=click.Path(path_type=Path, file_okay=False),
    default=PICTURES,
    show_default=True,
    help="The catalogue's folder, for --sheet: pictures are read in it and nowhere else, by the paths that products"
    " name or as <product id>.jpg.",
)
@connected
def search(
    *,
    connection: Connection,
    words: tuple[str, ...],
    image: Path | None,
    audio: Path | None,
    locale: str,
    product_id: str,
    filters: tuple[Filter, ...],
    limit: int | None,
    sort: Sort | None,
    facets: tuple[str, ...],
    page_token: str,
    pages: int,
    weights: Weights | None,
    rewrite: bool | None,
    want_json: bool,
    sheet: Path | None,
    pictures: Path,
) -> None:
    """Find products by WORDS, a picture, a product, or some of them at once."""
    if not words and image is None and audio is None and not product_id:
        raise click.UsageError("nothing to search by: give words, --image, --audio or --like")
    if image is not None and product_id:
        raise click.UsageError("--image and --like exclude each other")
    request = SearchRequest(
        text=valid_text(" ".join(words)),
        image=read_image(image) if image is not None else None,
        audio=read_audio(audio) if audio is not None else None,
        locale=valid_text(locale),
        product_id=valid_text(product_id),
        filter=joined(filters),
        weights=weights,
        limit=limit,
        rewrite=_REWRITE_MODES[rewrite],
        sort=sort,
        facets=facets,
        page_token=valid_text(page_token),
    )
    answer = connection.run(lambda client: search_pages(client, request, pages))
    if want_json:
        print_json(as_json(answer))
    else:
        print_answer(console(), answer)
    if sheet is not None:
        picture, currency = connection.run(lambda client: _for_a_sheet(client, request, pictures))
        heading = route_name(answer.searched.route)
        row = Answer(heading=heading, words=request.text, picture=picture, hits=answer.hits)
        save_sheet(sheet, [row], pictures, currency=currency)


async def search_pages(client: VitrineClient, request: SearchRequest, pages: int) -> SearchResponse:
    """Ask for a page and those after it; return them as one answer, its times those of all pages together."""
    answer = await client.search(request)
    for _ in range(1, pages):
        if not answer.next_page_token:
            break
        further = SearchRequest()
        further.CopyFrom(request)
        further.page_token = answer.next_page_token
        if answer.heard.text:
            # What was heard once need not be heard again.
            further.ClearField("audio")
            further.text = f"{request.text} {answer.heard.text}".strip()
        _append(answer, await client.search(further))
    return answer


def _append(answer: SearchResponse, page: SearchResponse) -> None:
    answer.hits.extend(page.hits)
    answer.next_page_token = page.next_page_token
    answer.degraded.extend(part for part in page.degraded if part not in answer.degraded)
    answer.timings.total_ms += page.timings.total_ms
    for stage, spent_ms in page.timings.stages_ms.items():
        answer.timings.stages_ms[stage] += spent_ms


async def _for_a_sheet(
    client: VitrineClient, request: SearchRequest, pictures: Path
) -> tuple[bytes | None, str]:
    """Return the picture that the query started from, if any, and the currency of the prices."""
    picture = request.image or None
    if request.product_id:
        reference = await client.get_product(request.product_id)
        picture = product_picture(reference.product, pictures)
    return picture, await currency_of(client)


def joined(filters: tuple[Filter, ...]) -> Filter | None:
    """Return the condition that all of these hold; None for none."""
    if len(filters) > 1:
        return Filter(all_of=FilterList(filters=filters))
    return filters[0] if filters else None
