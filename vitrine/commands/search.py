"""`vitrine search`: one query, answered as a table, as JSON, or as a contact sheet."""

import re
from pathlib import Path

import click

from vitrine.client import VitrineClient
from vitrine.commands.connection import Connection, connected, read_image, save_sheet, valid_text
from vitrine.commands.tables import as_json, console, print_answer, print_json, printable, route_name
from vitrine.filter_text import FilterSyntaxError, parse_filter
from vitrine.sheet import Answer, product_picture
from vitrine.v1.query_pb2 import Filter, FilterList, Weights
from vitrine.v1.search_pb2 import RewriteMode, SearchRequest, SearchResponse

_EXAMPLES = """\b
vitrine search "red floral midi dress" --filter 'price<80' --filter category=dress
vitrine search --image photo.jpg "with long sleeves"
vitrine search --like PRODUCT_ID "in navy" --sheet hits.png
"""

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
            weights = Weights(**{name: float(number) for name, number in parts.items()})
        except ValueError:
            parts = {}
        if not parts or len(value.split(",")) != len(parts):
            self.fail(f"write them as text=0.3,image=0.7, not {value!r}", param, ctx)
        return weights


@click.command(epilog=_EXAMPLES, short_help="Find products by words, a picture, a product.")
@click.argument("words", nargs=-1)
@click.option("--image", type=click.Path(path_type=Path), help="A picture to search by: JPEG, PNG or WebP.")
@click.option(
    "--like", "product_id", metavar="PRODUCT_ID", default="", help="A product of the index to start from."
)
@click.option(
    "--filter",
    "filters",
    type=FilterType(),
    multiple=True,
    help="Such as 'price<80', 'colour in (red, navy)', 'price 20..80', 'not pattern=striped'; "
    "with and, or, parentheses. Several must all hold.",
)
@click.option("--limit", type=int, help="How many hits; the service's default is 10, its maximum 200.")
@click.option("--weights", type=WeightsType(), help="Score = text * S_text + image * S_image.")
@click.option("--rewrite/--no-rewrite", default=None, help="Whether the rewriter may read the words.")
@click.option("--json", "want_json", is_flag=True, help="Write vitrine.v1.SearchResponse as JSON.")
@click.option(
    "--sheet", type=click.Path(path_type=Path, dir_okay=False), help="Draw the pictures into this PNG."
)
@click.option(
    "--pictures",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where <product id>.jpg are, for --sheet; without it the products' own paths are tried.",
)
@connected
def search(
    *,
    connection: Connection,
    words: tuple[str, ...],
    image: Path | None,
    product_id: str,
    filters: tuple[Filter, ...],
    limit: int | None,
    weights: Weights | None,
    rewrite: bool | None,
    want_json: bool,
    sheet: Path | None,
    pictures: Path | None,
) -> None:
    """Find products by WORDS, a picture, a product, or some of them at once."""
    if not words and image is None and not product_id:
        raise click.UsageError("nothing to search by: give words, --image or --like")
    if image is not None and product_id:
        raise click.UsageError("--image and --like exclude each other")
    request = SearchRequest(
        text=valid_text(" ".join(words)),
        image=read_image(image) if image is not None else None,
        product_id=valid_text(product_id),
        filter=_joined(filters),
        weights=weights,
        limit=limit,
        rewrite=_REWRITE_MODES[rewrite],
    )
    answer, picture = connection.run(
        lambda client: _ask(client, request, pictures, want_picture=sheet is not None)
    )
    if want_json:
        print_json(as_json(answer))
    else:
        print_answer(console(), answer)
    if sheet is not None:
        row = Answer(
            heading=route_name(answer.searched.route), words=request.text, picture=picture, hits=answer.hits
        )
        save_sheet(sheet, [row], pictures)


async def _ask(
    client: VitrineClient, request: SearchRequest, pictures: Path | None, *, want_picture: bool
) -> tuple[SearchResponse, bytes | None]:
    """Search; where it is wanted, find the picture that the query started from."""
    answer = await client.search(request)
    if not want_picture or not request.product_id:
        return answer, request.image or None
    reference = await client.get_product(request.product_id)
    return answer, product_picture(reference.product, pictures)


def _joined(filters: tuple[Filter, ...]) -> Filter | None:
    if len(filters) > 1:
        return Filter(all_of=FilterList(filters=filters))
    return filters[0] if filters else None
