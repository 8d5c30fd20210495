"""`vitrine recommend`: products without a query, as a table or as JSON."""

import click
from rich.text import Text

from vitrine.commands.connection import Connection, connected, valid_text
from vitrine.commands.search import FilterType, joined
from vitrine.commands.tables import as_json, hits_table, print_json
from vitrine.terminal import console, printable
from vitrine.v1.query_pb2 import Filter
from vitrine.v1.recommend_pb2 import RecommendRequest
from vitrine.v1.search_pb2 import RecommendResponse

_KINDS = {
    "for-you": RecommendRequest.KIND_FOR_YOU,
    "more-like-this": RecommendRequest.KIND_MORE_LIKE_THIS,
    "goes-well-with": RecommendRequest.KIND_GOES_WELL_WITH,
    "popular-now": RecommendRequest.KIND_POPULAR_NOW,
}


@click.command(short_help="Find products without a query.")
@click.argument("kind", type=click.Choice([*_KINDS]))
@click.argument("product_ids", nargs=-1)
@click.option("--user", "user_id", default="", metavar="ID", help="A shopper who agreed to be known.")
@click.option(
    "--filter", "filters", type=FilterType(), multiple=True, help="As `vitrine search` has it; all must hold."
)
@click.option("--limit", type=int, help="How many hits; the service's default is 10, its maximum 200.")
@click.option("--json", "want_json", is_flag=True, help="Write vitrine.v1.RecommendResponse as JSON.")
@connected
def recommend(
    *,
    connection: Connection,
    kind: str,
    product_ids: tuple[str, ...],
    user_id: str,
    filters: tuple[Filter, ...],
    limit: int | None,
    want_json: bool,
) -> None:
    """Recommend products of a KIND; more-like-this and goes-well-with start from PRODUCT_IDS."""
    request = RecommendRequest(
        kind=_KINDS[kind],
        product_ids=[valid_text(each) for each in product_ids],
        filter=joined(filters),
        limit=limit,
        user_id=valid_text(user_id),
        personalise=bool(user_id),
    )
    answer = connection.run(lambda client: client.recommend(request))
    if want_json:
        print_json(as_json(answer))
    else:
        _show(answer)


def _show(answer: RecommendResponse) -> None:
    out = console()
    told = RecommendRequest.Kind.Name(answer.kind).removeprefix("KIND_").replace("_", " ").lower()
    out.print(Text(told, style="bold"))
    if answer.hits:
        out.print(hits_table(answer.hits))
    else:
        out.print("nothing found: ask with fewer filters, or when more shoppers were here")
    timing = f"{len(answer.hits)} hits in {answer.timings.total_ms:.1f} ms"
    out.print(Text(timing, style="dim"))
    if answer.degraded:
        out.print(Text(printable(f"left out: {', '.join(answer.degraded)}"), style="yellow"))
